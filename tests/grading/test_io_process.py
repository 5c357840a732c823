"""The process that reads submissions, and writes marks and feedback."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from nbformat import NotebookNode

from lmlib.grading.io_process import Class, IOProcess
from lmlib.grading.results.gradebook import write_records
from lmlib.grading.submissions.intake import Submission
from tests.grading.results.test_gradebook import contents, released, result, small

__all__ = ["released"]  # a fixture


@pytest.fixture
def course(released, tmp_path):
    return shutil.copytree(released, tmp_path / "course")


def process_of(course, *submissions) -> IOProcess:
    process = IOProcess(
        lambda: Class(course, course / "graded", NotebookNode(), submissions)
    )
    assert process.class_().submissions == submissions
    return process


def pages(course) -> list[str]:
    return sorted(path.stem for path in (course / "graded" / "feedback").iterdir())


def test_what_was_read_arrives(tmp_path):
    process = process_of(
        tmp_path,
        Submission("s01", "a", None),
        Submission("s02", "a", NotebookNode(cells=[])),
    )
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)


def test_error_of_reading_is_raised_here():
    def read():
        raise ValueError("no such roster")

    with pytest.raises(ValueError, match="no such roster"):
        IOProcess(read).class_()


def test_it_writes_what_write_records_does_and_the_pages(course):
    process = process_of(course)
    process.write(small())
    unknown = (result("no_such_test", 1, 1, "passed"),)
    process.write(replace(small(), student="s02", cells=unknown))
    (problem,) = process.finish()
    assert problem.startswith("s02: ")
    assert pages(course) == ["s01", "s02"]
    in_its_process = contents(course)["s01"]
    write_records(course, [small()])
    assert contents(course)["s01"] == in_its_process


def test_without_a_gradebook_it_says_why_and_writes_all_pages(tmp_path):
    process = process_of(tmp_path)
    for i in range(2_000):  # more than a pipe holds
        process.write(replace(small(), student=f"s{i % 20:02}"))
    with pytest.raises(RuntimeError, match="no gradebook at"):
        process.finish()
    assert pages(tmp_path) == [f"s{i:02}" for i in range(20)]


def test_page_that_cannot_be_written_keeps_no_mark_out(course):
    (course / "graded").write_text("in the way", encoding="utf-8")
    process = process_of(course)
    process.write(small())
    with pytest.raises(RuntimeError, match=r"no feedback page for s01: .*directory"):
        process.finish()
    assert list(contents(course)) == ["s01"]


def test_one_that_dies_is_noticed(course):
    process = process_of(course)
    os.kill(process.pid, signal.SIGKILL)
    process.write(small())
    with pytest.raises(RuntimeError, match="has ended"):
        process.finish()


def test_it_needs_no_torch():
    """Importing it would take longer than all that the process does."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from lmlib.grading import assignment, io_process\n"
        "from lmlib.grading.results import gradebook, item_analysis, report\n"
        "from lmlib.grading.submissions import intake\n"
        "from lmlib.exercises.catalogue import Entry, use\n"
        "use({'3.1/f': Entry('3.1/f', 'Title', 1, 5, 2, (), {'m': 'why'})})\n"
        "assert item_analysis.title_of('3.1-a', 'test_f') == 'Title'\n"
        "assert item_analysis.exercise_of('3.1-a', 'test_g') is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
