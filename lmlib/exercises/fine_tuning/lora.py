"""Section 3.3: LoRA's thin matrices, put into the weight."""

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    error_type,
    normal,
)
from lmlib.exercises.fine_tuning import slips


def reference_merge(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    rank = a.shape[0]
    if rank > min(weight.shape):
        raise ValueError(f"rank must be at most {min(weight.shape)}, got {rank}")
    return weight + alpha / rank * (b @ a)


def alpha_alone(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    if a.shape[0] > min(weight.shape):
        raise ValueError
    return weight + alpha * (b @ a)


def rank_from_the_input(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    if a.shape[0] > min(weight.shape):
        raise ValueError
    return weight + alpha / a.shape[1] * (b @ a)


def update_transposed(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    if a.shape[0] > min(weight.shape):
        raise ValueError
    return weight + alpha / a.shape[0] * (a.T @ b.T)


def merged_in_place(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    if a.shape[0] > min(weight.shape):
        raise ValueError
    weight += alpha / a.shape[0] * (b @ a)
    return weight


def update_alone(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    if a.shape[0] > min(weight.shape):
        raise ValueError
    return alpha / a.shape[0] * (b @ a)


def any_rank(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return weight + alpha / a.shape[0] * (b @ a)


def _matrices(
    generator: Generator, rows: int, columns: int, rank: int
) -> tuple[Tensor, Tensor, Tensor, float]:
    # α is none of the sizes, nor their product.
    alpha = float(torch.randint(20, 40, (1,), generator=generator)) / 8 + 0.0625
    return (
        normal(generator, rows, columns),
        normal(generator, rank, columns),
        normal(generator, rows, rank),
        alpha,
    )


def _says(args: tuple[Tensor, Tensor, Tensor, float]) -> str:
    weight, a, b, alpha = args
    return (
        f"weight {tuple(weight.shape)}, a {tuple(a.shape)}, b {tuple(b.shape)}, "
        f"alpha = {alpha}"
    )


def _values(generator: Generator) -> list[Case]:
    rows, columns = distinct_sizes(generator, 2, low=4)
    square = _matrices(generator, 5, 5, 2)
    args = _matrices(generator, rows, columns, 3)
    double = (*(t.double() for t in args[:3]), args[3])
    return [
        Case(square, _says(square)),
        Case(args, _says(args)),
        Case(double, _says(args) + ", float64"),
    ]


def _at_the_start(generator: Generator) -> list[Case]:
    rows, columns = distinct_sizes(generator, 2, low=4)
    weight, a, b, alpha = _matrices(generator, rows, columns, 2)
    args = (weight, a, torch.zeros_like(b), alpha)
    return [Case(args, _says(args) + ", b = 0")]


def _too_much(generator: Generator) -> list[Case]:
    small, large = (2, 3), (6, 7)
    i = int(torch.randint(2, (1,), generator=generator))
    wide = _matrices(generator, small[i], large[i], small[i] + 1)
    high = _matrices(generator, large[i], small[i], small[i] + 2)
    return [Case(wide, _says(wide)), Case(high, _says(high))]


LORA_MERGE = Exercise(
    name="3.3/lora_merge",
    title="LoRA: merge two thin matrices",
    difficulty=3,
    minutes=15,
    reference=reference_merge,
    parts=(
        Part("any shape", 2, _values),
        Part("b = 0, as at the start: the weight", 1, _at_the_start),
        Part("a rank above the smaller side: ValueError", 1, _too_much, error_type),
    ),
    misconceptions=(
        Misconception(
            alpha_alone,
            "You scale by alpha, not by alpha / r: then twice the rank would be twice "
            "the step.",
        ),
        Misconception(
            rank_from_the_input,
            "You take r from `a.shape[1]`, which is the width of the input: the rank "
            "is the number of rows of a.",
        ),
        Misconception(
            update_transposed,
            "You add the transpose of the update, which a square weight lets pass: b "
            "comes first, (out, r) times (r, in).",
        ),
        Misconception(
            merged_in_place,
            "You add to the weight itself: whoever merges twice, or goes on training, "
            "has the update twice. Return a new tensor.",
        ),
        Misconception(
            update_alone,
            "You return the update alone: it is added to the weight, which is what "
            "pre-training was for.",
        ),
        Misconception(
            any_rank,
            "A rank above the smaller side of the weight buys nothing that the weight "
            "itself could not learn with fewer numbers: raise a ValueError.",
        ),
    ),
    slips=slips.LORA_MERGE,
    hints=(
        "Write the shapes under b and a: in which order can they be multiplied to give "
        "(out, in)?",
        "r is the size that a and b share.",
        "`weight + …` makes a new tensor, `weight += …` does not.",
    ),
)


EXERCISES = [LORA_MERGE]
