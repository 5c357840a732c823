"""Section 3.3, step 7: predict, then read the plot."""

import math
from collections.abc import Callable
from typing import Any

from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    plain_number,
)

# As drawn in the notebook: right answers of 100 in validation, by checkpoint from 1.
VALIDATION = [52, 61, 66, 70, 69, 73, 68, 71, 75, 70, 72, 67, 78, 71, 74, 78, 69, 72]
VALIDATION += [70, 71]
N, P = 100, 0.7


def expected_best(k: int, n: int, p: float) -> float:
    """The mean of the best of k accuracies on n examples, each right with p."""
    below = total = 0.0
    for right in range(n + 1):
        here = below + math.comb(n, right) * p**right * (1 - p) ** (n - right)
        total += right / n * (here**k - below**k)
        below = here
    return total


def reference_answers() -> dict[str, Any]:
    return {
        "keep": VALIDATION.index(max(VALIDATION)) + 1,
        "test": "below",
        "flatters": expected_best(len(VALIDATION), N, P) - P,
        "opens": 1,
    }


def _wrong(**answers: object) -> Function:
    """Answers that are wrong in the given places."""

    def give() -> dict[str, Any]:
        return {**reference_answers(), **answers}

    give.__name__ = "_".join(f"{k}_{v}" for k, v in answers.items())
    return give


def _answer(key: str) -> Callable[[Function, tuple[Any, ...]], Any]:
    """For `Part.observe`: one answer, numbers to two decimals."""

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        given = plain_number(function().get(key))
        number = isinstance(given, (int, float)) and not isinstance(given, bool)
        return round(float(given), 2) if number else given

    return observe


def _no_inputs(generator: Generator) -> list[Case]:
    return [Case((), "what the plot shows", only=True)]


READ_THE_PLOT = Exercise(
    name="3.3/read_the_plot",
    title="Step 7: predict, then read the plot",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=tuple(
        Part(text, 1, _no_inputs, _answer(key))
        for key, text in {
            "keep": "`keep`: the checkpoint to keep",
            "test": "`test`: what to expect of the test set",
            "flatters": "`flatters`: what choosing adds to the number",
            "opens": "`opens`: how often the test set is opened",
        }.items()
    ),
    misconceptions=(
        Misconception(
            _wrong(keep=20.0),
            "20 is the last checkpoint and the best on the training set, which is what "
            "every later one is.",
        ),
        Misconception(
            _wrong(keep=16.0),
            "16 is as good as an earlier checkpoint: of equals take the first, which "
            "has had less time to learn the training set by heart.",
        ),
        Misconception(
            _wrong(keep=12.0),
            "You count from 0: the checkpoints are numbered from 1, as in the plot.",
        ),
        Misconception(
            _wrong(keep=11.0),
            "11 is the best on the test set: chosen by it, the test set is a second "
            "validation set, and nothing is left to test with.",
            "https://github.com/thunlp/OpenNRE/issues/125",
        ),
        Misconception(
            _wrong(test="same"),
            "The number is the largest of twenty noisy ones, and was kept because it "
            "is large: on new examples the luck is gone.",
        ),
        Misconception(
            _wrong(test="above"),
            "Nothing makes a chosen checkpoint better on new examples: which way does "
            "choosing the largest of noisy numbers err?",
        ),
        Misconception(
            _wrong(flatters=0.05),
            "0.05 is one standard error, √(p(1 − p)/n): that is what a single "
            "checkpoint is off by, and here is the best of twenty.",
        ),
        Misconception(
            _wrong(flatters=0.11),
            "0.11 is the bound √(2 ln k · p(1 − p)/n): the mean stays below it. Draw "
            "twenty numbers, take the largest, and repeat.",
        ),
        Misconception(
            _wrong(flatters=0.08 + P),
            "That is the expected number itself: by how much does it exceed 0.7?",
        ),
        Misconception(
            _wrong(opens=20.0),
            "Twenty looks are twenty tries: a test set that has been looked at while "
            "choosing is a validation set.",
        ),
        Misconception(
            _wrong(opens=0.0),
            "Then nobody knows how good the model is: the validation set flatters it.",
        ),
    ),
    hints=(
        "Which of the three curves may decide, and which one must know nothing of it?",
        "The number of right answers of 100 has a binomial distribution. "
        "`torch.distributions.Binomial` draws from it.",
        "Draw 20 such numbers, take the largest, do it ten thousand times, average.",
    ),
    reveal=False,
)


EXERCISES = [READ_THE_PLOT]
