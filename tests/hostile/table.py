"""Every hostile case, under stock nbgrader and under ours: a table in Markdown.

    python -m tests.hostile.table [-o FILE] [CASE ...]

nbgrader runs unconfined what it grades, so each case gets a throw-away machine of its
own (`container`), and a neighbour who is graded after it in the same batch. Takes half
an hour on two quiet cores; what has been tried is kept in _build/hostile/ and not tried
again, unless the case is named. Without `-o` the table is printed; table.md beside this
file is the one that was recorded, and book/grading.md has its `summary`.
"""

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lmlib.grading.assignment import ROOT
from lmlib.grading.results.record import Record
from tests.hostile import container, course, stock
from tests.hostile.cases import CASES, RIGHT, Case

RECORDED = Path(__file__).with_name("table.md")
WORKERS = 2
HONEST = Case("an honest answer", RIGHT)
INTRODUCTION = """\
# Hostile answers under stock nbgrader and under `lmlib grade`

Made by `python -m tests.hostile.table` on {date}: nbgrader {nbgrader} as it comes
(`Execute.timeout` {cell} s), Python {python}, Linux {linux}, {cores} cores. Tests and
cases are in `course.py` and `cases.py` of this folder; the sum is 4 points.

Each case had a throw-away machine (`container.py`): an account of its own with nothing
in it but the course, writable packages as in a virtual environment, no network but
loopback, {space} GiB of addresses for each process. After {seconds} s, or with
{memory} GiB taken, it was ended from outside. In the same batch a neighbour was graded
after the case, with one wrong answer and two right ones.

*Stock* is the mark in the gradebook, *none* if there is none for that student; **bold**
if it is not the mark that is due. *Course files* are the source, the release and what
was handed in; *files elsewhere* were changed or left in HOME (but for caches), in /tmp
or among the packages.

"""
HEADER = "| case | stock | stock besides | ours | state |\n| :- | -: | :- | -: | :- |\n"


def kept(case: Case) -> Path:
    """Where the result of a case is kept: another place if anything changes."""
    total = hashlib.sha256(repr(case).encode())
    for module in (stock, container, course):
        total.update(Path(module.__file__).read_bytes())
    return ROOT / "_build" / "hostile" / f"{total.hexdigest()[:32]}.json"


def run_stock(cases: Sequence[Case], template: Path, anew: bool) -> list[stock.Result]:
    """All cases, `WORKERS` at a time. RuntimeError if one cannot be tried."""
    places = [kept(case) for case in cases]
    waiting = [
        case
        for case, path in zip(cases, places, strict=True)
        if anew or not path.is_file()
    ]
    running: dict[int, Case] = {}
    while waiting or running:
        while waiting and len(running) < WORKERS:
            case = waiting.pop(0)
            path = kept(case)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            child = os.fork()
            if child == 0:
                stock.grade_contained(case, template, path)
                os._exit(0)
            running[child] = case
        case = running.pop(os.wait()[0])
        if not kept(case).is_file():
            raise RuntimeError(f"{case.name!r} could not be tried")
        result = stock.Result(**json.loads(kept(case).read_text()))
        said = "; ".join([mark(result.points), *besides(result, set())])
        print(
            f"{case.name}: {said} ({result.seconds:g} s)", file=sys.stderr, flush=True
        )
    return [stock.Result(**json.loads(path.read_text())) for path in places]


def mark(points: Sequence[float] | None) -> str:
    return "none" if points is None else f"{sum(points):g}"


def besides(result: stock.Result, usual: set[str]) -> list[str]:
    """What stock nbgrader did beside giving a mark, in a few words each."""
    found = []
    if result.stopped:
        found.append(f"batch ended from outside {result.stopped}")
    elif result.neighbour is None:
        found.append("batch aborted")
    if result.neighbour not in (None, stock.NEIGHBOUR_POINTS):
        found.append(f"neighbour's mark {mark(result.neighbour)} instead of 3")
    if result.course:
        found.append("course files changed")
    left = [p for p in result.elsewhere if p not in usual and "/.cache/" not in p]
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


def counts(table: str) -> list[tuple[str, int]]:
    """In how many of the cases of a table stock nbgrader did what."""
    given: list[tuple[str, bool, float, str]] = []
    for _, stocks, beside, ours, _ in rows(table).values():
        given.append((stocks.strip("*"), "*" in stocks, float(ours), beside))
    marked = [(float(m), off, due) for m, off, due, _ in given if m != "none"]

    def told(*words: str) -> int:
        return sum(any(word in beside for word in words) for *_, beside in given)

    return [
        ("points for a wrong answer", sum(off and m > due for m, off, due in marked)),
        (
            "too few points for a right one",
            sum(off and m <= due for m, off, due in marked),
        ),
        ("no mark at all", len(given) - len(marked)),
        ("the rest of the batch not graded", told("batch")),
        ("another student's mark changed", told("neighbour")),
        ("files of the course changed or deleted", told("course files")),
        ("files or processes left behind elsewhere", told("elsewhere", "left")),
        (
            "the mark due, and nothing else",
            sum(not off and not b for _, off, _, b in given),
        ),
    ]


def summary(table: str) -> str:
    """The counts as the table of book/grading.md."""
    title = f"Stock nbgrader on {len(rows(table))} hostile answers"
    return f"| {title} | cases |\n| :- | -: |\n" + "".join(
        f"| {what} | {number} |\n" for what, number in counts(table)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="where the table goes")
    parser.add_argument("case", nargs="*", help="only these, anew")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.case or case.name in given.case]
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder, "course")
        template.mkdir()
        stock.make_course(template)
        honest, *results = run_stock([HONEST, *cases], template, bool(given.case))
        assert (honest.points, honest.neighbour) == ([1, 1, 2], stock.NEIGHBOUR_POINTS)
        usual = set(honest.elsewhere)
        ours = course.grade(Path(folder))
    text = INTRODUCTION.format(
        date=datetime.date.today(),
        nbgrader=importlib.metadata.version("nbgrader"),
        python=platform.python_version(),
        linux=".".join(platform.release().split(".")[:2]),
        cores=os.cpu_count(),
        cell=stock.CELL,
        seconds=stock.SECONDS,
        space=container.ADDRESS_SPACE >> 30,
        memory=container.MEMORY >> 30,
    )
    text += HEADER
    for case, result in zip(cases, results, strict=True):
        cells = row(case, result, ours[case.name], usual)
        text += f"| {' | '.join(cells)} |\n"
    print(summary(text), file=sys.stderr)
    if given.output:
        given.output.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
