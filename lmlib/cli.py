"""The command line: `lmlib check` for students, `lmlib grade` for instructors."""

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lmlib", description=__doc__)
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
    grade.add_argument(
        "--doctor", action="store_true", help="what this machine protects you from"
    )
    grade.add_argument(
        "--unsafe", action="store_true", help="also where nothing confines student code"
    )
    grade.set_defaults(run=_grade, parser=grade)

    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        print(f"lmlib: {error}", file=sys.stderr)
        return 2
