# %% [markdown]
# # Exercises 1.1: what a prediction costs
#
# Rules, counts, hidden states and bags of words have one thing in common: each gives
# what comes next a probability, and −log₂ of it is a price in bits. You will charge
# rules for their exceptions, count contexts without forgetting what never came, find
# out why a code cannot be read, and add up paths that nobody sees.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# Page 1.1 of the book explains everything that is asked here.

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

# %% [markdown] exercise="rule_bits"
# A rule says: here comes one of these `n_allowed` bytes. It was right `n_right` times
# and wrong `n_wrong` times. With `confidence` c the allowed bytes share c equally, and
# the other 256 − `n_allowed` share the rest. Return the bits that all its cases cost.
#
# A case that never came costs nothing, whatever its probability. A case that came, and
# had probability 0, costs `math.inf`. Raise ValueError if `confidence` is outside
# 0 … 1, or `n_allowed` outside 1 … 255.


# %% solution="rule_bits"
def rule_bits(n_right: int, n_wrong: int, confidence: float, n_allowed: int) -> float:
    ### BEGIN SOLUTION
    if not 0 <= confidence <= 1 or not 1 <= n_allowed <= 255:
        raise ValueError("confidence must be in 0 … 1, n_allowed in 1 … 255")
    total = 0.0
    for n, share, size in (
        (n_right, confidence, n_allowed),
        (n_wrong, 1 - confidence, 256 - n_allowed),
    ):
        if n:
            total += n * math.log2(size / share) if share else math.inf
    return total
    ### END SOLUTION


# %% test="rule_bits"
check("1.1/rule_bits", rule_bits)
### BEGIN HIDDEN TESTS
check("1.1/rule_bits", rule_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="witten_bell"
# The probability of each of the 256 bytes to come after `history`, from how often they
# followed its last `order` bytes in `data`:
#
# $$p_k(s \mid c) = \frac{n(c, s) + t(c)\, p_{k-1}(s \mid c')}{n(c) + t(c)}, \qquad
# p_{-1} = \frac{1}{256}.$$
#
# $n(c, s)$ is how often s followed the context c in `data`, $n(c)$ their sum, $t(c)$
# the number of *different* bytes that followed it, and $c'$ is c without its first
# byte. A context that never came leaves $p_{k-1}$ as it is. A history shorter than
# `order` gives what it has. Return 256 numbers, in a list or a tensor of float64. Raise
# ValueError if `order` is negative.


# %% solution="witten_bell"
def witten_bell(data: bytes, history: bytes, order: int) -> Tensor:
    ### BEGIN SOLUTION
    if order < 0:
        raise ValueError("order must not be negative")
    p = [1 / 256] * 256
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        counts = [0] * 256
        for i in range(k, len(data)):
            if data[i - k : i] == context:
                counts[data[i]] += 1
        n, t = sum(counts), sum(count > 0 for count in counts)
        if n:
            p = [(counts[s] + t * p[s]) / (n + t) for s in range(256)]
    return torch.tensor(p, dtype=torch.float64)
    ### END SOLUTION


# %% test="witten_bell"
check("1.1/witten_bell", witten_bell)
### BEGIN HIDDEN TESTS
check("1.1/witten_bell", witten_bell, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="adaptive_bits"
# A text of symbols 0 … `n_symbols` − 1 is coded without any context: a symbol that has
# come m times among n so far has the probability (m + ½) / (n + `n_symbols`/2), by
# Krichevsky and Trofimov. Whoever decodes counts along, so no table need be sent. What
# is written below has prices at which no file can be decoded.
#
# Find the bug, and write the function as it should be: the bits of the whole text.


# %% given="buggy_bits"
def buggy_bits(data: bytes, n_symbols: int) -> float:
    counts, bits = [0] * n_symbols, 0.0
    for symbol in data:
        counts[symbol] += 1
        p = (counts[symbol] + 0.5) / (sum(counts) + n_symbols / 2)
        bits -= math.log2(p)
    return bits


# %% solution="adaptive_bits"
def adaptive_bits(data: bytes, n_symbols: int) -> float:
    ### BEGIN SOLUTION
    counts, bits = [0] * n_symbols, 0.0
    for symbol in data:
        p = (counts[symbol] + 0.5) / (sum(counts) + n_symbols / 2)
        bits -= math.log2(p)
        counts[symbol] += 1
    return bits
    ### END SOLUTION


# %% test="adaptive_bits"
check("1.1/adaptive_bits", adaptive_bits)
### BEGIN HIDDEN TESTS
check("1.1/adaptive_bits", adaptive_bits, hidden=True)
### END HIDDEN TESTS
