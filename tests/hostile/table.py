"""Every hostile case, under stock nbgrader and under ours: a table in Markdown.

    python -m tests.hostile.table [-o FILE] [CASE ...]

nbgrader runs unconfined what it grades, so each case gets a throw-away machine of its
own (`cage`), and a neighbour who is graded after it in the same batch. Takes about half
an hour on two cores. Without `-o` the table is printed; tests/hostile/table.md is the
one that was recorded, and `counts` reads it for book/grading.md.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lmlib.grading.record import Record
from tests.hostile import cage, course, stock
from tests.hostile.cases import CASES, Case

RECORDED = Path(__file__).with_name("table.md")
WORKERS = 2
INTRODUCTION = """\
# Hostile answers under stock nbgrader and under `lmlib grade`

Made by `python -m tests.hostile.table` on {date}: nbgrader {nbgrader} as it comes
(`Execute.timeout` {cell} s), Python {python}, Linux {linux}, {cores} cores. Tests and
cases are in `course.py` and `cases.py` of this folder; the sum is 4 points.

Each case had a throw-away machine (`cage.py`): an account of its own with nothing in it
but the course, writable packages as in a virtual environment, no network but loopback,
{space} GiB of addresses for each process. After {seconds} s, or with {memory} GiB taken,
it was ended from outside. In the same batch a neighbour was graded after the case, with
one wrong answer and two right ones.

*Stock* is the mark in the gradebook, *none* if there is none for that student. **Bold**:
not the mark that is due. *Files changed* are those of the course (source, release, what
was handed in); *files elsewhere* were changed or left in HOME, in /tmp or among the packages.

"""
HEADER = "| case | stock | stock besides | ours | state |\n| :- | -: | :- | -: | :- |\n"


def run_stock(name: str, template: Path) -> stock.Result:
    """One case in a process of its own. RuntimeError if it cannot be caged."""
    command = [sys.executable, "-m", "tests.hostile.stock", name, str(template)]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=2 * stock.SECONDS,
        env=os.environ | one_thread,
    )
    if done.returncode:
        raise RuntimeError(f"{name!r} could not be tried:\n{done.stderr[-2000:]}")
    return stock.Result(**json.loads(done.stdout))


def mark(points: Sequence[float] | None) -> str:
    return "none" if points is None else f"{sum(points):g}"


def besides(result: stock.Result, usual: set[str]) -> list[str]:
    """What stock nbgrader did beside giving a mark, in a few words each."""
    found = []
    if result.stopped:
        found.append(f"batch hung, ended {result.stopped}")
    elif result.neighbour is None:
        found.append("batch aborted")
    if result.neighbour not in (None, stock.NEIGHBOUR_POINTS):
        found.append(f"neighbour's mark {mark(result.neighbour)} instead of 3")
    if result.course:
        found.append("course files changed")
    left = [path for path in result.elsewhere if path not in usual]
    if left:
        found.append("files elsewhere")
    if result.survivors:
        number = len(result.survivors)
        found.append(f"{number} process{'es' if number > 1 else ''} left")
    return found


def row(
    case: Case, result: stock.Result, record: Record, usual: set[str]
) -> tuple[str, ...]:
    due = list(case.points)
    given = mark(result.points)
    return (
        case.name,
        given if result.points == due else f"**{given}**",
        ", ".join(besides(result, usual)),
        f"{record.points:g}",
        record.state,
    )


def rows(table: str) -> dict[str, tuple[str, ...]]:
    """The rows of a table by the name of the case."""
    body = table.split(HEADER)[1]
    cells = [re.split(r"(?<!\\) *\| *", line)[1:-1] for line in body.splitlines()]
    return {one[0]: tuple(one) for one in cells}


def counts(table: str) -> dict[str, int]:
    """In how many cases stock nbgrader did what; of those of the table."""
    found = rows(table).values()
    given = [(one[1].strip("*"), "*" in one[1], float(one[3])) for one in found]
    said = [one[2] for one in found]
    return {
        "cases": len(given),
        "too much": sum(m != "none" and off and float(m) > due for m, off, due in given),
        "too little": sum(m != "none" and off and float(m) <= due for m, off, due in given),
        "no mark": sum(m == "none" for m, _, _ in given),
        "aborted": sum("batch aborted" in words for words in said),
        "hung": sum("batch hung" in words for words in said),
        "neighbour": sum("neighbour" in words for words in said),
        "course": sum("course files" in words for words in said),
        "left": sum("elsewhere" in words or " left" in words for words in said),
        "the same": sum(not off and not words for (_, off, _), words in zip(given, said, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="where the table goes")
    parser.add_argument("case", nargs="*", help="only these")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.case or case.name in given.case]
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder, "course")
        template.mkdir()
        stock.make_course(template)
        honest = run_stock("", template)
        assert (honest.points, honest.neighbour) == ([1, 1, 2], stock.NEIGHBOUR_POINTS)
        usual = set(honest.elsewhere)

        def tried(case: Case) -> stock.Result:
            result = run_stock(case.name, template)
            said = "; ".join(besides(result, usual))
            print(f"{case.name}: {mark(result.points)} {said}", file=sys.stderr)
            return result

        with ThreadPoolExecutor(WORKERS) as pool:
            results = list(pool.map(tried, cases))
        ours = course.grade(Path(folder))
    text = INTRODUCTION.format(
        date=datetime.date.today(),
        nbgrader=importlib.metadata.version("nbgrader"),
        python=platform.python_version(),
        linux=".".join(platform.release().split(".")[:2]),
        cores=os.cpu_count(),
        cell=stock.CELL,
        seconds=stock.SECONDS,
        space=cage.ADDRESS_SPACE >> 30,
        memory=cage.MEMORY >> 30,
    )
    text += HEADER
    for case, result in zip(cases, results, strict=True):
        cells = row(case, result, ours[case.name], usual)
        text += f"| {' | '.join(cells)} |\n"
    print(counts(text), file=sys.stderr)
    if given.output:
        given.output.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
