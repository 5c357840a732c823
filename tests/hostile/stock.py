"""What stock nbgrader makes of a hostile answer, in a container.

Two students hand in: the case, and after it in the batch a neighbour with one wrong and
two right answers, who must get (0, 1, 2).
"""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copytree

import nbformat

from lmlib.grading.assignment import ROOT
from lmlib.grading.sandbox import syscalls
from tests.hostile import container, course
from tests.hostile.cases import RIGHT_SUM, WRONG, Case

COURSE = container.HOME / "course"
CONFIG = f"c = get_config()\nc.CourseDirectory.root = {str(COURSE)!r}\n"
CELL, SECONDS = 30, 300  # nbgrader's own time-out; when a batch that hangs is ended
STUDENT, NEIGHBOUR = "a-case", "b-neighbour"
NEIGHBOUR_POINTS = [0, 1, 2]


@dataclass
class Result:
    """What stock nbgrader did.

    Attributes:
        points: of the case, by exercise; None if the gradebook has none.
        neighbour: the same of the neighbour.
        status: nbgrader's exit code; minus the number of the signal that killed it.
        stopped: what had to stop it from outside.
        course: files of the course (not those of grading) changed or gone, a few.
        elsewhere: files made or changed elsewhere.
        survivors: processes left behind.
        log: the errors that nbgrader told of.
        seconds: how long it took.
    """

    points: list[float] | None
    neighbour: list[float] | None
    status: int | None
    stopped: str
    course: list[str]
    elsewhere: list[str]
    survivors: list[str]
    log: str
    seconds: float


# -- Before the container -------------------------------------------------------------


def environment() -> dict[str, str]:
    return {
        "HOME": str(container.HOME),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "LMLIB_COURSE_SECRET": course.SECRET,
    }


def make_course(folder: Path) -> None:
    """The instructor's part, by nbgrader itself: source, release and gradebook."""
    path = folder / "source" / "hostile" / "hostile.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(course.SOURCE, path)
    config = f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\n"
    (folder / "nbgrader_config.py").write_text(config)
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", "hostile"],
        cwd=folder,
        env=environment() | {"HOME": str(folder)},
        check=True,
        capture_output=True,
    )
    (folder / "nbgrader_config.py").write_text(
        f"{CONFIG}c.Execute.timeout = {CELL}\nc.Execute.startup_timeout = {SECONDS}\n"
    )


# -- In the container -----------------------------------------------------------------


def hand_in(inside: Path, student: str, *answers: str) -> None:
    """The released notebook with `answers` filled in."""
    notebook = nbformat.read(inside / "release/hostile/hostile.ipynb", as_version=4)
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells}
    for number, answer in enumerate(answers):
        cells[f"answer{number}"].source = answer
    path = inside / "submitted" / student / "hostile" / "hostile.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file of the course that grading must leave as it is."""
    kept = [folder / "nbgrader_config.py"]
    for name in ("source", "release", "submitted"):
        kept += (folder / name).rglob("*")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
        if path.is_file()
    }


def marks(database: Path, student: str) -> list[float] | None:
    """What nbgrader's export would count, by exercise."""
    query = (
        "SELECT coalesce(grade.manual_score, grade.auto_score) FROM grade "
        "JOIN base_cell ON base_cell.id = grade.cell_id "
        "JOIN submitted_notebook ON submitted_notebook.id = grade.notebook_id "
        "JOIN submitted_assignment "
        "ON submitted_assignment.id = submitted_notebook.assignment_id "
        "WHERE submitted_assignment.student_id = ? ORDER BY base_cell.name"
    )
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            found = [score for (score,) in opened.execute(query, (student,))]
    except sqlite3.Error:
        return None
    return found if found and None not in found else None


def grade(case: Case, template: Path, folder: Path) -> Result:
    began = time.monotonic()
    machine = container.Container(folder, ROOT / "lmlib")
    decoy = container.HOME / "decoy"
    inside = machine.inside(COURSE)
    copytree(template, inside)
    hand_in(inside, STUDENT, *course.answers(case, decoy))
    hand_in(inside, NEIGHBOUR, WRONG, course.MEAN, RIGHT_SUM)
    with course.decoy(machine.inside(decoy), seen_as=decoy):
        files, all_files = contents(inside), machine.changes()
        command = [sys.executable, "-m", "nbgrader", "autograde", "hostile", "--create"]
        ran = machine.run(command, COURSE, environment(), SECONDS)
        spoilt = [] if course.intact(machine.inside(decoy)) else [str(decoy)]
    after = contents(inside)
    changed = {p for p in files.keys() | after.keys() if files.get(p) != after.get(p)}
    database = inside / "gradebook.db"
    return Result(
        points=marks(database, STUDENT),
        neighbour=marks(database, NEIGHBOUR),
        status=ran.status,
        stopped=ran.stopped,
        course=sorted(changed)[:5],
        elsewhere=sorted(
            path
            for path in {*spoilt, *(machine.changes() - all_files)}
            if not path.startswith((f"{COURSE}/autograded/", f"{COURSE}/gradebook.db"))
        )[:20],
        survivors=ran.survivors[:60],
        log="\n".join(x[:300] for x in ran.output.splitlines() if "ERROR" in x)[-3000:],
        seconds=round(time.monotonic() - began, 1),
    )


def grade_contained(case: Case, template: Path, result: Path) -> None:
    """Grade `case` in a new container and write the JSON of its `Result`, or nothing.

    Forks twice: only a process with one thread may leave its user namespace, and only
    the next one is process 1 of the new ones.
    """

    def inside() -> None:
        found = grade(case, template, Path(folder))
        result.write_text(json.dumps(asdict(found)))

    def outside() -> None:
        container.unshare()
        sys.exit(forked(inside))

    with tempfile.TemporaryDirectory() as folder:
        forked(outside)


def forked(work: Callable[[], object]) -> int:
    """Run `work` in a fork that ends with us; 0 if it went well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            work()
            code = 0
        except SystemExit as end:
            code = int(bool(end.code))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
