# %% [markdown]
# # Exercises 1.2: sizes, costs and masks
#
# How large is a model, and what did it cost? You will count both from a handful of
# numbers, find a model's mask by changing its inputs, and read a checkpoint that nobody
# has described to you. At the end you check what was printed about some models.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Page 1.2 of the book explains everything that is asked here.

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

# %% [markdown] exercise="decoder_parameters"
# A decoder as GPT-2 has it: `n_layers` blocks of width `d_model`, each with attention
# (four square matrices), a feed-forward layer (up to `d_ff` and down again) and two
# norms; a table of `vocab_size` tokens, one of `n_positions`, and a norm after the last
# block. Every matrix of a block has a bias, every norm a gain and a bias. The head has
# no bias; its table is that of the tokens if `tied`, and one of its own if not.
#
# How many parameters does it have? Raise ValueError if one of the five sizes is below
# 1.


# %% solution="decoder_parameters"
def decoder_parameters(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    ### BEGIN SOLUTION
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError("a size below 1")
    attention = 4 * d_model**2 + 4 * d_model
    feed_forward = 2 * d_model * d_ff + d_ff + d_model
    norms = 4 * d_model
    tables = (vocab_size * (1 if tied else 2) + n_positions) * d_model
    return n_layers * (attention + feed_forward + norms) + tables + 2 * d_model
    ### END SOLUTION


# %% test="decoder_parameters"
check("1.2/decoder_parameters", decoder_parameters)
### BEGIN HIDDEN TESTS
check("1.2/decoder_parameters", decoder_parameters, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="flops_per_token"
# What does a step of training of such a decoder, with its head, cost for each token of
# a text of `length` tokens? Count the operations of all matrix products, forward and
# backward; a multiplication is one, an addition another. Attention computes all of its
# `length` × `length` square, masked or not. Biases, norms and look-ups do not count.


# %% solution="flops_per_token"
def flops_per_token(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    ### BEGIN SOLUTION
    block = 4 * d_model**2 + 2 * d_model * d_ff
    weights = n_layers * block + vocab_size * d_model
    return 6 * weights + 12 * n_layers * length * d_model
    ### END SOLUTION


# %% test="flops_per_token"
check("1.2/flops_per_token", flops_per_token)
### BEGIN HIDDEN TESTS
check("1.2/flops_per_token", flops_per_token, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="seen"
# A model was run on a text of n tokens, and then n times more, each time with one
# token changed. `before` (n, d) has its outputs on the text as it was, `after`
# (n, n, d) those of the other runs: `after[j]` is what came out when token j was
# changed. Return a matrix (n, n) of `torch.bool`: [i, j] is True if position i sees
# token j, that is, if any feature of its output moved by more than 1e-5. What moves
# less was moved by rounding.


# %% solution="seen"
def seen(before: Tensor, after: Tensor) -> Tensor:
    ### BEGIN SOLUTION
    moved = torch.abs(after - before) > 1e-5  # input changed, output, feature
    return moved.any(dim=-1).T
    ### END SOLUTION


# %% test="seen"
check("1.2/seen", seen)
### BEGIN HIDDEN TESTS
check("1.2/seen", seen, hidden=True)
### END HIDDEN TESTS
