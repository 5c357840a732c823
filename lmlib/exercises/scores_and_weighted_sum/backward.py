"""Section 4.1: attention backward, by hand."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    normal,
)
from lmlib.exercises.scores_and_weighted_sum.softmax import AUTOGRAD
from lmlib.online import attend_block, attention_backward


def reference_backward(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    output, lse = attend_block(query, key, value)
    n_key = key.shape[-2]
    return attention_backward(query, key, value, output, lse, d_output, block=n_key)


def scale_forgotten(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    a = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    d_a = d_output @ value.mT
    d_s = a * (d_a - (a * d_a).sum(dim=-1, keepdim=True))
    return d_s @ key, d_s.mT @ query, a.mT @ d_output


def scaled_twice(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    a = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    d_a = d_output @ value.mT
    d_s = a * (d_a - (a * d_a).sum(dim=-1, keepdim=True)) / query.shape[-1]
    return d_s @ key, d_s.mT @ query, a.mT @ d_output


def key_untransposed(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    a = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    d_a = d_output @ value.mT
    d_s = a * (d_a - (a * d_a).sum(dim=-1, keepdim=True)) / math.sqrt(query.shape[-1])
    return d_s @ key, d_s @ query, a.mT @ d_output


def share_missing(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    a = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    d_s = a * (d_output @ value.mT) / math.sqrt(query.shape[-1])
    return d_s @ key, d_s.mT @ query, a.mT @ d_output


def all_axes_reversed(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    a = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    d_a = d_output @ value.mT
    d_s = a * (d_a - (a * d_a).sum(dim=-1, keepdim=True)) / math.sqrt(query.shape[-1])
    back = tuple(reversed(range(a.ndim)))
    return d_s @ key, d_s.permute(back) @ query, a.permute(back) @ d_output


def value_untransposed(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    a = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    d_a = d_output @ value.mT
    d_s = a * (d_a - (a * d_a).sum(dim=-1, keepdim=True)) / math.sqrt(query.shape[-1])
    return d_s @ key, d_s.mT @ query, a @ d_output


def _one_of(position: int) -> Callable[[Function, tuple[Any, ...]], Any]:
    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        return function(*args)[position]

    return observe


def _sizes(generator: Generator, *leading: int) -> tuple[Tensor, ...]:
    n_query, n_key, d_k, d_v = distinct_sizes(generator, 4)
    return (
        normal(generator, *leading, n_query, d_k),
        normal(generator, *leading, n_key, d_k),
        normal(generator, *leading, n_key, d_v),
        normal(generator, *leading, n_query, d_v),
    )


def _says(args: tuple[Tensor, ...]) -> str:
    names = ("query", "key", "value")
    return ", ".join(f"{n} {tuple(a.shape)}" for n, a in zip(names, args, strict=False))


def _square_and_not(generator: Generator) -> list[Case]:
    square = tuple(normal(generator, 3, 3) for _ in range(4))
    sizes = _sizes(generator)
    return [Case(square, _says(square)), Case(sizes, _says(sizes))]


def _four_axes(generator: Generator) -> list[Case]:
    args = _sizes(generator, 2, 3)
    # All sizes alike, so that a wrong transpose gives values to be recognised.
    alike = tuple(normal(generator, 3, 3, 3, 3) for _ in range(4))
    return [
        Case(alike, _says(alike)),
        Case(args, _says(args)),
        Case(tuple(a.double() for a in args), _says(args) + ", float64"),
    ]


def _flattened(function: Function, args: tuple[Any, ...]) -> Any:
    return torch.cat([gradient.flatten() for gradient in function(*args)])


ATTENTION_BACKWARD = Exercise(
    name="4.1/attention_backward",
    title="Attention backward",
    difficulty=4,
    minutes=40,
    reference=reference_backward,
    parts=(
        Part("the gradient of value", 1, _square_and_not, _one_of(2)),
        Part("the gradient of query", 1, _square_and_not, _one_of(0)),
        Part("the gradient of key", 1, _square_and_not, _one_of(1)),
        Part("batches and heads, all three", 1, _four_axes, _flattened),
    ),
    misconceptions=(
        Misconception(
            scale_forgotten,
            "The gradients of query and key lack 1/√d_k: it stands in the scores, so "
            "it comes back with their derivative.",
        ),
        Misconception(
            scaled_twice,
            "You divided by d_k: the scale 1/√d_k is applied once on the way back.",
        ),
        Misconception(
            key_untransposed,
            "For the key it is dSᵀ @ query: with as many queries as keys the "
            "untransposed product has the right shape and wrong numbers.",
        ),
        Misconception(
            share_missing,
            "dS = A ∘ dA lacks the output's share: subtract from each row of dA its "
            "mean under the weights.",
        ),
        Misconception(
            all_axes_reversed,
            "Your transpose (`.T`) reverses all axes, batches and heads too: swap the "
            "last two alone, with `.mT` or `transpose(-2, -1)`.",
        ),
        Misconception(
            value_untransposed,
            "For the value it is Aᵀ @ d_output: on the way back queries and keys "
            "change places.",
        ),
    ),
    hints=(
        "Go backward step by step: O = AV gives dV and dA, the softmax gives dS, the "
        "scores give dQ and dK.",
        "The middle step is your `softmax_backward(A, dA)`.",
        "Whatever multiplied on the way forward multiplies, transposed, on the way "
        "back; the scale 1/√d_k too.",
    ),
    builds_on=("softmax_backward",),
    forbidden=(*LIBRARY, *AUTOGRAD),
)

EXERCISES = [ATTENTION_BACKWARD]
