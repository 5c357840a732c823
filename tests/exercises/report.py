"""What is known of every exercise: its size, and which inputs see which mistakes.

    python -m tests.exercises.report

hands in every misconception and the reference, prints a table of all tasks, and writes
`book/exercises-report.json`, which the instructors' page shows.

A misconception is killed by the hidden inputs if it loses a point under each of three
secrets, and by the visible ones if it loses a point there. The seconds are the
processor's, of the slowest visible check among the first of the right answer, which
computes what is right, and those of all mistakes, which look for their names.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lmlib.data.cache import replacing
from lmlib.exercises.checks import examine
from lmlib.exercises.exercise import Exercise, Function
from lmlib.exercises.registry import EXERCISES, SECTIONS
from lmlib.tables import Table
from lmlib.training.saved import circumstances

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "book" / "exercises-report.json"
sys.path.append(str(ROOT / "book" / "_ext"))
SECRETS = ("one term", "the next term", "another course")


def loses(exercise: Exercise, answer: Function, secret: str) -> bool:
    """Does it lose a point on the hidden inputs of this secret?"""
    with patch.dict(os.environ, {"LMLIB_COURSE_SECRET": secret}):
        return examine(exercise, answer, hidden=True).points < exercise.points


def visible(exercise: Exercise, answer: Function) -> tuple[bool, float]:
    """Does it lose a point on the visible inputs, and the seconds of that check."""
    began = time.process_time()
    loses = examine(exercise, answer).points < exercise.points
    return loses, time.process_time() - began


def row_of(exercise: Exercise) -> dict[str, Any]:
    wrong = [m.implementation for m in exercise.misconceptions]
    seen = [visible(exercise, answer) for answer in (exercise.reference, *wrong)]
    if seen[0][0]:
        raise ValueError(f"{exercise.name}: the reference itself loses a point")
    return {
        "task": exercise.name,
        "points": exercise.points,
        "minutes": exercise.minutes,
        "difficulty": exercise.difficulty,
        "misconceptions": len(wrong),
        "hidden": sum(all(loses(exercise, w, s) for s in SECRETS) for w in wrong),
        "visible": sum(lost for lost, _ in seen),
        "seconds": round(max(seconds for _, seconds in seen), 4),
    }


def main() -> None:
    from provenance import code_of  # of the book's extensions

    # This file finds the sections at run time, so that its own code does not name them.
    sections = [section.__name__.replace(".", "/") for section in SECTIONS.values()]
    sources = [
        "tests/exercises/report.py",
        *(f"{name}/__init__.py" for name in sections),
    ]
    rows = [row_of(exercise) for exercise in EXERCISES.values()]
    record = {
        "experiment": "exercises-report",
        "command": "python -m tests.exercises.report",
        **circumstances(),
        "code": {name: code_of(Path(name)) for name in sources},
        "rows": rows,
    }
    with replacing(RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(Table([{**row, "seconds": f"{row['seconds']:.3f}"} for row in rows]))
    total = {key: sum(row[key] for row in rows) for key in ("points", "minutes")}
    mistakes = sum(row["misconceptions"] for row in rows)
    killed = {key: sum(row[key] for row in rows) for key in ("hidden", "visible")}
    print(
        f"\n{len(rows)} tasks, {total['points']} points, {total['minutes']} minutes; "
        f"of {mistakes} misconceptions the hidden inputs kill {killed['hidden']}, the "
        f"visible {killed['visible']}"
    )


if __name__ == "__main__":
    main()
