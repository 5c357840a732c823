"""Section 6: predict what comes of an experiment before running it."""

import math
from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_answers() -> dict[str, Any]:
    return {
        "heads": -100 * math.log2(0.9),
        "typical": -90 * math.log2(0.9) - 10 * math.log2(0.1),
        "hot": "samples",
        "chinese": 0,
        "rule": "d",
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


ANSWERS = Exercise(
    name="6/answers",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "heads": "`heads`: bits of a hundred heads",
            "typical": "`typical`: bits of a sequence with ten tails",
            "hot": "`hot`: samples at T = 1.3, or people",
            "chinese": "`chinese`: ROUGE-1 of a perfect answer",
            "rule": "`rule`: which has no bias of length",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "This is in nats: bits are −log₂.",
            heads=10.54,
        ),
        _wrong(
            "A hundred bits is what a *fair* coin costs. This one is nearly always "
            "heads.",
            heads=100,
        ),
        _wrong(
            "The cost of all heads: ten of the hundred are tails here, and each of "
            "those costs −log₂ 0.1.",
            typical=15.2,
        ),
        _wrong(
            "This is in nats: bits are −log₂.",
            typical=32.51,
        ),
        _wrong(
            "At T = 1 they would be about equal. Above it unlikely tokens are written "
            "more often than the model expects them.",
            hot="people",
        ),
        _wrong(
            "A perfect answer should have 1. But the tokens of that package are "
            "[a-z0-9]+, and the sentence has none.",
            chinese=1,
        ),
        _wrong(
            "The package counts from 0 to 1, and here it finds no token at all.",
            chinese=100,
        ),
        _wrong(
            "Each further token of a candidate costs bits: short names win.",
            rule="a",
        ),
        _wrong(
            "A mean over tokens favours candidates that are many, sure tokens: a long "
            "word whose second half follows from its first.",
            rule="b",
        ),
        _wrong(
            "A mean over bytes favours long words that are easy to guess to their end.",
            rule="c",
        ),
    ),
    hints=(
        "Each head costs −log₂ 0.9, each tail −log₂ 0.1.",
        "Samples at T = 1 cost what the model expects them to cost.",
        "Which rule scores the *same* text for each of the four candidates?",
    ),
    reveal=False,
)

EXERCISES = [ANSWERS]
