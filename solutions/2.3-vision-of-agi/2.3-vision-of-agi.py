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
import math

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

# %% [markdown] exercise="neighbour_accuracy"
# A compressor makes a classifier: the distance of two texts is small where one helps to
# compress the other, and a text gets the label that most of its `k` nearest have.
# `distances` (t, n) are those of t tests from n labelled texts, `labels` (n,) the
# labels, `wanted` (t,) the right labels of the tests. Somebody computed the share of
# tests that come out right, published it, and it was too good to be true.
#
# Find the bug, and write the accuracy as it should be. Each of the k nearest has one
# vote; where labels have equally many votes, the one that comes first among the nearest
# is chosen. No two distances of a test are equal.


# %% given="flattering_accuracy"
def flattering_accuracy(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort()[:k]].tolist()
        most = max(near.count(one) for one in near)
        right += near.count(label) == most
    return right / len(wanted)


# %% solution="neighbour_accuracy"
def neighbour_accuracy(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    ### BEGIN SOLUTION
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort()[:k]].tolist()
        chosen = max(near, key=near.count)  # of equals the first, which is the nearest
        right += chosen == label
    return right / len(wanted)
    ### END SOLUTION


# %% test="neighbour_accuracy"
check("2.3/neighbour_accuracy", neighbour_accuracy)
### BEGIN HIDDEN TESTS
check("2.3/neighbour_accuracy", neighbour_accuracy, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="exact_match"
# An answer has `k` tokens, and each is right with the same probability, independently
# of the others. For each of several models, with the probabilities `p` (n,): what is
# the probability that the whole answer is right? Return a tensor (n,).


# %% solution="exact_match"
def exact_match(p: Tensor, k: int) -> Tensor:
    ### BEGIN SOLUTION
    return p**k
    ### END SOLUTION


# %% test="exact_match"
check("2.3/exact_match", exact_match)
### BEGIN HIDDEN TESTS
check("2.3/exact_match", exact_match, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="floor_in_bits"
# A law of loss has its floor in nats a token. How many bits a byte is that, if a token
# has `bytes_per_token` bytes on average? Raise ValueError if these are not more than 0.


# %% solution="floor_in_bits"
def floor_in_bits(nats_per_token: float, bytes_per_token: float) -> float:
    ### BEGIN SOLUTION
    if bytes_per_token <= 0:
        raise ValueError("a token must have bytes")
    return nats_per_token / math.log(2) / bytes_per_token
    ### END SOLUTION


# %% test="floor_in_bits"
check("2.3/floor_in_bits", floor_in_bits)
### BEGIN HIDDEN TESTS
check("2.3/floor_in_bits", floor_in_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predict"
# Predict first; then run it, if you like. Two decimals will do.
#
# - `at_90`: each token is right with p = 0.90, independently. What share of answers of
#   ten tokens is right as a whole?
# - `at_95`: the same with p = 0.95.
# - `half_way`: at which p is half of the answers of ten tokens right?
# - `clumps`: the shares of right tokens are as before, but right ones come in clumps: a
#   right one makes the next more likely. Are right answers of ten tokens `"more"`,
#   `"fewer"` or `"equal"` in number, compared with $p^{10}$?
# - `growth`: a law of loss has α = β. With a hundred times the budget, how many times
#   as large should the model be?

# %% solution="predict"
predict = {
    "at_90": None,
    "at_95": None,
    "half_way": None,
    "clumps": None,
    "growth": None,
}
### BEGIN SOLUTION
predict = {
    "at_90": 0.35,
    "at_95": 0.60,
    "half_way": 0.93,
    "clumps": "more",
    "growth": 10,
}
### END SOLUTION

# %% test="predict"
check("2.3/predict", predict)
### BEGIN HIDDEN TESTS
check("2.3/predict", predict, hidden=True)
### END HIDDEN TESTS
