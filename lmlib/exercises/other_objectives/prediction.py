"""Section 3.2.3: counts and bits, predicted before they are run."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    plain_number,
)
from lmlib.objectives.rtd import label_bits
from lmlib.objectives.span import noise_and_spans, random_spans

N_TOKENS, SHARE, RIGHT = 568, 0.15, 0.385  # as in the notebook


def reference_answers() -> dict[str, Any]:
    n_noise, n_spans = noise_and_spans(N_TOKENS)
    noise = random_spans(
        50, N_TOKENS, n_noise, n_spans, np.random.default_rng(0), anywhere=False
    )
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    return {
        "inputs": N_TOKENS - n_noise + n_spans + 1,
        "targets": n_noise + n_spans + 1,
        "last": float(noise[:, -1].mean()),
        "all_original": 1 - SHARE * (1 - RIGHT),
        "told": label_bits(p, p, SHARE, label="masked").item(),
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
        # −0.0 is 0; NaN stays what it is.
        return round(float(given), 2) + 0.0 if number else given

    return observe


def _no_inputs(generator: Generator) -> list[Case]:
    return [Case((), "what you predict", only=True)]


def _asked_in_bits() -> float:
    q = SHARE * (1 - RIGHT)
    return round(-q * math.log2(q) - (1 - q) * math.log2(1 - q), 2)


READ_THE_COUNTS = Exercise(
    name="3.2.3/read_the_counts",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=tuple(
        Part(text, 1, _no_inputs, _answer(key))
        for key, text in {
            "inputs": "`inputs`: length of the corrupted input of 568 tokens",
            "targets": "`targets`: length of its target",
            "last": "`last`: how often the last token is noise, as T5 draws",
            "all_original": "`all_original`: how often that answer is right",
            "told": "`told`: bits that the label “masked” tells where g = p",
        }.items()
    ),
    misconceptions=(
        Misconception(
            _wrong(inputs=483.0),
            "483 is the text that is left: a sentinel for each span and eos stand "
            "there too.",
        ),
        Misconception(
            _wrong(targets=85.0),
            "85 is the noise alone: each span has a sentinel before it, and eos ends "
            "the row.",
        ),
        Misconception(
            _wrong(targets=113.0),
            "113 lacks eos.",
        ),
        Misconception(
            _wrong(last=0.15),
            "0.15 is the share of noise over all places. T5's rows alternate text and "
            "noise, and noise comes last: what does that make of the last token?",
        ),
        Misconception(
            _wrong(all_original=0.85),
            "0.85 is the share that was not masked: samples that equal the true token "
            "are original as well.",
        ),
        Misconception(
            _wrong(told=_asked_in_bits()),
            "That is what the question of replacement *asks*, its entropy. Told is "
            "what seeing the token teaches: if samples and text have one "
            "distribution, what does it?",
        ),
    ),
    hints=(
        "85 of the 568 tokens are noise, in 28 spans. What stands for a span in the "
        "input, what in the target, and what ends both?",
        "A place is original if it was not masked, or if it was and the sample is "
        "right.",
        "Where g = p the token at a masked place and the token at any other place are "
        "drawn alike. Then what can a token tell of the label?",
    ),
    reveal=False,
)

EXERCISES = [READ_THE_COUNTS]
