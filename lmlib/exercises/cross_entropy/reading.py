"""Section 4.2: predict what losses come to before running anything."""

import math
from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception

VOCABULARY, SMOOTHING = 4096, 0.1


def smoothed_floor(vocabulary: int, smoothing: float) -> float:
    """The least that a smoothed cross-entropy can report, in bits: the entropy of
    (1 − ε)·onehot + ε/V."""
    of_each = smoothing / vocabulary
    of_target = 1 - smoothing + of_each
    rest = (vocabulary - 1) * of_each * math.log2(of_each)
    return -of_target * math.log2(of_target) - rest


def reference_answers() -> dict[str, Any]:
    return {
        "fresh": math.log2(VOCABULARY),
        "floor": smoothed_floor(VOCABULARY, SMOOTHING),
        "softmax_twice": math.log(1 + 3 / math.e),
        "report": 1.0,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


PREDICT = Exercise(
    name="4.2/predict",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "fresh": "`fresh`: the first loss of a new model, in bits",
            "floor": "`floor`: the least smoothed loss, in bits",
            "softmax_twice": "`softmax_twice`: the least loss, in nats",
            "report": "`report`: what pays best under |r − y|",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "8.32 is ln 4096, in nats: bits are asked, log₂.",
            fresh=round(math.log(VOCABULARY), 2),
        ),
        _wrong(
            "0 would be a sure and right answer. A new model knows nothing: it spreads "
            "its probability over all 4,096 tokens.",
            fresh=0,
        ),
        _wrong(
            "0 is the floor of the loss without smoothing. The smoothed target is a "
            "distribution with an entropy of its own, and no answer costs less.",
            floor=0,
        ),
        _wrong(
            "0.15 bits, −log₂ 0.9, is what a certain token costs in truth under the "
            "best answer. The loss that is *reported* also counts the share ε of all "
            "the other classes.",
            floor=0.15,
        ),
        _wrong(
            "The second softmax gets numbers in 0 … 1. Even (1, 0, 0, 0) makes it give "
            "only e/(e + 3) to the right class.",
            softmax_twice=0,
        ),
        _wrong(
            "That is the loss of knowing nothing, ln 4. What does the second softmax "
            "make of (1, 0, 0, 0)?",
            softmax_twice=round(math.log(4), 2),
        ),
        _wrong(
            "0.7 is what a *proper* score rewards. Under |r − y| the mean is "
            "0.7·(1 − r) + 0.3·r, a straight line in r: which end is lower?",
            report=0.7,
        ),
        _wrong(
            "½ is neither honest nor cheap: 0.7·(1 − r) + 0.3·r is a straight line in "
            "r, and falls all the way.",
            report=0.5,
        ),
    ),
    hints=(
        "A new model's probabilities are about 1/4096 each.",
        "The least cross-entropy with a target distribution is the entropy of that "
        "distribution: here 0.9 + 0.1/4096 on one class, 0.1/4096 on each other.",
        "The softmax of (1, 0, 0, 0) gives e/(e + 3) to the first class; and for "
        "`report`, write the expected |r − y| as a function of r.",
    ),
    reveal=False,
)

EXERCISES = [PREDICT]
