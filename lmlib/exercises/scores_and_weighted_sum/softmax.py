"""Section 4.1: the variance of a score, the softmax's Jacobian and its transpose."""

import math

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    normal,
)

AUTOGRAD = ("torch.autograd", "torch.func")

# -- dot_product_variance -------------------------------------------------------------


def reference_variance(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return d_k * (var_q * var_k + var_q * mean_k**2 + var_k * mean_q**2)


def means_left_out(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return d_k * var_q * var_k


def d_k_squared(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return d_k**2 * (var_q * var_k + var_q * mean_k**2 + var_k * mean_q**2)


def standard_deviation(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return math.sqrt(d_k * (var_q * var_k + var_q * mean_k**2 + var_k * mean_q**2))


def second_moment(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return d_k * (var_q + mean_q**2) * (var_k + mean_k**2)


def sum_of_variances(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return d_k * (var_q + var_k)


def means_with_the_wrong_variance(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    return d_k * (var_q * var_k + var_q * mean_q**2 + var_k * mean_k**2)


def _quarters(generator: Generator, n: int, low: int) -> list[float]:
    drawn = torch.randperm(12, generator=generator)[:n] + low
    return [quarter / 4 for quarter in drawn.tolist()]


def _zero_means(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(2):
        d_k = int(torch.randint(3, 65, (1,), generator=generator))
        var_q, var_k = _quarters(generator, 2, low=5)
        cases.append(
            Case((d_k, var_q, var_k, 0.0, 0.0), f"{d_k=}, {var_q=}, {var_k=}, means 0")
        )
    return cases


def _any_means(generator: Generator) -> list[Case]:
    d_k = int(torch.randint(3, 65, (1,), generator=generator))
    var_q, var_k = _quarters(generator, 2, low=5)
    mean_q, mean_k = _quarters(generator, 2, low=1)
    args = (d_k, var_q, var_k, mean_q, -mean_k)
    return [Case(args, f"{d_k=}, {var_q=}, {var_k=}, {mean_q=}, mean_k={-mean_k}")]


DOT_PRODUCT_VARIANCE = Exercise(
    name="4.1/dot_product_variance",
    title="The variance of a score",
    difficulty=2,
    minutes=10,
    reference=reference_variance,
    parts=(
        Part("means of 0", 1, _zero_means),
        Part("any means", 2, _any_means),
    ),
    misconceptions=(
        Misconception(
            means_left_out,
            "This holds for means of 0 alone: a query that varies around 0, times a "
            "key that is large on average, varies as well.",
        ),
        Misconception(
            d_k_squared,
            "You multiplied by d_k²: the variances of d_k independent terms add, which "
            "gives d_k times one of them.",
        ),
        Misconception(
            standard_deviation,
            "This is the standard deviation, the root of the variance that is asked.",
        ),
        Misconception(
            second_moment,
            "This is the mean of the square: subtract the square of the mean, "
            "(mean_q · mean_k)² for each component.",
        ),
        Misconception(
            sum_of_variances,
            "You added the two variances: that is for a sum q + k; here each term is a "
            "product.",
        ),
        Misconception(
            means_with_the_wrong_variance,
            "Each mean stands beside its own variance: it is the query's spread that "
            "is multiplied by the key's mean, and the other way round.",
        ),
    ),
    hints=(
        "Write one term's variance as E[q²k²] − (E[qk])². For independent q and k both "
        "expectations are products.",
        "E[q²] is the variance plus the square of the mean.",
        "The components are independent, so the variances of the d_k terms add.",
    ),
)

# -- softmax_jacobian -----------------------------------------------------------------


def reference_jacobian(scores: Tensor) -> Tensor:
    a = scores.softmax(dim=-1)
    return torch.diag_embed(a) - a[..., :, None] * a[..., None, :]


def diagonal_alone(scores: Tensor) -> Tensor:
    a = scores.softmax(dim=-1)
    return torch.diag_embed(a * (1 - a))


def diagonal_missing(scores: Tensor) -> Tensor:
    a = scores.softmax(dim=-1)
    return -a[..., :, None] * a[..., None, :]


def plus_sign(scores: Tensor) -> Tensor:
    a = scores.softmax(dim=-1)
    return torch.diag_embed(a) + a[..., :, None] * a[..., None, :]


def rows_mixed(scores: Tensor) -> Tensor:
    a = scores.softmax(dim=-1).flatten()
    return torch.diag(a) - torch.outer(a, a)


def naive_exponential(scores: Tensor) -> Tensor:
    e = scores.exp()
    a = e / e.sum(dim=-1, keepdim=True)
    return torch.diag_embed(a) - a[..., :, None] * a[..., None, :]


def one_row_minus(scores: Tensor) -> Tensor:
    a = scores.softmax(dim=-1)
    return torch.diag_embed(a) - a[..., None, :].expand(*a.shape, a.shape[-1])


def symmetric(args: tuple[Tensor, ...], output: Tensor) -> str | None:
    if output.ndim < 2 or output.shape[-1] != output.shape[-2]:
        return None
    if not torch.allclose(output, output.mT, atol=1e-5):
        return "The Jacobian must be symmetric: it is a second derivative."
    return None


def jacobian_rows_sum_to_zero(args: tuple[Tensor, ...], output: Tensor) -> str | None:
    if not torch.allclose(output.sum(-1), output.new_zeros(()), atol=1e-4):
        return "Each row must sum to 0: the same added to all scores changes nothing."
    return None


def _one_row(generator: Generator) -> list[Case]:
    scores = normal(generator, 3)
    return [Case((scores,), f"scores = {[round(s, 4) for s in scores.tolist()]}")]


def _leading(generator: Generator) -> list[Case]:
    scores = normal(generator, *distinct_sizes(generator, 3))
    says = f"scores {tuple(scores.shape)}"
    return [Case((scores,), says), Case((scores.double(),), says + ", float64")]


def _large(generator: Generator) -> list[Case]:
    scores = 1e4 + normal(generator, 2, 4)
    blocked = normal(generator, 2, 4) - 1e4
    blocked[1, 2] = -math.inf
    return [
        Case((scores.double(),), "scores near 10,000"),
        Case((blocked.double(),), "scores near −10,000, one of them −∞"),
    ]


SOFTMAX_JACOBIAN = Exercise(
    name="4.1/softmax_jacobian",
    title="The Jacobian of the softmax",
    difficulty=3,
    minutes=20,
    reference=reference_jacobian,
    parts=(
        Part("one row", 1, _one_row),
        Part("any leading axes", 1, _leading),
        Part("scores of ±10,000 and −∞", 1, _large),
    ),
    properties=(symmetric, jacobian_rows_sum_to_zero),
    misconceptions=(
        Misconception(
            diagonal_alone,
            "You have the diagonal alone: raising one score lowers the weights of all "
            "others, by a_i·a_j.",
        ),
        Misconception(
            diagonal_missing,
            "The diagonal lacks its a_i: a weight grows with its own score, by "
            "a_i − a_i².",
        ),
        Misconception(
            plus_sign,
            "You added a·aᵀ: the other weights fall when a score rises, so it is "
            "subtracted.",
        ),
        Misconception(
            rows_mixed,
            "You made one matrix of all rows: each row of scores has a softmax and a "
            "Jacobian of its own (`torch.diag_embed` keeps the leading axes).",
        ),
        Misconception(
            naive_exponential,
            "You took exp of the scores as they are, which overflows beyond 88 in "
            "float32, 709 in float64: use torch.softmax.",
        ),
        Misconception(
            one_row_minus,
            "Off the diagonal you have −a_j: it is −a_i·a_j, the product of both "
            "weights.",
        ),
    ),
    hints=(
        "Derive a_i = e^{s_i} / Σ e^{s_l} with respect to s_j, once for i = j, once "
        "for i ≠ j.",
        "In one formula: a_i(δ_ij − a_j).",
        "`torch.diag_embed(a)` makes a diagonal matrix of each row; a[..., :, None] "
        "and a[..., None, :] make the outer product.",
    ),
    forbidden=(*LIBRARY, *AUTOGRAD),
)

# -- softmax_backward -----------------------------------------------------------------


def reference_softmax_backward(weights: Tensor, gradient: Tensor) -> Tensor:
    return weights * (gradient - (weights * gradient).sum(dim=-1, keepdim=True))


def no_mean(weights: Tensor, gradient: Tensor) -> Tensor:
    return weights * gradient


def backward_diagonal_alone(weights: Tensor, gradient: Tensor) -> Tensor:
    return weights * (1 - weights) * gradient


def plain_mean(weights: Tensor, gradient: Tensor) -> Tensor:
    return weights * (gradient - gradient.mean(dim=-1, keepdim=True))


def summed_over_queries(weights: Tensor, gradient: Tensor) -> Tensor:
    return weights * (gradient - (weights * gradient).sum(dim=-2, keepdim=True))


def not_weighted(weights: Tensor, gradient: Tensor) -> Tensor:
    return gradient - (weights * gradient).sum(dim=-1, keepdim=True)


def backward_rows_sum_to_zero(args: tuple[Tensor, ...], output: Tensor) -> str | None:
    if not torch.allclose(output.sum(-1), output.new_zeros(()), atol=1e-4):
        return "Each row must sum to 0: what some scores win, others lose."
    return None


def _pair(generator: Generator, *shape: int) -> tuple[Tensor, Tensor]:
    weights = (2 * normal(generator, *shape)).softmax(dim=-1)
    # One key without attention.
    weights = torch.cat((weights, torch.zeros_like(weights[..., :1])), dim=-1)
    return weights, normal(generator, *weights.shape)


def _two_rows(generator: Generator) -> list[Case]:
    return [Case(_pair(generator, 2, 3), "2 queries, 4 keys, the last of weight 0")]


def _leading_pairs(generator: Generator) -> list[Case]:
    weights, gradient = _pair(generator, *distinct_sizes(generator, 4))
    says = f"weights {tuple(weights.shape)}"
    return [
        Case((weights, gradient), says),
        Case((weights.double(), gradient.double()), says + ", float64"),
    ]


def _constant(generator: Generator) -> list[Case]:
    weights, gradient = _pair(generator, 3, 4)
    constant = gradient[:, :1].expand_as(gradient).clone()
    return [Case((weights, constant), "the same gradient for all keys of a row")]


SOFTMAX_BACKWARD = Exercise(
    name="4.1/softmax_backward",
    title="Backward through a softmax",
    difficulty=3,
    minutes=15,
    reference=reference_softmax_backward,
    parts=(
        Part("two rows", 1, _two_rows),
        Part("any leading axes", 1, _leading_pairs),
        Part("a constant gradient", 1, _constant),
    ),
    properties=(backward_rows_sum_to_zero,),
    misconceptions=(
        Misconception(
            no_mean,
            "Your rows do not sum to 0: the mean of the gradient under the weights "
            "must be subtracted first.",
        ),
        Misconception(
            backward_diagonal_alone,
            "You used the diagonal of the Jacobian alone: each score also moves the "
            "weights of all other keys.",
        ),
        Misconception(
            plain_mean,
            "You subtracted the plain mean of the gradient: it is the mean under the "
            "weights, Σ a_l g_l.",
        ),
        Misconception(
            summed_over_queries,
            "You summed over the queries: each query has a softmax, and so a mean, of "
            "its own, over the last axis.",
        ),
        Misconception(
            not_weighted,
            "The factor a is missing: a key without attention learns nothing.",
        ),
    ),
    hints=(
        "J = diag(a) − a·aᵀ. Multiply it by g on paper: what is aᵀg?",
        "aᵀg is one number for each row; keep the axis, and it broadcasts.",
        "a ∘ (g − ⟨a, g⟩).",
    ),
    forbidden=(
        *LIBRARY,
        *AUTOGRAD,
        "torch._softmax_backward_data",
        "torch.ops",
    ),
)

EXERCISES = [DOT_PRODUCT_VARIANCE, SOFTMAX_JACOBIAN, SOFTMAX_BACKWARD]
