# %% [markdown]
# # Exercises 4.2: what a prediction costs
#
# A loss is a length: the nats, or bits, that it takes to write down what really came.
# You will compute it so that no logit is too large for it, smooth it, take one code's
# price for another's text, and find out whether a model means its probabilities.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# **Conventions.** Classes are the last axis. Losses are in nats unless bits are asked.
# Page 4.2 of the book explains everything that is asked here.

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

# %% [markdown] exercise="log_sum_exp"
# Everything in this section needs $\log \sum_j e^{x_j}$ over the last axis of `x`,
# whatever the size of its entries: ±10,000 must do. Where a whole row is −∞, the
# result is −∞. A single −∞ costs nothing. The result has the shape of `x` without its
# last axis; its gradient must not be NaN where a row has some −∞.


# %% solution="log_sum_exp"
def log_sum_exp(x: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    highest = x.amax(dim=-1, keepdim=True)
    highest = highest.masked_fill(highest == -math.inf, 0.0)
    return (x - highest).exp().sum(dim=-1).log() + highest.squeeze(-1)
    ### END SOLUTION


# %% test="log_sum_exp"
check("4.2/log_sum_exp", log_sum_exp)
### BEGIN HIDDEN TESTS
check("4.2/log_sum_exp", log_sum_exp, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="binary_cross_entropy"
# Yes or no. `logits` $z$ and `targets` $y$ have the same shape, any; a target is a
# number in 0 … 1 (0.3: three in ten of such answers are yes). Return the mean of
#
# $$-y \ln \sigma(z) - (1 - y) \ln (1 - \sigma(z)), \qquad \sigma(z) = 1/(1 + e^{-z})$$
#
# in nats, as a tensor without axes. It must be right, and have a gradient, at logits of
# 200 and −200.


# %% solution="binary_cross_entropy"
def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    return (torch.nn.functional.softplus(logits) - targets * logits).mean()
    ### END SOLUTION


# %% test="binary_cross_entropy"
check("4.2/binary_cross_entropy", binary_cross_entropy)
### BEGIN HIDDEN TESTS
check("4.2/binary_cross_entropy", binary_cross_entropy, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="smoothed_cross_entropy"
# One of several classes. `logits` are (n, V), `targets` (n,) the numbers of classes.
# Instead of the class alone, ask for a distribution that keeps $1 - \varepsilon$ for it
# and spreads $\varepsilon$ = `smoothing` over *all* V classes alike:
#
# $$-\sum_j \left[(1 - \varepsilon)\,\text{onehot}_j + \varepsilon / V\right]
# \ln \operatorname{softmax}(z)_j$$
#
# A target equal to `ignore` is none: its row costs nothing and does not count. Return
# the mean over the rows that have a target, in nats, as a tensor without axes.


# %% solution="smoothed_cross_entropy"
def smoothed_cross_entropy(
    logits: Tensor, targets: Tensor, smoothing: float, ignore: int
) -> Tensor:
    ### BEGIN SOLUTION
    counted = targets != ignore
    logits, targets = logits[counted], targets[counted]
    log_p = logits - log_sum_exp(logits)[:, None]
    of_target = log_p.gather(1, targets[:, None]).squeeze(1)
    return -((1 - smoothing) * of_target + smoothing * log_p.mean(dim=1)).mean()
    ### END SOLUTION


# %% test="smoothed_cross_entropy"
check("4.2/smoothed_cross_entropy", smoothed_cross_entropy)
### BEGIN HIDDEN TESTS
check("4.2/smoothed_cross_entropy", smoothed_cross_entropy, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="kl_bits"
# Symbols come from `p`; the code was made for `q`. How many bits a symbol is that more
# than with the right code? Both are distributions over the last axis. Return
#
# $$\sum_j p_j \log_2 \frac{p_j}{q_j}$$
#
# of the shape without it. What never comes (p = 0) costs nothing, and what comes but
# has no code (q = 0 < p) costs ∞.


# %% solution="kl_bits"
def kl_bits(p: Tensor, q: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    return torch.where(p > 0, p * (p / q).log2(), 0.0).sum(dim=-1)
    ### END SOLUTION


# %% test="kl_bits"
check("4.2/kl_bits", kl_bits)
### BEGIN HIDDEN TESTS
check("4.2/kl_bits", kl_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="calibration_error"
# `confidence` (n,) holds the probability that a model gave its own answer, `correct`
# (n,) says which answers were right. Sort the answers into `n_bins` equally wide bins
# of confidence over 0 … 1; a bin holds its lower edge and not its upper one, but the
# last one holds 1 too. Return the mean over all *answers* of the gap of their bin,
# |mean confidence − share that is right|: the expected calibration error, a number.


# %% solution="calibration_error"
def calibration_error(confidence: Tensor, correct: Tensor, n_bins: int) -> float:
    ### BEGIN SOLUTION
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    total = 0.0
    for b in bin_of.unique():
        inside = bin_of == b
        gap = confidence[inside].mean() - correct[inside].double().mean()
        total += inside.double().mean().item() * abs(gap.item())
    return total
    ### END SOLUTION


# %% test="calibration_error"
check("4.2/calibration_error", calibration_error)
### BEGIN HIDDEN TESTS
check("4.2/calibration_error", calibration_error, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="corpus_report"
# A language model was run over a text in batches. Of each there is the *mean* loss a
# token, in nats, and how many tokens it had. The function below makes a report of
# them: the perplexity (e to the mean nats of a token) and the bits a byte. Its numbers
# look fine, and they change with the size of the batches.
#
# Find the bug, and write the function as it should be. Return the two numbers.


# %% given="buggy_report"
def buggy_report(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    mean = sum(nats) / len(nats)
    return math.exp(mean), mean * sum(tokens) / math.log(2) / n_bytes


# %% solution="corpus_report"
def corpus_report(
    nats: list[float], tokens: list[int], n_bytes: int
) -> tuple[float, float]:
    ### BEGIN SOLUTION
    total = sum(mean * n for mean, n in zip(nats, tokens, strict=True))
    return math.exp(total / sum(tokens)), total / math.log(2) / n_bytes
    ### END SOLUTION


# %% test="corpus_report"
check("4.2/corpus_report", corpus_report)
### BEGIN HIDDEN TESTS
check("4.2/corpus_report", corpus_report, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predict"
# Predict first, with pencil and paper; then run it, if you like. Two decimals will do.
#
# - `fresh`: the mean loss of a model that has learned nothing, 4,096 tokens, in *bits*.
# - `floor`: a model is trained with `smoothing` 0.1 on 4,096 classes, and becomes as
#   good as can be. Which loss does the training report, in bits?
# - `softmax_twice`: somebody feeds probabilities, the result of a softmax, to a
#   cross-entropy that takes logits. Four classes. Below which number of *nats* does the
#   loss never fall?
# - `report`: it rains (y = 1) with probability 0.7, and a forecaster is fined |r − y|
#   for saying r. Which r costs least in the mean?

# %% solution="predict"
predict = {
    "fresh": None,
    "floor": None,
    "softmax_twice": None,
    "report": None,
}
### BEGIN SOLUTION
predict = {"fresh": 12, "floor": 1.67, "softmax_twice": 0.74, "report": 1}
### END SOLUTION

# %% test="predict"
check("4.2/predict", predict)
### BEGIN HIDDEN TESTS
check("4.2/predict", predict, hidden=True)
### END HIDDEN TESTS
