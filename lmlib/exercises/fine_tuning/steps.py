"""Section 3.3, steps 4 to 6: the vector for a text, the loss, the update."""

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    normal,
)
from lmlib.exercises.fine_tuning import slips

# -- last_real: find the bug ----------------------------------------------------------


def reference_last(hidden: Tensor, mask: Tensor) -> Tensor:
    places = torch.arange(mask.shape[1]).expand_as(mask)
    last = places.masked_fill(~mask, -1).amax(dim=1)
    return hidden[torch.arange(len(hidden)), last]


def counts_the_real_ones(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden)), mask.sum(1) - 1]


def last_position(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, -1]


def before_the_first_padding(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden)), mask.int().argmin(1) - 1]


def mean_of_the_real_ones(hidden: Tensor, mask: Tensor) -> Tensor:
    real = mask[..., None].to(hidden.dtype)
    return (hidden * real).sum(1) / real.sum(1)


def first_real(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden)), mask.int().argmax(1)]


def one_place_for_all_rows(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, int(mask[0].nonzero().max())]


def _is_a_position(args: tuple[Tensor, Tensor], output: Tensor) -> str | None:
    hidden, _ = args
    if output.shape != hidden[:, 0].shape:
        return None
    if (hidden == output[:, None]).all(-1).any(1).all():
        return None
    return "Each row of the output must be a vector of that row of `hidden`, unchanged."


def _pooling(generator: Generator, masks: list[list[str]]) -> list[Case]:
    """1 is a real position, 0 padding."""
    cases = []
    for rows in masks:
        d = int(torch.randint(2, 5, (1,), generator=generator))
        mask = torch.tensor([[mark == "1" for mark in row] for row in rows])
        hidden = normal(generator, *mask.shape, d)
        cases.append(Case((hidden, mask), f"mask {', '.join(rows)}, d = {d}"))
    return cases


def _mixed(generator: Generator, *kinds: str) -> list[str]:
    n = int(torch.randint(5, 8, (1,), generator=generator))
    rows = []
    for kind in kinds:
        real = int(torch.randint(2, n - 2, (1,), generator=generator))
        right = {"left": 0, "right": n - real, "both": 1, "none": 0}[kind]
        real = n if kind == "none" else real
        rows.append("0" * (n - real - right) + "1" * real + "0" * right)
    return rows


def _right(generator: Generator) -> list[Case]:
    return _pooling(generator, [_mixed(generator, "right", "right", "none")])


def _left(generator: Generator) -> list[Case]:
    return _pooling(generator, [_mixed(generator, "left", "left", "none")])


def _any_side(generator: Generator) -> list[Case]:
    return _pooling(
        generator,
        [
            _mixed(generator, "none", "none"),
            _mixed(generator, "both", "right", "left", "both"),
        ],
    )


LAST_REAL = Exercise(
    name="3.3/last_real",
    title="Step 4: find the bug in the pooling",
    difficulty=3,
    minutes=20,
    reference=reference_last,
    parts=(
        Part("padding on the right", 1, _right),
        Part("padding on the left", 1, _left),
        Part("on both sides, on neither", 1, _any_side),
    ),
    misconceptions=(
        Misconception(
            counts_the_real_ones,
            "The bug is still there: the number of real tokens less one is the place "
            "of the last only if the padding is on the right.",
            "https://github.com/huggingface/peft/issues/3620",
        ),
        Misconception(
            last_position,
            "You take the last position, which is padding wherever a row is padded on "
            "the right.",
        ),
        Misconception(
            before_the_first_padding,
            "You take what stands before the first padding: there must be padding for "
            "that, and on the right.",
            "https://github.com/huggingface/transformers/pull/35911",
        ),
        Misconception(
            mean_of_the_real_ones,
            "You average the real positions: in a causal model only the last of them "
            "has read all the others.",
        ),
        Misconception(
            first_real,
            "You take the first real position: in a causal model it has read nothing "
            "but itself.",
        ),
        Misconception(
            one_place_for_all_rows,
            "You take the place of the first row for the whole batch: each row ends at "
            "a place of its own.",
        ),
    ),
    properties=(_is_a_position,),
    slips=slips.LAST_REAL,
    hints=(
        "Write down the mask 0011 and what `mask.sum(1) - 1` says of it.",
        "Give every position its number, and the padding a number that is too small.",
        "The largest of these numbers in a row is the place: `masked_fill`, `amax`.",
    ),
)


# -- accumulated_loss -----------------------------------------------------------------


def reference_accumulated(sums: list[float], counts: list[int]) -> float:
    return sum(sums) / max(sum(counts), 1)


def mean_of_means(sums: list[float], counts: list[int]) -> float:
    means = torch.tensor(sums, dtype=torch.float64) / torch.tensor(counts)
    return means.mean().item()


def mean_of_the_means_that_are(sums: list[float], counts: list[int]) -> float:
    means = [s / n for s, n in zip(sums, counts, strict=True) if n]
    return sum(means) / max(len(means), 1)


def by_micro_batches(sums: list[float], counts: list[int]) -> float:
    return sum(sums) / len(sums)


def sum_of_means(sums: list[float], counts: list[int]) -> float:
    return sum(s / n for s, n in zip(sums, counts, strict=True) if n)


def by_the_last_count(sums: list[float], counts: list[int]) -> float:
    return sum(sums) / max(counts[-1], 1)


def empty_ones_count_as_one(sums: list[float], counts: list[int]) -> float:
    return sum(sums) / sum(max(n, 1) for n in counts)


def _micro_batches(generator: Generator, counts: list[int]) -> Case:
    nats = torch.rand(len(counts), generator=generator).tolist()
    sums = [round(n * (0.5 + 2 * x), 3) for n, x in zip(counts, nats, strict=True)]
    return Case((sums, counts), f"sums = {sums}, counts = {counts}")


def _unequal(generator: Generator) -> list[Case]:
    few, some, many = (
        int(torch.randint(low, high, (1,), generator=generator))
        for low, high in ((1, 4), (8, 20), (60, 99))
    )
    return [
        _micro_batches(generator, [few, many]),
        _micro_batches(generator, [some, many, few]),
    ]


def _some_empty(generator: Generator) -> list[Case]:
    few, some, many = (
        int(torch.randint(low, high, (1,), generator=generator))
        for low, high in ((1, 4), (2, 40), (60, 99))
    )
    return [
        Case(([0.0] * some, [0] * some), f"{some} micro-batches, all empty"),
        _micro_batches(generator, [few, 0, many]),
    ]


ACCUMULATED_LOSS = Exercise(
    name="3.3/accumulated_loss",
    title="Step 5: the loss of a batch in pieces",
    difficulty=2,
    minutes=10,
    reference=reference_accumulated,
    parts=(
        Part("micro-batches of unequal size", 2, _unequal),
        Part("empty ones", 1, _some_empty),
    ),
    misconceptions=(
        Misconception(
            mean_of_means,
            "You average the micro-batches' means: a target in a small one weighs more "
            "than a target in a large one, and an empty one is 0/0.",
            "https://github.com/huggingface/transformers/pull/34191",
        ),
        Misconception(
            mean_of_the_means_that_are,
            "You leave the empty ones out, so there is no NaN, but it is still an "
            "average of averages: every *target* has to weigh the same.",
        ),
        Misconception(
            by_micro_batches,
            "You divide by the number of micro-batches: the loss then grows with how "
            "many targets each of them has.",
        ),
        Misconception(
            sum_of_means,
            "You add up the means: the loss grows with the number of micro-batches, "
            "and small ones weigh too much.",
        ),
        Misconception(
            by_the_last_count,
            "You divide by the targets of the last micro-batch: it is one of several.",
        ),
        Misconception(
            empty_ones_count_as_one,
            "You count an empty micro-batch as one target: only the whole sum needs "
            "care, where it is 0.",
        ),
    ),
    slips=slips.ACCUMULATED_LOSS,
    hints=(
        "One micro-batch has 1 target and loss 4, another has 99 and loss 0: what is "
        "the mean over the 100 targets?",
        "Add up before you divide, and divide once.",
        "`max(sum(counts), 1)` is a denominator that is never 0.",
    ),
)


# -- adamw_step -----------------------------------------------------------------------


def reference_adamw(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    p = p - lr * weight_decay * p - lr * m_hat / (v_hat.sqrt() + eps)
    return p, m, v


def no_bias_correction(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    return p - lr * weight_decay * p - lr * m / (v.sqrt() + eps), m, v


def decay_in_the_gradient(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    grad = grad + weight_decay * p
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p - lr * m_hat / (v_hat.sqrt() + eps), m, v


def none_taken_for_0(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    grad = torch.zeros_like(p) if grad is None else grad
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p - lr * weight_decay * p - lr * m_hat / (v_hat.sqrt() + eps), m, v


def eps_inside_the_root(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p - lr * weight_decay * p - lr * m_hat / (v_hat + eps).sqrt(), m, v


def exponent_from_0(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat = m / (1 - betas[0] ** (step - 1))
    v_hat = v / (1 - betas[1] ** (step - 1))
    return p - lr * weight_decay * p - lr * m_hat / (v_hat.sqrt() + eps), m, v


def decay_without_lr(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p - weight_decay * p - lr * m_hat / (v_hat.sqrt() + eps), m, v


def corrected_moments_kept(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    m = (betas[0] * m + (1 - betas[0]) * grad) / (1 - betas[0] ** step)
    v = (betas[1] * v + (1 - betas[1]) * grad**2) / (1 - betas[1] ** step)
    return p - lr * weight_decay * p - lr * m / (v.sqrt() + eps), m, v


def _three(function: Function, args: tuple[object, ...]) -> object:
    """For `Part.observe`: p, m and v, one above the other."""
    value = function(*args)
    if value is None:
        return None
    if type(value) not in (tuple, list) or len(value) != 3:
        raise TypeError("three tensors (p, m, v) are expected")
    if any(type(tensor) is not Tensor for tensor in value):
        raise TypeError("p, m and v must be tensors")
    if len({(tensor.shape, tensor.dtype) for tensor in value}) > 1:
        raise ValueError("p, m and v must have the shape and the dtype that they had")
    return torch.stack(list(value))


def _new_p(function: Function, args: tuple[object, ...]) -> object:
    """For `Part.observe`: p alone."""
    value = function(*args)
    if value is None:
        return None
    if type(value) not in (tuple, list) or len(value) != 3:
        raise TypeError("three tensors (p, m, v) are expected")
    return value[0]


def _updates(generator: Generator, step: int, none: bool = False) -> list[Case]:
    cases = []
    # Ordinary numbers, and ones that show eps and decay.
    for size, eps, decay in ((1.0, 1e-8, 0.1), (0.03, 0.1, 2.0)):
        n = int(torch.randint(2, 5, (1,), generator=generator))
        p, grad = normal(generator, n), size * normal(generator, n)
        m, v = torch.zeros(n), torch.zeros(n)
        if step > 1:
            m = 0.5 * size * normal(generator, n)
            v = size**2 * (0.1 + torch.rand(n, generator=generator)) * 0.1
        lr = round(0.2 + 0.3 * float(torch.rand((), generator=generator)), 3)
        says = f"step {step}, {n} numbers, lr {lr}, eps {eps}, weight_decay {decay}"
        if none:
            says = f"step {step}, grad None, lr {lr}, weight_decay {decay}"
        betas = (0.9, 0.999)
        args = (p, None if none else grad, m, v, step, lr, betas, eps, decay)
        cases.append(Case(args, says))
    return cases


def _first_step(generator: Generator) -> list[Case]:
    return _updates(generator, 1)


def _later_step(generator: Generator) -> list[Case]:
    return _updates(generator, int(torch.randint(5, 20, (1,), generator=generator)))


def _no_gradient(generator: Generator) -> list[Case]:
    return _updates(
        generator, int(torch.randint(2, 9, (1,), generator=generator)), True
    )


ADAMW_STEP = Exercise(
    name="3.3/adamw_step",
    title="Step 6: the update",
    difficulty=4,
    minutes=30,
    reference=reference_adamw,
    forbidden=(*LIBRARY, "torch.optim"),
    parts=(
        Part("the parameters after the first step", 2, _first_step, _new_p),
        Part("parameters and moments after a later step", 2, _later_step, _three),
        Part("no gradient: nothing changes", 1, _no_gradient, _three),
    ),
    misconceptions=(
        Misconception(
            no_bias_correction,
            "There is no bias correction: the moments start at 0 and are too small at "
            "first, v more than m, so that the first step is √10 times too large at "
            "betas (0.9, 0.999). BERT's own optimizer left it out.",
            "https://github.com/google-research/bert/issues/153",
        ),
        Misconception(
            decay_in_the_gradient,
            "You add the decay to the gradient, and Adam divides it away by √v: in "
            "AdamW it acts on p itself, beside Adam's step.",
        ),
        Misconception(
            none_taken_for_0,
            "You take None for a gradient of 0: the frozen weight still decays, and "
            "still moves by its old momentum.",
            "https://github.com/huggingface/diffusers/issues/1009",
        ),
        Misconception(
            eps_inside_the_root,
            "eps stands inside the root: √(v + eps) is not √v + eps, and for small "
            "gradients √eps is much more than eps.",
        ),
        Misconception(
            exponent_from_0,
            "Your exponent is step − 1: `step` counts from 1, and at the first step "
            "you divide by 1 − β⁰ = 0.",
        ),
        Misconception(
            decay_without_lr,
            "Your decay does not depend on lr: p loses lr · weight_decay · p, so that "
            "the schedule of the rate holds for it too.",
        ),
        Misconception(
            corrected_moments_kept,
            "You return the corrected moments, and the next step would correct them "
            "again: m and v stay plain running means.",
        ),
    ),
    slips=slips.ADAMW_STEP,
    hints=(
        "m and v are running means, of the gradient and of its square: these first.",
        "At step 1, m is (1 − β₁) · grad: by what must it be divided to be grad?",
        "Decay and step are two separate terms that are taken from the old p.",
    ),
)


EXERCISES = [LAST_REAL, ACCUMULATED_LOSS, ADAMW_STEP]
