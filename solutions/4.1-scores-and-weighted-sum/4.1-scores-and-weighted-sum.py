# %% [markdown]
# # Exercises 4.1: the mathematics of attention
#
# You will take attention backward by hand, and then compute it in pieces, without the
# $n \times n$ weights. No training and no data; everything takes tensors or numbers.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function and says what is wrong, often
# by the name of the mistake. When your work is graded, the same checks run on other
# inputs. Automatic differentiation may check your answers, but not give them.
#
# **Conventions.** `query` is $(\dots, n_q, d_k)$, `key` $(\dots, n_k, d_k)$, `value`
# $(\dots, n_k, d_v)$, with the same leading axes. $dX$ is the gradient of a loss with
# respect to $X$ and has the shape of $X$. Logarithms are natural.

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

# %% [markdown] exercise="dot_product_variance"
# The components of a query and a key are independent, with means `mean_q`, `mean_k`
# and variances `var_q`, `var_k`. Return the variance of the dot product of $d_k$ of
# them, without a scale.


# %% solution="dot_product_variance"
def dot_product_variance(
    d_k: int, var_q: float, var_k: float, mean_q: float, mean_k: float
) -> float:
    ### BEGIN SOLUTION
    return d_k * (var_q * var_k + var_q * mean_k**2 + var_k * mean_q**2)
    ### END SOLUTION


# %% test="dot_product_variance"
check("4.1/dot_product_variance", dot_product_variance)
### BEGIN HIDDEN TESTS
check("4.1/dot_product_variance", dot_product_variance, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="softmax_jacobian"
# For `scores` of shape $(\dots, n)$, return the Jacobian
# $J_{ij} = \partial a_i / \partial s_j$ of $a = \operatorname{softmax}(s)$ along the
# last axis, of shape $(\dots, n, n)$. Scores may be ±10,000, and some −∞.


# %% solution="softmax_jacobian"
def softmax_jacobian(scores: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    a = torch.softmax(scores, dim=-1)
    return torch.diag_embed(a) - a[..., :, None] * a[..., None, :]
    ### END SOLUTION


# %% test="softmax_jacobian"
check("4.1/softmax_jacobian", softmax_jacobian)
### BEGIN HIDDEN TESTS
check("4.1/softmax_jacobian", softmax_jacobian, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="softmax_backward"
# Now without the matrix. `weights` are the softmax of some scores along the last axis
# and `gradient` is the loss's gradient with respect to the weights. Return the
# gradient with respect to the scores, all of shape $(\dots, n_q, n_k)$.


# %% solution="softmax_backward"
def softmax_backward(weights: Tensor, gradient: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    mean = (weights * gradient).sum(dim=-1, keepdim=True)
    return weights * (gradient - mean)
    ### END SOLUTION


# %% test="softmax_backward"
check("4.1/softmax_backward", softmax_backward)
### BEGIN HIDDEN TESTS
check("4.1/softmax_backward", softmax_backward, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="attention_backward"
# All of attention backward: for $O = \operatorname{softmax}(QK^\top/\sqrt{d_k})\,V$ and
# `d_output` $= dO$, return the three gradients $(dQ, dK, dV)$. Use your
# `softmax_backward`.


# %% solution="attention_backward"
def attention_backward(
    query: Tensor, key: Tensor, value: Tensor, d_output: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    ### BEGIN SOLUTION
    scale = 1 / math.sqrt(query.shape[-1])
    weights = torch.softmax(query @ key.transpose(-2, -1) * scale, dim=-1)
    d_value = weights.transpose(-2, -1) @ d_output
    d_weights = d_output @ value.transpose(-2, -1)
    d_scores = softmax_backward(weights, d_weights) * scale
    return d_scores @ key, d_scores.transpose(-2, -1) @ query, d_value
    ### END SOLUTION


# %% test="attention_backward"
check("4.1/attention_backward", attention_backward)
### BEGIN HIDDEN TESTS
check("4.1/attention_backward", attention_backward, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="merge"
# What a query has read from some keys is a pair: the output `o1`, $(\dots, n_q, d_v)$,
# as if there were no other keys, and `l1`, $(\dots, n_q)$, the log-sum-exp of their
# scores. `o2` and `l2` are the same for other keys. Return the pair `(o, l)` for all
# of them. Either state, or both, may be that of no keys: output 0, $l = -\infty$.


# %% solution="merge"
def merge(o1: Tensor, l1: Tensor, o2: Tensor, l2: Tensor) -> tuple[Tensor, Tensor]:
    ### BEGIN SOLUTION
    both = torch.logaddexp(l1, l2)
    finite = both.masked_fill(both == -math.inf, 0.0)
    share_1, share_2 = torch.exp(l1 - finite), torch.exp(l2 - finite)
    return share_1[..., None] * o1 + share_2[..., None] * o2, both
    ### END SOLUTION


# %% test="merge"
check("4.1/merge", merge)
### BEGIN HIDDEN TESTS
check("4.1/merge", merge, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="online_attention"
# The function below reads the keys `block` at a time and keeps a running maximum, sum
# and output. It is right whenever the first block holds the largest score, so its
# tests passed. Find the bug, and write the function as it should be.


# %% given="buggy_online_attention"
def buggy_online_attention(
    query: Tensor, key: Tensor, value: Tensor, block: int
) -> Tensor:
    highest = torch.full((*query.shape[:-1], 1), -math.inf, dtype=query.dtype)
    total = torch.zeros_like(highest)
    output = torch.zeros(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = torch.exp(scores - new)
        total = total * torch.exp(highest - new) + weights.sum(dim=-1, keepdim=True)
        output = output + weights @ values
        highest = new
    return output / total


# %% solution="online_attention"
def online_attention(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    ### BEGIN SOLUTION
    highest = torch.full((*query.shape[:-1], 1), -math.inf, dtype=query.dtype)
    total = torch.zeros_like(highest)
    output = torch.zeros(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    for first in range(0, key.shape[-2], block):
        keys = key[..., first : first + block, :]
        values = value[..., first : first + block, :]
        scores = query @ keys.transpose(-2, -1) / math.sqrt(query.shape[-1])
        new = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
        weights = torch.exp(scores - new)
        factor = torch.exp(highest - new)
        total = total * factor + weights.sum(dim=-1, keepdim=True)
        output = output * factor + weights @ values
        highest = new
    return output / total
    ### END SOLUTION


# %% test="online_attention"
check("4.1/online_attention", online_attention)
### BEGIN HIDDEN TESTS
check("4.1/online_attention", online_attention, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="predict"
# Predict with a pencil; then compute, if you like, before you fill in:
#
# - `ratio`: two keys, the wrong one ahead by Δ. How many times as many steps does
#   gradient descent need for Δ = 10 as for Δ = 5? To a whole number.
# - `row_sum`: the sum of a row of $dS$.
# - `edge`: the Δ at which $e^{-\Delta}$ is Adam's ε of $10^{-8}$. To one decimal.
# - `eigenvalue`: the largest eigenvalue that a softmax's Jacobian can have.
# - `deviation`: the standard deviation of the scaled scores in a fresh BERT-base
#   (normalised inputs of 768 features, weights of standard deviation 0.02). To two
#   decimals.

# %% solution="predict"
predict = {
    "ratio": None,
    "row_sum": None,
    "edge": None,
    "eigenvalue": None,
    "deviation": None,
}
### BEGIN SOLUTION
predict |= {"ratio": 139, "row_sum": 0, "edge": 18.4}
predict |= {"eigenvalue": 0.5, "deviation": 0.31}
### END SOLUTION

# %% test="predict"
check("4.1/predict", predict)
### BEGIN HIDDEN TESTS
check("4.1/predict", predict, hidden=True)
### END HIDDEN TESTS
