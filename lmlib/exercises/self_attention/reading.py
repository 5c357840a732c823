"""Section 3.1: find the bug, read the plot."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib import attention, positions
from lmlib.exercises import questions
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    normal,
)
from lmlib.exercises.self_attention import slips

# -- cached_attention: find the bug ---------------------------------------------------


def reference_cached(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    mask = attention.causal_mask(query.shape[-2], key.shape[-2])
    return attention.attention(query, key, value, mask)[0]


def counted_from_the_first_key(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    n_query, n_key = query.shape[-2], key.shape[-2]
    mask = torch.ones(n_query, n_key, dtype=torch.bool).tril()
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value


def no_mask_with_a_cache(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    n_query, n_key = query.shape[-2], key.shape[-2]
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if n_query == n_key:
        mask = torch.ones(n_query, n_key, dtype=torch.bool).tril()
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ value


def sees_one_ahead(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    n_query, n_key = query.shape[-2], key.shape[-2]
    ones = torch.ones(n_query, n_key, dtype=torch.bool)
    mask = ones.tril(diagonal=n_key - n_query + 1)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value


def blind_to_itself(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    n_query, n_key = query.shape[-2], key.shape[-2]
    ones = torch.ones(n_query, n_key, dtype=torch.bool)
    mask = ones.tril(diagonal=n_key - n_query - 1)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return torch.nan_to_num(weights) @ value


def looks_only_ahead(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    n_query, n_key = query.shape[-2], key.shape[-2]
    ones = torch.ones(n_query, n_key, dtype=torch.bool)
    mask = ones.triu(diagonal=n_key - n_query)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value


def cache_thrown_away(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    n_query = query.shape[-2]
    key, value = key[..., -n_query:, :], value[..., -n_query:, :]
    mask = torch.ones(n_query, n_query, dtype=torch.bool).tril()
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value


def _new_tokens(generator: Generator, n_new: int) -> list[Case]:
    batch, n_cached, d_k, d_v = distinct_sizes(generator, 4, low=3)
    cases = []
    # Two lengths of the cache, so that no fixed one is right; and none.
    for cached, new in (
        (n_cached, n_new),
        (n_cached + 3, n_new),
        (0, n_cached + n_new),
    ):
        query = normal(generator, batch, new, d_k)
        key = normal(generator, batch, cached + new, d_k)
        value = normal(generator, batch, cached + new, d_v)
        says = f"{new} new after {cached} cached positions"
        if not cached:
            says = f"{new} positions, no cache"
        cases.append(Case((query, key, value), says))
    return cases


def _one_new(generator: Generator) -> list[Case]:
    return _new_tokens(generator, 1)


def _several_new(generator: Generator) -> list[Case]:
    return _new_tokens(generator, 4)


CACHED_ATTENTION = Exercise(
    name="3.1/cached_attention",
    title="Find the bug: generation with a cache",
    difficulty=3,
    minutes=20,
    reference=reference_cached,
    parts=(
        Part("one new position after the cached ones", 1, _one_new),
        Part("several new positions at once", 2, _several_new),
    ),
    misconceptions=(
        Misconception(
            counted_from_the_first_key,
            "The bug is still there: query i is treated as position i, but with "
            "n_key − n_query cached positions it stands at n_key − n_query + i. The "
            "first new token sees the first key alone.",
            "https://github.com/pytorch/pytorch/issues/144858",
        ),
        Misconception(
            no_mask_with_a_cache,
            "Without a mask a single new token is right, but of several new tokens the "
            "first ones see those after them.",
        ),
        Misconception(
            sees_one_ahead,
            "Each query sees one position of its future: your diagonal is one too far "
            "to the right.",
        ),
        Misconception(
            blind_to_itself,
            "No query sees its own position: your diagonal is one too far to the left.",
        ),
        Misconception(
            looks_only_ahead,
            "You kept the upper triangle: queries now see their future, not their "
            "past.",
        ),
        Misconception(
            cache_thrown_away,
            "You cut the cached keys off: the shapes fit, but the new tokens have "
            "forgotten everything before them.",
        ),
    ),
    slips=slips.CACHED_ATTENTION,
    hints=(
        "Write the mask down for 2 queries and 5 keys. At which positions of the "
        "sequence do the two queries stand?",
        "`tril` takes a `diagonal`: by how far must the triangle move to the right?",
    ),
)


# -- read_the_plot --------------------------------------------------------------------

N_KEYS, D_MODEL, D_K = 64, 64, 64  # as drawn in the notebook


def reference_answers() -> dict[str, Any]:
    table = positions.sinusoidal_positions(100, D_MODEL)
    products = table @ table[0]
    return {
        "scaled": "A",
        "ceiling": math.log2(N_KEYS),
        "variance": D_K,
        "half": int((products < products[0] / 2).nonzero()[0]),
    }


READ_THE_PLOT = Exercise(
    name="3.1/read_the_plot",
    title="Read the plot",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "scaled": "`scaled`: which curve divides by √d_k",
            "ceiling": "`ceiling`: the entropy that no curve can exceed, in bits",
            "variance": "`variance`: of the dot products at d_k = 64, undivided",
            "half": "`half`: where the product first falls below half",
        },
        "what the plot shows",
    ),
    misconceptions=(
        Misconception(
            questions.wrong(reference_answers, scaled="B"),
            "B falls towards 0 bits, a softmax that puts all weight on one key: that "
            "is what happens when the scores grow with d_k. Division by √d_k keeps "
            "their size, and so the entropy.",
        ),
        Misconception(
            questions.wrong(reference_answers, ceiling=64.0),
            "64 is the number of keys. The entropy of a uniform choice among n is "
            "log₂ n bits.",
        ),
        Misconception(
            questions.wrong(reference_answers, ceiling=round(math.log(N_KEYS), 2)),
            "That is ln 64, in nats: the axis is in bits, so the logarithm is to the "
            "base 2.",
        ),
        Misconception(
            questions.wrong(reference_answers, variance=8.0),
            "8 = √64 is the standard deviation; its square is asked.",
        ),
        Misconception(
            questions.wrong(reference_answers, variance=1.0),
            "1 is the variance *after* the division by √d_k: what is it before?",
        ),
        Misconception(
            questions.wrong(reference_answers, half=27.0),
            "At 27 the product is still above half: the first distance *below* it.",
        ),
        Misconception(
            questions.wrong(reference_answers, half=32.0),
            "32 is the product at distance 0, on the vertical axis: the distance is on "
            "the horizontal one.",
        ),
    ),
    hints=(
        "A dot product of two vectors of d_k independent components of variance 1 is a "
        "sum of d_k terms. What is the variance of each term, and of the sum?",
    ),
    reveal=False,
)


EXERCISES = [CACHED_ATTENTION, READ_THE_PLOT]
