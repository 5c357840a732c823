"""The clinic of section 9 shows the curves that were recorded, by its letters."""

import json
import re

from lmlib.exercises.questions_and_answers.clinic import LETTERS
from lmlib.grading.assignment import ROOT

SECTION = "9-questions-and-answers"
BUGS = {
    "unshifted": "unshifted",
    "shifted_twice": "shifted twice",
    "softmax_first": "softmax first",
    "padding": "mean over padding",
    "no_mask": "no mask",
    "rate_high": "rate × 300",
    "rate_low": "rate / 30",
    "same_draws": "same draws",
}


def test_the_notebook_draws_what_was_recorded():
    source = (ROOT / "solutions" / SECTION / f"{SECTION}.py").read_text()
    (cell,) = re.findall(r"^printed = \{.*?^\}$", source, re.MULTILINE | re.DOTALL)
    space: dict = {}
    exec(cell, space)
    record = json.loads((ROOT / "book" / "_experiments" / "9-curves.json").read_text())
    recorded = {
        row["bug"]: " ".join(f"{x:.2f}" for x in row["printed"])
        for row in record["rows"]
        if row["seed"] == 0
    }
    letters = {LETTERS[cause]: bug for cause, bug in BUGS.items()}
    assert space["printed"] == {
        letter: recorded[bug] for letter, bug in {**letters, "clean": "none"}.items()
    }
