"""The process that reads submissions, and writes marks and feedback."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from nbformat import NotebookNode

from lmlib.grading.clerk import Class, Clerk
from lmlib.grading.gradebook import write_records
from lmlib.grading.intake import Submission
from tests.test_gradebook import contents, released, result, small

__all__ = ["released"]  # a fixture


@pytest.fixture
def course(released, tmp_path):
    return shutil.copytree(released, tmp_path / "course")


def clerk_of(course, *submissions) -> Clerk:
    clerk = Clerk(lambda: Class(course, course / "graded", NotebookNode(), submissions))
    assert clerk.class_().submissions == submissions
    return clerk


def pages(course) -> list[str]:
    return sorted(path.stem for path in (course / "graded" / "feedback").iterdir())


def test_what_was_read_arrives(tmp_path):
    clerk = clerk_of(
        tmp_path,
        Submission("s01", "a", None),
        Submission("s02", "a", NotebookNode(cells=[])),
    )
    os.kill(clerk.pid, signal.SIGKILL)
    os.waitpid(clerk.pid, 0)


def test_error_of_reading_is_raised_here():
    def read():
        raise ValueError("no such roster")

    with pytest.raises(ValueError, match="no such roster"):
        Clerk(read).class_()


def test_clerk_writes_what_write_records_does_and_the_pages(course):
    clerk = clerk_of(course)
    clerk.write(small())
    unknown = (result("no_such_test", 1, 1, "passed"),)
    clerk.write(replace(small(), student="s02", cells=unknown))
    (problem,) = clerk.finish()
    assert problem.startswith("s02: ")
    assert pages(course) == ["s01", "s02"]
    in_its_process = contents(course)["s01"]
    write_records(course, [small()])
    assert contents(course)["s01"] == in_its_process


def test_without_a_gradebook_the_clerk_says_why_and_writes_all_pages(tmp_path):
    clerk = clerk_of(tmp_path)
    for i in range(2_000):  # more than a pipe holds
        clerk.write(replace(small(), student=f"s{i % 20:02}"))
    with pytest.raises(RuntimeError, match="no gradebook at"):
        clerk.finish()
    assert pages(tmp_path) == [f"s{i:02}" for i in range(20)]


def test_page_that_cannot_be_written_keeps_no_mark_out(course):
    (course / "graded").write_text("in the way", encoding="utf-8")
    clerk = clerk_of(course)
    clerk.write(small())
    with pytest.raises(RuntimeError, match=r"no feedback page for s01: .*directory"):
        clerk.finish()
    assert list(contents(course)) == ["s01"]


def test_clerk_that_dies_is_noticed(course):
    clerk = clerk_of(course)
    os.kill(clerk.pid, signal.SIGKILL)
    clerk.write(small())
    with pytest.raises(RuntimeError, match="has ended"):
        clerk.finish()


def test_clerk_needs_no_torch():
    """Importing it would take longer than all that the process does."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from lmlib.grading import assignment, clerk, gradebook, intake, report\n"
        "from lmlib.grading.catalogue import Entry, use\n"
        "use({'3.1/f': Entry('3.1/f', 'Title', 1, 5, 2, (), {'m': 'why'})})\n"
        "assert report.title_of('3.1-a', 'test_f') == 'Title'\n"
        "assert report.exercise_of('3.1-a', 'test_g') is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
