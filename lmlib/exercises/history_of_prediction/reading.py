"""Section 1.1: predict what comes of an experiment before running it."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception


def reference_read_the_curves() -> dict[str, Any]:
    return {
        "best_order": 3,
        "file_bytes": 27_500,
        "cheaper_than_guessing": "no",
        "eight_passes": "yes",
        "doubled": 2,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(
        questions.wrong(reference_read_the_curves, **answers), explanation
    )


READ_THE_CURVES = Exercise(
    name="1.1/read_the_curves",
    title="Predict, then read the curves",
    difficulty=2,
    minutes=10,
    reference=reference_read_the_curves,
    parts=questions.parts(
        {
            "best_order": "`best_order`: the best context after 16 KiB",
            "file_bytes": "`file_bytes`: 100,000 bytes at 2.2 bits a byte",
            "cheaper_than_guessing": "`cheaper_than_guessing`: right, and too sure",
            "eight_passes": "`eight_passes`: the same text eight times",
            "doubled": "`doubled`: what a word that comes twice does to the odds",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "Longer contexts know more, but most of six bytes have been seen once or "
            "never in 16 KiB: what they say is chance.",
            best_order=6,
        ),
        _wrong(
            "Pairs are far better than letters, and not yet the best: 16 KiB are "
            "enough for somewhat longer contexts.",
            best_order=1,
        ),
        _wrong(
            "Those are bits: a file of 8 bits is one byte.",
            file_bytes=220_000,
        ),
        _wrong(
            "You divided 8 by 2.2: at 2.2 bits for each byte the file has 2.2/8 of the "
            "bytes.",
            file_bytes=363_636.36,
        ),
        _wrong(
            "It is right far more often than a guess, and surer still than it is "
            "right: its errors cost dozens of bits each.",
            cheaper_than_guessing="yes",
        ),
        _wrong(
            "Once is not all that a network can take from a text: look at the hollow "
            "points of the figure.",
            eight_passes="no",
        ),
        _wrong(
            "The word's evidence is added twice, as if its second appearance were "
            "news: twice the bits, not the same.",
            doubled=1,
        ),
        _wrong(
            "Odds are multiplied, so their logarithms are *added*: twice, not squared.",
            doubled=4,
        ),
    ),
    hints=(
        "How many different contexts of six bytes can 16,384 bytes hold, at most?",
        "A label costs −log₂ of the probability of the class that was right, and one "
        "error made with probability 2⁻³⁰ costs 30 bits.",
    ),
    reveal=False,
)

EXERCISES = [READ_THE_CURVES]
