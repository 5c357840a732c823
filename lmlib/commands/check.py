"""`lmlib check`: a student runs the visible tests of a notebook."""

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

#: Packages that the library alone does not bring, and the extra that does.
NEEDS = {"nbformat": "grade", "IPython": "grade"}

_TEST = re.compile(r'^check\("([\w.]+/\w+)"', re.MULTILINE)
_IMPORT = "from lmlib.exercises import check"


def add(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="run the visible tests of a notebook",
        description="Run the visible tests of your notebook in seconds, and see what "
        "is right and what is wrong. The notebook is not changed. What has to be "
        "mended to read it is said, and `lmlib grade` mends it alike.",
    )
    check.add_argument("notebook", type=Path, help="such as exercises/…/….ipynb")
    check.set_defaults(run=run, needs=NEEDS)


def run(given: argparse.Namespace) -> int:
    from lmlib.grading.examination import examiner
    from lmlib.grading.examination.forkserver import Forkserver
    from lmlib.grading.submissions.intake import Submission
    from lmlib.grading.submissions.notebooks import Malformed, read_cells

    data = given.notebook.read_bytes()
    try:
        cells, repairs = read_cells(data)
    except Malformed as error:
        raise ValueError(f"{given.notebook}: {error}") from None
    notebook = _notebook(cells, _metadata(data))
    submission = Submission("you", given.notebook.stem, notebook, digest="local")
    # Your own code on your own machine: a sandbox where there is one, and else without.
    with Forkserver(unsafe=True) as forkserver:
        connection = forkserver.connect()
        record = examiner.examine_submission(submission, notebook, connection)
        connection.close()
    if not record.cells:
        raise ValueError(f"{given.notebook} has no test cells; is it an exercise?")
    for repair in repairs:
        print(repair)
    for cell in record.cells:
        print(cell.output or f"{cell.grade_id.removeprefix('test_')}: passed")
    print(f"\n{record.points:g} of {record.max_points:g} points in the visible tests")
    return 0 if record.points == record.max_points else 1


def _notebook(cells: list[Any], metadata: dict[str, Any]) -> Any:
    """A valid notebook of these cells, with what nbgrader needs to know of each."""
    import nbformat

    from lmlib.grading.assignment import nbgrader_metadata

    v4: Any = nbformat.v4
    # Where the locked cell that imports it was lost, a student's `check` would count.
    given = nbgrader_metadata("given_check", "given", None)
    made = [v4.new_code_cell(_IMPORT, metadata={"nbgrader": given})]
    for cell in cells:
        new = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell}.get(
            cell.kind, v4.new_raw_cell
        )
        about = metadata.get(cell.grade_id) or _recognised(cell)
        made.append(new(cell.source, metadata=about))
    return v4.new_notebook(cells=made)


def _metadata(data: bytes) -> dict[str, Any]:
    """The metadata of the cells that have all of nbgrader's, by its name for them."""
    try:
        cells = json.loads(data)["cells"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for cell in cells if isinstance(cells, list) else ():
        about = cell.get("metadata") if isinstance(cell, dict) else None
        nbgrader = about.get("nbgrader") if isinstance(about, dict) else None
        if not isinstance(about, dict) or not isinstance(nbgrader, dict):
            continue
        name, points = nbgrader.get("grade_id"), nbgrader.get("points")
        whole = {"grade", "solution"} <= nbgrader.keys()
        number = isinstance(points, int | float) and math.isfinite(points)
        if isinstance(name, str) and whole and (number or not nbgrader["grade"]):
            tags = about.get("tags")
            more = {"tags": tags} if isinstance(tags, list) else {}
            found[name] = {"nbgrader": nbgrader, **more}
    return found


def _recognised(cell: Any) -> dict[str, Any]:
    """Metadata of a cell that has none or only a part, by its id, or by its text."""
    from lmlib.exercises.catalogue import entries
    from lmlib.grading.assignment import nbgrader_metadata

    if cell.kind != "code":
        return {}
    known = {entry.short_name for entry in entries().values()}
    name = cell.grade_id or cell.id or ""
    test = _TEST.search(cell.source)
    if test and test[1] in entries():
        entry = entries()[test[1]]
        made = nbgrader_metadata(f"test_{entry.short_name}", "test", entry.points)
    elif name.startswith("given_") or _IMPORT in cell.source:
        made = nbgrader_metadata(name or "given_imports", "given", None)
    elif name in known:
        made = nbgrader_metadata(name, "solution", None)
    else:
        return {}
    return {"nbgrader": made}
