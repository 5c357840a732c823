"""Section 2.2: which weights go, and how they stay away."""

import math
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

# -- magnitude_mask -------------------------------------------------------------------


def reference_mask(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().flatten().argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = False
    return mask.reshape(w.shape)


def with_sign(w: Tensor, sparsity: float) -> Tensor:
    order = w.flatten().argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = False
    return mask.reshape(w.shape)


def all_that_are_equal_go(w: Tensor, sparsity: float) -> Tensor:
    k = math.floor(sparsity * w.numel() + 0.5)
    if k == 0:
        return torch.ones_like(w, dtype=torch.bool)
    return w.abs() > w.abs().flatten().sort().values[k - 1]


def all_that_are_equal_stay(w: Tensor, sparsity: float) -> Tensor:
    k = math.floor(sparsity * w.numel() + 0.5)
    if k == w.numel():
        return torch.zeros_like(w, dtype=torch.bool)
    return w.abs() >= w.abs().flatten().sort().values[k]


def the_largest_go(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().flatten().argsort(stable=True, descending=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = False
    return mask.reshape(w.shape)


def the_share_of_each_row(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().argsort(dim=-1, stable=True)
    k = math.floor(sparsity * w.shape[-1] + 0.5)
    mask = torch.ones_like(w, dtype=torch.bool)
    return mask.scatter(-1, order[..., :k], False)


def fails_for_none(w: Tensor, sparsity: float) -> Tensor:
    k = math.floor(sparsity * w.numel() + 0.5)
    flat = w.abs().flatten()
    flat.kthvalue(k)
    order = flat.argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[:k]] = False
    return mask.reshape(w.shape)


def the_last_of_equals_go(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().flatten().flip(0).argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = False
    return mask.flip(0).reshape(w.shape)


def mask_of_what_goes(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().flatten().argsort(stable=True)
    mask = torch.zeros(w.numel(), dtype=torch.bool)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = True
    return mask.reshape(w.shape)


def share_of_the_maximum(w: Tensor, sparsity: float) -> Tensor:
    return w.abs() > sparsity * w.abs().max()


def share_that_stays(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().flatten().argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: math.floor((1 - sparsity) * w.numel() + 0.5)]] = False
    return mask.reshape(w.shape)


def a_threshold(w: Tensor, sparsity: float) -> Tensor:
    return w.abs() > sparsity


def rounded_down(w: Tensor, sparsity: float) -> Tensor:
    order = w.abs().flatten().argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool)
    mask[order[: int(sparsity * w.numel())]] = False
    return mask.reshape(w.shape)


def _different(generator: Generator) -> list[Case]:
    m, n = distinct_sizes(generator, 2, 3)
    magnitude = torch.randperm(m * n, generator=generator) + 1.0
    signs = torch.where(torch.rand(m * n, generator=generator) < 0.5, -1.0, 1.0)
    signs[magnitude == m * n] = -1.0  # the largest is negative
    w = (magnitude * signs / 10).reshape(m, n)
    w[0] /= 100  # a row of small ones
    return [
        Case((w, 0.3), f"w {(m, n)}, 0.3"),
        Case((w, 0.7), f"w {(m, n)}, 0.7"),
    ]


def _ties(generator: Generator) -> list[Case]:
    size = 0.5 + torch.rand(1, generator=generator).item()
    four = torch.full((4,), round(size, 2))
    seven = torch.tensor([2.0, 1, 1, 3, 1, 1, 2]) * size
    seven = seven[torch.randperm(7, generator=generator)]
    return [
        Case((four, 0.5), "four equal ones, 0.5"),
        Case((seven, 0.5), f"{[round(v, 2) for v in seven.tolist()]}, 0.5"),
    ]


def _none_and_all(generator: Generator) -> list[Case]:
    w = normal(generator, 2, 3)
    return [Case((w, 0.0), "none of six"), Case((w, 1.0), "all of six")]


def _right_number(args: tuple[Any, ...], output: Any) -> str | None:
    w, sparsity = args
    if not isinstance(output, Tensor) or output.shape != w.shape:
        return None
    wanted, gone = math.floor(sparsity * w.numel() + 0.5), int((output == 0).sum())
    if gone != wanted:
        return f"{wanted} of {w.numel()} must go; with yours {gone} do."
    return None


MAGNITUDE_MASK = Exercise(
    name="2.2/magnitude_mask",
    title="The smallest go",
    difficulty=3,
    minutes=20,
    reference=reference_mask,
    parts=(
        Part("different magnitudes", 1, _different),
        Part("equal ones", 2, _ties),
        Part("none, and all", 1, _none_and_all),
    ),
    misconceptions=(
        Misconception(
            with_sign,
            "The *values* are compared, with their signs: −5 is not a small weight.",
        ),
        Misconception(
            all_that_are_equal_go,
            "Of equal weights all go, with a threshold in `>`: more than the share. "
            "Choose places, not a threshold.",
        ),
        Misconception(
            all_that_are_equal_stay,
            "Of equal weights all stay, with a threshold in `>=`: fewer go than the "
            "share. Choose places, not a threshold.",
        ),
        Misconception(the_largest_go, "The *largest* go with this: the wrong end."),
        Misconception(
            the_share_of_each_row,
            "You pruned the share in each row. It is of the whole tensor: a row of "
            "small weights loses more.",
        ),
        Misconception(
            fails_for_none,
            "`kthvalue(0)` is an error: with a sparsity of 0 nothing goes.",
        ),
        Misconception(
            the_last_of_equals_go,
            "Of equal weights the last go with this: the first are asked.",
        ),
        Misconception(
            mask_of_what_goes,
            "This mask is True for what goes: it must be True for what is *kept*.",
        ),
        Misconception(
            share_of_the_maximum,
            "`sparsity` is a share of the *number* of weights, not of the largest one.",
        ),
    ),
    slips=(
        Misconception(
            rounded_down,
            "The number that goes is rounded down: ⌊sparsity·n + ½⌋ are asked.",
        ),
        Misconception(
            share_that_stays,
            "You took `sparsity` for the share that stays. It is the share that goes.",
        ),
        Misconception(
            a_threshold,
            "You compare the magnitudes with `sparsity`, which is a share of the "
            "weights, not a magnitude.",
        ),
    ),
    properties=(_right_number,),
    hints=(
        "How many must go? ⌊sparsity·n + ½⌋.",
        "`argsort(stable=True)` leaves equal ones in their order.",
        "Make a mask of ones for the flat tensor, set the first k places of the order "
        "to False, and `reshape`.",
    ),
    forbidden=(*LIBRARY, "torch.nn.utils.prune"),
)


# -- pruned_step ----------------------------------------------------------------------


def reference_step(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + grad + decay * w) * mask
    return (w - lr * velocity) * mask, velocity


def only_the_gradient_masked(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + grad * mask + decay * w
    return w - lr * velocity, velocity


def masked_before_the_step(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    w = w * mask
    velocity = momentum * velocity + grad + decay * w
    return w - lr * velocity, velocity


def zeros_for_the_mask(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    mask = mask & (w != 0)
    velocity = (momentum * velocity + grad + decay * w) * mask
    return (w - lr * velocity) * mask, velocity


def mask_turned_round(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + grad + decay * w) * ~mask
    return (w - lr * velocity) * ~mask, velocity


def velocity_not_masked(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + grad + decay * w
    return (w - lr * velocity) * mask, velocity


def decay_left_out(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + grad) * mask
    return (w - lr * velocity) * mask, velocity


def decay_beside_the_velocity(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + grad) * mask
    return (w - lr * velocity - lr * decay * w) * mask, velocity


def weight_not_masked(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + grad + decay * w) * mask
    return w - lr * velocity, velocity


# Slips: recognised, and not handed in by the tests.


def nesterov(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    grad = grad + decay * w
    velocity = (momentum * velocity + grad) * mask
    return (w - lr * (grad + momentum * velocity)) * mask, velocity


def rate_within_the_velocity(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + lr * (grad + decay * w)) * mask
    return (w - velocity) * mask, velocity


def up_the_gradient(
    w: Tensor,
    grad: Tensor,
    velocity: Tensor,
    mask: Tensor,
    lr: float,
    momentum: float,
    decay: float,
) -> tuple[Tensor, Tensor]:
    velocity = (momentum * velocity + grad + decay * w) * mask
    return (w + lr * velocity) * mask, velocity


def _step_cases(
    generator: Generator, momentum: float, decay: float, moving: bool, says: str
) -> list[Case]:
    n = int(torch.randint(5, 8, (1,), generator=generator))
    w, grad, velocity = (normal(generator, n) for _ in range(3))
    mask = torch.rand(n, generator=generator) < 0.6
    mask[:4] = torch.tensor([True, False, True, False])
    w[2] = 0.0  # kept, and 0 all the same
    if not moving:
        velocity = torch.zeros(n)
    lr = round(0.05 + 0.1 * torch.rand(1, generator=generator).item(), 3)
    args = (w, grad, velocity, mask, lr, momentum, decay)
    return [Case(args, f"{says}, {n} weights")]


def _first_step(generator: Generator) -> list[Case]:
    return _step_cases(generator, 0.9, 0.0, False, "no velocity yet")


def _velocity_from_before(generator: Generator) -> list[Case]:
    return _step_cases(generator, 0.9, 0.0, True, "velocity from before")


def _with_decay(generator: Generator) -> list[Case]:
    return _step_cases(generator, 0.8, 0.3, True, "weight decay")


def _both(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: weights and velocity, one above the other."""
    value = function(*args)
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    return torch.stack(list(value))


def _ten(function: Function, args: tuple[Any, ...]) -> Any:
    """After ten steps, each with half of the gradient before."""
    w, grad, velocity, *rest = args
    for i in range(10):
        value = function(w, grad / 2**i, velocity, *rest)
        if not isinstance(value, tuple | list) or len(value) != 2:
            return value
        w, velocity = value
    return torch.stack([w, velocity])


def _pruned_is_zero(args: tuple[Any, ...], output: Any) -> str | None:
    mask = args[3]
    if not isinstance(output, Tensor) or output.shape != (2, len(mask)):
        return None
    for name, values in zip(("weight", "velocity"), output, strict=True):
        if bool((values[~mask] != 0).any()):
            return f"Where the mask is False, the {name} must be 0; yours is not."
    return None


PRUNED_STEP = Exercise(
    name="2.2/pruned_step",
    title="Find the bug: the weights come back",
    difficulty=3,
    minutes=20,
    reference=reference_step,
    parts=(
        Part("the first step", 1, _first_step, _both),
        Part("velocity from before", 1, _velocity_from_before, _both),
        Part("weight decay", 1, _with_decay, _both),
        Part("ten steps", 1, _with_decay, _ten),
    ),
    misconceptions=(
        Misconception(
            only_the_gradient_masked,
            "Only the gradient is masked. The velocity from before the pruning, and "
            "the decay, still move what was pruned.",
        ),
        Misconception(
            masked_before_the_step,
            "The weights are masked, and moved after it: mask what the step has made.",
        ),
        Misconception(
            zeros_for_the_mask,
            "You took what is 0 for pruned. A kept weight that passes 0 would be lost "
            "for good: only the mask says which were pruned.",
        ),
        Misconception(
            mask_turned_round,
            "The mask is turned round: True means kept.",
        ),
        Misconception(
            velocity_not_masked,
            "The weights are masked, the velocity is not: it grows unseen, and is "
            "there on the day the mask goes.",
        ),
        Misconception(
            decay_left_out, "The weight decay is lost: it is a part of the velocity."
        ),
        Misconception(
            decay_beside_the_velocity,
            "The decay is taken off the weights beside the velocity, as AdamW does. "
            "In this optimizer it goes through the velocity, with the gradient.",
        ),
        Misconception(
            weight_not_masked,
            "The velocity is masked, the weights are not: one that was not 0 before "
            "stays what it was.",
        ),
    ),
    slips=(
        Misconception(
            nesterov,
            "This is Nesterov's step, which looks ahead. Here the weights move by "
            "−lr·velocity.",
        ),
        Misconception(
            rate_within_the_velocity,
            "You put the learning rate into the velocity. It multiplies the velocity "
            "where the weights move.",
        ),
        Misconception(
            up_the_gradient, "The weights move *up* the gradient: the sign is turned."
        ),
    ),
    properties=(_pruned_is_zero,),
    hints=(
        "Try it with a gradient of 0 and a velocity that is not.",
        "What moves a weight: gradient, velocity, decay. Which of them were masked?",
        "Mask the new velocity, and the new weights.",
    ),
)

EXERCISES = [MAGNITUDE_MASK, PRUNED_STEP]
