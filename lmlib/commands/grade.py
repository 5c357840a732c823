"""`lmlib grade`: an instructor grades a class."""

import argparse
import difflib
import functools
import hashlib
import json
import math
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
    grade.add_argument(
        "--due",
        metavar="TIME",
        help="when the assignment is due, with the time zone: "
        "2026-12-01T23:59+08:00, or none. It stays in the gradebook. Who has longer "
        "stands in extensions.csv in the folder of the course",
    )
    grade.add_argument(
        "--sheet",
        type=Path,
        metavar="CSV",
        help="Moodle's grading worksheet or Canvas's gradebook, as it was exported: it "
        "comes back beside marks.csv with the marks in it, to be imported",
    )
    grade.add_argument(
        "--student",
        action="append",
        default=[],
        metavar="NAME",
        help="grade this student alone (may be repeated)",
    )
    grade.add_argument(
        "--force", action="store_true", help="grade again what has not changed, too"
    )
    grade.add_argument(
        "--verbose",
        action="store_true",
        help="tell of each student which file counts, what was mended in it, and what "
        "came of it",
    )
    grade.add_argument(
        "--time-limit",
        type=_seconds,
        metavar="SECONDS",
        help="for one cell and for one test (default: 30); ten times that for a "
        "notebook. Of what is graded now: with --force, of all",
    )
    grade.add_argument(
        "--change-secret",
        action="store_true",
        help="grade with another LMLIB_COURSE_SECRET than before, or without one",
    )
    grade.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    grade.add_argument("--scheduler", help="address of a Dask scheduler to work on")
    grade.add_argument(
        "--doctor", action="store_true", help="what this machine protects you from"
    )
    grade.add_argument(
        "--unsafe", action="store_true", help="also where nothing confines student code"
    )
    grade.set_defaults(run=run, begin=begin, needs=NEEDS)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


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
    from lmlib.grading.results import deadlines
    from lmlib.grading.submissions.assignments import assignment_of
    from lmlib.grading.submissions.intake import NOTHING, collect, place
    from lmlib.grading.submissions.roster import read_roster

    sources = {path.stem: path for path in assignment.solutions(given.solutions)}
    if given.assignment and given.assignment not in sources:
        raise ValueError(f"--assignment must be one of: {', '.join(sources)}")
    course = course_of(given)
    due = deadlines.moment(given.due) if given.due not in (None, "none") else None
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

    if given.due and not given.assignment and len(sources) > 1:
        raise ValueError(
            f"--due is of one assignment: name it with --assignment, one of "
            f"{', '.join(sources)}"
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
    if not named and not known and not where.is_dir() and not given.due:
        raise ValueError(nothing)
    if not named:
        where.mkdir(parents=True, exist_ok=True)
    of_many = {"is_for_it": is_for_it} if len(sources) > 1 else {}
    said: list[str] = []
    submissions = collect(where, name, source, given.roster, say=said.append, **of_many)
    # After archives alone there is nothing in submitted/, and pages to make anew.
    idle = all(submission.reason == NOTHING for submission in submissions)
    idle = idle and not named and not known and not given.due
    if (named and not submissions) or idle:
        raise ValueError(nothing)
    assignment.enter(sources[name], course)
    if given.due:
        deadlines.set_due(course, name, due)
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
        assignment.nbgrader_config(course, sources[name].parents[2]),
        deadlines.read_extensions(course),
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

    remember_secret = checked_secret(given)
    sheet = None
    if given.sheet:
        from lmlib.grading.results import platform_files

        sheet = platform_files.read_sheet(given.sheet)
    ready = getattr(given, "io_process", None)
    io_process = ready or IOProcess(lambda: class_of(given))
    found = io_process.class_()
    said: set[str] = set()

    def tell(lines: tuple[str, ...]) -> None:
        for line in lines:
            if line not in said:
                print(line)
        said.update(lines)

    tell(found.said)
    if sheet and sheet.platform == "Moodle" and found.others:
        raise ValueError("a worksheet is of one assignment: say which, --assignment")
    remember_secret()
    _grade(given, io_process, found, sheet)
    for path in found.unclear:
        print(f"not graded: {path}, for nothing tells of which assignment it is")
    for name in found.others:
        print()
        given.assignment, given.several = name, True
        io_process = IOProcess(lambda: class_of(given))
        found = io_process.class_()
        tell(found.said)
        _grade(given, io_process, found, sheet)
    from lmlib.grading.results import report

    report.write_course(found.course / "graded")
    print(f"All assignments: {found.course / 'graded'}, course.html and course.csv")
    return 0


def checked_secret(given: argparse.Namespace) -> Callable[[], None]:
    """Refuse to give everybody other hidden inputs by an oversight.

    The course remembers four bytes of a digest: enough to notice, too few to find out.

    Returns:
        What remembers it, once there is something to grade.

    Raises:
        ValueError: the course was graded with another secret.
    """
    secret = os.environ.get("LMLIB_COURSE_SECRET", "")
    if not secret:
        print(
            "LMLIB_COURSE_SECRET is not set: anybody can work out the hidden inputs.",
            file=sys.stderr,
        )
    file = course_of(given) / "graded" / "secret-digest"
    now = hashlib.blake2b(secret.encode(), digest_size=4).hexdigest() if secret else ""
    before = file.read_text("utf-8").strip() if file.is_file() else ""
    if before not in ("", now) and not given.change_secret:
        what = "is not set" if not secret else "is another than before"
        raise ValueError(
            f"LMLIB_COURSE_SECRET {what}: the hidden inputs, and perhaps the marks, of "
            "everybody would change. Set the one that this course was graded with, or "
            "pass --change-secret"
        )

    def remember() -> None:
        if now != before:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(file.name + ".partial")
            partial.write_text(now + "\n", "utf-8")
            partial.replace(file)

    return remember


def _grade(given: argparse.Namespace, io_process: Any, found: Any, sheet: Any) -> None:
    """Grade one assignment and say what came of it."""
    from lmlib.grading import batch
    from lmlib.grading.examination import examiner
    from lmlib.grading.submissions.intake import CUT

    source, submissions, folder = found.source, found.submissions, found.folder
    if found.others or given.assignment:
        print(folder.name)
    before = batch.kept(folder / "records")
    submissions = batch.added(submissions, before)
    if given.student:
        submissions = only(given.student, submissions, before)
    new: set[str] = set()
    handed_in = {submission.student: submission for submission in submissions}

    def tell(line: str) -> None:
        if sys.stderr.isatty():  # there is a bar on this line
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        print(line, flush=True)

    def progress(done: int, total: int, record: Any) -> None:
        from lmlib.grading.results import (  # noqa: F401  # for the end
            report,
            report_plots,
        )

        io_process.write(record)
        new.add(record.student)
        if change := _change(before.get(record.student), record):
            tell(change)
        if given.verbose:
            tell(_account(handed_in[record.student], record))
        _progress(done, total, record)

    limits = examiner.DEFAULT_LIMITS
    if (seconds := given.time_limit) is not None:
        limits = examiner.Limits(seconds, seconds, 10 * seconds)
    if given.scheduler:
        from lmlib.grading import cluster

        records = cluster.grade(
            submissions,
            source,
            folder / "records",
            scheduler=given.scheduler,
            limits=limits,
            force=given.force,
            progress=progress,
        )
    else:
        records = batch.grade(
            submissions,
            source,
            folder / "records",
            jobs=max(given.jobs, 1),
            limits=limits,
            unsafe=given.unsafe,
            forkserver=getattr(given, "forkserver", None),
            force=given.force,
            progress=progress,
        )
    here = {record.student: record for record in records}
    if given.verbose:
        for student in sorted(set(here) - new):
            tell(f"{student}: not changed since it was graded")
    everybody = {**before, **here}
    strangers = _strangers(given, everybody, set(here))
    # An archive that was cut short stands for students; now it is whole.
    archive = before.get(given.submissions.name) if given.submissions else None
    if archive and archive.student not in here and archive.reason.startswith(CUT):
        everybody[archive.student] = replace(archive, state="missing", cells=())
        strangers[archive.student] = None
    from lmlib.grading.results import deadlines, report
    from lmlib.grading.results.similarity import near_identical

    code = [cell.source for cell in source.cells if cell.cell_type == "code"]
    pairs = near_identical(list(everybody.values()), code)
    alike = report.twins(pairs)
    for student, record in list(everybody.items()):
        if reasons := alike.get(student):  # formgrader is to mark them, too
            record = replace(record, needs_person=(*record.needs_person, *reasons))
            everybody[student] = record
        # What was graded before is perhaps not yet written, or by hand.
        if student not in new or reasons:
            io_process.write(record)
        if student in strangers and record.state == "missing":
            batch.record_path(folder / "records", student).unlink(missing_ok=True)
            del everybody[student]
    problems = io_process.finish()
    records = [
        io_process.kept.get(student, record)
        for student, record in sorted(everybody.items())
    ]
    report.write_class(records, folder, pairs=pairs)
    has_board = report.write_board(everybody.values(), folder)
    print(_summary(records))
    for student, name in strangers.items():
        if name and student in everybody:
            print(
                f"{student} was graded before and is {name} on the roster: give that "
                "archive again, with the roster"
            )
    for of, student in deadlines.read_extensions(found.course):
        if of == folder.name and student not in everybody:
            print(f"{deadlines.EXTENSIONS}: {student} has handed in nothing so far")
    for problem in problems:
        print(f"not in the gradebook: {problem}")
    print(f"\nIn {folder}:")
    print("  class.html for you, feedback/ for each student, marks.csv, records/")
    if has_board:
        print("  board.html of the contest, for everybody: at most once a day")
    if sheet:
        from lmlib.grading.results import platform_files

        for line in platform_files.write_files(sheet, records, folder, folder.name):
            print(f"  {line}")


def only(names: list[str], submissions: list[Any], before: dict[str, Any]) -> list[Any]:
    """The submissions of these students.

    Raises:
        ValueError: there is no work of one of them; the message names who is near.
    """
    found = [submission for submission in submissions if submission.student in names]
    for name in names:
        if not any(submission.student == name for submission in found):
            have = sorted({s.student for s in submissions})
            near = difflib.get_close_matches(name, have, 3) or have[:5]
            also = ", though they were graded before" if name in before else ""
            raise ValueError(
                f"--student {name}: nothing of theirs is here{also}. There is work of "
                f"{', '.join(near) or 'nobody'}"
            )
    return found


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


def _account(submission: Any, record: Any) -> str:
    """What was done for a student, in lines."""
    from lmlib.grading.submissions.notebooks import listed

    file = listed([submission.path]) if submission.path else "no file"
    came = f"{record.state}, {record.points:g} of {record.max_points:g} points"
    steps = [*record.repairs, record.reason, f"{came}, {record.seconds:.1f} s"]
    return "\n  ".join([f"{record.student}: {file}", *filter(None, steps)])


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
