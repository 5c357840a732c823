"""`lmlib grade`: an instructor grades a class."""

import argparse
import functools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

#: Packages that the library alone does not bring, and the extra that does.
NEEDS = dict.fromkeys(("nbformat", "IPython", "nbgrader", "jupytext"), "grade")


def add(commands: Any) -> None:
    grade = commands.add_parser(
        "grade",
        help="grade a class",
        description="Grade submissions: nbgrader's submitted/ folder, a flat folder "
        "of notebooks, or what Moodle, Canvas, Gradescope or GitHub Classroom exports, "
        "as a folder, a zip or a tar. What is "
        "graded already and has not changed is not graded again. LMLIB_COURSE_SECRET "
        "decides the hidden inputs.",
    )
    grade.add_argument("submissions", type=Path, nargs="?", help="a folder or archive")
    grade.add_argument("--assignment", help="such as 3.1-self-attention")
    grade.add_argument(
        "--course",
        type=Path,
        metavar="FOLDER",
        help="where records, feedback and marks go (default: LMLIB_COURSE in the "
        "environment, else course/ of the repository, without one here)",
    )
    grade.add_argument(
        "--solutions",
        type=Path,
        metavar="FOLDER",
        help="the assignments (default: solutions/ of the repository that lmlib runs "
        "from)",
    )
    grade.add_argument("--roster", type=Path, help="CSV of all students of the class")
    grade.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    grade.add_argument("--scheduler", help="address of a Dask scheduler to work on")
    grade.add_argument(
        "--doctor", action="store_true", help="what this machine protects you from"
    )
    grade.add_argument(
        "--unsafe", action="store_true", help="also where nothing confines student code"
    )
    grade.set_defaults(run=run, begin=begin, needs=NEEDS)


def begin(given: argparse.Namespace) -> None:
    """Go on in the process from which those of students are forked.

    This process is replaced by one whose memory is clean (`warm_start`): the
    environment, with the course's secret, and the arguments come to it in a file that
    it reads only once the forkserver is on its own.
    """
    if sys.platform != "linux" or given.doctor or given.scheduler:
        return
    from lmlib.grading.examination import forkserver

    state = {"arguments": sys.argv[1:], "environment": dict(os.environ)}
    file = os.memfd_create("lmlib")
    os.write(file, json.dumps(state).encode())
    os.set_inheritable(file, True)
    sys.stdout.flush()
    sys.stderr.flush()
    module = ("-P", "-m", "lmlib.warm_start")
    words = [sys.executable, *module, str(file), str(int(given.unsafe))]
    os.execve(sys.executable, words, forkserver.environment())


def course_of(given: argparse.Namespace) -> Path:
    """The folder of the course, the same that nbgrader_config.py tells nbgrader."""
    repository = Path(__file__).parents[2]
    above = repository if (repository / "nbgrader_config.py").is_file() else Path()
    named = given.course or os.environ.get("LMLIB_COURSE") or above / "course"
    return Path(named).resolve()


def class_of(given: argparse.Namespace) -> Any:
    """What there is to grade, for an `IOProcess` to read."""
    from lmlib.grading import assignment
    from lmlib.grading.io_process import Class
    from lmlib.grading.submissions.assignments import assignment_of
    from lmlib.grading.submissions.intake import NOTHING, collect, place
    from lmlib.grading.submissions.roster import read_roster

    sources = {path.stem: path for path in assignment.solutions(given.solutions)}
    if given.assignment and given.assignment not in sources:
        raise ValueError(f"--assignment must be one of: {', '.join(sources)}")
    course = course_of(given)
    named = given.submissions and given.submissions.resolve() != course
    where = given.submissions if named else course / "submitted"

    @functools.cache
    def cells_of(name: str) -> frozenset[str]:
        cells = assignment.read_source(sources[name]).cells
        return frozenset(
            cell.metadata.nbgrader.grade_id
            for cell in cells
            if "nbgrader" in cell.metadata
        )

    names: list[str] = [given.assignment]
    unclear: list[str] = []
    if not given.assignment:
        names, unclear = _handed_in(where, course, list(sources), cells_of)
    name, *others = names
    several = others or getattr(given, "several", False)

    def is_for_it(item: Any) -> bool:
        found = assignment_of(item, list(sources), cells_of)
        # What tells nothing is for the only assignment that there is work for.
        return found == name or (found is None and (item.is_folder or not several))

    source = assignment.read_source(sources[name])
    folder = course / "graded" / name
    known = any((folder / "records").glob("*.json"))
    nothing = f"no submissions of {name} in {where}. {place(name)}"
    if not named and not known and not where.is_dir():
        raise ValueError(nothing)
    if not named:
        where.mkdir(parents=True, exist_ok=True)
    of_many = {"is_for_it": is_for_it} if len(sources) > 1 else {}
    said: list[str] = []
    submissions = collect(where, name, source, given.roster, say=said.append, **of_many)
    # After archives alone there is nothing in submitted/, and pages to make anew.
    idle = all(submission.reason == NOTHING for submission in submissions)
    if (named and not submissions) or (not named and not known and idle):
        raise ValueError(nothing)
    assignment.enter(sources[name], course)
    people = read_roster(given.roster).people if given.roster else {}
    return Class(
        course,
        folder,
        source,
        tuple(submissions),
        tuple(others),
        tuple(unclear),
        {student: asdict(person) for student, person in people.items()},
        tuple(said),
    )


def _handed_in(
    where: Path, course: Path, names: list[str], cells_of: Callable[[str], Any]
) -> tuple[list[str], list[str]]:
    """The assignments that there is work for, and files of several that tell of none.

    In the course itself, also those that have been graded.

    Raises:
        ValueError: nothing tells which.
    """
    from lmlib.grading.submissions.archives import opened
    from lmlib.grading.submissions.assignments import assignments_in
    from lmlib.grading.submissions.intake import place, submitted

    if len(names) == 1:
        return names, []
    found: list[str] = []
    rest: list[Any] = []
    if where.exists():
        with opened(submitted(where, names[0])) as contents:
            found, rest = assignments_in(contents.items, names, cells_of)
            if contents.broken and not found:
                raise ValueError(f"{where} {contents.broken}")
    if where == course / "submitted":
        graded = {path.parents[1].name for path in course.glob("graded/*/records/*")}
        found = [name for name in names if name in {*found, *graded}]
    if not found:
        which = "say with --assignment which of these it is for: " + ", ".join(names)
        if rest:
            raise ValueError(f"nothing in {where} tells its assignment; {which}")
        raise ValueError(f"no submissions in {where}. {place('<assignment>')}")
    return found, [item.path for item in rest] if len(found) > 1 else []


def run(given: argparse.Namespace) -> int:
    if given.doctor:
        from lmlib.grading.sandbox import doctor

        print(doctor.doctor())
        return 0
    from lmlib.grading.io_process import IOProcess

    if "LMLIB_COURSE_SECRET" not in os.environ:
        print(
            "LMLIB_COURSE_SECRET is not set: anybody can work out the hidden inputs.",
            file=sys.stderr,
        )
    ready = getattr(given, "io_process", None)
    io_process = ready or IOProcess(lambda: class_of(given))
    found = io_process.class_()
    for line in found.said:
        print(line)
    _grade(given, io_process, found)
    for path in found.unclear:
        print(f"not graded: {path}, for nothing tells of which assignment it is")
    for name in found.others:
        print()
        given.assignment, given.several = name, True
        io_process = IOProcess(lambda: class_of(given))
        _grade(given, io_process, io_process.class_())
    from lmlib.grading.results import report

    report.write_course(found.course / "graded")
    print(f"All assignments: {found.course / 'graded'}, course.html and course.csv")
    return 0


def _grade(given: argparse.Namespace, io_process: Any, found: Any) -> None:
    """Grade one assignment and say what came of it."""
    from lmlib.grading import batch
    from lmlib.grading.submissions.intake import CUT

    source, submissions, folder = found.source, found.submissions, found.folder
    if found.others or given.assignment:
        print(folder.name)
    before = batch.kept(folder / "records")
    submissions = batch.added(submissions, before)
    new: set[str] = set()

    def progress(done: int, total: int, record: Any) -> None:
        from lmlib.grading.results import (  # noqa: F401  # for the end
            report,
            report_plots,
        )

        io_process.write(record)
        new.add(record.student)
        if change := _change(before.get(record.student), record):
            if sys.stderr.isatty():  # there is a bar on this line
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            print(change, flush=True)
        _progress(done, total, record)

    if given.scheduler:
        from lmlib.grading import cluster

        records = cluster.grade(
            submissions,
            source,
            folder / "records",
            scheduler=given.scheduler,
            progress=progress,
        )
    else:
        records = batch.grade(
            submissions,
            source,
            folder / "records",
            jobs=max(given.jobs, 1),
            unsafe=given.unsafe,
            forkserver=getattr(given, "forkserver", None),
            progress=progress,
        )
    here = {record.student: record for record in records}
    everybody = {**before, **here}
    strangers = _strangers(given, everybody, set(here))
    # An archive that was cut short stands for students; now it is whole.
    archive = before.get(given.submissions.name) if given.submissions else None
    if archive and archive.student not in here and archive.reason.startswith(CUT):
        everybody[archive.student] = replace(archive, state="missing", cells=())
        strangers[archive.student] = None
    for student, record in list(everybody.items()):
        if student not in new:  # graded before: perhaps not yet written, or by hand
            io_process.write(record)
        if student in strangers and record.state == "missing":
            batch.record_path(folder / "records", student).unlink(missing_ok=True)
            del everybody[student]
    problems = io_process.finish()
    from lmlib.grading.results import report

    records = [
        io_process.kept.get(student, record)
        for student, record in sorted(everybody.items())
    ]
    code = [cell.source for cell in source.cells if cell.cell_type == "code"]
    report.write_class(records, folder, boilerplate=code)
    print(_summary(records))
    for student, name in strangers.items():
        if name and student in everybody:
            print(
                f"{student} was graded before and is {name} on the roster: give that "
                "archive again, with the roster"
            )
    for problem in problems:
        print(f"not in the gradebook: {problem}")
    print(f"\nIn {folder}:")
    print("  class.html for you, feedback/ for each student, marks.csv, records/")


def _strangers(
    given: argparse.Namespace, everybody: dict[str, Any], here: set[str]
) -> dict[str, str | None]:
    """Who is not on the roster, and has no work in this run; who it may be there."""
    if given.roster is None:
        return {}
    from lmlib.grading.submissions.roster import read_roster

    roster = read_roster(given.roster)
    return {
        student: roster.find(student, record.platform)
        for student, record in everybody.items()
        if student not in here and student not in roster.students
    }


def _change(old: Any, new: Any) -> str:
    """A line about work that is replaced, or a mark that is another now."""
    if old is None or old.state == "missing":
        return ""
    if (old.answers, old.state, old.points) == (new.answers, new.state, new.points):
        return ""
    marks = [
        f"{r.points:g}" if r.has_mark else f"no mark ({r.state})" for r in (old, new)
    ]
    why = "graded anew" if old.answers == new.answers else "handed in anew"
    return f"{new.student} {why}: {marks[0]} → {marks[1]} points"


def _progress(done: int, total: int, record: Any) -> None:
    """A bar on a terminal; elsewhere (a log) some ten lines in all."""
    text = f"{done}/{total} {record.student}: {record.state}, {record.points:g}"
    if sys.stderr.isatty():
        bar = "█" * (30 * done // total)
        end = "\n" if done == total else ""
        print(f"\r\x1b[K{bar:30} {text}"[:120], end=end, file=sys.stderr, flush=True)
    elif 10 * done // total > 10 * (done - 1) // total:
        print(text, file=sys.stderr, flush=True)


def _summary(records: list[Any]) -> str:
    states = Counter(record.state for record in records)
    lines = [f"{count:5} {state}" for state, count in states.most_common()]
    people = [record for record in records if record.needs_person]
    lines += [f"{r.student} needs a person: {' '.join(r.needs_person)}" for r in people]
    return "\n".join(lines)
