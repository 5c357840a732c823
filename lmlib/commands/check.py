"""`lmlib check`: a student runs the visible tests of a notebook."""

import argparse
from pathlib import Path
from typing import Any

#: Packages that the library alone does not bring, and the extra that does.
NEEDS = {"nbformat": "grade", "IPython": "grade"}


def add(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="run the visible tests of a notebook",
        description="Run the visible tests of your notebook in seconds, and see what "
        "is right and what is wrong. The notebook is not changed.",
    )
    check.add_argument("notebook", type=Path, help="such as exercises/…/….ipynb")
    check.set_defaults(run=run, needs=NEEDS)


def run(given: argparse.Namespace) -> int:
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
