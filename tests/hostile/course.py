"""The assignment of the hostile cases, what lies about to be stolen, and our grader."""

import contextlib
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from lmlib.grading import batch
from lmlib.grading.assignment import nbgrader_metadata
from lmlib.grading.examination import examiner, forkserver
from lmlib.grading.results.record import Record
from lmlib.grading.sandbox import supervisor, syscalls
from lmlib.grading.submissions.intake import Submission
from tests.hostile.cases import CASES, RIGHT, RIGHT_SUM, Case

LIMITS = examiner.Limits(cell=2.0, test=4.0, notebook=60.0)
MEAN = "def mean(x): return x.sum() / x.numel()"
SECRET = "the-secret"
TESTS = (
    "assert double(2) == 4\n"
    "assert torch.equal(double(torch.ones(2)), torch.full((2,), 2.0))\n"
    "### BEGIN HIDDEN TESTS\n"
    "assert double(21) == 42\n"
    "### END HIDDEN TESTS",
    "assert torch.allclose(mean(torch.tensor([1.0, 5.0])), torch.tensor(3.0))",
    "check('3.1/weighted_sum', weighted_sum)\n"
    "### BEGIN HIDDEN TESTS\n"
    "check('3.1/weighted_sum', weighted_sum, hidden=True)\n"
    "### END HIDDEN TESTS",
)


def notebook(*answers: str) -> nbformat.NotebookNode:
    """The instructor's notebook with the three `answers` in it."""

    def cell(source, name, role, points=None):
        made = nbformat.v4.new_code_cell(source, id=name)
        made.metadata.nbgrader = nbgrader_metadata(name, role, points)
        made.metadata.nbgrader.cell_type = "code"
        return made

    cells = [cell("import torch\nfrom lmlib.exercises import check", "given", "given")]
    for i, (answer, test, points) in enumerate(
        zip(answers, TESTS, (1, 1, 2), strict=True)
    ):
        cells.append(cell(answer, f"answer{i}", "solution"))
        cells.append(cell(test, f"test{i}", "test", points))
    return nbformat.v4.new_notebook(cells=cells)


SOURCE = notebook(RIGHT, MEAN, RIGHT_SUM)


def answers(case: Case, decoy: Path) -> tuple[str, str, str]:
    return case.code.replace("DECOY", str(decoy)), MEAN, case.weighted_sum


def submission(name: str, *answers: str) -> Submission:
    return Submission(name, "hostile", notebook(*answers), digest=name)


@contextlib.contextmanager
def decoy(folder: Path, seen_as: Path | None = None) -> Iterator[Path]:
    """A solution, a gradebook and two servers, where every student can guess them.

    Parameters:
        folder: is made, and holds them.
        seen_as: the path under which the students see it, if it is another.
    """
    folder.mkdir()
    (folder / "solution.py").write_text(RIGHT)
    with contextlib.closing(sqlite3.connect(folder / "gradebook.db")) as database:
        database.execute("CREATE TABLE grade (manual_score)")
        database.execute("INSERT INTO grade VALUES (0)")
        database.commit()
    names = (str(folder / "socket"), f"\0{seen_as or folder}")
    with contextlib.ExitStack() as stack:
        for name in names:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(name)
            server.listen(100)
        yield seen_as or folder


def intact(folder: Path) -> bool:
    """Whether nobody has changed the decoy."""
    if not all((folder / name).exists() for name in ("solution.py", "socket")):
        return False
    with contextlib.closing(sqlite3.connect(folder / "gradebook.db")) as database:
        untouched = database.execute("SELECT * FROM grade").fetchall() == [(0,)]
    return untouched and (folder / "solution.py").read_text() == RIGHT


def grade(folder: Path, jobs: int = 2) -> dict[str, Record]:
    """All cases, and an honest neighbour after every tenth, in one run of our grader.

    `folder` is where the records go, and a decoy that has to be `intact` afterwards.
    """
    class_ = []
    with decoy(folder / "decoy") as seen, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMLIB_COURSE_SECRET", SECRET)
        for number, case in enumerate(CASES):
            class_.append(submission(case.name, *answers(case, seen)))
            if number % 10 == 9:
                honest = submission(f"honest {number}", RIGHT, MEAN, RIGHT_SUM)
                class_.append(honest)
        records = batch.grade(
            class_, SOURCE, folder / "records", jobs=jobs, limits=LIMITS
        )
    return {record.student: record for record in records}


def forkservers() -> set[int]:
    """Forkservers and what they forked, among the descendants of this process.

    Nobody else's on this machine; orphans are ours once `adopt_orphans` was called.
    """
    found = set()
    for pid in supervisor.descendants(os.getpid()):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if forkserver.__name__.encode() in command:
                found.add(pid)
    return found


def adopt_orphans() -> None:
    """Let who loses its parent become a child of this process, instead of init's."""
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
