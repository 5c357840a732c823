"""Section 2.1: which of four curves is the right one."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_answers() -> dict[str, Any]:
    return {
        "right": "d",
        "unshifted": "c",
        "by_two": "a",
        "unmasked": "b",
        "lowest_believable": 0.6,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


FOUR_CURVES = Exercise(
    name="2.1/four_curves",
    title="Four runs, one of them right",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "right": "`right`: targets moved by one, and a causal mask",
            "unshifted": "`unshifted`: the answer stands in the question",
            "by_two": "`by_two`: the token after the next is asked",
            "unmasked": "`unmasked`: the future is in sight",
            "lowest_believable": "`lowest_believable`: Shannon's floor, in bits",
        },
        "which curve is which",
    ),
    misconceptions=(
        _wrong(
            "One of these two falls below any text's floor in the end: look at the "
            "last steps. Until then nothing tells them apart.",
            right="b",
            unmasked="d",
        ),
        _wrong(
            "Both can copy, but to copy what stands in the same place is learned at "
            "once; to find it one place further on takes hundreds of steps.",
            unshifted="b",
            unmasked="c",
        ),
        _wrong(
            "The token after the next is dearer to tell than the next: its curve stays "
            "above the right one.",
            right="a",
            by_two="d",
        ),
        _wrong(
            "A curve that goes to 0 is no good model, it is one that has been told.",
            right="c",
            unshifted="d",
        ),
        _wrong(
            "The lowest end is not the best run, if no text is so cheap; and the "
            "highest is not a run without a mask, which can only see more.",
            by_two="b",
            unmasked="a",
        ),
        _wrong(
            "No text is free: people, who know what is meant, need more than 0 bits.",
            lowest_believable=0.0,
        ),
        _wrong(
            "That is 0.6 bits in nats. It is asked in bits.", lowest_believable=0.42
        ),
        _wrong(
            "1.3 bits is Shannon's *upper* bound: what they need at most. Asked is "
            "the lower one.",
            lowest_believable=1.3,
        ),
    ),
    hints=(
        "To copy from the same place is the easiest thing an attention layer does.",
        "Which curve is too low in the end, and which one stays above all others?",
        "Shannon's two bounds for 100 letters of context are printed on page 2.1.",
    ),
    reveal=False,
)
