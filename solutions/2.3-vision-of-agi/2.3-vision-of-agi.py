# %% [markdown]
# # Exercises 2.3: laws, ranks and leaps
#
# What the loss of a larger model will be, and whether fewer bits mean more ability, are
# questions of fits and rankings. You will write both, spend a budget well, find an
# accuracy that flatters, and see where a leap comes from.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Page 2.3 of the book explains everything that is asked here.

# %% given="imports"

import torch
from torch import Tensor

try:
    from lmlib.exercises import check
except ImportError:
    raise ImportError(
        "This notebook needs the lmlib of the course Compression is Intelligence; the "
        "package of that name on the Python index is another one. In a copy of the "
        "course's repository: pip install '.[grade]', or make work and open work/ there"
    ) from None

# %% [markdown] exercise="compute_optimal"
# The loss of N parameters that have read D tokens is $E + A/N^\alpha + B/D^\beta$, and
# training costs 6·N·D operations. Return the N and the D of least loss among those that
# cost `flops`; they need not be whole. Raise ValueError if one of the five is not
# positive.


# %% solution="compute_optimal"
def compute_optimal(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> tuple[float, float]:
    ### BEGIN SOLUTION
    if min(flops, A, B, alpha, beta) <= 0:
        raise ValueError("all must be positive")
    both = alpha + beta
    ratio = alpha * A / (beta * B)
    n = ratio ** (1 / both) * (flops / 6) ** (beta / both)
    return n, flops / (6 * n)
    ### END SOLUTION


# %% test="compute_optimal"
check("2.3/compute_optimal", compute_optimal)
### BEGIN HIDDEN TESTS
check("2.3/compute_optimal", compute_optimal, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="fit_power_law"
# Models of `n` parameters (a tensor, not sorted) have the losses `loss`. Fit
# $\text{floor} + a\, n^{-\alpha}$: with `floor` given, log(loss − floor) is a line in
# log n. Take the line of least squares there, and return a and α. Raise ValueError if a
# loss is not above the floor, or if there are fewer than two runs.


# %% solution="fit_power_law"
def fit_power_law(n: Tensor, loss: Tensor, floor: float) -> tuple[float, float]:
    ### BEGIN SOLUTION
    if len(n) < 2 or (loss <= floor).any():
        raise ValueError("two sizes at least, and losses above the floor")
    x, y = n.double().log(), (loss.double() - floor).log()
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx * dy).sum() / dx.square().sum()
    return torch.exp(y.mean() - slope * x.mean()).item(), -slope.item()
    ### END SOLUTION


# %% test="fit_power_law"
check("2.3/fit_power_law", fit_power_law)
### BEGIN HIDDEN TESTS
check("2.3/fit_power_law", fit_power_law, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="rank_correlation"
# Do two measures order the same models alike? Return Spearman's rank correlation of `x`
# and `y`: the correlation of their ranks, 1 if they order alike, −1 if one turns the
# other round. The rank of a value is its place in the order; equal values share the
# mean of their places. Raise ValueError if there are fewer than two pairs, if `x` and
# `y` are not of the same length, or if all values of one are equal.


# %% solution="rank_correlation"
def rank_correlation(x: Tensor, y: Tensor) -> float:
    ### BEGIN SOLUTION
    if len(x) != len(y) or len(x) < 2:
        raise ValueError("two pairs at least")
    centred = []
    for values in (x, y):
        below = (values[:, None] > values).sum(dim=1)
        equal = (values[:, None] == values).sum(dim=1)  # each with itself
        ranks = below + (equal + 1) / 2
        centred.append(ranks - ranks.mean())
    a, b = centred
    if not a.any() or not b.any():
        raise ValueError("equal values have no order")
    return ((a @ b) / (a.norm() * b.norm())).item()
    ### END SOLUTION


# %% test="rank_correlation"
check("2.3/rank_correlation", rank_correlation)
### BEGIN HIDDEN TESTS
check("2.3/rank_correlation", rank_correlation, hidden=True)
### END HIDDEN TESTS
