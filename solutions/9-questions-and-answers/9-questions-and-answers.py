# %% [markdown]
# # Exercises 9: find it in a minute
#
# Bugs that are in real code, and look harmless. You will make targets that keep the end
# of each document; give each worker draws of its own; tell from one number whether a
# loss can be true; and say of eight training curves which bug made which.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has some of this, gets no points.
#
# Page 9 of the book explains everything that is asked here.

# %% given="imports"
import hashlib
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

# %% [markdown] exercise="targets"
# A batch of documents for a causal model: `ids` (b, n) holds a document in each row, of
# `lengths` (b,) tokens, and padding behind it. Return the targets, `torch.int64`
# (b, n): at each token of a document the one that follows it; at its last token `eos`;
# at padding −100, which the loss leaves out. `pad` is the id that the padding has. It
# may be the same as `eos`, and may stand inside a document as well.
#
# Raise ValueError if a length is not in 1 … n. The arguments stay as they are.


# %% solution="targets"
def targets(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    ### BEGIN SOLUTION
    n = ids.shape[1]
    if (lengths < 1).any() or (lengths > n).any():
        raise ValueError(f"lengths must be in 1 … {n}")
    place, last = torch.arange(n), lengths[:, None] - 1
    moved = torch.roll(ids, -1, dims=1)
    moved = torch.where(place == last, eos, moved)
    return torch.where(place > last, -100, moved)
    ### END SOLUTION


# %% test="targets"
check("9/targets", targets)
### BEGIN HIDDEN TESTS
check("9/targets", targets, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="worker_seed"
# Eight processes load data, and each draws from a generator that is seeded by this:


# %% given="buggy_seed"
def buggy_seed(seed: int, epoch: int, worker: int) -> int:
    return seed + epoch


# %% [markdown]
# All of them draw alike. Write a seed that differs for each worker and epoch: join the
# three numbers by "/" to a text, as in `"7/0/3"` for seed 7, epoch 0, worker 3, and
# return the first 8 bytes of its SHA-256 as a whole number, big-endian. Why not just
# add the worker? Try it, and read what the check says.


# %% solution="worker_seed"
def worker_seed(seed: int, epoch: int, worker: int) -> int:
    ### BEGIN SOLUTION
    text = f"{seed}/{epoch}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    ### END SOLUTION


# %% test="worker_seed"
check("9/worker_seed", worker_seed)
### BEGIN HIDDEN TESTS
check("9/worker_seed", worker_seed, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="verdict"
# A model takes `bits_per_token`, where a token stands for `bytes_per_token` on average.
# Say what to think of it:
#
# - `"leak"` if it takes fewer bits *a byte* than `floor`: too good to be true;
# - else `"untrained"` if its bits a token are at most 2 % below $\log_2$ of the
#   vocabulary, or anywhere above it;
# - else `"plausible"`.
#
# Raise ValueError if one of the four numbers is not positive.


# %% solution="verdict"
def verdict(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    ### BEGIN SOLUTION
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all four must be positive")
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"
    ### END SOLUTION


# %% test="verdict"
check("9/verdict", verdict)
### BEGIN HIDDEN TESTS
check("9/verdict", verdict, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="clinic"
# A small GPT with a vocabulary of 260 learns bytes. The grey line is what the right
# program prints while it trains, in bits for a target; each of A … H is the same
# program with one bug, and shows what *that* program prints. (They are the curves of
# page 9, with other letters. One of them leaves the picture for a while.) Which
# is which? Give a letter in quotes for
#
# - `unshifted`: each position is to predict the byte that stands there;
# - `shifted_twice`: each position is to predict the byte after the next;
# - `softmax_first`: a softmax before the cross-entropy, which has one of its own;
# - `padding`: half of each row is padding, and the mean is over all positions;
# - `no_mask`: no causal mask, so that each position sees the whole row;
# - `rate_high`: the learning rate is 300 times too large;
# - `rate_low`: the learning rate is 30 times too small;
# - `same_draws`: all eight workers that load data draw the same rows.


# %% picture="curves"
printed = {
    "clean": "7.98 7.36 5.69 4.94 4.77 4.69 4.62 4.54 4.37 4.31 4.27 4.21 4.14 4.12 "
    "4.12 4.06 4.09 4.04 4.01 4.01 3.96 3.93 3.95 3.93 3.91 3.92 3.93 3.93 "
    "3.91 3.91",
    "A": "7.99 7.37 5.69 4.98 4.88 4.89 4.83 4.88 4.83 4.86 4.87 4.83 4.83 4.78 "
    "4.78 4.78 4.77 4.75 4.77 4.76 4.71 4.71 4.70 4.72 4.69 4.71 4.71 4.70 "
    "4.68 4.69",
    "B": "7.61 6.81 4.79 2.78 2.37 2.30 2.26 2.17 2.11 2.10 2.07 2.05 2.01 1.99 "
    "2.01 1.98 1.99 1.96 1.95 1.95 1.92 1.93 1.93 1.91 1.90 1.91 1.89 1.92 "
    "1.89 1.89",
    "C": "7.98 7.94 7.79 7.51 7.32 7.18 7.04 6.92 6.81 6.71 6.62 6.52 6.43 6.36 "
    "6.29 6.24 6.18 6.12 6.09 6.04 5.98 5.95 5.93 5.90 5.88 5.87 5.84 5.85 "
    "5.82 5.82",
    "D": "7.02 6.34 4.40 1.77 0.49 0.19 0.11 0.07 0.04 0.04 0.03 0.02 0.03 0.02 "
    "0.02 0.02 0.01 0.01 0.01 0.01 0.01 0.01 0.01 0.01 0.01 0.01 0.01 0.01 "
    "0.01 0.01",
    "E": "7.98 13.30 28.07 35.95 43.91 31.03 40.33 34.47 34.71 34.33 35.11 30.49 "
    "24.00 19.84 21.38 16.89 12.96 9.08 7.52 7.31 7.05 5.75 5.72 5.37 5.10 "
    "5.02 4.99 4.96 4.89 4.87",
    "F": "7.96 7.42 5.75 4.91 5.02 4.87 4.78 4.92 4.90 4.73 4.96 4.85 4.94 4.87 "
    "4.78 4.72 4.64 4.64 4.64 4.60 4.60 4.57 4.58 4.65 4.65 4.61 4.56 4.55 "
    "4.55 4.56",
    "G": "8.02 8.02 7.99 7.90 7.79 7.77 7.75 7.74 7.75 7.73 7.75 7.74 7.74 7.73 "
    "7.74 7.74 7.76 7.75 7.75 7.73 7.73 7.74 7.74 7.74 7.74 7.75 7.74 7.74 "
    "7.74 7.75",
    "H": "7.98 7.36 5.70 4.91 4.72 4.66 4.57 4.51 4.35 4.26 4.22 4.15 4.08 4.05 "
    "4.04 3.99 4.01 3.97 3.94 3.93 3.89 3.86 3.88 3.87 3.83 3.85 3.86 3.86 "
    "3.84 3.84",
}
curves = {k: [float(x) for x in text.split()] for k, text in printed.items()}
steps = [1, *range(11, 300, 10)]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, letters in zip(axes, ("ABCD", "EFGH"), strict=True):
    ax.plot(steps, curves["clean"], color="0.7", linewidth=4)
    for letter in letters:
        ax.plot(steps, curves[letter], label=letter)
    ax.set(xlabel="steps", ylim=(0, 12))
    ax.grid(alpha=0.4)
    ax.legend(ncols=4)
axes[0].set_ylabel("bits for a target, as printed")
plt.show()

# %% solution="clinic"
clinic = {
    "unshifted": None,
    "shifted_twice": None,
    "softmax_first": None,
    "padding": None,
    "no_mask": None,
    "rate_high": None,
    "rate_low": None,
    "same_draws": None,
}
### BEGIN SOLUTION
clinic = {
    "unshifted": "D",
    "shifted_twice": "A",
    "softmax_first": "G",
    "padding": "B",
    "no_mask": "H",
    "rate_high": "E",
    "rate_low": "C",
    "same_draws": "F",
}
### END SOLUTION

# %% test="clinic"
check("9/clinic", clinic)
### BEGIN HIDDEN TESTS
check("9/clinic", clinic, hidden=True)
### END HIDDEN TESTS
