"""Section 9: which bug made which curve."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception

# As drawn in the notebook, from book/_experiments/9-curves.json.
LETTERS = {
    "unshifted": "D",
    "shifted_twice": "A",
    "softmax_first": "G",
    "padding": "B",
    "no_mask": "H",
    "rate_high": "E",
    "rate_low": "C",
    "same_draws": "F",
}


def reference_answers() -> dict[str, Any]:
    return dict(LETTERS)


def _wrong(explanation: str, cause: str, taken_for: str) -> Misconception:
    answers = {cause: LETTERS[taken_for]}
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


CLINIC = Exercise(
    name="9/clinic",
    title="The clinic: eight curves",
    difficulty=3,
    minutes=15,
    reference=reference_answers,
    parts=questions.parts(
        {
            "unshifted": "`unshifted`: the target is what stands there",
            "shifted_twice": "`shifted_twice`: the target is two ahead",
            "softmax_first": "`softmax_first`: a softmax before the cross-entropy",
            "padding": "`padding`: a mean over padding, half of each row",
            "no_mask": "`no_mask`: the future is seen",
            "rate_high": "`rate_high`: the learning rate times 300",
            "rate_low": "`rate_low`: the learning rate over 30",
            "same_draws": "`same_draws`: eight workers draw the same rows",
        },
        "what the curves show",
    ),
    misconceptions=(
        _wrong(
            "This curve keeps close to the grey. To see the future is one thing, to "
            "find out which place to look at another: attention has to learn it, and "
            "has not in 300 steps. Copying what stands there falls at once.",
            "unshifted",
            "no_mask",
        ),
        _wrong(
            "This curve falls at once, so that nothing had to be found. Without a mask "
            "attention must first learn to look one place ahead, and here it has not.",
            "no_mask",
            "unshifted",
        ),
        _wrong(
            "This curve jumps up before it falls, which a loss on probabilities "
            "cannot: a second softmax keeps it between log₂(1 + (V − 1)/e) and about "
            "log₂ V, flat and smooth.",
            "softmax_first",
            "rate_high",
        ),
        _wrong(
            "This curve is flat and smooth between log₂(1 + (V − 1)/e) and log₂ V: the "
            "mark of a second softmax. Steps that are too large throw the loss up.",
            "rate_high",
            "softmax_first",
        ),
        _wrong(
            "Half of the targets cost nothing once padding is known, so the printed "
            "mean is about half of the right one: below the grey, not above.",
            "padding",
            "shifted_twice",
        ),
        _wrong(
            "The byte after the next is harder than the next: the curve stays above "
            "the grey. Below it lie leaks, and means over what is easy.",
            "shifted_twice",
            "padding",
        ),
        _wrong(
            "This curve shakes, from batch to batch: a mark of few different rows. "
            "With targets two ahead all rows differ, and all are harder alike.",
            "shifted_twice",
            "same_draws",
        ),
        _wrong(
            "This curve is smooth and flattens out. Eight times the same rows are a "
            "batch of an eighth: it shakes, and goes on falling slowly.",
            "same_draws",
            "shifted_twice",
        ),
        _wrong(
            "A rate that is too small is slow and smooth from the first step on. Too "
            "large, it throws the loss up.",
            "rate_low",
            "rate_high",
        ),
    ),
    hints=(
        "Three are told by a number: one prints almost 0, one half of the grey, and "
        "one stays between log₂(1 + (260 − 1)/e) and log₂ 260.",
        "Of the two that end a little above the grey, one shakes from batch to batch.",
        "What keeps close to the grey is left over: a bug that no curve shows.",
    ),
    reveal=False,
)

EXERCISES = [CLINIC]
