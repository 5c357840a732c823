# %% [markdown]
# # Exercises 3.1: self-attention by hand
#
# You will write the layer that every large language model is made of, function by
# function, until `multi_head_attention` is yours. Everything here takes tensors and
# gives tensors; you need no training, no data and no GPU.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs; a function that is right on all shapes has nothing to fear from them.
# An answer that calls `lmlib`, which has all of this, gets no points.
#
# **Conventions.** `n` counts positions, `d` features. Batches and heads come first:
# `(batch, heads, n, d)`. A boolean mask is `True` where a query *may* attend.
# Chapter 3.1 of the book explains everything that is asked here.

# %% given="imports"
import math

import matplotlib.pyplot as plt
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

# %% [markdown] exercise="attention_weights"
# Each query compares itself with each key and shares out its attention among them:
#
# $$A = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right)$$
#
# `query` has shape $(\dots, n_q, d_k)$ and `key` $(\dots, n_k, d_k)$, with the same
# leading axes (none, batches, batches and heads …). Return $A$, of shape
# $(\dots, n_q, n_k)$. It must survive scores of ten thousand.


# %% solution="attention_weights"
def attention_weights(query: Tensor, key: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return torch.softmax(scores, dim=-1)
    ### END SOLUTION


# %% test="attention_weights"
check("3.1/attention_weights", attention_weights)
### BEGIN HIDDEN TESTS
check("3.1/attention_weights", attention_weights, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="weighted_sum"
# The third step: each query takes the average of the values, weighted by its
# attention. `weights` has shape $(\dots, n_q, n_k)$, `value` $(\dots, n_k, d_v)$, the
# result $(\dots, n_q, d_v)$.


# %% solution="weighted_sum"
def weighted_sum(weights: Tensor, value: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    return weights @ value
    ### END SOLUTION


# %% test="weighted_sum"
check("3.1/weighted_sum", weighted_sum)
### BEGIN HIDDEN TESTS
check("3.1/weighted_sum", weighted_sum, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="masked_attention_weights"
# Not every key may be seen: a language model must not look into the future, and
# nobody should look at padding. Take `scores` (already scaled), of shape
# $(\dots, n_q, n_k)$, and a boolean `mask` that broadcasts to them, `True` where a
# query may attend. Return the weights: blocked keys get exactly 0, and the others of
# a row sum to 1.
#
# If a query may attend to nothing at all, its weights are all 0. There must be no
# NaN, neither in the weights nor in the gradient.


# %% solution="masked_attention_weights"
def masked_attention_weights(scores: Tensor, mask: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    some_key = mask.any(dim=-1, keepdim=True)
    blocked = scores.masked_fill(~mask & some_key, -math.inf)
    return torch.softmax(blocked, dim=-1) * some_key
    ### END SOLUTION


# %% test="masked_attention_weights"
check("3.1/masked_attention_weights", masked_attention_weights)
### BEGIN HIDDEN TESTS
check("3.1/masked_attention_weights", masked_attention_weights, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="split_heads"
# Several heads attend side by side, each to its own slice of the features. `x` has
# shape (batch, n, d_model). Return shape (batch, n_heads, n, d_head), where head $h$
# holds the features $h \cdot d_\text{head}$ to $(h+1) \cdot d_\text{head} - 1$ of
# every position. If `n_heads` does not divide d_model, raise a `ValueError`.


# %% solution="split_heads"
def split_heads(x: Tensor, n_heads: int) -> Tensor:
    ### BEGIN SOLUTION
    batch, n, d_model = x.shape
    if d_model % n_heads:
        raise ValueError(f"n_heads must divide d_model; got {n_heads}, {d_model}")
    return x.reshape(batch, n, n_heads, d_model // n_heads).transpose(1, 2)
    ### END SOLUTION


# %% test="split_heads"
check("3.1/split_heads", split_heads)
### BEGIN HIDDEN TESTS
check("3.1/split_heads", split_heads, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="merge_heads"
# The way back: from (batch, n_heads, n, d_head) to (batch, n, d_model), so that
# `merge_heads(split_heads(x, n_heads))` is `x`.


# %% solution="merge_heads"
def merge_heads(x: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    batch, n_heads, n, d_head = x.shape
    return x.transpose(1, 2).reshape(batch, n, n_heads * d_head)
    ### END SOLUTION


# %% test="merge_heads"
check("3.1/merge_heads", merge_heads)
### BEGIN HIDDEN TESTS
check("3.1/merge_heads", merge_heads, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="multi_head_attention"
# Put it together. `x` has shape (batch, n, d_model); the four weights are (d_model,
# d_model) and are applied from the right, as in `x @ w_query`. Project, split, attend
# in each head, merge, and multiply by `w_output`. The `mask`, if there is one,
# broadcasts to (batch, n_heads, n, n). Use what you have written above.


# %% solution="multi_head_attention"
def multi_head_attention(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    ### BEGIN SOLUTION
    query = split_heads(x @ w_query, n_heads)
    key = split_heads(x @ w_key, n_heads)
    value = split_heads(x @ w_value, n_heads)
    if mask is None:
        weights = attention_weights(query, key)
    else:
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        weights = masked_attention_weights(scores, mask)
    return merge_heads(weighted_sum(weights, value)) @ w_output
    ### END SOLUTION


# %% test="multi_head_attention"
check("3.1/multi_head_attention", multi_head_attention)
### BEGIN HIDDEN TESTS
check("3.1/multi_head_attention", multi_head_attention, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="sinusoidal_positions"
# Attention does not know the order of its input. The first remedy adds to the
# embedding at position $p$ a vector of sines and cosines:
#
# $$\text{PE}(p, 2i) = \sin(p\,\omega_i), \quad
# \text{PE}(p, 2i+1) = \cos(p\,\omega_i), \quad
# \omega_i = 10000^{-2i/d_\text{model}}$$
#
# Return the table for positions $0$ to $n - 1$: shape (n, d_model), float32. An odd
# d_model is a `ValueError`.


# %% solution="sinusoidal_positions"
def sinusoidal_positions(n: int, d_model: int) -> Tensor:
    ### BEGIN SOLUTION
    if d_model % 2:
        raise ValueError(f"d_model must be even, got {d_model}")
    frequency = 10_000 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)
    ### END SOLUTION


# %% test="sinusoidal_positions"
check("3.1/sinusoidal_positions", sinusoidal_positions)
### BEGIN HIDDEN TESTS
check("3.1/sinusoidal_positions", sinusoidal_positions, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="apply_rotary"
# The remedy of most models today: *turn* queries and keys. At position $p$, the pair
# $(a, b)$ of features $(2i, 2i+1)$ becomes
#
# $$(a \cos p\omega_i - b \sin p\omega_i,\;\; a \sin p\omega_i + b \cos p\omega_i),
# \qquad \omega_i = 10000^{-2i/d}$$
#
# `x` has shape $(\dots, n, d)$ with even $d$, `positions` is a tensor of $n$ integers:
# row $j$ of `x` stands at `positions[j]`. Return the shape and dtype of `x`.


# %% solution="apply_rotary"
def apply_rotary(x: Tensor, positions: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    d = x.shape[-1]
    frequency = 10_000 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = (first * cos - second * sin, first * sin + second * cos)
    return torch.stack(turned, dim=-1).flatten(-2)
    ### END SOLUTION


# %% test="apply_rotary"
check("3.1/apply_rotary", apply_rotary)
### BEGIN HIDDEN TESTS
check("3.1/apply_rotary", apply_rotary, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="cached_attention"
# A model that generates keeps the keys and values of all earlier positions in a cache.
# Queries come only for the new positions, which are the *last* `n_query` of the
# `n_key` positions. The function below is meant to be causal attention for that. It
# gives the right answer when there is no cache, so its tests passed, and it shipped:
# [PyTorch's own `is_causal=True`](https://github.com/pytorch/pytorch/issues/144858)
# does the same, and people generated the same token over and over.
#
# Find the bug, and write the function as it should be.


# %% given="buggy_attention"
def buggy_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(…, n_query, d_k), (…, n_key, d_k), (…, n_key, d_v) → (…, n_query, d_v)."""
    n_query, n_key = query.shape[-2], key.shape[-2]
    mask = torch.ones(n_query, n_key, dtype=torch.bool).tril()
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value


# %% solution="cached_attention"
def cached_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    n_query, n_key = query.shape[-2], key.shape[-2]
    ones = torch.ones(n_query, n_key, dtype=torch.bool)
    mask = ones.tril(diagonal=n_key - n_query)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    return weights @ value
    ### END SOLUTION


# %% test="cached_attention"
check("3.1/cached_attention", cached_attention)
### BEGIN HIDDEN TESTS
check("3.1/cached_attention", cached_attention, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="read_the_plot"
# Run the cell below. On the left is the entropy of attention weights over 64 keys,
# against $d_k$, for queries and keys of independent standard normal numbers: one curve
# divides the scores by $\sqrt{d_k}$, the other does not. On the right is the dot
# product of the sinusoidal position 0 with the position at each distance, for
# $d_\text{model} = 64$. Then fill in:
#
# - `scaled`: which curve divides by $\sqrt{d_k}$, `"A"` or `"B"`?
# - `ceiling`: the entropy in bits that no curve over 64 keys can exceed.
# - `variance`: of $q \cdot k$ at $d_k = 64$, *without* the division. (Not in the plot:
#   predict it.)
# - `half`: the smallest distance at which the product is below half of its value at
#   distance 0.


# %% picture="plot"
def entropy_of_weights(d_k: int, scale: float) -> float:
    generator = torch.Generator().manual_seed(d_k)
    query = torch.randn(40, 1, d_k, generator=generator)
    key = torch.randn(40, 64, d_k, generator=generator)
    weights = torch.softmax(query @ key.transpose(-2, -1) * scale, dim=-1)
    return torch.special.entr(weights).sum(-1).mean().item() / math.log(2)


key_sizes = [4, 8, 16, 32, 64, 128, 256]
far_angles = torch.arange(60)[:, None] * 10_000 ** (-torch.arange(32) / 32)
products = far_angles.cos().sum(-1)  # sin·sin + cos·cos = cos of the difference

figure, (ax_left, ax_right) = plt.subplots(
    1, 2, figsize=(10, 3.5), layout="constrained"
)
ax_left.plot(
    key_sizes, [entropy_of_weights(d, d**-0.5) for d in key_sizes], "o-", label="A"
)
ax_left.plot(
    key_sizes, [entropy_of_weights(d, 1.0) for d in key_sizes], "s--", label="B"
)
ax_left.set(xscale="log", xlabel="$d_k$", ylabel="entropy in bits", ylim=(0, 8))
ax_left.set_xticks(key_sizes, labels=key_sizes)
ax_left.legend()
ax_right.plot(products, "o-", markersize=3)
ax_right.axhline(products[0] / 2, color="grey", linewidth=1)
ax_right.set(xlabel="distance", ylabel="dot product", ylim=(0, None))
ax_right.set_xticks(range(0, 60, 4))
ax_right.grid(axis="x", alpha=0.4)
plt.show()

# %% solution="read_the_plot"
read_the_plot = {
    "scaled": None,
    "ceiling": None,
    "variance": None,
    "half": None,
}
### BEGIN SOLUTION
read_the_plot = {"scaled": "A", "ceiling": 6, "variance": 64, "half": 28}
### END SOLUTION

# %% test="read_the_plot"
check("3.1/read_the_plot", read_the_plot)
### BEGIN HIDDEN TESTS
check("3.1/read_the_plot", read_the_plot, hidden=True)
### END HIDDEN TESTS
