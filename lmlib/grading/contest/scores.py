"""What an entry's bytes are worth, and the board that shows them.

The points for size grow with the logarithm of the total, so that each percent is worth
the same: none for the starter's total, 60 for the staff's. Both anchors are shares of
the text that were measured once (`book/_experiments/5-capstone.py`); nobody's points
depend on a neighbour.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from lmlib.grading.contest.entries import Outcome, Run
from lmlib.tables import Table

#: Totals by bytes of the five texts: the given starter, and lmlib's `Mixed`.
START, STAFF = 0.6, 0.233
TORTURE, ROUND_TRIP, SIZE, ABOVE = 4, 8, 60, 5
FULL = 8 * TORTURE + ROUND_TRIP + SIZE
#: Totals of a hidden set are told, drawn and worth points in such steps, or the board
#: and the mark become a channel: see Blum and Hardt (2015), "The Ladder".
STEP = 0.005


def points(total: float, start: float, staff: float) -> float:
    """Of a total, between the starter's and the staff's; cut to 0 … 65."""
    share = math.log(start / total) / math.log(start / staff)
    return min(max(SIZE * share, 0.0), float(SIZE + ABOVE))


def mark(torture: Outcome, texts: Outcome, *, steps: bool = False) -> float:
    """Of an entry, out of 100: what is above makes up for what is lost elsewhere.

    Parameters:
        steps: of a hidden set: its total counts as it is told.
    """
    found = 0.0
    if not torture.problem:
        found += TORTURE * sum(not run.problem for run in torture.runs)
    if texts.total is not None:
        found += ROUND_TRIP + _earned(texts, steps)
    return round(min(found, float(FULL)), 2)


def stepped(total: int) -> int:
    """A total as it is told of a hidden set: the next step above."""
    return round((1 + STEP) ** math.ceil(math.log(total) / math.log1p(STEP)))


def _earned(texts: Outcome, steps: bool) -> float:
    """Points for the size of an outcome that has a total."""
    assert texts.total is not None
    total = stepped(texts.total) if steps else texts.total
    return points(float(total), START * texts.size, STAFF * texts.size)


def ranked(outcomes: Mapping[str, Outcome]) -> list[tuple[str, Outcome]]:
    """By total, the smallest first; those without one at the end."""
    return sorted(
        outcomes.items(), key=lambda item: (item[1].total or math.inf, item[0])
    )


def board(outcomes: Mapping[str, Outcome], *, steps: bool = False) -> Table:
    """A row an entry: total, bits a byte for each text, the bytes of the code, seconds.

    Parameters:
        outcomes: by pseudonym.
        steps: whether totals are rounded up to steps of half a percent.

    Raises:
        ValueError: there are none.
    """
    names = next((o.runs for o in outcomes.values() if o.runs), ())
    rows = []
    for name, outcome in ranked(outcomes):
        total = outcome.total
        shown = "none" if total is None else f"{stepped(total) if steps else total:,}"
        row = {"entry": name, "total": shown}
        runs = {run.name: run for run in outcome.runs}
        for run in names:
            row[run.name] = _bits(runs.get(run.name))
        row["code"] = f"{outcome.program:,}" if outcome.program else ""
        row["s"] = f"{outcome.seconds:.1f}"
        rows.append(row)
    return Table(rows)


def _bits(run: Run | None) -> str:
    """Bits a byte; empty where the text did not come back."""
    if run is None or run.problem or run.archive is None:
        return ""
    return f"{8 * run.archive / max(run.size, 1):.2f}"


def report(torture: Outcome | None, texts: Outcome, *, steps: bool = False) -> str:
    """What the author of an entry reads: each text, the total, the points.

    Parameters:
        steps: the texts are a hidden set, of which it tells no more than the board.
    """
    lines = []
    if torture is not None:
        for run in torture.runs:
            lines.append(_line(run, f" ({TORTURE} points)"))
    if problem := texts.problem:
        return "\n".join([*lines, f"  ✗ {problem}"])
    lines += [_line(run, "", steps) for run in texts.runs]
    if texts.total is None:
        lines.append("No total: one wrong byte is no archive.")
    else:
        total = stepped(texts.total) if steps else texts.total
        lines.append(
            f"Total {total:,} bytes, {100 * total / texts.size:.1f} % of the texts; "
            f"{texts.program:,} of them are the program. Points for size: "
            f"{_earned(texts, steps):.1f}"
        )
        if steps:
            lines.append(f"A hidden total is rounded up to steps of {STEP:.1%}.")
    return "\n".join(lines)


def _line(run: Run, worth: str, steps: bool = False) -> str:
    mark = "✗" if run.problem else "✓"
    line = f"  {mark} {run.name}: {run.size:,}"
    if steps:
        line += f", {bits} bits a byte" if (bits := _bits(run)) else ""
    elif run.archive is not None:
        line += f" → {run.archive:,} bytes"
        if run.size and not run.problem:
            line += f", {8 * run.archive / run.size:.3f} bits a byte"
    line += f", {sum(run.seconds):.1f} s{worth}"
    return f"{line}\n      {run.problem}" if run.problem else line


def as_text(outcome: Outcome) -> str:
    """An outcome as JSON."""
    return json.dumps(asdict(outcome))


def from_text(text: str) -> Outcome:
    """What `as_text` has written."""
    kept = json.loads(text)
    runs = tuple(
        Run(**{**run, "seconds": tuple(run["seconds"])}) for run in kept["runs"]
    )
    return Outcome(kept["program"], runs, kept["problem"])


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (seconds, total), those that no other beats in both, by seconds."""
    kept: list[tuple[float, float]] = []
    for seconds, total in sorted(points):
        if not kept or total < kept[-1][1]:
            kept.append((seconds, total))
    return kept
