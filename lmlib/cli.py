"""The command line.

`lmlib check` for students, `lmlib grade` for instructors; `lmlib pretrain`, `finetune`,
`distill`, `evaluate` and `generate` for everybody: each tells more with --help.
"""

import argparse
import os
import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmlib.commands import distill, evaluate, finetune, generate, pretrain


def main(
    arguments: list[str] | None = None, forkserver: Any = None, io_process: Any = None
) -> int:
    given = _parser().parse_args(arguments)
    given.forkserver, given.io_process = forkserver, io_process
    given.command_line = shlex.join(
        ["lmlib", *(sys.argv[1:] if arguments is None else arguments)]
    )
    typed = arguments is None  # and not called by another program, or by itself
    if typed and given.run is _grade and not (given.doctor or given.scheduler):
        _begin_anew(given)
    try:
        return int(given.run(given))
    except (OSError, ValueError, RuntimeError, KeyError, ArithmeticError) as error:
        print(f"lmlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = ": --resume goes on" if "resume" in given else ""
        print(f"\nlmlib: interrupted{again}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lmlib",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser(
        "check",
        help="run the visible tests of a notebook",
        description="Run the visible tests of your notebook in seconds, and see what "
        "is right and what is wrong. The notebook is not changed.",
    )
    check.add_argument("notebook", type=Path, help="such as exercises/…/….ipynb")
    check.set_defaults(run=_check)

    grade = commands.add_parser(
        "grade",
        help="grade a class",
        description="Grade submissions: nbgrader's submitted/ folder, a flat folder "
        "of notebooks, or the zip or tar that a learning platform exports. What is "
        "graded already and has not changed is not graded again. LMLIB_COURSE_SECRET "
        "decides the hidden inputs.",
    )
    grade.add_argument("submissions", type=Path, nargs="?", help="a folder or archive")
    grade.add_argument("--assignment", help="such as 3.1-self-attention")
    grade.add_argument(
        "--course",
        type=Path,
        default=Path("course"),
        help="where records, feedback and marks go (default: course)",
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
    grade.set_defaults(run=_grade)

    for command in (pretrain, finetune, distill, evaluate, generate):
        command.add(commands)
    return parser


def _begin_anew(given: argparse.Namespace) -> None:
    """Run the command in the process from which those of students are forked."""
    if sys.platform == "linux":
        from lmlib.grading.examination import forkserver

        forkserver.run_forked(sys.argv[1:], given.unsafe)


def _check(given: argparse.Namespace) -> int:
    import nbformat

    from lmlib.grading.examination import examiner
    from lmlib.grading.examination.forkserver import Forkserver
    from lmlib.grading.submissions.intake import Submission

    notebook = nbformat.read(given.notebook, as_version=4)
    submission = Submission("you", given.notebook.stem, notebook, digest="local")
    # Your own code on your own machine: a sandbox where there is one, and else without.
    with Forkserver(unsafe=True) as forkserver:
        connection = forkserver.connect()
        record = examiner.examine_submission(submission, notebook, connection)
        connection.close()
    if not record.cells:
        raise ValueError(f"{given.notebook} has no test cells; is it an exercise?")
    for cell in record.cells:
        print(cell.output or f"{cell.grade_id.removeprefix('test_')}: passed")
    print(f"\n{record.points:g} of {record.max_points:g} points in the visible tests")
    return 0 if record.points == record.max_points else 1


def class_of(arguments: list[str]) -> Any:
    """What `lmlib` with these arguments is to grade, for a `IOProcess` to read."""
    return _class_of(_parser().parse_args(arguments))


def _class_of(given: argparse.Namespace) -> Any:
    from lmlib.grading import assignment
    from lmlib.grading.io_process import Class
    from lmlib.grading.submissions.intake import NOTHING, collect, place

    sources = {path.stem: path for path in assignment.solutions()}
    only = next(iter(sources)) if len(sources) == 1 else ""
    name: str = given.assignment or only
    if name not in sources:
        raise ValueError(f"--assignment must be one of: {', '.join(sources)}")
    course = given.course.resolve()
    source = assignment.read_source(sources[name])
    folder = course / "graded" / name
    known = any((folder / "records").glob("*.json"))
    named = given.submissions and given.submissions.resolve() != course
    where = given.submissions if named else course / "submitted"
    nothing = f"no submissions of {name} in {where}. {place(name)}"
    if not named and not known and not where.is_dir():
        raise ValueError(nothing)
    if not named:
        where.mkdir(parents=True, exist_ok=True)
    submissions = collect(where, name, source, given.roster)
    # After archives alone there is nothing in submitted/, and pages to make anew.
    idle = all(submission.reason == NOTHING for submission in submissions)
    if (named and not submissions) or (not named and not known and idle):
        raise ValueError(nothing)
    assignment.enter(sources[name], course)
    return Class(course, folder, source, tuple(submissions))


def _grade(given: argparse.Namespace) -> int:
    from lmlib.grading import batch
    from lmlib.grading.sandbox import doctor

    if given.doctor:
        print(doctor.doctor())
        return 0
    from lmlib.grading.io_process import IOProcess
    from lmlib.grading.submissions.intake import CUT

    io_process = given.io_process or IOProcess(lambda: _class_of(given))
    found = io_process.class_()
    source, submissions, folder = found.source, found.submissions, found.folder
    if "LMLIB_COURSE_SECRET" not in os.environ:
        print(
            "LMLIB_COURSE_SECRET is not set: anybody can work out the hidden inputs.",
            file=sys.stderr,
        )
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
            forkserver=given.forkserver,
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
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
