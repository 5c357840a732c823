"""A class is graded whole, resumes where it was, and does no work twice."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from lmlib.grading import batch
from lmlib.grading.examination import examiner
from lmlib.grading.results.record import Record
from lmlib.grading.submissions.intake import Submission
from tests.hostile.cases import RIGHT, RIGHT_SUM
from tests.hostile.course import MEAN, notebook

SOURCE = notebook(RIGHT, MEAN, RIGHT_SUM)
LIMITS = examiner.Limits(cell=5.0, test=5.0, notebook=30.0)


def class_of(n: int, code: str = RIGHT) -> list[Submission]:
    return [
        Submission(
            f"s{i:02}", "a", notebook(code, MEAN, RIGHT_SUM), digest=f"{code}{i}"
        )
        for i in range(n)
    ]


def grade(submissions, folder, **options):
    graded: list[str] = []
    records = batch.grade(
        submissions,
        SOURCE,
        folder,
        limits=LIMITS,
        progress=lambda done, total, record: graded.append(record.student),
        **options,
    )
    return records, graded


def test_only_what_changed_is_graded_again(tmp_path, monkeypatch):
    submissions = class_of(3)
    records, graded = grade(submissions, tmp_path, jobs=2)
    assert [record.points for record in records] == [4.0] * 3
    assert sorted(graded) == ["s00", "s01", "s02"]
    assert grade(submissions, tmp_path) == (records, [])

    submissions[1] = class_of(3, "def double(x): return 0")[1]
    again, graded = grade(submissions, tmp_path)
    assert graded == ["s01"]
    assert [record.points for record in again] == [4.0, 3.0, 4.0]

    batch.record_path(tmp_path, "s02").write_text('{"half a record')
    assert grade(submissions, tmp_path)[1] == ["s02"]

    monkeypatch.setenv("LMLIB_COURSE_SECRET", "another")
    assert len(grade(submissions, tmp_path)[1]) == 3
    monkeypatch.setenv("LMLIB_ALLOW_LIBRARY", "1")
    assert len(grade(submissions, tmp_path)[1]) == 3


def test_malformed_and_missing_are_records_too(tmp_path):
    submissions = [
        Submission("a", "x", None, "this is a picture", path="a.png", digest="1"),
        Submission("b", "x", None, "nothing was handed in"),
        *class_of(1),
    ]
    records, _ = grade(submissions, tmp_path)
    assert [r.state for r in records] == ["malformed", "missing", "graded"]
    assert [r.max_points for r in records] == [4.0] * 3


def test_examiner_that_dies_is_for_a_person_and_harms_nobody(tmp_path, monkeypatch):
    real = examiner.examine_submission

    def dies(submission, *rest):
        if submission.student == "s01":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(submission, *rest)

    monkeypatch.setattr(examiner, "examine_submission", dies)
    records, _ = grade(class_of(3), tmp_path)
    assert [r.state for r in records] == ["graded", "crashed", "graded"]
    assert records[1].needs_person


def test_full_disk_ends_the_run_and_costs_nobody_a_mark(tmp_path, monkeypatch):
    real = Record.write

    def full(record, path):
        if record.student == "s01":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(record, path)

    monkeypatch.setattr(Record, "write", full)
    with pytest.raises(OSError, match="make room and run this again"):
        grade(class_of(3), tmp_path)
    monkeypatch.undo()
    records, graded = grade(class_of(3), tmp_path)
    assert [record.points for record in records] == [4.0] * 3
    assert "s01" in graded
    assert "s00" not in graded


SCRIPT = """
import sys
from pathlib import Path
from tests.grading.test_batch import class_of, grade
grade(class_of(40), Path(sys.argv[1]))
"""


def test_run_killed_at_any_moment_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    for least in (1, 4):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("*.json"))) < least:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.kill()
        run.wait()
    whole = [Record.from_json(p.read_text()) for p in tmp_path.glob("*.json")]
    assert 4 <= len(whole) < 40  # killed half-way, and what is there is whole
    submissions = class_of(8)
    records, graded = grade(submissions, tmp_path)
    assert [record.points for record in records] == [4.0] * 8
    assert len(graded) <= 8 - 4
    assert not list(tmp_path.glob("*.partial")) or graded


def test_names_of_students_are_no_paths(tmp_path):
    names = ["../../etc/x", "a/b", "ä ö", ".", "x" * 300, "x" * 301]
    paths = [batch.record_path(tmp_path, name) for name in names]
    assert all(path.parent == tmp_path for path in paths)
    assert len(set(paths)) == len(names)


def test_nothing_confines_nothing_runs(tmp_path, monkeypatch):
    from lmlib.grading.sandbox import confinement, doctor

    monkeypatch.setattr(doctor, "probe", lambda: confinement.Sandbox("none"))
    with pytest.raises(RuntimeError, match="--doctor"):
        grade(class_of(1), tmp_path)
