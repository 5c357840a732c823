"""Submissions that are too alike, by Winnowing.

Saul Schleimer, Daniel Wilkerson, Alex Aiken, "Winnowing: Local Algorithms for Document
Fingerprinting", SIGMOD 2003 (the method behind MOSS). Any run of at least
`WINDOW + GRAM - 1` = 14 tokens that two answers share gives a common fingerprint.

Names are one symbol, so that renaming does not help, except after a dot: `softmax` in
`torch.softmax` cannot be renamed. Comments, strings that stand alone and layout do not
count. Each answer is read for itself, so that the order of the cells does not matter.

What everybody is likely to write says nothing. Fingerprints of the released notebook
and of the reference solution are left out, and so are those that more than a few
students share. A pair is reported when enough distinctive fingerprints remain. That is
a reason to look, never a proof; and what half of a class has copied from one source
counts as what everybody writes.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from keyword import iskeyword

from lmlib.grading.results.record import Record

GRAM = 10
WINDOW = 5
LONGEST = 50_000  # characters of an answer that are read
LONGEST_ALL = 200_000  # of all that a student wrote

# A fingerprint counts when at most this many students share it …
FEW, FEW_OF_CLASS = 5, 0.05
# … and a pair when it shares so many, and such a part of the shorter of the two. About
# one token in three gives a fingerprint: 30 of them are some fifteen lines.
ENOUGH, ALIKE = 30, 0.5

TOKEN = re.compile(
    r"""
      \#[^\n]*
    | (?P<string>[rbfuRBFU]{0,2}(?:\"\"\"[\s\S]*?(?:\"\"\"|\Z)|'''[\s\S]*?(?:'''|\Z)
        |"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))
    | (?P<number>\.?\d[\w.]*)
    | (?P<member>(?<!self)\.\s*[^\W\d]\w*)
    | (?P<name>[^\W\d]\w*)
    | (?P<operator>[-+*/%&|^<>=!@~]+|[^\w\s])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Pair:
    """Two students whose answers are alike.

    Attributes:
        shared: the number of distinctive fingerprints in common.
        share: of the distinctive fingerprints of the one who has fewer.
        answers: the cells in which they lie, most of them first.
    """

    first: str
    second: str
    shared: int
    share: float
    answers: tuple[str, ...]


def tokens(source: str) -> Iterator[str]:
    """The symbols of `source`; it need not be valid Python."""
    source = source[:LONGEST]
    for match in TOKEN.finditer(source):
        kind, text = match.lastgroup, match.group()
        if kind == "name":
            yield text if iskeyword(text) else "v"
        elif kind == "string":
            line = source.rfind("\n", 0, match.start()) + 1
            if source[line : match.start()].strip():
                yield "s"
        elif kind == "number":
            yield "n"
        elif kind is not None:
            yield text


def grams(source: str) -> list[int]:
    symbols = list(tokens(source))
    runs = (" ".join(symbols[i : i + GRAM]) for i in range(len(symbols) - GRAM + 1))
    # Not hash(), which is another one in every process.
    return [
        int.from_bytes(blake2b(run.encode("utf-8", "replace"), digest_size=8).digest())
        for run in runs
    ]


def fingerprints(source: str) -> set[int]:
    """The smallest hash of every window of `WINDOW` neighbouring grams."""
    hashes = grams(source)
    windows = max(1, len(hashes) - WINDOW + 1)
    return {min(hashes[i : i + WINDOW]) for i in range(windows) if hashes}


def _read(answers: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is read of a student's cells: the answers first, as much as there is room.

    The names of cells that they added hold a space.
    """
    room = LONGEST_ALL
    for name, source in sorted(answers, key=lambda cell: " " in cell[0]):
        source = source[: min(room, LONGEST)]
        room -= len(source)
        yield name, source


def near_identical(
    records: Iterable[Record], boilerplate: Sequence[str] = ()
) -> list[Pair]:
    """The pairs of students whose answers share too much, the most alike first.

    Those of one group are no pair.

    Parameters:
        records: of one assignment.
        boilerplate: sources that every student has or may well arrive at: the code
            cells of the released notebook, the answers of the reference solution.
    """
    known = {gram for source in boilerplate for gram in grams(source)}
    where: dict[str, dict[int, str]] = {}
    groups: dict[str, str] = {}
    owners: dict[int, list[str]] = defaultdict(list)
    for record in records:
        found = {
            mark: name
            for name, source in _read(record.answers)
            for mark in fingerprints(source) - known
        }
        where[record.student] = found
        groups[record.student] = record.group
        for mark in found:
            owners[mark].append(record.student)

    few = max(FEW, int(FEW_OF_CLASS * len(where)))
    own: Counter[str] = Counter()
    shared: dict[tuple[str, str], list[int]] = defaultdict(list)
    for mark, students in owners.items():
        if len(students) <= few:
            own.update(students)
            for first, second in combinations(sorted(students), 2):
                if not groups[first] or groups[first] != groups[second]:
                    shared[first, second].append(mark)

    pairs = []
    for (first, second), marks in shared.items():
        share = len(marks) / min(own[first], own[second])
        if len(marks) >= ENOUGH and share >= ALIKE:
            cells = Counter(where[first][mark] for mark in marks).most_common()
            names = tuple(name for name, _ in cells)
            pairs.append(Pair(first, second, len(marks), share, names))
    return sorted(pairs, key=lambda p: (-p.share, -p.shared, p.first, p.second))
