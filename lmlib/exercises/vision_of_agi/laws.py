"""Section 2.3: laws of loss, fitted and put to use."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    normal,
    pair,
    plain_number,
)


def _uniform(generator: Generator, low: float, high: float) -> float:
    value = low + (high - low) * torch.rand((), generator=generator).item()
    return float(f"{value:.3g}")


def _two_numbers(what: str) -> Any:
    """For `Part.observe`: the two numbers that are returned, as a tensor."""

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        value = function(*args)
        if value is None:
            return None
        found = [plain_number(one) for one in pair(value, what)]
        for one in found:
            if isinstance(one, bool) or not isinstance(one, int | float):
                raise TypeError(f"numbers are expected, {what}")
        return torch.tensor([float(one) for one in found], dtype=torch.float64)

    return observe


# -- compute_optimal ------------------------------------------------------------------


def reference_optimal(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError("all must be positive")
    both = alpha + beta
    n = (alpha * A / (beta * B)) ** (1 / both) * (flops / 6) ** (beta / both)
    return n, flops / (6 * n)


def exponents_swapped(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    n = (alpha * A / (beta * B)) ** (1 / both) * (flops / 6) ** (alpha / both)
    return n, flops / (6 * n)


def no_six(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    n = (alpha * A / (beta * B)) ** (1 / both) * flops ** (beta / both)
    return n, flops / n


def ratio_upside_down(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    n = (beta * B / (alpha * A)) ** (1 / both) * (flops / 6) ** (beta / both)
    return n, flops / (6 * n)


def root_left_out(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    n = alpha * A / (beta * B) * (flops / 6) ** (beta / (alpha + beta))
    return n, flops / (6 * n)


def half_and_half(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    n = (flops / 6) ** 0.5
    return n, flops / (6 * n)


def twenty_each(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    n = (flops / 120) ** 0.5
    return n, 20 * n


def terms_alike(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    n = (A / B) ** (1 / both) * (flops / 6) ** (beta / both)
    return n, flops / (6 * n)


def text_first(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    n = (alpha * A / (beta * B)) ** (1 / both) * (flops / 6) ** (beta / both)
    return flops / (6 * n), n


def nothing_refused(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B) == 0 or not alpha or not beta:
        return 0.0, 0.0
    both = alpha + beta
    n = abs(alpha * A / (beta * B)) ** (1 / both) * abs(flops / 6) ** (beta / both)
    return n, flops / (6 * n)


# Slips: recognised, and not handed in by the tests.


def six_for_text_alone(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    n = (alpha * A / (beta * B)) ** (1 / both) * flops ** (beta / both)
    return n, flops / (6 * n)


def all_the_budget_each(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError
    both = alpha + beta
    g = (alpha * A / (beta * B)) ** (1 / both)
    return g * (flops / 6) ** (beta / both), g * (flops / 6) ** (alpha / both)


LAW = ("flops", "A", "B", "alpha", "beta")


def _law(generator: Generator) -> tuple[float, ...]:
    flops = float(f"{10 ** _uniform(generator, 12.0, 24.0):.3g}")
    a, b = _uniform(generator, 50.0, 300.0), _uniform(generator, 400.0, 2000.0)
    alpha, beta = _uniform(generator, 0.42, 0.6), _uniform(generator, 0.25, 0.38)
    return flops, a, b, alpha, beta


def _says_law(law: tuple[float, ...]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in zip(LAW, law, strict=True))


def _laws(generator: Generator) -> list[Case]:
    drawn = [_law(generator) for _ in range(3)]
    return [Case(law, _says_law(law)) for law in drawn]


def _budget(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: 6·N·D over the budget, and how N grows with the budget."""
    observe = _two_numbers("N and D")
    first = observe(function, args)
    second = observe(function, (100 * args[0], *args[1:]))
    if first is None or second is None:
        return None
    return torch.stack([6 * first.prod() / args[0], second[0] / first[0]])


def _not_positive(generator: Generator) -> list[Case]:
    cases = []
    for i in range(len(LAW)):
        law = [*_law(generator)]
        law[i] = (0.0, -law[i])[draw_integer(generator, 0, 1)]
        cases.append(Case(tuple(law), _says_law(tuple(law))))
    return cases


COMPUTE_OPTIMAL = Exercise(
    name="2.3/compute_optimal",
    title="A budget, well spent",
    difficulty=3,
    minutes=25,
    reference=reference_optimal,
    parts=(
        Part("size and text", 3, _laws, _two_numbers("N and D")),
        Part("all is spent, and a hundredfold budget", 1, _laws, _budget),
        Part("what is not positive: ValueError", 1, _not_positive, error_type),
    ),
    misconceptions=(
        Misconception(
            exponents_swapped,
            "The exponents are swapped: N grows with β/(α + β). The larger α, the "
            "sooner size is enough.",
        ),
        Misconception(
            no_six, "The six is missing: the budget is 6·N·D, so that N·D is flops/6."
        ),
        Misconception(
            ratio_upside_down,
            "The ratio is upside down: from αA/N^α = βB/D^β and D = C/(6N) follows "
            "N^(α+β) = αA/(βB) · (C/6)^β.",
        ),
        Misconception(
            root_left_out,
            "αA/(βB) is to be raised to 1/(α + β), like all that N^(α+β) is equal to.",
        ),
        Misconception(
            half_and_half,
            "N = D whatever the law says. Even equal exponents would not make equal "
            "amounts.",
        ),
        Misconception(
            twenty_each,
            "Twenty tokens a parameter are the result of one fit. Yours has other "
            "numbers.",
        ),
        Misconception(
            terms_alike,
            "You made the two terms equal. It is their slopes that are: each times its "
            "exponent, αA/N^α = βB/D^β.",
        ),
        Misconception(
            text_first, "N and D have changed places: size first, then text."
        ),
        Misconception(
            nothing_refused,
            "With a term or a budget that is 0 or negative there is no such point: "
            "raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            six_for_text_alone,
            "The six is in D and not in N: N^(α+β) = αA/(βB) · (C/6)^β.",
        ),
        Misconception(
            all_the_budget_each,
            "6·N·D is not the budget: once you have N, what is left for D is C/(6N).",
        ),
    ),
    hints=(
        "Put D = C/(6N) into A/N^α + B/D^β, and let the derivative by N be 0.",
        "αA/N^α = βB/D^β. Put D = C/(6N) in and solve for N.",
        "N = (αA/(βB))^(1/(α+β)) · (C/6)^(β/(α+β)).",
    ),
)


# -- fit_power_law --------------------------------------------------------------------


def reference_fit(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError("two sizes at least, and losses above the floor")
    x, y = n.double().log(), (loss.double() - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


def floor_ignored(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), loss.double().log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


def semi_log(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), loss.double() - floor
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).item(), -slope.item()


def minus_lost(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), (loss.double() - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), slope.item()


def a_left_in_logs(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), (loss.double() - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).item(), -slope.item()


def through_the_ends(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), (loss.double() - floor).log()
    first, last = x.argmin(), x.argmax()
    slope = (y[last] - y[first]) / (x[last] - x[first])
    return (y[first] - slope * x[first]).exp().item(), -slope.item()


def through_the_origin(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), (loss.double() - floor).log()
    return 1.0, -((x * y).sum() / x.square().sum()).item()


def size_upon_loss(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), (loss.double() - floor).log()
    slope = (y - y.mean()).square().sum() / ((x - x.mean()) * (y - y.mean())).sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


def log_of_one_more(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log1p(), (loss.double() - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


def no_error(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    x, y = n.double().log(), (loss.double() - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


# Slips: recognised, and not handed in by the tests.


def alpha_first(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log(), (loss.double() - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return -slope.item(), (y.mean() - slope * x.mean()).exp().item()


def ten_for_e(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    if len(n) < 2 or bool((loss <= floor).any()):
        raise ValueError
    x, y = n.double().log10(), (loss.double() - floor).log10()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).exp().item(), -slope.item()


def _runs(
    generator: Generator, floor: float, noise: float
) -> tuple[Tensor, Tensor, float]:
    k = draw_integer(generator, 5, 7)
    n = (4 + torch.arange(k) * 0.5 + torch.rand(k, generator=generator) / 4) * 2.3
    n = n[torch.randperm(k, generator=generator)].exp().round()
    a, alpha = _uniform(generator, 20.0, 60.0), _uniform(generator, 0.2, 0.4)
    loss = a * n**-alpha * (1 + noise * normal(generator, k)).clamp(0.5)
    return n, (floor + loss).round(decimals=4), floor


def _runs_case(generator: Generator, floor: float, noise: float) -> Case:
    args = _runs(generator, floor, noise)
    kind = f"{len(args[0])} runs{', noisy' if noise else ''}, floor {floor}"
    return Case(args, kind)


def _exact(generator: Generator) -> list[Case]:
    case = _runs_case(generator, 0.0, 0.0)
    n, loss, floor = _runs(generator, 0.0, 0.0)
    # Of numbers below 1, log and log1p are far apart; of millions they are alike.
    millions = Case((n / 1e6, loss, floor), f"{len(n)} runs, sizes in millions")
    return [case, millions]


def _noisy(generator: Generator) -> list[Case]:
    return [_runs_case(generator, 0.0, 0.1)]


def _floored(generator: Generator) -> list[Case]:
    return [_runs_case(generator, _uniform(generator, 0.5, 1.5), 0.05) for _ in "12"]


def _too_little(generator: Generator) -> list[Case]:
    n, loss, _ = _runs(generator, 1.0, 0.05)
    lowest, middle = loss.min().item(), loss.median().item()
    one = _runs(generator, 1.0, 0.05)
    return [
        Case((n, loss, lowest), "the floor is the least of the losses"),
        Case((n, loss, middle), "the floor is the median of the losses"),
        Case((one[0][:1], one[1][:1], 0.5), "one size"),
    ]


FIT_POWER_LAW = Exercise(
    name="2.3/fit_power_law",
    title="A line in logarithms",
    difficulty=2,
    minutes=20,
    reference=reference_fit,
    parts=(
        Part("runs on the law", 1, _exact, _two_numbers("a and alpha")),
        Part("runs beside it", 2, _noisy, _two_numbers("a and alpha")),
        Part("a floor", 2, _floored, _two_numbers("a and alpha")),
        Part("what can't be fitted: ValueError", 1, _too_little, error_type),
    ),
    misconceptions=(
        Misconception(
            floor_ignored,
            "The floor is still in the losses: the line bends towards it, and α comes "
            "out small. Take it off before the logarithm.",
        ),
        Misconception(
            semi_log,
            "Loss against log n: what is straight there is a logarithm and no power. "
            "Take the logarithm of both.",
        ),
        Misconception(
            minus_lost,
            "α is how fast the loss *falls*: minus the slope, a positive number.",
        ),
        Misconception(
            a_left_in_logs, "The intercept is the logarithm of a: take `exp` of it."
        ),
        Misconception(
            through_the_ends,
            "You drew the line through two runs. Noise is not averaged that way: all "
            "of them count, by least squares.",
        ),
        Misconception(
            through_the_origin,
            "Your line has no intercept, which makes a = 1. Fit both.",
        ),
        Misconception(
            size_upon_loss,
            "You fitted the size to the loss and turned the line round. The errors are "
            "those of the loss.",
        ),
        Misconception(
            log_of_one_more,
            "`log1p` is log(1 + n). A power law is a line in log n, whatever unit n "
            "is counted in.",
        ),
        Misconception(
            no_error,
            "Losses at or below the floor have no logarithm, and one size has no "
            "slope: raise ValueError.",
        ),
    ),
    slips=(
        Misconception(alpha_first, "a and α have changed places."),
        Misconception(
            ten_for_e,
            "You took logarithms to base 10, and `exp` of the intercept: 10 to its "
            "power belongs to them.",
        ),
    ),
    hints=(
        "log(loss − floor) = log a − α·log n.",
        "The slope of a line by least squares: Σ(x−x̄)(y−ȳ)/Σ(x−x̄)².",
        "a = exp(ȳ − slope·x̄), α = −slope.",
    ),
)

EXERCISES = [COMPUTE_OPTIMAL, FIT_POWER_LAW]
