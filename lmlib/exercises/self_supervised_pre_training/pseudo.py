"""Section 2.1: what conditionals make of a joint distribution."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
)


def reference_pseudo(joint: Tensor) -> Tensor:
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    margins = rows * columns
    return torch.where(margins > 0, joint**2 / margins, 0)


def chain_rule(joint: Tensor) -> Tensor:
    columns = joint.sum(dim=0, keepdim=True)
    return torch.where(columns > 0, joint / columns, 0) * columns


def margins(joint: Tensor) -> Tensor:
    return joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)


def one_conditional_twice(joint: Tensor) -> Tensor:
    rows = joint.sum(dim=1, keepdim=True)
    return torch.where(rows > 0, joint / rows, 0) ** 2


def normalised(joint: Tensor) -> Tensor:
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    product = torch.where(rows * columns > 0, joint**2 / (rows * columns), 0)
    return product / product.sum()


def nan_rows(joint: Tensor) -> Tensor:
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    return joint / rows * (joint / columns)


def root(joint: Tensor) -> Tensor:
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    product = torch.where(rows * columns > 0, joint**2 / (rows * columns), 0)
    return product.sqrt()


# Slips: recognised, and not handed in by the tests.


def one_conditional(joint: Tensor) -> Tensor:
    columns = joint.sum(dim=0, keepdim=True)
    return torch.where(columns > 0, joint / columns, 0)


def other_conditional(joint: Tensor) -> Tensor:
    rows = joint.sum(dim=1, keepdim=True)
    return torch.where(rows > 0, joint / rows, 0)


def other_conditional_twice(joint: Tensor) -> Tensor:
    columns = joint.sum(dim=0, keepdim=True)
    return torch.where(columns > 0, joint / columns, 0) ** 2


def dependence(joint: Tensor) -> Tensor:
    product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
    return torch.where(product > 0, joint / product, 0)


def summed(joint: Tensor) -> Tensor:
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    return torch.where(rows > 0, joint / rows, 0) + torch.where(
        columns > 0, joint / columns, 0
    )


def evenly_for_empty(joint: Tensor) -> Tensor:
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    of_row = torch.where(rows > 0, joint / rows, 1 / joint.shape[1])
    return of_row * torch.where(columns > 0, joint / columns, 1 / joint.shape[0])


def squared(joint: Tensor) -> Tensor:
    return joint**2


def _joint(generator: Generator, a: int, b: int) -> Tensor:
    joint = torch.rand(a, b, generator=generator) ** 2 + 0.01
    return joint / joint.sum()


def _values(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(2):
        a, b = distinct_sizes(generator, 2)
        cases.append(Case((_joint(generator, a, b),), f"joint ({a}, {b})"))
    return cases


def _independent(generator: Generator) -> list[Case]:
    a, b = distinct_sizes(generator, 2)
    one, other = _joint(generator, a, 1), _joint(generator, 1, b)
    return [Case((one * other,), f"independent, joint ({a}, {b})")]


def _copies(generator: Generator) -> list[Case]:
    (k,) = distinct_sizes(generator, 1, low=3)
    one = _joint(generator, k, 1).flatten()
    return [Case((one.diag(),), f"x = y, joint ({k}, {k})")]


def _empty(generator: Generator) -> list[Case]:
    a, b = distinct_sizes(generator, 2, low=3)
    joint = _joint(generator, a, b)
    joint[int(torch.randint(a, (1,), generator=generator))] = 0
    joint[:, int(torch.randint(b, (1,), generator=generator))] = 0
    return [Case((joint / joint.sum(),), f"joint ({a}, {b}), a row and a column empty")]


def _in_bounds(args: tuple[Any, ...], output: Any) -> str | None:
    if not isinstance(output, Tensor) or not output.isfinite().all():
        return None
    if bool((output < 0).any() or (output > 1 + 1e-5).any()):
        return "A product of two probabilities is in 0 … 1; yours is not."
    return None


PSEUDO_PROBABILITIES = Exercise(
    name="2.1/pseudo_probabilities",
    title="Each vouches for the other",
    difficulty=3,
    minutes=20,
    reference=reference_pseudo,
    parts=(
        Part("a joint of two tokens", 2, _values),
        Part("independent tokens", 1, _independent, beside_a_value=True),
        Part("tokens that are equal", 1, _copies, beside_a_value=True),
        Part("tokens that never come", 1, _empty),
    ),
    misconceptions=(
        Misconception(
            chain_rule,
            "p(x|y)·p(y) is the chain rule, and gives the joint back: for that, one of "
            "the two is told without the other. Here both are conditional.",
        ),
        Misconception(
            margins,
            "p(x)·p(y): neither has looked at the other. Each is to be given the "
            "other.",
        ),
        Misconception(
            one_conditional_twice,
            "You took p(y|x) twice. One factor is divided by the sums of the rows, the "
            "other by those of the columns.",
        ),
        Misconception(
            normalised,
            "You divided by the sum. For real texts nobody knows that sum; that it is "
            "not 1 is the point.",
        ),
        Misconception(
            nan_rows,
            "0/0 is NaN: what never comes has no conditional. Put 0 where a margin is "
            "0.",
        ),
        Misconception(
            root,
            "The geometric mean of the two is asked for nowhere: multiply them. A root "
            "makes no distribution of it either.",
        ),
    ),
    slips=(
        Misconception(one_conditional, "This is p(x|y) alone: multiply it by p(y|x)."),
        Misconception(
            other_conditional, "This is p(y|x) alone: multiply it by p(x|y)."
        ),
        Misconception(
            other_conditional_twice,
            "You took p(x|y) twice. One factor is divided by the sums of the columns, "
            "the other by those of the rows.",
        ),
        Misconception(
            dependence,
            "p(x,y)/(p(x)·p(y)) is how much more frequent the pair is than chance. "
            "There is a p(x,y) in each of the two conditionals.",
        ),
        Misconception(summed, "You added the two conditionals: multiply them."),
        Misconception(
            evenly_for_empty,
            "What never comes has no conditional, not an even one: put 0 there.",
        ),
        Misconception(
            squared,
            "Both conditionals are missing their margins: p(x|y) = p(x,y)/p(y).",
        ),
    ),
    properties=(_in_bounds,),
    hints=(
        "p(x|y) is the joint divided by the sums of its columns; p(y|x), of its rows.",
        "`sum(dim=…, keepdim=True)` keeps the axis, so that the division fits.",
        "`torch.where(margins > 0, …, 0)` puts a 0 where nothing ever comes.",
    ),
)
