"""Two plans of the course; what is written of it decides what they name.

A week is (pages of its meetings, words about them, what is done at home). A page or an
assignment that does not exist yet is left out, and comes in when it is there. At home:

    "3.1"                  a whole assignment
    "3.3/split_by_text"    one task of it; more are separated by spaces
    "5/ -windows"          all tasks but that one
    "3.2.3/ ?"             one task, by choice
    "6 | 8"                one of these, by choice
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.registry import EXERCISES

CONTEST = "the contest’s entry"  # it takes what time one gives it


class Week(NamedTuple):
    pages: str
    words: str
    home: Sequence[str]


TEN = [
    Week(
        "1.1", "Shannon’s guessing game: one guesses letters, all add the bits", ["1.1"]
    ),
    Week(
        "1.2 3.1 3.1.1",
        "weights and their sum on the board",
        [
            "3.1/attention_weights weighted_sum masked_attention_weights "
            "cached_attention"
        ],
    ),
    Week(
        "3.1.2 3.1.3",
        "axes are counted from the end",
        [
            "3.1/split_heads merge_heads multi_head_attention sinusoidal_positions "
            "apply_rotary read_the_plot"
        ],
    ),
    Week("4.2 4.1", "a mean of means is no mean", ["4.2"]),
    Week(
        "2.1 4.1",
        "the backward pass of attention at the board",
        [
            "2.1",
            "4.1/dot_product_variance softmax_jacobian softmax_backward "
            "attention_backward",
        ],
    ),
    Week("3.2 3.2.1 3.2.2", "what is hidden, and what leaks", ["3.2.1", "3.2.2"]),
    Week("3.2.3 3.3", "the other objectives in one meeting", ["3.3", "3.2.3/ ?"]),
    Week("5 5.1 5.2 c", "an arithmetic coder by hand; the contest opens", ["5"]),
    Week("5.3 5.4 2.2", "bits of model beside bits of data", ["2.2", "c"]),
    Week(
        "6 6.1 8 8.1 8.2 8.3 8.4",
        "last meeting: the contest’s board, and three students explain their mixer",
        ["6 | 8", CONTEST],
    ),
]

FIVE = [
    Week(
        "1.1 4.2",
        "from bits of a letter to a loss",
        [
            "1.1/witten_bell adaptive_bits",
            "4.2/log_sum_exp kl_bits corpus_report",
        ],
    ),
    Week("3.1 3.1.1 3.1.2 3.1.3", "attention", ["3.1/ -apply_rotary"]),
    Week(
        "2.1 3.2 3.2.1 3.3",
        "what is asked of a text, and what labels add",
        [
            "2.1",
            "3.2.1/choose_targets corrupt masked_lm_loss",
            "3.3/split_by_text last_real read_the_plot",
        ],
    ),
    Week("5 5.1 5.2 5.3 c", "the compressor; the contest opens", ["5/ -windows"]),
    Week("8 8.2 8.3 8.4", "the contest’s board", ["8", CONTEST]),
]


def pages_of(toc: str) -> list[str]:
    """The numbers of the pages in a table of contents, in its order; "c" has none."""
    return re.findall(r"file: [0-9]-[\w-]+/([0-9c](?:\.[0-9]+)*)-", toc)


def the_pages() -> list[str]:
    return pages_of((Path(__file__).parent / "_toc.yml").read_text(encoding="utf-8"))


def tasks_of(wanted: str, tasks: Iterable[Exercise]) -> list[Exercise]:
    """The tasks that "5/ -windows" and the like stand for; [] if none of it is there.

    Raises:
        ValueError: the assignment is there and has no task of that name.
    """
    section, _, names = wanted.partition("/")
    there = {t.short_name: t for t in tasks if t.name.split("/")[0] == section}
    words = [name.lstrip("-") for name in names.split() if name != "?"]
    if there and (unknown := [word for word in words if word not in there]):
        raise ValueError(f"assignment {section} has no task {', '.join(unknown)}")
    if not there or not words:
        return list(there.values())
    without = names.strip().startswith("-")
    return [task for name, task in there.items() if (name in words) != without]


def minutes_of(wanted: str, tasks: Iterable[Exercise]) -> tuple[int, int] | None:
    """The least and the most minutes that it takes; None if it is not there."""
    tasks = list(tasks)
    sums = []
    for choice in map(str.strip, wanted.split("|")):
        minutes = [task.minutes for task in tasks_of(choice, tasks)]
        sums += minutes if choice.endswith("?") else [sum(minutes)] * bool(minutes)
    return (min(sums), max(sums)) if sums else None


def said(wanted: str, tasks: Iterable[Exercise]) -> str:
    """In words: "5 without windows", "one task of 3.2.3", "6"."""
    tasks = list(tasks)
    choices = [c for c in map(str.strip, wanted.split("|")) if tasks_of(c, tasks)]

    def one(choice: str) -> str:
        section, _, names = choice.partition("/")
        section, names = "capstone" if section == "c" else section, names.strip()
        if names == "?":
            return f"one task of {section}"
        if names.startswith("-"):
            return f"{section} without {', '.join(n[1:] for n in names.split())}"
        return f"{section}: {', '.join(names.split())}" if names else section

    return " or ".join(map(one, choices))


def rows_of(
    plan: Sequence[Week],
    pages: Iterable[str] | None = None,
    tasks: Iterable[Exercise] | None = None,
) -> list[dict[str, str]]:
    """A plan as the rows of a table, of the pages and the tasks that are there."""
    pages = set(the_pages() if pages is None else pages)
    tasks = list(EXERCISES.values() if tasks is None else tasks)
    rows = []
    for number, week in enumerate(plan, 1):
        meet = [page for page in week.pages.split() if page in pages]
        home, low, high = [], 0, 0
        for wanted in week.home:
            if wanted == CONTEST:
                if "c" in pages:
                    home.append(wanted)
            elif span := minutes_of(wanted, tasks):
                home.append(said(wanted, tasks))
                low, high = low + span[0], high + span[1]
        minutes = f"{low}" if low == high else f"{low}–{high}"
        rows.append(
            {
                "week": str(number),
                "pages": ", ".join("capstone" if p == "c" else p for p in meet) or "–",
                # Words belong to pages: with none of them there, nothing is taught.
                "in the meetings": week.words if meet or CONTEST in home else "to come",
                "at home": "; ".join(home) or "–",
                "minutes": minutes if high else "–",
            }
        )
    return rows


def left_out(plan: Sequence[Week], pages: Iterable[str] | None = None) -> list[str]:
    """The pages that are there and have no week."""
    used = {page for week in plan for page in week.pages.split()}
    return [p for p in (the_pages() if pages is None else pages) if p not in used]
