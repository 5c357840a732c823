"""Section 7: predict what the tools will say."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_answers() -> dict[str, Any]:
    return {"weight": 4.5, "cache": 320, "kept": 0.7, "tied": 1, "shifted": 2}


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


ANSWERS = Exercise(
    name="7/answers",
    title="Predict what the tools say",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "weight": "`weight`: bits a weight of Q4_0",
            "cache": "`cache`: KiB a token",
            "kept": "`kept`: the share of drafts that is kept",
            "tied": "`tied`: how often a tied table is stored",
            "shifted": "`shifted`: how many places ahead",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "4 bits are the codes alone. Each block of 32 has a scale as well.",
            weight=4,
        ),
        _wrong(
            "The scale has half precision: 16 bits for 32 weights, not 32.", weight=5
        ),
        _wrong("A layer keeps keys *and* values.", cache=160),
        _wrong(
            "Not every query head keeps keys and values: 8 heads are shared by 64.",
            cache=2560,
        ),
        _wrong(
            "Kept is the sum of min(p, q): 0.2 + 0.3 + 0.2. Two samples that are equal "
            "by chance are another thing.",
            kept=0.31,
        ),
        _wrong("That is the share that is rejected.", kept=0.3),
        _wrong(
            "Tied layers are one table: it is stored once, and both use it.", tied=2
        ),
        _wrong(
            "One shift would be right, and the library makes it. Yours comes on top.",
            shifted=1,
        ),
    ),
    hints=(
        "Q4_0: 32 codes of 4 bits and one scale in half precision.",
        "2 · layers · heads that keep keys · features a head · bytes a number.",
        "A draft of the token i is made with q_i and kept with min(1, p_i / q_i).",
    ),
    reveal=False,
)

EXERCISES = [ANSWERS]
