"""What a class may hand in, and what is found in it."""

import io
import json
import os
import re
import tarfile
import zipfile
from pathlib import Path

import nbformat

from lmlib.grading.submissions.intake import NOTHING, STUMBLED, Submission, collect
from tests.grading import sample_class

ASSIGNMENT = sample_class.ASSIGNMENT
NAME = f"{ASSIGNMENT}.ipynb"
ANSWERS = {
    name: re.sub(r" *###.*\n?", "", text).rstrip()
    for name, text in sample_class.solution().items()
}
RELEASED = nbformat.read(sample_class.STUDENT_NOTEBOOK, as_version=4)
STUBS = {c.id: c.source for c in RELEASED.cells if c.id in sample_class.EXERCISES}


def filled(answers=ANSWERS) -> dict:
    """The whole solution in the student's notebook, as plain JSON."""
    if answers is ANSWERS:
        return json.loads(TEXT)
    return json.loads(nbformat.writes(sample_class.fill(answers)))


TEXT = json.dumps(
    json.loads(nbformat.writes(sample_class.fill(ANSWERS))), ensure_ascii=False
)


def cell(notebook: dict, name: str) -> dict:
    return next(
        c
        for c in notebook["cells"]
        if c["metadata"].get("nbgrader", {}).get("grade_id") == name
    )


def code(text: str, **metadata) -> dict:
    new = {"cell_type": "code", "id": "x" + str(abs(hash(text)))[:9], "source": text}
    return new | {"metadata": metadata, "outputs": [], "execution_count": None}


def as_bytes(notebook: dict) -> bytes:
    return json.dumps(notebook).encode()


def assert_plain(submission: Submission) -> None:
    """What holds of every submission."""
    assert (submission.notebook is None) == bool(submission.reason)
    assert submission.reason != STUMBLED
    if submission.notebook is not None:
        nbformat.validate(submission.notebook)
        text = nbformat.writes(submission.notebook)
        text.encode()  # no lone surrogates
        assert "hidden=True" not in text
        assert "BEGIN" not in text
    for sentence in (*submission.repairs, submission.reason):
        sentence.encode()
        assert len(sentence) < 1000
        assert sentence == "" or sentence == NOTHING or sentence.endswith(".")


def answers(submission: Submission) -> dict[str, str]:
    assert submission.notebook is not None, submission.reason
    return {
        c.metadata.nbgrader.grade_id: c.source
        for c in submission.notebook.cells
        if c.metadata.get("nbgrader", {}).get("solution")
    }


def added(submission: Submission) -> list[str]:
    return [
        c.source for c in submission.notebook.cells if "nbgrader" not in c.metadata
    ][1:]  # the first is the introduction


def sources(submission: Submission) -> list[str]:
    return [c.source for c in submission.notebook.cells]


WORK = as_bytes(filled())
OTHER = as_bytes(filled({}))


def lay(folder: Path, files: dict[str, bytes | None]) -> Path:
    """Makes the files below the folder, one second after the other; None, a folder."""
    folder.mkdir(exist_ok=True, parents=True)
    for second, (name, data) in enumerate(files.items()):
        path = folder / name
        (path if data is None else path.parent).mkdir(parents=True, exist_ok=True)
        if data is not None:
            path.write_bytes(data)
            os.utime(path, (1_700_000_000 + second,) * 2)
    return folder


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for second, (name, data) in enumerate(files.items()):
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, second // 60, second % 60))
            archive.writestr(info, data or b"", zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tarred(files: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for second, (name, data) in enumerate(files.items()):
            info = data
            if not isinstance(data, tarfile.TarInfo):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(data), second
            archive.addfile(info, io.BytesIO(data) if info is not data else None)
    return buffer.getvalue()


def all_of(where: Path, source, roster: Path | None = None) -> dict[str, Submission]:
    found = collect(where, ASSIGNMENT, source, roster)
    for submission in found:
        assert_plain(submission)
        assert submission.assignment == ASSIGNMENT
    students = [submission.student for submission in found]
    assert students == sorted(set(students))
    return dict(zip(students, found, strict=True))


NBGRADER = {f"{who}/{ASSIGNMENT}/{NAME}": WORK for who in ("alice", "bob")} | {
    f"alice/{ASSIGNMENT}/timestamp.txt": b"2024-01-01",
    f"alice/{ASSIGNMENT}/.ipynb_checkpoints/{NAME}": OTHER,
    f"alice/{ASSIGNMENT}/data.csv": b"1",
    "bob/4.1-other/4.1-other.ipynb": OTHER,
}
FLAT = {"alice.ipynb": WORK, "bob.ipynb": WORK, "README.md": b"hello"}
MOODLE = "assignsubmission_file_"


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info
