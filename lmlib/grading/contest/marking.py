"""An entry of a student: in their notebook, under `lmlib check`, under `lmlib grade`.

The notebook has a cell with the entry and, below it, one that calls `practice`. There
it runs on short cuts; `lmlib check` runs it on the practice set; and `lmlib grade` on
the torture and on texts that nobody has seen.
"""

import linecache
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lmlib.grading.contest import scores, texts
from lmlib.grading.contest.entries import (
    Limits,
    Outcome,
    Text,
    archive_of,
    pace,
    run_entry,
)
from lmlib.grading.contest.room import room
from lmlib.grading.results import similarity
from lmlib.grading.sandbox import confinement, doctor

LIMITS = Limits()
_NOTHING = """
import numpy
def compress(data): return data
def decompress(archive): return archive
"""
QUICK = 4096  # bytes of each text in the notebook
#: Seconds of the clock that an entry may take in all: two directions of thirteen texts.
PATIENCE = 2 * 13 * (2 * LIMITS.seconds)


def examined(
    source: str, hidden: bool, limits: Limits = LIMITS
) -> tuple[float, str, Outcome]:
    """Points out of `scores.FULL`, what the student reads, and the outcome.

    Parameters:
        hidden: on the torture and the hidden set; else on the practice set, where what
            is missing is the torture's points.
    """
    sandbox, slower = _machine()
    # Who makes none is not given the empty text twice.
    own = archive_of(source, b"An archive of yours. " * 20, limits, sandbox) or b"\0"
    tortured = run_entry(source, texts.torture(own), limits, sandbox, pace=slower)
    found = run_entry(source, _texts(hidden), limits, sandbox, pace=slower)
    earned = scores.mark(tortured, found, steps=hidden)
    return earned, scores.report(tortured, found, steps=hidden), found


def prepare(hidden: bool) -> None:
    """What all entries share, once: processes that are forked from here have it."""
    room()
    _machine()
    _texts(hidden)


@cache
def _machine() -> tuple[confinement.Sandbox, float]:
    """The sandbox and the pace here.

    Raises:
        RuntimeError: not even an entry that does nothing runs: no fault of a student's.
    """
    sandbox, slower = doctor.probe(), pace()
    (run,) = run_entry(
        _NOTHING, [Text("", b"bytes")], LIMITS, sandbox, pace=slower
    ).runs
    if run.problem:
        raise RuntimeError(f"an entry that does nothing fails here: {run.problem}")
    return sandbox, slower


def _texts(hidden: bool) -> tuple[Text, ...]:
    named = os.environ.get(texts.OWN, "")
    return _texts_of(hidden, os.environ.get("LMLIB_COURSE_SECRET", ""), named)


@cache
def _texts_of(hidden: bool, secret: str, named: str) -> tuple[Text, ...]:
    return tuple(texts.hidden(secret) if hidden else texts.practice())


def copied(source: str) -> bool:
    """Whether half of an entry stands in lmlib's own mixer: for a person to look at."""
    mixing = Path(__file__).parents[2] / "compression" / "mixing.py"
    own = similarity.fingerprints(source)
    ours = similarity.fingerprints(mixing.read_text(encoding="utf-8"))
    return len(own & ours) >= similarity.ENOUGH and len(own & ours) > len(own) / 2


def practice(
    compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]
) -> None:
    """In a notebook: run the cell that defines both on short cuts, and say what came.

    In two processes with different hash seeds, as everywhere; the texts are short, so
    that it takes seconds, and totals are larger than those of whole texts.
    """
    source = cell_of(compress)
    if not source:
        print("The entry is a cell of a notebook: run this in Jupyter.")
        return
    if cell_of(decompress) != source:
        print("compress and decompress must stand in one cell: it is the entry.")
        return
    if sys.platform != "linux":
        print("The contest runs on Linux alone. Does the text come back here?")
        data = texts.practice(QUICK)[0].data
        print("yes" if decompress(compress(data)) == data else "no")
        return
    cuts = [Text(text.name, text.data[:QUICK]) for text in texts.practice()]
    print(f"On {QUICK:,} bytes of each practice text:")
    found = run_entry(source, cuts, LIMITS, doctor.probe(), pace=pace(1))
    print(scores.report(None, found))
    print("`lmlib check` of this notebook runs it on the whole texts.")


def cell_of(function: Callable[..., object]) -> str:
    """The source of the cell that a function was defined in."""
    code = getattr(function, "__code__", None)
    return "".join(linecache.getlines(code.co_filename)) if code else ""
