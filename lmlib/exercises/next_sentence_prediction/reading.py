"""Section 3.2.2: predict what a judge without parameters can and cannot do."""

import math
from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception

LOSS = 0.268  # nats a pair
N_MASKED, BITS_EACH = 19, 5


def reference_answers() -> dict[str, Any]:
    return {
        "swapped": 0.5,
        "told": 1 - LOSS / math.log(2),
        "same_document": "B",
        "masked": float(N_MASKED * BITS_EACH),
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


PREDICT = Exercise(
    name="3.2.2/predict",
    title="Predict, then run; and read the plot",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "swapped": "`swapped`: how often a symmetric score is right about order",
            "told": "`told`: the bits that a pair's label still tells",
            "same_document": "`same_document`: which curve it is",
            "masked": "`masked`: the bits asked for by masking",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "The score is the same for both orders, so it gives both the same answer, "
            "and one of the two is right.",
            swapped=0,
        ),
        _wrong(
            "Overlap is symmetric: a pair and the swapped pair get one answer, but "
            "have opposite labels. What share of the two is right?",
            swapped=1,
        ),
        _wrong(
            "0.39 bits is what is *left* to pay. A label that nothing is known about "
            "costs 1 bit; how much of it has the model saved?",
            told=round(LOSS / math.log(2), 2),
        ),
        _wrong("0.27 is the loss in nats: turn it into bits first.", told=LOSS),
        _wrong(
            "You took 1 − 0.268, a bit less nats: turn the loss into bits first.",
            told=1 - LOSS,
        ),
        _wrong(
            "A has the least overlap: those are the B's of another document.",
            same_document="A",
        ),
        _wrong(
            "C has the most overlap: those are the B's that really follow.",
            same_document="C",
        ),
        _wrong(
            "19 is the number of questions. How many bits do they ask for together?",
            masked=19,
        ),
    ),
    hints=(
        "s(A, B) = s(B, A): which answers do a pair and its swapped twin get, and "
        "which are their labels?",
        "ln 2 nats are one bit, and one bit is what a coin costs.",
        "Which of three B's shares most rare tokens with A: the one that follows, one "
        "from farther off in the same document, one from another document?",
    ),
    reveal=False,
)

EXERCISES = [PREDICT]
