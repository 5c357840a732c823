"""Section 5: predict what comes of an experiment before running it."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_answers() -> dict[str, Any]:
    return {
        "order_4": "larger",
        "floor": 0.09,
        "temperature": "same",
        "second_epoch": "no",
        "poems": "larger",
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


ANSWERS = Exercise(
    name="5/answers",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "order_4": "`order_4`: four bytes of context against none",
            "floor": "`floor`: bits a token for the units that everyone gets",
            "temperature": "`temperature`: accuracy with all logits halved",
            "second_epoch": "`second_epoch`: does its loss count",
            "poems": "`poems`: Chinese poems against 8 bits a byte",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "More context should help. But each of 255 successors that never come gets "
            "half a count, and in a context that was seen a few times they take most "
            "of it.",
            order_4="smaller",
        ),
        _wrong(
            "They are far from equal: the half counts of 255 successors that never "
            "come weigh more, the more contexts there are.",
            order_4="same",
        ),
        _wrong(
            "The sign is turned: a price is positive.",
            floor=-0.09,
        ),
        _wrong(
            "1/16 of the total is given away; in bits that is −log₂(1 − 1/16), not "
            "the share itself and not its ln.",
            floor=0.06,
        ),
        _wrong(
            "The units of 4,096 symbols are 1/16 of the total, which cannot be free.",
            floor=0,
        ),
        _wrong(
            "Halving all logits leaves their order as it is: the first stays first. "
            "The bits change, the answers do not.",
            temperature="smaller",
        ),
        _wrong(
            "Surer or less sure, the largest logit stays the largest: no answer "
            "changes.",
            temperature="larger",
        ),
        _wrong(
            "In the second epoch the model has read the text it is to predict. The "
            "receiver has not: only the first reading is a code.",
            second_epoch="yes",
        ),
        _wrong(
            "Less than 8 would need some idea of what comes. The model has learned "
            "from other text, and is sure of what does not come.",
            poems="smaller",
        ),
        _wrong(
            "8 bits is what knowing *nothing* costs. A model that is sure, and wrong, "
            "pays more.",
            poems="same",
        ),
    ),
    hints=(
        "How many counts has a context of four bytes that came three times?",
        "f = 1 + ⌊p·(T − V)⌋ is at least p·(T − V): what is lost is −log₂(1 − V/T).",
        "A code needs that sender and receiver know the same *before* each symbol.",
    ),
    reveal=False,
)

EXERCISES = [ANSWERS]
