"""How the exercises did: item analysis, as of a test in educational measurement."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmlib.exercises.catalogue import Entry, find_entry
from lmlib.grading.results.record import CellResult, Record


def exercise_of(assignment: str, grade_id: str) -> Entry | None:
    section = assignment.split("-")[0]
    try:
        return find_entry(f"{section}/{grade_id.removeprefix('test_')}"[:200])
    except KeyError:
        return None


def title_of(assignment: str, grade_id: str) -> str:
    exercise = exercise_of(assignment, grade_id)
    return grade_id.removeprefix("test_") if exercise is None else exercise.title


@dataclass(frozen=True)
class Item:
    """How an exercise did, over the submissions that have a mark.

    Attributes:
        mean_share: of its points; the higher, the easier.
        discrimination: see `item_rest`; None where it cannot be had.
        why_not: the reason, in that case.
        seconds: the median time that its test took.
    """

    name: str
    title: str
    max_points: float
    n: int
    mean_share: float
    full: int
    none: int
    discrimination: float | None
    why_not: str
    seconds: float


def item_rest(
    points: Sequence[float], rest: Sequence[float]
) -> tuple[float | None, str]:
    """The item-rest correlation, or None and the reason.

    Pearson's correlation, over the students, of the points for one exercise with the
    points for all the others (for an exercise that is right or wrong, it is the
    point-biserial one). The exercise is left out of the sum, which it would otherwise
    correlate with by itself.
    """
    if len(points) < 3:
        return None, "fewer than three marks"
    x, y = np.asarray(points, float), np.asarray(rest, float)
    x, y = x - x.mean(), y - y.mean()
    if np.abs(x).max() < 1e-9:
        return None, "everybody has the same points"
    if np.abs(y).max() < 1e-9:
        return None, "everybody has the same points elsewhere"
    return float(x @ y / math.sqrt((x @ x) * (y @ y))), ""


def items(records: Iterable[Record]) -> list[Item]:
    """Every exercise in the order of the assignment."""
    marked = [record for record in records if record.has_mark]
    results: dict[str, list[tuple[CellResult, float]]] = defaultdict(list)
    for record in marked:
        for cell in record.cells:
            if cell.state != "waiting":
                results[cell.grade_id].append((cell, record.points - cell.points))
    found = []
    for grade_id, rows in results.items():
        cells = [cell for cell, _ in rows]
        discrimination, why_not = item_rest(
            [cell.points for cell in cells], [rest for _, rest in rows]
        )
        most = max(cell.max_points for cell in cells)
        shares = [cell.points / cell.max_points for cell in cells if cell.max_points]
        found.append(
            Item(
                name=grade_id.removeprefix("test_"),
                title=title_of(marked[0].assignment, grade_id),
                max_points=most,
                n=len(cells),
                mean_share=statistics.fmean(shares) if shares else 0.0,
                full=sum(cell.points >= cell.max_points for cell in cells),
                none=sum(cell.points <= 0 for cell in cells),
                discrimination=discrimination,
                why_not=why_not,
                seconds=statistics.median(cell.seconds for cell in cells),
            )
        )
    return found


@dataclass(frozen=True)
class Mistake:
    """A misconception that was recognised, and for how many students."""

    exercise: str
    name: str
    count: int
    explanation: str


def mistakes(records: Iterable[Record]) -> list[Mistake]:
    """The misconceptions of a class, the most common first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        for cell in record.cells:
            counts.update(
                (record.assignment, cell.grade_id, name)
                for name in set(cell.misconceptions)
            )
    found = []
    for (assignment, grade_id, name), count in counts.items():
        exercise = exercise_of(assignment, grade_id)
        explanation = exercise.explanations.get(name, "") if exercise else ""
        title = title_of(assignment, grade_id)
        found.append(Mistake(title, name, count, explanation))
    return sorted(found, key=lambda m: (-m.count, m.exercise, m.name))
