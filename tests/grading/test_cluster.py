"""A class on a real Dask cluster of this machine, with workers that die."""

import multiprocessing
import os
import signal
import time

import nbformat
import pytest

from lmlib.grading import batch, cluster
from lmlib.grading.examination import examiner
from lmlib.grading.submissions.intake import Submission
from tests.hostile.cases import RIGHT, RIGHT_SUM
from tests.hostile.course import MEAN, adopt_orphans, forkservers, notebook

LIMITS = examiner.Limits(cell=2.0, test=4.0, notebook=60.0)
SECRET = "the secret of the course"
WRONG = "def double(x): return x + 2"  # right for 2 alone
# The examiner itself dies on one submission: in this course's own test, by intention.
FATAL = "def double(x): return 'fatal'"
LEAK = (
    "import os, pathlib\n"
    "def double(x):\n"
    "    found = str(dict(os.environ))\n"
    "    for path in pathlib.Path('/proc').glob('[0-9]*/environ'):\n"
    "        try: found += path.read_text()\n"
    "        except OSError: pass\n"
    f"    return 0 if 'LMLIB' in found or {SECRET!r} in found else 2 * x"
)
POINTS = {
    "honest 0": (1, 1, 2),
    "wrong": (0, 1, 2),
    "loops": (0, 1, 2),
    "honest 1": (1, 1, 2),
    "honest 2": (1, 1, 2),
    "fatal": (0, 0, 0),
    "looks for the secret": (1, 1, 2),
    "honest 3": (1, 1, 2),
    "honest 4": (1, 1, 2),
    "slash/é": (1, 1, 2),
    "missing": (0, 0, 0),
}
CODE = {
    "wrong": WRONG,
    "fatal": FATAL,
    "loops": "def double(x):\n    while True: pass",
    "looks for the secret": LEAK,
}


def class_() -> list[Submission]:
    made = []
    for name in POINTS:
        answers = notebook(CODE.get(name, RIGHT), MEAN, RIGHT_SUM)
        there = name != "missing"
        made.append(
            Submission(
                student=name,
                assignment="cluster",
                notebook=answers if there else None,
                reason="" if there else "nothing was handed in",
                repairs=("one", "two"),
                digest=name if there else "",
            )
        )
    return made


def source() -> nbformat.NotebookNode:
    made = notebook(RIGHT, MEAN, RIGHT_SUM)
    test = next(c for c in made.cells if c.metadata.nbgrader.grade_id == "test0")
    test.source = (
        "import os\n"
        "if double(0) == 'fatal': os.kill(os.getpid(), 9)\n"
        f"assert os.environ['LMLIB_COURSE_SECRET'] == {SECRET!r}\n"
        "assert os.environ['LMLIB_STUDENT']\n" + test.source
    )
    return made


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The class, graded while a worker is killed; then what a second run does."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("cluster")
    adopt_orphans()
    before, children = forkservers(), set(multiprocessing.active_children())
    progress, killed, again = [], [], []
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            host="127.0.0.1",
            local_directory=str(folder / "scratch"),
        ) as local,
    ):

        def kill_one(done, total, record):
            progress.append((done, total))
            if not killed and done >= 3:
                killed.append(next(iter(local.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        def note(done, total, record):
            again.append(record.student)

        patch.setenv("LMLIB_COURSE_SECRET", SECRET)
        records = folder / "records"
        given, tests = class_(), source()
        address = local.scheduler_address
        options = {"scheduler": address, "limits": LIMITS}
        first = cluster.grade(given, tests, records, progress=kill_one, **options)
        second = cluster.grade(given, tests, records, progress=note, **options)
        kept = [
            batch.finished(
                batch.record_path(records, s.student),
                batch.fingerprint(s, batch.grader(tests)),
            )
            for s in given
        ]
    deadline = time.monotonic() + 10
    while (left := forkservers() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    return {
        "first": first,
        "second": second,
        "kept": kept,
        "again": again,
        "killed": killed,
        "progress": progress,
        "left": left
        | {p.name for p in set(multiprocessing.active_children()) - children},
        "files": sorted(path.name for path in records.iterdir()),
    }


@pytest.mark.parametrize("student", POINTS)
def test_everybody_gets_exactly_the_mark(graded, student):
    record = next(r for r in graded["first"] if r.student == student)
    points = tuple(cell.points for cell in record.cells)
    assert points == POINTS[student], record.to_json()
    states = {"wrong": "failed tests", "loops": "timed out", "fatal": "crashed"}
    assert record.state == states.get(
        student, "missing" if student == "missing" else "graded"
    )
    assert bool(record.needs_person) == (student == "fatal")


def test_a_worker_was_killed_and_all_were_reported(graded):
    assert len(graded["killed"]) == 1
    total = len(POINTS)
    assert graded["progress"] == [(n + 1, total) for n in range(total)]


def test_all_records_are_written_and_in_the_order_given(graded):
    assert [record.student for record in graded["first"]] == list(POINTS)
    assert graded["kept"] == graded["first"]
    assert len(graded["files"]) == len(POINTS)
    assert not [name for name in graded["files"] if name.endswith(".partial")]


def test_a_second_run_does_nothing(graded):
    assert graded["again"] == []
    assert graded["second"] == graded["first"]


def test_no_process_is_left(graded):
    assert graded["left"] == set()
