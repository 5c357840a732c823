"""Every way to hand in, honest, careless or hostile, ends as one Submission."""

import copy
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import re
import socket
import stat
import struct
import tarfile
import zipfile
from pathlib import Path
from zlib import crc32

import nbformat
import pytest

from lmlib.grading import assignment
from lmlib.grading.submissions import archives, intake
from lmlib.grading.submissions.intake import NOTHING, STUMBLED, Submission, collect
from lmlib.grading.submissions.roster import read_roster
from tests.grading import sample_class

ASSIGNMENT = sample_class.ASSIGNMENT
NAME = f"{ASSIGNMENT}.ipynb"
ANSWERS = {
    name: re.sub(r" *###.*\n?", "", text).rstrip()
    for name, text in sample_class.solution().items()
}
RELEASED = nbformat.read(sample_class.STUDENT_NOTEBOOK, as_version=4)
STUBS = {c.id: c.source for c in RELEASED.cells if c.id in sample_class.EXERCISES}


@pytest.fixture(scope="session")
def source():
    return assignment.read_source(sample_class.SOLUTION)


@pytest.fixture(autouse=True)
def _nothing_is_written(tmp_path):
    """No test leaves a file that it did not make before `collect` ran."""
    yield
    wrong = [p for p in tmp_path.rglob("*") if p.name in ("evil.ipynb", "evil")]
    assert not wrong


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


@pytest.fixture
def hand_in(tmp_path, source):
    """Hands in some bytes as alice, and gives what comes of them."""

    def hand_in(data: bytes | dict, name: str = "alice.ipynb") -> Submission:
        folder = tmp_path / "class"
        folder.mkdir(exist_ok=True)
        data = as_bytes(data) if isinstance(data, dict) else data
        (folder / name).write_bytes(data)
        (submission,) = collect(folder, ASSIGNMENT, source)
        assert submission.student == "alice"
        assert_plain(submission)
        return submission

    return hand_in


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


def test_an_honest_notebook_needs_no_repair(hand_in, source):
    submission = hand_in(filled())
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    # Cell for cell the released notebook but for the answers.
    expected = [ANSWERS.get(c.id, c.source) for c in RELEASED.cells]
    assert sources(submission) == expected
    assert submission.path == "alice.ipynb"
    data = as_bytes(filled())
    assert submission.digest == hashlib.sha256(data).hexdigest()


# -- Cells ----------------------------------------------------------------------------


def stripped(notebook: dict, ids: bool = False) -> dict:
    """Without nbgrader's metadata, and without ids unless they are to stay."""
    for c in notebook["cells"]:
        c["metadata"] = {}
        if not ids:
            del c["id"]
    if not ids:
        notebook["nbformat_minor"] = 4
    return notebook


def test_duplicated_cell_the_last_one_written_in_counts(hand_in):
    notebook = filled()
    at = notebook["cells"].index(cell(notebook, "weighted_sum"))
    late = copy.deepcopy(notebook["cells"][at])
    late |= {"id": "late", "source": "def weighted_sum(weights, value):\n    return 1"}
    stub = late | {"id": "stub", "source": STUBS["weighted_sum"]}
    notebook["cells"][at + 1 : at + 1] = [late, stub]
    submission = hand_in(notebook)
    assert answers(submission)["weighted_sum"] == late["source"]
    # The first one still runs, before; the empty one, which would undo both, does not.
    assert added(submission) == [ANSWERS["weighted_sum"]]
    (said,) = submission.repairs
    assert said == (
        "The cell `weighted_sum` was there more than once; the last one that you wrote "
        "in counts, and the others were run as ordinary cells."
    )


def test_deleted_answer_is_blank_and_said(hand_in):
    notebook = filled()
    notebook["cells"].remove(cell(notebook, "split_heads"))
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS | {"split_heads": ""}
    assert submission.repairs == (
        "The cell `split_heads` was not in the notebook, so there is no answer to "
        "grade.",
    )


def test_deleted_test_is_put_back(hand_in):
    notebook = filled()
    notebook["cells"].remove(cell(notebook, "test_split_heads"))
    submission = hand_in(notebook)
    assert sources(submission) == sources(hand_in(filled()))
    assert submission.repairs == (
        "Locked cells were missing and were put back: `test_split_heads`.",
    )


def test_edited_locked_cells_are_the_assignments(hand_in):
    notebook = filled()
    cell(notebook, "test_split_heads")["source"] = "3"
    cell(notebook, "given_imports")["source"] = ["import os\n", "os._exit(0)"]
    submission = hand_in(notebook)
    assert sources(submission) == sources(hand_in(filled()))
    assert submission.repairs == (
        "Changes to locked cells do not count; `given_imports` and `test_split_heads` "
        "were taken from the assignment.",
    )


@pytest.mark.parametrize("new", ["weighted_sums", "", 7, None, ["x"], "test_apply"])
def test_renamed_answer_is_found_by_its_id(hand_in, new):
    notebook = filled()
    cell(notebook, "weighted_sum")["metadata"]["nbgrader"]["grade_id"] = new
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The cell `weighted_sum` had lost the name that nbgrader gives it, and was "
        "recognised by its id.",
    )


def test_answer_renamed_to_a_test_is_found(hand_in):
    notebook = filled()
    meta = cell(notebook, "weighted_sum")["metadata"]["nbgrader"]
    meta["grade_id"] = "test_split_heads"
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert "`weighted_sum` did not hold its answer" in submission.repairs[0]


@pytest.mark.parametrize("kind", ["markdown", "raw", "banana", None])
def test_retyped_answer_is_read_as_code(hand_in, kind):
    notebook = filled()
    changed = cell(notebook, "merge_heads")
    changed["cell_type"] = kind
    del changed["outputs"], changed["execution_count"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    kinds = {c.cell_type for c in submission.notebook.cells if c.id == "merge_heads"}
    assert kinds == {"code"}
    if kind in ("markdown", "raw"):
        assert submission.repairs == (
            "The cell `merge_heads` had been turned into another type of cell; it was "
            "read all the same.",
        )


@pytest.mark.parametrize("same_metadata", [True, False])
def test_answer_split_in_two_is_joined(hand_in, same_metadata):
    notebook = filled()
    first = cell(notebook, "merge_heads")
    lines = ANSWERS["merge_heads"].splitlines(keepends=True)
    second = copy.deepcopy(first) if same_metadata else code("")
    first["source"] = lines[:-1]
    second |= {"source": lines[-1:], "id": "second"}
    notebook["cells"].insert(notebook["cells"].index(first) + 1, second)
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert added(submission) == []
    assert submission.repairs == (
        "The cell `merge_heads` had been split in the middle of its code and was "
        "joined again.",
    )


def test_answer_split_between_functions_keeps_both(hand_in):
    notebook = filled()
    first = cell(notebook, "merge_heads")
    second = copy.deepcopy(first) | {"id": "second", "source": "def helper(): pass"}
    notebook["cells"].insert(notebook["cells"].index(first) + 1, second)
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert added(submission) == ["def helper(): pass"]


def test_answer_in_an_added_cell(hand_in):
    notebook = filled(ANSWERS | {"merge_heads": STUBS["merge_heads"]})
    notebook["cells"].append(code(ANSWERS["merge_heads"]))
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The cell `merge_heads` did not hold its answer, which was found in another "
        "cell and put there.",
    )


def test_all_answers_in_the_last_cell(hand_in):
    notebook = filled({})
    together = "\n\n".join(ANSWERS.values())
    cell(notebook, "read_the_plot")["source"] = together
    found = answers(hand_in(notebook))
    assert set(found.values()) == {together}


def test_two_answers_swapped(hand_in):
    notebook = filled()
    one, two = cell(notebook, "merge_heads"), cell(notebook, "split_heads")
    one["source"], two["source"] = two["source"], one["source"]
    submission = hand_in(notebook)
    for name in ("merge_heads", "split_heads"):
        assert ANSWERS[name] in answers(submission)[name]
    assert len(submission.repairs) == 2


def test_answer_in_a_test_cell(hand_in):
    notebook = filled({"weighted_sum": ""})
    cell(notebook, "test_weighted_sum")["source"] = ANSWERS["weighted_sum"]
    submission = hand_in(notebook)
    assert answers(submission)["weighted_sum"] == ANSWERS["weighted_sum"]


def test_untouched_answers_are_the_stubs(hand_in):
    submission = hand_in(filled({}))
    assert answers(submission) == STUBS
    assert submission.repairs == ()


def test_other_order_is_put_right(hand_in):
    notebook = filled()
    notebook["cells"].reverse()
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The cells were in another order; they were run in the order of the "
        "assignment.",
    )


def test_added_cells_stay_where_they_were(hand_in):
    notebook = filled()
    helper, note = code("helper = 1"), code("# a note") | {"cell_type": "markdown"}
    del note["outputs"], note["execution_count"]
    at = notebook["cells"].index(cell(notebook, "split_heads"))
    notebook["cells"][at:at] = [helper, note]
    submission = hand_in(notebook)
    texts = sources(submission)
    assert texts[at : at + 3] == ["helper = 1", "# a note", ANSWERS["split_heads"]]
    assert submission.repairs == ()


def test_metadata_gone_but_ids_there(hand_in):
    submission = hand_in(stripped(filled(), ids=True))
    assert answers(submission) == ANSWERS
    (said,) = submission.repairs
    assert said.startswith("The cells `attention_weights`, `weighted_sum`, ")
    assert said.endswith("each was recognised by its id.")


def test_metadata_and_ids_gone(hand_in):
    submission = hand_in(stripped(filled()))
    assert answers(submission) == ANSWERS
    assert added(submission) == []
    assert submission.repairs[0].endswith("recognised by the names that it defines.")


def test_colab_moves_the_id_into_the_metadata(hand_in):
    notebook = stripped(filled(), ids=True)
    for c in notebook["cells"]:
        c["metadata"] = {"id": c.pop("id"), "colab": {"base_uri": "https://x"}}
    notebook |= {"nbformat_minor": 0}
    notebook["metadata"] = {
        "colab": {"provenance": []},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"x": {"state": 1}}},
    }
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert "widgets" not in submission.notebook.metadata


def test_answer_without_a_name_is_found_by_its_place(hand_in):
    notebook = stripped(filled())
    changed = next(
        c for c in notebook["cells"] if "".join(c["source"]) == ANSWERS["merge_heads"]
    )
    changed["source"] = "merge_head = lambda x: x"
    submission = hand_in(notebook)
    assert answers(submission)["merge_heads"] == "merge_head = lambda x: x"
    assert submission.repairs[1] == (
        "The cell `merge_heads` had lost the name that nbgrader gives it, and was "
        "recognised by its place."
    )


def test_another_assignment_is_malformed(hand_in):
    notebook = filled() | {"cells": [code("print(1)"), code("x = 2")]}
    submission = hand_in(notebook)
    assert submission.reason == (
        "None of the answer cells of this assignment is in the notebook. It may be "
        "the notebook of another assignment."
    )


def test_cells_that_are_no_cells(hand_in):
    notebook = filled()
    cell(notebook, "split_heads")["source"] = 12
    notebook["cells"][1:1] = [None, 7, [], {}, {"source": {"a": 1}}, {"source": [1]}]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS | {"split_heads": ""}
    assert "Cell 2, 3, 4, 6, 7 and " in submission.repairs[0]


@pytest.mark.parametrize("metadata", [None, 3, [], "x", {"nbgrader": 3}])
def test_metadata_of_the_wrong_type(hand_in, metadata):
    notebook = filled()
    for c in notebook["cells"]:
        c["metadata"] = metadata
    notebook["metadata"] = metadata
    assert answers(hand_in(notebook)) == ANSWERS


def test_ids_of_any_kind(hand_in):
    notebook = filled()
    ids = ["x", "x", "", 3, None, "ä b", "y" * 99] * 9
    for c, new in zip(notebook["cells"], ids, strict=False):
        c["id"] = new
    assert hand_in(notebook).repairs == ()


def test_very_long_cell_is_blank_and_said(hand_in):
    notebook = filled()
    cell(notebook, "split_heads")["source"] = "x" * 1_000_000
    submission = hand_in(notebook)
    assert answers(submission)["split_heads"] == ""
    assert "held more than 200,000 characters" in submission.repairs[0]


def test_too_many_cells(hand_in):
    notebook = filled()
    notebook["cells"] += [code("1")] * 5000
    assert "5,034 cells; at most 2,000" in hand_in(notebook).reason
    notebook["cells"] = notebook["cells"][:2000]
    assert answers(hand_in(notebook)) == ANSWERS


# -- Formats --------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, 6, 99, "x", None])
def test_every_minor_version_of_format_4(hand_in, minor):
    notebook = filled() | {"nbformat_minor": minor}
    if minor in range(5):
        for c in notebook["cells"]:
            del c["id"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    assert (submission.notebook.nbformat, submission.notebook.nbformat_minor) == (4, 5)


@pytest.mark.parametrize("version", [2, 3])
def test_old_formats_are_converted(hand_in, version):
    notebook = sample_class.fill(ANSWERS)
    for c in notebook.cells:
        if c.cell_type == "code":
            c.outputs = [nbformat.v4.new_output("stream", text="hello")]
    old = nbformat.convert(notebook, 3)
    if version == 2:  # which differs in what it does not have
        old.nbformat = 2
    submission = hand_in(json.dumps(old).encode())
    assert answers(submission) == ANSWERS
    assert submission.repairs[-1] == (
        f"The notebook had the old format {version}; it was converted to 4."
    )


@pytest.mark.parametrize("version", [1, 2, 3, 0, -1, 5, 10**30, True, "4", None, 4.5])
@pytest.mark.parametrize("body", ["cells", "worksheets"])
def test_any_version_over_any_body_is_a_submission(hand_in, version, body):
    notebook = filled() | {"nbformat": version}
    notebook[body] = notebook.pop("cells")
    submission = hand_in(notebook)
    if version == 5:
        assert "format 5; only formats up to 4" in submission.reason


@pytest.mark.parametrize("version", [None, 0, 1, 2, 3, 99, "three"])
def test_nbgrader_schemas(hand_in, version):
    notebook = filled()
    for c in notebook["cells"]:
        if nbgrader := c["metadata"].get("nbgrader"):
            nbgrader["schema_version"] = version
            if version is None:
                del nbgrader["schema_version"], nbgrader["task"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    said = "".join(submission.repairs)
    assert ("older version of nbgrader" in said) == (version not in (3, 99))
    assert ("newer version of nbgrader" in said) == (version == 99)
    metadata = [c.metadata.get("nbgrader") for c in submission.notebook.cells]
    assert {m["schema_version"] for m in metadata if m} == {3}


def test_no_kernelspec(hand_in):
    submission = hand_in(filled() | {"metadata": {}})
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The notebook did not name its kernel; it was run with Python 3.",
    )
    assert submission.notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
        {
            "kernelspec": {"name": "ir", "display_name": "R"},
            "language_info": {"name": "R"},
        },
    ],
)
def test_another_language(hand_in, metadata):
    reason = hand_in(filled() | {"metadata": metadata}).reason
    assert reason.startswith("The notebook runs in another language than Python: its")
    assert "kernel is `R`" in reason


def test_large_outputs_attachments_and_widgets_are_dropped(hand_in):
    notebook = filled()
    png = {"output_type": "display_data", "data": {"image/png": "A" * (19 << 20)}}
    cell(notebook, "given_plot")["outputs"] = [png]
    notebook["cells"][0]["attachments"] = {"a.png": {"image/png": "AAAA"}}
    notebook["metadata"]["widgets"] = {"a": ["b"] * 1000}
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    assert len(nbformat.writes(submission.notebook)) < 60_000


# -- JSON -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b" \n\n", "The file is empty (3 bytes)"),
        (b"\0" * 100, "not a notebook"),
        (b"[]", "is JSON, but not a notebook"),
        (b"{}", "is JSON, but not a notebook"),
        (b"3", "is JSON, but not a notebook"),
        (b'{"nbformat": 4}', "is a notebook without cells"),
        (b'{"nbformat": 4, "cells": {}}', "is a notebook without cells"),
        (b'{"nbformat": 4, "cells": []}', "has no cells"),
        (b"print('hello')", "is not a notebook (.ipynb)"),
        (b"<!DOCTYPE html><html>", "is a web page, not a notebook"),
        (b"%PDF-1.7 ...", "is a PDF, not a notebook"),
        (b"PK\x03\x04 ...", "is a zip archive, not a notebook"),
        (b"\x7fELF\x02\x01\x01", "is not a notebook"),
        (TEXT.encode()[:-200], "breaks off in line 1"),
        (TEXT.encode()[:5000], "breaks off in line 1"),
        (TEXT.encode() + b"}", "is damaged in line 1, column"),
        (TEXT.replace(",", ",,", 1).encode(), "is damaged in line 1, column"),
        (b"{\n<<<<<<< HEAD\n=======\n>>>>>>> x", "marks of a git merge conflict"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 50_000 + b"]" * 50_000, "nested too deeply"),
        (b"[" + b"{}," * 3_000_000 + b"{}]", "holds too much data"),
    ],
)
def test_not_a_notebook(hand_in, data, said):
    submission = hand_in(data)
    assert submission.notebook is None
    assert said in submission.reason


def test_deep_nesting_in_places_that_do_not_matter(hand_in):
    for depth in (100, 500, 900, 100_000):
        deep = b"[" * depth + b"]" * depth
        data = as_bytes(filled())[:-1] + b', "extra": ' + deep + b"}"
        submission = hand_in(data)
        assert submission.reason or answers(submission) == ANSWERS
        data = as_bytes(filled()).replace(b'"metadata": {}', b'"metadata": ' + deep, 1)
        submission = hand_in(data)
        assert submission.reason or answers(submission) == ANSWERS


@pytest.mark.parametrize("value", ["1" * 100_000, "-1e999", "NaN", "-Infinity"])
def test_odd_numbers(hand_in, value):
    notebook = filled()
    for c in notebook["cells"]:
        c["metadata"].get("nbgrader", {})["points"] = "HERE"
    notebook["nbformat_minor"] = "HERE"
    data = json.dumps(notebook).replace('"HERE"', value).encode()
    assert answers(hand_in(data)) == ANSWERS
    hand_in(TEXT.replace('"nbformat": 4', f'"nbformat": {value}').encode())


def test_duplicate_keys(hand_in):
    data = TEXT.replace("{", '{"cells": [], "a": 1, ', 1).encode()
    submission = hand_in(data)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "Parts of the file were there twice under one name (`cells`); the last one "
        "counts, as it does in Jupyter.",
    )


def test_lone_surrogates_and_nul(hand_in):
    notebook = filled()
    cell(notebook, "merge_heads")["source"] += "  # \ud800 \0 \udfff"
    submission = hand_in(notebook)
    expected = ANSWERS["merge_heads"] + "  # \ufffd \ufffd \ufffd"
    assert answers(submission)["merge_heads"] == expected
    assert "characters that do not exist" in submission.repairs[0]
    notebook = filled()
    cell(notebook, "merge_heads")["metadata"]["nbgrader"]["grade_id"] = "\ud800"
    notebook["\ud800"] = 1
    assert answers(hand_in(notebook)) == ANSWERS


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("utf-32", "UTF-32"),
        ("latin-1", "LATIN-1"),
    ],
)
def test_encodings(hand_in, encoding, name):
    notebook = filled()
    cell(notebook, "merge_heads")["source"] += "  # naïve"
    text = json.dumps(notebook, ensure_ascii=False)
    data = text.encode(encoding, errors="replace")
    submission = hand_in(data)
    assert answers(submission)["merge_heads"].endswith("# naïve")
    said = "".join(submission.repairs)
    assert (f"it was read as {name}." in said) if name else said == ""


def test_line_ends_of_windows(hand_in):
    notebook = filled()
    for c in notebook["cells"]:
        c["source"] = "".join(c["source"]).replace("\n", "\r\n")
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()


# -- Layouts --------------------------------------------------------------------------

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
LAYOUTS = {
    "nbgrader": NBGRADER,
    "flat": FLAT,
    "folders": {"alice/work.ipynb": WORK, f"bob/{NAME}": WORK},
    "moodle": {
        f"alice_1001_{MOODLE}/my work.ipynb": WORK,
        f"bob_1002_{MOODLE}/{NAME}": WORK,
        "bob_1002_assignsubmission_onlinetext_/onlinetext.html": b"<p>hello</p>",
    },
    "moodle-short": {"alice_1001_file/x.ipynb": WORK, "bob_1002_file/y.ipynb": WORK},
    "moodle-flat": {
        f"alice_1001_{MOODLE}{NAME}": WORK,
        f"bob_1002_{MOODLE}x.ipynb": WORK,
    },
    "canvas": {
        f"alice_1001_5001_{NAME}": WORK,
        "bob_LATE_1002_5002_work-1.ipynb": WORK,
    },
    "named": {f"alice_{NAME}": WORK, f"{ASSIGNMENT}-bob.ipynb.txt": WORK},
    "own-archives": {
        "alice.zip": zipped({f"{ASSIGNMENT}/{NAME}": WORK, "__MACOSX/._x.ipynb": b"x"}),
        "bob.tar.xz": tarred({"work.ipynb": WORK}, "w:xz"),
    },
}


FORMS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["folder", *FORMS])
def test_layouts(tmp_path, source, layout, form):
    check_layout(tmp_path, source, layout, form, "")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "top", ["class of 2024/", f"{ASSIGNMENT}/", f"a/{ASSIGNMENT}/"]
)
def test_layouts_inside_other_folders(tmp_path, source, layout, top):
    check_layout(tmp_path, source, layout, "zip", top)


def check_layout(tmp_path, source, layout, form, top):
    files = {top + name: data for name, data in LAYOUTS[layout].items()}
    if form == "folder":
        where = lay(tmp_path / "class", files)
    else:
        where = tmp_path / f"class.{form}"
        mode = "w:" + form.partition(".")[2]
        where.write_bytes(zipped(files) if form == "zip" else tarred(files, mode))
    before = {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}
    found = all_of(where, source)
    assert list(found) == ["alice", "bob"]
    for submission in found.values():
        assert answers(submission) == ANSWERS
        assert not submission.repairs or layout == "own-archives"
        assert submission.path.startswith("class." if form != "folder" else "")
        assert len(submission.digest) == 64
    assert before == {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_one_student_in_an_archive(tmp_path, source):
    for inside in (f"alice/{ASSIGNMENT}/{NAME}", f"alice/{NAME}", "all/alice.ipynb"):
        where = tmp_path / "class.zip"
        where.write_bytes(zipped({inside: WORK}))
        assert list(all_of(where, source)) == ["alice"]


def test_course_folder_is_looked_up_in_submitted(tmp_path, source):
    lay(tmp_path / "submitted", NBGRADER)
    lay(tmp_path / "source", {f"{ASSIGNMENT}/{NAME}": OTHER})
    found = all_of(tmp_path, source)
    assert list(found) == ["alice", "bob"]
    lay(tmp_path / "submitted", {f"submitted/{ASSIGNMENT}/{NAME}": WORK})
    for where in (tmp_path, tmp_path / "submitted"):
        assert list(all_of(where, source)) == ["alice", "bob", "submitted"]


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        ({"alice.ipynb": OTHER, "alice (1).ipynb": WORK}, "alice (1).ipynb"),
        ({"alice (2).ipynb": WORK, "alice (1).ipynb": OTHER}, "alice (2).ipynb"),
        ({"alice.ipynb": OTHER, "alice-Copy1.ipynb": WORK}, "alice-Copy1.ipynb"),
        (
            {"alice_7_51_x.ipynb": OTHER, "alice_LATE_7_52_x-1.ipynb": WORK},
            "alice_LATE_7_52_x-1.ipynb",
        ),
        ({"alice_7_9_x-2.ipynb": WORK, "alice_7_9_x-1.ipynb": OTHER}, "x-2"),
        ({f"alice/{NAME}": WORK, "alice/x.ipynb": OTHER}, NAME),
        (
            {"alice/a.ipynb": WORK, "alice/a (1).ipynb": b"", "alice/n.ipynb": OTHER},
            "(",
        ),
        ({"alice/b.ipynb": OTHER, "alice/a.ipynb": WORK}, "a.ipynb"),
        ({f"alice/{ASSIGNMENT}/{NAME}": WORK, "alice/x.ipynb": OTHER}, NAME),
        ({"alice/b.ipynb": WORK, "alice/b.zip": b"x", "alice/b.py": b"x"}, None),
    ],
)
def test_of_several_files_one_counts_and_it_is_said(tmp_path, source, files, counts):
    found = all_of(lay(tmp_path / "class", files), source)
    assert list(found) == ["alice"]
    (submission,) = found.values()
    if counts == "(":
        assert "is empty" in submission.reason  # the last one, and it is said
    else:
        assert answers(submission) == ANSWERS
    said = "".join(submission.repairs)
    assert ("More than one file was handed in; `" in said) == (counts is not None)
    assert counts is None or f"{counts}" in said.partition("counts")[0]


def test_two_members_of_one_name_the_later_counts(tmp_path, source):
    where = tmp_path / "class.zip"
    with zipfile.ZipFile(where, "w") as archive:
        archive.writestr("alice.ipynb", OTHER)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("alice.ipynb", WORK)
    (submission,) = all_of(where, source).values()
    assert answers(submission) == ANSWERS


def test_nothing_and_the_wrong_thing(tmp_path, source):
    files = {
        f"alice/{ASSIGNMENT}/{NAME}": WORK,
        f"bob/{ASSIGNMENT}": None,
        "carol/4.1-other/4.1-other.ipynb": WORK,
        f"dan/{ASSIGNMENT}/report.pdf": b"%PDF",
        f"erin/{ASSIGNMENT}/timestamp.txt": b"2024",
        "frank.pdf": b"%PDF",
        f"grace/{ASSIGNMENT}/{NAME}/x": b"x",
        "heidi.ipynb": None,
    }
    found = all_of(lay(tmp_path / "class", files), source)
    reasons = {student: submission.reason for student, submission in found.items()}
    assert reasons == {
        "alice": "",
        "bob": NOTHING,
        "carol": NOTHING,
        "dan": "`report.pdf` is not a notebook (.ipynb). Open it in Jupyter, save it, "
        "and hand in that file.",
        "erin": NOTHING,
        "frank": "`frank.pdf` is not a notebook (.ipynb). Open it in Jupyter, save it, "
        "and hand in that file.",
        "grace": f"`{NAME}` is a folder, not a notebook.",
        "heidi": "`heidi.ipynb` is a folder, not a notebook.",
    }


def test_same_name_on_the_platform_but_two_people(tmp_path, source):
    files = {"annlee_11_50_x.ipynb": WORK, "annlee_12_51_x.ipynb": OTHER}
    found = all_of(lay(tmp_path / "class", files), source)
    assert list(found) == ["annlee_11", "annlee_12"]


def test_names_that_cannot_be_file_names(tmp_path, source):
    names = [b"a\xffb", b"-rf", b"a\nb", b"C:x", "é".encode(), "e\u0301".encode()]
    folder = tmp_path / "class"
    folder.mkdir()
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".ipynb")).write_bytes(
            WORK
        )
    found = all_of(folder, source)
    # Those in two Unicode forms are two: neither takes the other's name.
    assert list(found) == ["C_x", "a_b", "a_b-2", "e\u0301", "rf", "\u00e9"]
    for name in ("e\u0301", "\u00e9"):
        assert found[name].path == f"{name}.ipynb"
        assert "the form of its Unicode characters" in found[name].needs_person[0]


@pytest.mark.parametrize("name", ["nowhere", "file.txt", "empty.zip"])
def test_where_is_wrong(tmp_path, source, name):
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "file.txt").write_bytes(b"hello")
    if name != "empty.zip":
        with pytest.raises(ValueError, match="neither a folder nor an archive"):
            collect(tmp_path / name, ASSIGNMENT, source)
    else:
        (submission,) = all_of(tmp_path / name, source).values()
        assert submission.student == name
        assert submission.reason.startswith("The archive of the class is ")


# -- Rosters --------------------------------------------------------------------------

PLAIN = """id,name,email,lms_id
jdoe,Jane Doe,jane.doe@uni.example,1001
mmus,"Müller, Max",max@uni.example,1002
late,Lea Te,lea@uni.example,1003
"""


@pytest.mark.parametrize(
    "file",
    [
        "jdoe.ipynb",
        "JDOE.ipynb",
        "jdoe (3).ipynb",
        "jdoe-2.ipynb",
        "Jane Doe.ipynb",
        "Doe_Jane.ipynb",
        "jane.doe@uni.example.ipynb",
        "jane.doe.ipynb",
        f"jdoe_{NAME}",
        f"Jane Doe_1001_{MOODLE}/x.ipynb",
        f"Doe_Jane_1001_{MOODLE}x.ipynb",
        "doejane_1001_77_x.ipynb",
        "doejane_LATE_1001_77_x-1.ipynb",
        "anon_1001_77_x.ipynb",
        f"jdoe/{ASSIGNMENT}/{NAME}",
    ],
)
def test_roster_knows_students_by_many_names(tmp_path, source, file):
    (tmp_path / "class.csv").write_text(PLAIN)
    folder = lay(tmp_path / "class", {file: WORK})
    found = all_of(folder, source, tmp_path / "class.csv")
    assert list(found) == ["jdoe", "late", "mmus"]
    assert answers(found["jdoe"]) == ANSWERS
    assert found["jdoe"].repairs == ()
    assert found["mmus"] == Submission("mmus", ASSIGNMENT, None, NOTHING)


def test_unknown_students_are_kept_and_it_is_said(tmp_path, source):
    (tmp_path / "class.csv").write_text(PLAIN)
    folder = lay(tmp_path / "class", {"nobody.ipynb": WORK, "jdoe.ipynb": WORK})
    found = all_of(folder, source, tmp_path / "class.csv")
    assert list(found) == ["jdoe", "late", "mmus", "nobody"]
    assert found["nobody"].repairs == (
        "The name `nobody` is not on the list of the class; the work was graded under "
        "it all the same.",
    )


def test_a_name_that_two_students_have_is_nobodys(tmp_path, source):
    (tmp_path / "class.csv").write_text("id,name\na1,Ann Lee\na2,Ann Lee\n")
    folder = lay(tmp_path / "class", {"Ann Lee.ipynb": WORK, "a2.ipynb": WORK})
    found = all_of(folder, source, tmp_path / "class.csv")
    assert {s: found[s].reason for s in found} == {
        "Ann Lee": "", "a1": NOTHING, "a2": "",
    }  # fmt: skip


NEIGHBOUR = "id,name,lms_id\nneighbour,Neighbour,10\nmallory,Mallory,666\n"
FOLDER = "assignsubmission_file_"


@pytest.mark.parametrize(
    ("hostile", "honest"),
    [
        # The name that a student shows.
        (
            f"Neighbour_10_{FOLDER}_666_{FOLDER}/x.ipynb",
            f"Neighbour_10_{FOLDER}/x.ipynb",
        ),
        (f"Neighbour_10_assignsubmission_666_{FOLDER}/x.ipynb", None),
        (f"Neighbour_10_file_666_{FOLDER}/x.ipynb", None),
        ("Neighbour_10_file_666_file/x.ipynb", "Neighbour_10_file/x.ipynb"),
        (f"Neighbour_10_{FOLDER}_666_{FOLDER}x.ipynb", f"Neighbour_10_{FOLDER}x.ipynb"),
        ("neighbour_10_9__666_70_x.ipynb", "neighbour_10_50_x.ipynb"),
        (f"Neighbour_666_{FOLDER}/x.ipynb", f"Neighbour_10_{FOLDER}/x.ipynb"),
        (f"Neighbour (2)_666_{FOLDER}/x.ipynb", f"Neighbour_10_{FOLDER}/x.ipynb"),
        (f"neighbour-2_666_{FOLDER}/x.ipynb", f"Neighbour_10_{FOLDER}/x.ipynb"),
        ("neighbour_LATE_666_70_x.ipynb", "neighbour_10_50_x.ipynb"),
        # The name of a file.
        (f"Mallory_666_{FOLDER}x_10_{FOLDER}y.ipynb", f"Neighbour_10_{FOLDER}x.ipynb"),
        (f"mallory_666_70_x_10_{FOLDER}y.ipynb", "neighbour_10_50_x.ipynb"),
        ("mallory_666_70_10_99_y.ipynb", "neighbour_10_50_x.ipynb"),
        (f"Mallory_666_{FOLDER}/Neighbour_10_{FOLDER}x.ipynb", None),
    ],
)
@pytest.mark.parametrize("roster", ["", NEIGHBOUR, NEIGHBOUR.partition("mallory")[0]])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_nobody_is_taken_for_another_by_a_name(
    tmp_path, source, hostile, honest, roster, form
):
    files = {honest or f"Neighbour_10_{FOLDER}/x.ipynb": WORK, hostile: OTHER}
    path = tmp_path / "class.csv"
    path.write_text(roster)
    if form == "folder":
        where = lay(tmp_path / "class", files)
    else:
        where = tmp_path / "class.zip"
        where.write_bytes(zipped(files))
    found = all_of(where, source, path if roster else None)
    theirs = [s for s in found.values() if s.path.endswith(hostile)]
    (other,) = theirs
    assert other.student not in ("neighbour", "Neighbour")
    work = [s for s in found.values() if s.notebook and s not in theirs]
    assert [answers(s) for s in work] == [ANSWERS]
    if roster:
        assert work[0].student == "neighbour"
    if "Neighbour_666" in hostile and "mallory" not in roster:
        assert other.needs_person


def test_two_numbers_for_one_name_of_the_roster_are_told_apart(tmp_path, source):
    (tmp_path / "class.csv").write_text("id,name\nneighbour,Neighbour\n")
    files = {f"Neighbour_{n}_{FOLDER}/x.ipynb": WORK for n in (10, 666)}
    found = all_of(lay(tmp_path / "class", files), source, tmp_path / "class.csv")
    assert list(found) == ["Neighbour_10", "Neighbour_666", "neighbour"]
    assert found["neighbour"].reason == NOTHING
    assert all(found[f"Neighbour_{n}"].needs_person for n in (10, 666))


def test_unicode_forms_do_not_change_places(tmp_path, source):
    names = ("Zo\u00eb", "Zoe\u0308")
    (tmp_path / "class.csv").write_text(f"id\n{names[0]}\n", encoding="utf-8")
    work = {f"{n}/{NAME}": data for n, data in zip(names, (WORK, OTHER), strict=True)}
    folder = lay(tmp_path / "class", work)
    for roster in (None, tmp_path / "class.csv"):
        found = all_of(folder, source, roster)
        assert set(found) == set(names)
        assert answers(found[names[0]]) == ANSWERS
        assert answers(found[names[1]]) != ANSWERS
    for name in names:
        alone = lay(tmp_path / name, {f"{name}/{NAME}": WORK})
        assert list(all_of(alone, source)) == [name]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    "titles", ["id", "student_id", "Username", "Student ID", "SIS Login ID"]
)
def test_rosters_of_many_kinds(tmp_path, delimiter, encoding, titles):
    path = tmp_path / "class.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(
            [[titles, "Surname", "First name"], [], ["m1", "Müller", "Jo"]]
        )
    roster = read_roster(path)
    assert roster.students == ("m1",)
    assert roster.find("mullerjo") is None or encoding  # spelled without its accent
    assert roster.find("Jo Müller") == roster.find("müllerjo") == "m1"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"id\n", "names no student"),
        (b"colour,size\nred,3\n", "no column for the student id.*colour, size"),
        (b"id,name\n,Jane\n", "line 2: the student id is empty"),
        (b"id\na\nb\n\na\n", "lines 2 and 5: the student id a is there twice"),
        (b"id\n../x\n", "line 2: '../x' cannot be a student id"),
        (b"id\n-rf\n", "cannot be a student id"),
        (b"id\na\0b\n", "is not a text file"),
        (b"PK\x03\x04\0\0", "is not a text file"),
        (b'id\n"' + b"a" * 200_000, "field larger than field limit"),
    ],
)
def test_roster_troubles_are_told_to_the_instructor(tmp_path, source, data, said):
    path = tmp_path / "class.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said):
        collect(lay(tmp_path / "class", {}), ASSIGNMENT, source, path)


def test_roster_that_is_not_there(tmp_path, source):
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(ValueError, match="is not a file"):
            collect(tmp_path, ASSIGNMENT, source, path)


# -- Hostile files --------------------------------------------------------------------


def test_links_fifos_sockets_and_large_files(tmp_path, source, monkeypatch):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(WORK)
    folder = lay(tmp_path / "class", {"honest.ipynb": WORK, "zero.ipynb": b""})
    (folder / "link.ipynb").symlink_to(secret)
    (folder / "dangling.ipynb").symlink_to(tmp_path / "nowhere")
    (folder / "loop.ipynb").symlink_to(folder / "loop.ipynb")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    lay(folder, {"inner/x.txt": b"x"})
    (folder / "inner" / ASSIGNMENT).symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "fifo.ipynb")
    (folder / "device.ipynb").symlink_to("/dev/zero")
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(folder)  # the name of a socket must be short
    server.bind("socket.ipynb")
    with (folder / "large.ipynb").open("wb") as file:
        file.truncate(200 << 20)
    found = all_of(folder, source)
    server.close()
    link = "is a link to another place, not a file; hand in the file itself."
    special = "is not an ordinary file; hand in the notebook as a file."
    assert {s: f.reason for s, f in found.items() if s != "inner"} == {
        "honest": "",
        "link": f"`link.ipynb` {link}",
        "dangling": f"`dangling.ipynb` {link}",
        "loop": f"`loop.ipynb` {link}",
        "linked": f"`linked` {link}",
        "device": f"`device.ipynb` {link}",
        "fifo": f"`fifo.ipynb` {special}",
        "socket": f"`socket.ipynb` {special}",
        "zero": "The file is empty (0 bytes). Save the notebook and hand it in again.",
        "large": "`large.ipynb` is 200.0 MiB large, and at most 20 MiB are accepted; "
        "clear the outputs of the notebook, save it, and hand it in again.",
    }
    assert found["inner"].notebook is None


def test_a_link_does_not_hide_the_notebook_beside_it(tmp_path, source):
    folder = lay(tmp_path / "class", {"alice/a.ipynb": WORK})
    (folder / "alice" / "z (9).ipynb").symlink_to("/etc/passwd")
    (submission,) = all_of(folder, source).values()
    assert answers(submission) == ANSWERS


def test_a_file_that_turns_into_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(archives.Unreadable, match="not an ordinary file"):
        archives._read_file(tmp_path / "x")
    (tmp_path / "y").symlink_to("/etc/passwd")
    with pytest.raises(archives.Unreadable, match="cannot be read"):
        archives._read_file(tmp_path / "y")


def test_unreadable_files_and_folders(tmp_path, source, monkeypatch):
    folder = lay(tmp_path / "class", {"a.ipynb": WORK, "b/x.ipynb": WORK})
    real_open, real_scandir = os.open, os.scandir

    def refuse(real):
        def refusing(path, *rest):
            if Path(path).name in ("a.ipynb", "b"):
                raise PermissionError(13, "Permission denied")
            return real(path, *rest)

        return refusing

    # As root, every file is readable.
    monkeypatch.setattr(os, "open", refuse(real_open))
    monkeypatch.setattr(os, "scandir", refuse(real_scandir))
    found = all_of(folder, source)
    assert found["a"].reason == (
        "`a.ipynb` cannot be read by the grader (permission denied); ask your "
        "instructor."
    )
    assert found["b"].reason == (
        "`b` is a folder that the grader is not allowed to open."
    )


def test_every_file_is_read_once_at_most(tmp_path, source, monkeypatch):
    reads = []
    real = archives._read_file
    monkeypatch.setattr(
        archives, "_read_file", lambda path: (reads.append(path.name), real(path))[1]
    )
    folder = lay(tmp_path / "class", FLAT | {"alice (1).ipynb": WORK})
    all_of(folder, source)
    assert sorted(reads) == ["alice (1).ipynb", "bob.ipynb"]


# -- Hostile archives -----------------------------------------------------------------


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_members_that_are_no_files(tmp_path, source):
    where = tmp_path / "class.tar"
    kinds = {
        "sym": special("sym.ipynb", tarfile.SYMTYPE, "/etc/passwd"),
        "hard": special("hard.ipynb", tarfile.LNKTYPE, "honest.ipynb"),
        "fifo": special("fifo.ipynb", tarfile.FIFOTYPE),
        "char": special("char.ipynb", tarfile.CHRTYPE),
        "block": special("block.ipynb", tarfile.BLKTYPE),
        "dir": special("dir.ipynb", tarfile.DIRTYPE),
    }
    where.write_bytes(tarred({"honest.ipynb": WORK} | kinds))
    found = all_of(where, source)
    assert answers(found["honest"]) == ANSWERS
    for name in ("sym", "hard"):
        assert "is a link" in found[name].reason
    for name in ("fifo", "char", "block"):
        assert "is not an ordinary file" in found[name].reason
    assert "is a folder, not a notebook" in found["dir"].reason


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_lead_out(tmp_path, source, pack):
    names = ["../evil.ipynb", "/tmp/evil.ipynb", "..\\..\\evil.ipynb", "C:/evil.ipynb"]
    for name in names:
        where = tmp_path / "class"
        where.write_bytes(pack({"honest.ipynb": WORK, name: WORK}))
        found = all_of(where, source)
        assert answers(found.pop("honest")) == ANSWERS
        (submission,) = found.values()
        assert "has a name that leads out of the archive" in submission.reason


def test_a_name_that_leads_out_does_not_replace_a_good_one(tmp_path, source):
    where = tmp_path / "class.zip"
    where.write_bytes(zipped({"alice.ipynb": WORK, "../alice.ipynb": OTHER}))
    (submission,) = all_of(where, source).values()
    assert answers(submission) == ANSWERS


def zip_of_type(mode: int) -> bytes:
    """A zip of one member that says which kind of file it is on Unix."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("x.ipynb")
        info.external_attr = (mode | 0o644) << 16
        archive.writestr(info, b"/etc/passwd")
    return buffer.getvalue()


def encrypted(data: bytes) -> bytes:
    """The same zip, said to be encrypted in both headers."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[data.index(mark) + offset] |= 1
    return bytes(changed)


ZEROS = bytes(15 << 20)
ONE = {"x.ipynb": WORK}
FULL_BLOCKS = -(-len(WORK) // 512) * 512
CRC = struct.pack("<I", crc32(WORK))
BOMBED = "would unpack to more than 100 times its size"


def lzma_with_large_dictionary() -> bytes:
    """The size is a field of the header, and the header has a checksum."""
    data = bytearray(lzma.compress(tarred(ONE)))
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 40  # 4 GiB - 1
    header = data[12 : 12 + (data[12] + 1) * 4 - 4]
    data[12 + len(header) : 16 + len(header)] = struct.pack("<I", crc32(bytes(header)))
    return bytes(data)


OWN_ARCHIVES = {
    "bomb.zip": (zipped({"x.ipynb": ZEROS}), BOMBED),
    "total.zip": (zipped({f"{i}.bin": ZEROS for i in range(20)} | ONE), BOMBED),
    "bomb.tar.gz": (tarred({"x.ipynb": ZEROS, "y.ipynb": WORK}, "w:gz"), BOMBED),
    "bomb.tar.bz2": (tarred({"x.ipynb": ZEROS}, "w:bz2"), BOMBED),
    "bomb.tar.xz": (tarred({"x.ipynb": ZEROS}, "w:xz"), BOMBED),
    "many.zip": (zipped({f"{i}.ipynb": b"" for i in range(1001)}), "more files than"),
    "many.tar": (tarred({f"{i}.ipynb": b"" for i in range(1001)}), "more files than"),
    "locked.zip": (encrypted(zipped(ONE)), "is protected by a password"),
    "nested.zip": (zipped({"y.zip": zipped(ONE)}), "another archive, which is not"),
    "nested.tar.gz": (tarred({"y.zip": zipped(ONE)}, "w:gz"), "another archive, which"),
    "empty.zip": (zipped({}), "holds no notebook"),
    "zero.zip": (b"", "is empty (0 bytes)"),
    "cut.zip": (zipped(ONE)[:-10], "is damaged or incomplete"),
    "cut.tar": (tarred(ONE)[:5000], "is damaged or incomplete"),
    "head.tar": (tarred(ONE | {"y": b""})[: 512 + FULL_BLOCKS + 100], "is damaged"),
    "cut.tar.gz": (tarred(ONE, "w:gz")[:-200], "is damaged or incomplete"),
    "cut.tar.bz2": (tarred(ONE, "w:bz2")[:-200], "is damaged or incomplete"),
    "cut.tar.xz": (tarred(ONE, "w:xz")[:-200], "is damaged or incomplete"),
    "text.zip": (b"PK but no zip", "is damaged or incomplete"),
    "text.tar": (b"this is no tar" * 100, "is damaged or incomplete"),
    "memory.tar.xz": (lzma_with_large_dictionary(), "is damaged or incomplete"),
    "bytes.zip": (zipped(ONE).replace(b"x.ipynb", b"\xff\0\n.ipyn"), ""),
    "link.zip": (zip_of_type(stat.S_IFLNK), "is a link"),
    "fifo.zip": (zip_of_type(stat.S_IFIFO), "is not an ordinary file"),
    "out.zip": (zipped({"../x.ipynb": WORK}), "leads out of the archive"),
    "crc.zip": (zipped(ONE).replace(CRC, b"1234"), "damaged"),
    "link.tar": (tarred({"x": special("x.ipynb", tarfile.SYMTYPE)}), "is a link"),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN_ARCHIVES)
def test_hostile_archive_of_one_student(tmp_path, source, name):
    data, said = OWN_ARCHIVES[name]
    # The neighbours do not notice, in a folder or in a zip of the class.
    files = {f"mallory/{name}": data, "alice/x.ipynb": WORK}
    where = tmp_path / "class.zip"
    where.write_bytes(zipped(files))
    for place in (lay(tmp_path / "class", files), where):
        found = all_of(place, source)
        assert list(found) == ["alice", "mallory"]
        assert answers(found["alice"]) == ANSWERS
        assert found["alice"].repairs == ()
        assert said in found["mallory"].reason
        assert found["mallory"].notebook is None


def test_broken_archive_of_a_class(tmp_path, source):
    (tmp_path / "class.csv").write_text("id\nalice\nzoe\n")
    where = tmp_path / "class.tar.gz"
    noise = random.Random(0).randbytes(500_000)
    files = {"alice.ipynb": WORK, "noise": noise, "zoe.ipynb": WORK}
    where.write_bytes(tarred(files, "w:gz")[:-50_000])
    found = all_of(where, source, tmp_path / "class.csv")
    # What could be read is graded; of the others nobody says that they did nothing.
    assert answers(found["alice"]) == ANSWERS
    for name in ("zoe", "class.tar.gz"):
        assert found[name].reason == (
            "The archive of the class is damaged or incomplete. It was read as far as "
            "possible, and what follows in it is not graded."
        )


def test_tar_headers_that_claim_a_lot(tmp_path, source):
    """tarfile would read them into memory, or search in them for a long time."""
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        for size in (8 << 30, 1 << 20, 9000):
            info = special("x", kind)
            info.size = size
            block = info.tobuf(tarfile.GNU_FORMAT)
            data = tarred({"alice.ipynb": WORK})
            data = data[: 512 + FULL_BLOCKS] + block + b"1" * (1 << 20)
            where = tmp_path / "class.tar"
            where.write_bytes(data)
            found = all_of(where, source)
            assert answers(found["alice"]) == ANSWERS
            assert "damaged" in found["class.tar"].reason


def test_headers_full_of_digits(tmp_path, source):
    """Some versions of tarfile need a minute for these (CVE-2024-6232)."""
    info = special("x", tarfile.XHDTYPE)
    info.size = 8192
    block = info.tobuf(tarfile.GNU_FORMAT) + b"1" * 8192
    where = tmp_path / "class.tar"
    where.write_bytes((block + tarfile.TarInfo("y").tobuf()) * 900)
    (submission,) = all_of(where, source).values()
    assert "damaged" in submission.reason


def test_long_chain_of_tar_headers(tmp_path, source):
    info = special("x", tarfile.GNUTYPE_LONGNAME)
    info.size = 10
    block = info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512
    where = tmp_path / "class.tar.gz"
    where.write_bytes(gzip.compress(block * 5000))
    (submission,) = all_of(where, source).values()
    assert "The archive of the class" in submission.reason


def test_sparse_member(tmp_path, source):
    info = special("x.ipynb", tarfile.GNUTYPE_SPARSE)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"77777777777\0"  # its real size, 8 GiB
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]
    where = tmp_path / "class.tar"
    where.write_bytes(bytes(block) + bytes(10240))
    (submission,) = all_of(where, source).values()
    assert "is not an ordinary file" in submission.reason


# -- Chance ---------------------------------------------------------------------------

ODD = [
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    "x" * 99,
]


def mutate(value, rng: random.Random, places: list) -> None:
    """Changes one place in a tree of JSON."""
    container, key = rng.choice(places)
    action = rng.randrange(6)
    if action == 0:
        del container[key]
    elif action == 1:
        container[key] = rng.choice(ODD)
    elif action == 2:
        container[key] = copy.deepcopy(rng.choice(places)[0])
    elif action == 3 and isinstance(container, list):
        container.insert(
            rng.randrange(len(container) + 1), copy.deepcopy(container[key])
        )
    elif action == 4 and isinstance(container, list):
        rng.shuffle(container)
    elif isinstance(container, dict):
        container[rng.choice(["id", "source", "metadata", "x", "cell_type"])] = (
            rng.choice(ODD)
        )


def places_in(value, found: list) -> list:
    keys = range(len(value)) if isinstance(value, list) else list(value)
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            places_in(value[key], found)
    return found


def test_mutated_notebooks_never_raise(tmp_path, source):
    rng = random.Random(31)
    folder = tmp_path / "class"
    files = {}
    for number in range(250):
        notebook = filled()
        for _ in range(rng.choice([1, 1, 2, 5, 12])):
            if found := places_in(notebook, []):
                mutate(notebook, rng, found)
        files[f"s{number:03d}.ipynb"] = as_bytes(notebook)
    found = all_of(lay(folder, files), source)
    assert len(found) == len(files)
    good = [submission for submission in found.values() if submission.notebook]
    assert len(good) > 200
    for submission in good:
        names = [*answers(submission)]
        assert names == sample_class.EXERCISES
        # A cell is blank only where it was said.
        for name, text in answers(submission).items():
            if not text.strip():
                assert any(f"`{name}`" in said for said in submission.repairs)


def test_mutated_bytes_never_raise(tmp_path, source):
    rng = random.Random(32)
    packed = [zipped(FLAT), tarred(FLAT), tarred(FLAT, "w:gz"), WORK]
    files = {}
    for number in range(240):
        kind = number % len(packed)
        data = bytearray(packed[kind])
        for _ in range(rng.choice([1, 3, 20])):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:  # headers lie at both ends
                at = rng.choice([at % 600, len(data) - 1 - at % 300])
            data[at] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        suffix = [".zip", ".tar", ".tar.gz", ".ipynb"][kind]
        files[f"s{number:03d}{suffix}"] = bytes(data)
    found = all_of(lay(tmp_path / "class", files), source)
    assert len(found) == len(files)


def test_nothing_stumbles_unseen(hand_in, monkeypatch):
    """What `collect` cannot foresee costs one submission, and says so."""

    def broken(*_):
        raise RuntimeError

    monkeypatch.setattr(intake, "mend", broken)
    with pytest.raises(AssertionError):
        hand_in(WORK)
