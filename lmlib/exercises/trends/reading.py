"""Section 8: predict what a measure says before running it."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_answers() -> dict[str, Any]:
    return {"uniform": 0.0, "unseen": 1.44, "chance": 32.0, "poisons": "a"}


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


ANSWERS = Exercise(
    name="8/answers",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "uniform": "`uniform`: bits of overconfidence",
            "unseen": "`unseen`: mean exposure of a code never seen",
            "chance": "`chance`: one in how many",
            "poisons": "`poisons`: for 8,000 examples",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "That is what it pays for a token, and also what it announces. The "
            "difference is asked.",
            uniform=12,
        ),
        _wrong(
            "It is right as rarely as it says. A model that knows nothing and says so "
            "is not underconfident.",
            uniform=-12,
        ),
        _wrong(
            "Exposure is never below 0, and above 0 for all ranks but the last: its "
            "mean is not 0.",
            unseen=0,
        ),
        _wrong(
            "This is the median: half of all codes have 1 or more. The mean is pulled "
            "up by the few that are cheap by chance.",
            unseen=1,
        ),
        _wrong(
            "This is the exposure's possible range, halved. It is not uniform in it: "
            "the *rank* is.",
            unseen=6.64,
        ),
        _wrong(
            "This is the rank that has exposure 5, of 10,000. How many codes are "
            "there for each one that gets so far?",
            chance=313,
        ),
        _wrong("This is e⁵. Exposure is in bits: 2⁵.", chance=148),
        _wrong(
            "This is the probability itself. One in how many is asked: its inverse.",
            chance=0.03125,
        ),
        _wrong(
            "That would hold if their *share* counted. A model learns a rare word from "
            "the examples that have it, and the others do not speak against it.",
            poisons="b",
        ),
        _wrong(
            "Noise goes down with a root; but here nothing is averaged away: only the "
            "poisons have the word.",
            poisons="c",
        ),
    ),
    hints=(
        "Uniform: what does it announce, and what does it pay?",
        "A code never seen has each rank with the same probability: P(rank ≤ n / 2ᵉ) = "
        "2⁻ᵉ.",
        "The mean of what is above e with probability 2⁻ᵉ is the area under 2⁻ᵉ.",
    ),
    reveal=False,
)

EXERCISES = [ANSWERS]
