"""Section 2.2: predict sizes and costs before running anything."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_answers() -> dict[str, Any]:
    return {
        "law": 2 * (7 / 3) ** 2,
        "coordinates": 0.5 * (32 + 2 * 64),
        "longer": 2,
        "halved": 1,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


PREDICT = Exercise(
    name="2.2/predict",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "law": "`law`: the excess at 3 bits, in per cent",
            "coordinates": "`coordinates`: bits a weight of the half-empty matrix",
            "longer": "`longer`: more bits a weight for sixteen times the text",
            "halved": "`halved`: more bits of entropy for half the step",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "4 for each bit is the rule of thumb. Here the steps are a 7th and a 3rd "
            "of the largest weight: (7/3)².",
            law=8,
        ),
        _wrong(
            "That is the ratio of the steps, 7/3, not squared: the loss goes with the "
            "square.",
            law=4.67,
        ),
        _wrong(
            "16 bits would be half of 32. Nobody knows then which weights they are: "
            "each of them comes with a row and a column.",
            coordinates=16,
        ),
        _wrong(
            "A row *and* a column, 64 bits each: 32 + 128 for each that is kept.",
            coordinates=48,
        ),
        _wrong(
            "160 is for each weight that is *kept*. Half of them are.",
            coordinates=160,
        ),
        _wrong(
            "log₂ 16 is 4, but the base is 4: a bit more divides the excess by four.",
            longer=4,
        ),
        _wrong(
            "The model does not stay the same: b* = log₄(S·k·ln 4/N) grows with the "
            "text S.",
            longer=0,
        ),
        _wrong(
            "The entropy does change: H = ½·log₂(2πeσ²) − log₂ Δ has the step in it.",
            halved=0,
        ),
        _wrong(
            "Half the step makes twice as many values: one bit, for one code.",
            halved=2,
        ),
    ),
    hints=(
        "Steps: the largest weight over 2^(bits−1) − 1.",
        "torch's COO has an int64 for each axis of each value.",
        "b* = log₄(S·k·ln 4/N), and H = ½·log₂(2πeσ²) − log₂ Δ.",
    ),
    reveal=False,
)

EXERCISES = [PREDICT]
