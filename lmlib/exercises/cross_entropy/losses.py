"""Section 4.2: log-sum-exp, the binary and the smoothed categorical cross-entropy."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    gradient,
    normal,
)

# -- log_sum_exp ----------------------------------------------------------------------


def reference_log_sum_exp(x: Tensor) -> Tensor:
    return torch.logsumexp(x, dim=-1)


def naive_log_sum_exp(x: Tensor) -> Tensor:
    return x.exp().sum(dim=-1).log()


def maximum_not_added_back(x: Tensor) -> Tensor:
    highest = x.amax(dim=-1, keepdim=True)
    highest = highest.masked_fill(highest == -math.inf, 0.0)
    return (x - highest).exp().sum(dim=-1).log()


def global_maximum(x: Tensor) -> Tensor:
    highest = x.max()
    return (x - highest).exp().sum(dim=-1).log() + highest


def infinity_less_infinity(x: Tensor) -> Tensor:
    highest = x.amax(dim=-1, keepdim=True)
    return (x - highest).exp().sum(dim=-1).log() + highest.squeeze(-1)


def a_little_added(x: Tensor) -> Tensor:
    highest = x.amax(dim=-1, keepdim=True)
    highest = highest.masked_fill(highest == -math.inf, 0.0)
    return ((x - highest).exp().sum(dim=-1) + 1e-2).log() + highest.squeeze(-1)


def along_axis_0(x: Tensor) -> Tensor:
    return torch.logsumexp(x, dim=0)


def mean_for_sum(x: Tensor) -> Tensor:
    return torch.logsumexp(x, dim=-1) - math.log(x.shape[-1])


def axis_kept(x: Tensor) -> Tensor:
    return torch.logsumexp(x, dim=-1, keepdim=True)


def the_maximum(x: Tensor) -> Tensor:
    return x.amax(dim=-1)


def _rows(generator: Generator) -> list[Case]:
    first, second, n = distinct_sizes(generator, 3)
    x = normal(generator, first, second, n)
    return [
        Case((x[0],), f"x {tuple(x[0].shape)}"),
        Case((x,), f"x {tuple(x.shape)}"),
        Case((2 * x.double(),), f"x {tuple(x.shape)}, float64"),
    ]


def _far_apart(generator: Generator) -> list[Case]:
    x = normal(generator, 2, 4)
    x = x + torch.tensor([[1e4], [-1e4]])
    return [Case((x,), "two rows, around 10,000 and −10,000")]


def _impossible(generator: Generator) -> list[Case]:
    x = normal(generator, 3, 4)
    x[0] = -math.inf
    x[1, :2] = -math.inf
    return [Case((x,), "a row of −∞ alone, and one with some −∞")]


def _some_impossible(generator: Generator) -> list[Case]:
    x = 3 * normal(generator, 3, 5)
    x[1, 1:3] = -math.inf
    return [Case((x,), "some −∞ in a row")]


def _moves_along(args: tuple[Any, ...], output: Tensor) -> str | None:
    x = args[0]
    if output.shape != x.shape[:-1] or not x.isfinite().all():
        return None
    if (output < x.amax(dim=-1) - 1e-6).any():
        return "It is never below the largest entry of the row; yours is."
    return None


LOG_SUM_EXP = Exercise(
    name="4.2/log_sum_exp",
    title="The logarithm of a sum of powers",
    difficulty=2,
    minutes=15,
    reference=reference_log_sum_exp,
    parts=(
        Part("any shape", 1, _rows),
        Part("large entries", 1, _far_apart),
        Part("impossible entries, −∞", 1, _impossible),
        Part("the gradient", 1, _some_impossible, gradient, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            naive_log_sum_exp,
            "exp overflows float32 from 89 on, and underflows to 0 below −104: take "
            "the row's maximum off first, and add it to the result.",
        ),
        Misconception(
            maximum_not_added_back,
            "You took the maximum off, which is right, and did not add it to the "
            "result: it is part of the answer.",
        ),
        Misconception(
            global_maximum,
            "You took off the maximum of the whole tensor: a row far below it "
            "underflows to log 0. Each row has a maximum of its own.",
        ),
        Misconception(
            infinity_less_infinity,
            "A row of −∞ alone has the maximum −∞, and −∞ − (−∞) is NaN: the log of a "
            "sum of zeros is −∞.",
        ),
        Misconception(
            a_little_added,
            "Something is added inside the logarithm so that it never meets 0: that "
            "makes every result a bit too large, and −∞ finite.",
        ),
        Misconception(
            along_axis_0,
            "You summed over the first axis: the classes are the *last* one.",
        ),
        Misconception(
            mean_for_sum, "This is the log of the *mean* of the powers, not of the sum."
        ),
        Misconception(
            axis_kept, "The last axis is summed away: drop it, instead of keeping a 1."
        ),
        Misconception(
            the_maximum,
            "This is the maximum alone: close if one entry leads by far, too low "
            "otherwise.",
        ),
    ),
    properties=(_moves_along,),
    hints=(
        "log Σ exp(x) = m + log Σ exp(x − m) for every m. Which m makes the largest "
        "power 1?",
        "`x.amax(dim=-1, keepdim=True)` is the maximum of each row.",
        "Where that maximum is −∞, use 0 in its place: `masked_fill`.",
    ),
    forbidden=(
        *LIBRARY,
        "torch.logsumexp",
        "torch.special.logsumexp",
        "torch.logaddexp",
        "torch.log_softmax",
        "torch.nn.functional.log_softmax",
    ),
)


# -- binary_cross_entropy -------------------------------------------------------------


def reference_binary(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets)


def one_minus_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()


def sigmoid_twice(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        torch.sigmoid(logits), targets
    )


def clamped(logits: Tensor, targets: Tensor) -> Tensor:
    p = torch.sigmoid(logits).clamp(1e-7, 1 - 1e-7)
    return -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()


def yes_alone(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * torch.nn.functional.logsigmoid(logits)).mean()


def targets_made_hard(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, (targets > 0.5).to(logits.dtype)
    )


def binary_summed(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="sum"
    )


def yes_and_no_swapped(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(-logits, targets)


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    return (torch.sigmoid(logits) - targets).square().mean()


def binary_in_bits(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets
    ) / math.log(2)


# Slips: recognised, and not handed in by the tests.


def prediction_and_target_swapped(logits: Tensor, targets: Tensor) -> Tensor:
    p, y = torch.sigmoid(logits), targets.clamp(1e-9, 1 - 1e-9)
    return -(p * y.log() + (1 - p) * (1 - y).log()).mean()


def any_target_is_yes(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, (targets > 0).to(logits.dtype)
    )


def targets_of_either_sign(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.softplus(-logits * targets).mean()


def _yes_and_no(generator: Generator) -> list[Case]:
    n, m = distinct_sizes(generator, 2)
    logits = normal(generator, n, m)
    targets = torch.randint(2, (n, m), generator=generator).float()
    targets[0, :2] = torch.tensor([0.0, 1.0])
    return [
        Case((logits[0], targets[0]), f"targets {targets[0].tolist()}"),
        Case((logits, targets), f"logits {n, m}"),
        Case((logits.double(), targets.double()), f"logits {n, m}, float64"),
    ]


def _sure_and_wrong(generator: Generator) -> list[Case]:
    shift = 5 * torch.rand(1, generator=generator).item()
    logits = torch.tensor([30 + shift, -200 - shift, 200 + shift, -25 - shift])
    return [Case((logits, torch.tensor([0.0, 1.0, 0.0, 1.0])), "sure, and wrong")]


def _shares(generator: Generator) -> list[Case]:
    logits = normal(generator, 5)
    targets = torch.rand(5, generator=generator)
    return [
        Case((logits, targets), f"targets {[round(t, 2) for t in targets.tolist()]}")
    ]


def _sure_for_gradient(generator: Generator) -> list[Case]:
    logits = normal(generator, 5)
    logits[0] = 40 + 9 * torch.rand(1, generator=generator).item()
    return [
        Case((logits, torch.tensor([0.0, 1.0, 0.3, 0.0, 1.0])), "one sure and wrong")
    ]


BINARY = Exercise(
    name="4.2/binary_cross_entropy",
    title="Binary cross-entropy from logits",
    difficulty=3,
    minutes=20,
    reference=reference_binary,
    parts=(
        Part("yes and no", 1, _yes_and_no),
        Part("logits of 30 and 200", 1, _sure_and_wrong),
        Part("targets that are shares", 1, _shares),
        Part("the gradient", 1, _sure_for_gradient, gradient, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            one_minus_sigmoid,
            "In float32, σ(17) is exactly 1, so 1 − σ(z) is 0 and its log −∞ from "
            "there on. Use 1 − σ(z) = σ(−z), or the formula softplus(z) − y·z.",
        ),
        Misconception(
            sigmoid_twice,
            "The sigmoid is taken twice: a probability goes in where a logit belongs, "
            "and the loss never falls below 0.31 for a yes.",
        ),
        Misconception(
            clamped,
            "Clamping the probability at 1e-7 says 16.1 however wrong the model is, "
            "and has no gradient there: the one error that matters is hidden.",
        ),
        Misconception(
            yes_alone,
            "Only the term of the yes is there: a no must be paid for as well, "
            "−(1 − y)·log(1 − σ(z)).",
        ),
        Misconception(
            targets_made_hard,
            "You made the targets 0 or 1. A target of 0.3 is a share: three in ten of "
            "such answers are yes.",
        ),
        Misconception(
            binary_summed, "This is the sum over the targets: the mean is asked."
        ),
        Misconception(
            yes_and_no_swapped, "Yes and no are swapped: a high logit means yes, 1."
        ),
        Misconception(
            squared_error,
            "This is the squared error. Its gradient dies where the model is sure and "
            "wrong, because σ′ stays in it.",
        ),
        Misconception(binary_in_bits, "This is in bits: nats are asked."),
    ),
    slips=(
        Misconception(
            any_target_is_yes,
            "Every target above 0 counts as a yes: a target of 0.3 is a share.",
        ),
        Misconception(
            targets_of_either_sign,
            "softplus(−z·y) is for targets of −1 and 1. Here a no is 0, and would cost "
            "ln 2 whatever z is.",
        ),
        Misconception(
            prediction_and_target_swapped,
            "Prediction and target are swapped: the target weighs, and the logarithm "
            "is of the prediction.",
        ),
    ),
    hints=(
        "Write −y·log σ(z) − (1 − y)·log(1 − σ(z)) with σ(z) = 1/(1 + e^(−z)), and see "
        "what is left: softplus(z) − y·z.",
        "softplus(z) = log(1 + e^z), which `torch.nn.functional.softplus` computes "
        "for any z.",
        "The mean over all targets.",
    ),
    forbidden=(
        *LIBRARY,
        "torch.nn.functional.binary_cross_entropy_with_logits",
        "torch.nn.functional.binary_cross_entropy",
        "torch.nn.BCEWithLogitsLoss",
        "torch.nn.BCELoss",
    ),
)


# -- smoothed_cross_entropy -----------------------------------------------------------


def reference_smoothed(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    return F.cross_entropy(
        logits, targets, label_smoothing=smoothing, ignore_index=ignore
    )


def on_the_others_alone(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    log_p = logits[counted].log_softmax(dim=-1)
    of_target = log_p.gather(1, targets[counted][:, None]).squeeze(1)
    others = (log_p.sum(dim=1) - of_target) / (logits.shape[1] - 1)
    return -((1 - smoothing) * of_target + smoothing * others).mean()


def smoothed_over_ignored(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    log_p = logits.log_softmax(dim=-1)
    of_target = log_p.gather(1, targets.where(counted, 0)[:, None]).squeeze(1)
    hard = -(of_target * counted).sum() / counted.sum()
    uniform = -log_p.mean(dim=1).sum() / counted.sum()
    return (1 - smoothing) * hard + smoothing * uniform


def divided_by_all(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    log_p = logits[counted].log_softmax(dim=-1)
    of_target = log_p.gather(1, targets[counted][:, None]).squeeze(1)
    loss = -(1 - smoothing) * of_target - smoothing * log_p.mean(dim=1)
    return loss.sum() / len(targets)


def softmax_before(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    return torch.nn.functional.cross_entropy(
        logits.softmax(dim=-1), targets, label_smoothing=smoothing, ignore_index=ignore
    )


def only_scaled(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    hard = torch.nn.functional.cross_entropy(logits, targets, ignore_index=ignore)
    return (1 - smoothing) * hard


def ignored_counts_from_the_end(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    targets = targets % logits.shape[1]
    return torch.nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)


def not_smoothed(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, targets, ignore_index=ignore)


def uniform_part_summed(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    log_p = logits[counted].log_softmax(dim=-1)
    of_target = log_p.gather(1, targets[counted][:, None]).squeeze(1)
    return -((1 - smoothing) * of_target + smoothing * log_p.sum(dim=1)).mean()


def target_keeps_all(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    log_p = logits[counted].log_softmax(dim=-1)
    of_target = log_p.gather(1, targets[counted][:, None]).squeeze(1)
    return -(of_target + smoothing * log_p.mean(dim=1)).mean()


# Slips.


def only_minus_100_ignored(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)


def smoothed_and_summed(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    return torch.nn.functional.cross_entropy(
        logits[counted], targets[counted], label_smoothing=smoothing, reduction="sum"
    )


def target_without_its_share(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    log_p = logits[counted].log_softmax(dim=-1)
    of_target = log_p.gather(1, targets[counted][:, None]).squeeze(1)
    others = (log_p.sum(dim=1) - of_target) / logits.shape[1]
    return -((1 - smoothing) * of_target + smoothing * others).mean()


def shares_turned_round(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    counted = targets != ignore
    return torch.nn.functional.cross_entropy(
        logits[counted], targets[counted], label_smoothing=1 - smoothing
    )


def _targets(generator: Generator, n: int, classes: int) -> tuple[Tensor, Tensor]:
    logits = 2 * normal(generator, n, classes)
    return logits, torch.randint(classes, (n,), generator=generator)


def _not_smoothed(generator: Generator) -> list[Case]:
    n, classes = distinct_sizes(generator, 2, low=3)
    logits, targets = _targets(generator, n, classes)
    logits[0] *= 100  # for 0·∞ would be NaN
    return [Case((logits, targets, 0.0, -100), f"logits {n, classes}, smoothing 0")]


def _smoothed(generator: Generator) -> list[Case]:
    n, classes = distinct_sizes(generator, 2, low=3)
    logits, targets = _targets(generator, n, classes)
    few, of_few = _targets(generator, 2, 3)
    says = f"logits {n, classes}, smoothing 0.1, float64"
    return [
        Case((few, of_few, 0.5, -100), "logits (2, 3), smoothing 0.5"),
        Case((logits.double(), targets, 0.1, -100), says),
    ]


def _with_ignored(generator: Generator) -> list[Case]:
    n, classes = distinct_sizes(generator, 2, low=4)
    logits, targets = _targets(generator, n, classes)
    targets[1] = -100
    other, of_other = _targets(generator, 5, 3)
    of_other[of_other == 0] = 1
    of_other[2:4] = 0
    return [
        Case((logits, targets, 0.2, -100), f"logits {n, classes}, −100 is ignored"),
        Case((other, of_other, 0.5, 0), "logits (5, 3), 0 is ignored"),
    ]


SMOOTHED = Exercise(
    name="4.2/smoothed_cross_entropy",
    title="Categorical cross-entropy, smoothed, with targets to ignore",
    difficulty=4,
    minutes=30,
    reference=reference_smoothed,
    parts=(
        Part("without smoothing", 1, _not_smoothed),
        Part("smoothing", 1, _smoothed),
        Part("ignored targets", 2, _with_ignored),
        Part("the gradient", 1, _with_ignored, gradient, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            on_the_others_alone,
            "You gave ε to the *other* classes alone, ε/(V − 1) each. That is another "
            "convention: here every class gets ε/V, the target too.",
        ),
        Misconception(
            smoothed_over_ignored,
            "The uniform part is summed over ignored targets as well: they cost "
            "nothing, neither part of it.",
            "https://github.com/pytorch/pytorch/issues/73205",
        ),
        Misconception(
            divided_by_all,
            "You divided by all positions: the mean is over those that have a target.",
        ),
        Misconception(
            softmax_before,
            "A softmax before the cross-entropy is a second one: the loss is flat and "
            "cannot fall far.",
        ),
        Misconception(
            only_scaled,
            "(1 − ε) times the loss alone only scales it: the part ε/V·Σ −log p of all "
            "classes is missing.",
        ),
        Misconception(
            ignored_counts_from_the_end,
            "The ignored target was used as the number of a class, counted from the "
            "end (or around): leave those rows out first.",
        ),
        Misconception(not_smoothed, "The smoothing has no effect."),
        Misconception(
            uniform_part_summed,
            "The uniform part is ε times the *mean* of −log p over the classes, not "
            "the sum.",
        ),
        Misconception(
            target_keeps_all,
            "The target keeps its whole weight and the others get more: what goes in "
            "has to sum to 1, so the target keeps 1 − ε (and its ε/V).",
        ),
    ),
    slips=(
        Misconception(
            only_minus_100_ignored,
            "You ignore −100, torch's own number for it: `ignore` says which one.",
        ),
        Misconception(
            smoothed_and_summed, "This is the sum over the rows: the mean is asked."
        ),
        Misconception(
            target_without_its_share,
            "The target gets 1 − ε and no more: its own ε/V is missing, and the whole "
            "sums to less than 1.",
        ),
        Misconception(
            shares_turned_round,
            "The two shares are turned round: ε, the `smoothing`, goes to all classes "
            "alike, and 1 − ε to the target.",
        ),
    ),
    hints=(
        "The target is a distribution: (1 − ε)·onehot + ε/V. Its cross-entropy is a "
        "sum of two.",
        "−(1 − ε)·log p[target] − ε·(mean of log p over all classes).",
        "Take the rows with a target first: `counted = targets != ignore`.",
    ),
    builds_on=("log_sum_exp",),
    forbidden=(
        *LIBRARY,
        "torch.nn.functional.cross_entropy",
        "torch.nn.CrossEntropyLoss",
        "torch.nn.functional.nll_loss",
    ),
)

EXERCISES = [LOG_SUM_EXP, BINARY, SMOOTHED]
