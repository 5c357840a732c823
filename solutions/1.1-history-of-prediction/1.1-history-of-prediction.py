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

# %% [markdown] exercise="hmm_bits"
# Somebody in one of K states, which nobody sees, emits a symbol and moves on. `initial`
# (K,) has the probabilities of the first state, `emission` (K, V) in row i those of the
# symbols of state i, `transition` (K, K) in row i those of the moves *from* i. Return
# −log₂ of the probability of `observed`, a list of symbols 0 … V − 1, which may be
# thousands long. A text that cannot be costs `math.inf`, an empty one 0.


# %% solution="hmm_bits"
def hmm_bits(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    ### BEGIN SOLUTION
    expected, bits = initial, 0.0
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = joint.sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = joint / c @ transition
    return bits
    ### END SOLUTION


# %% test="hmm_bits"
check("1.1/hmm_bits", hmm_bits)
### BEGIN HIDDEN TESTS
check("1.1/hmm_bits", hmm_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="naive_bayes_bits"
# A text is a list of `words`, numbers 0 … V − 1. `counts` (C, V) says how often each
# class had each word in training; its probability of a word is
# $(n + 1) / (N + V)$, with $n$ the count of the word and $N$ that of all words of the
# class. `prior` (C,) has the probabilities of the classes. Return C numbers, in a list
# or a tensor: the bits of a file that names the class first, and then codes every word
# by it. The shortest one tells the class.


# %% solution="naive_bayes_bits"
def naive_bayes_bits(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    ### BEGIN SOLUTION
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    return -prior.log2() - p[:, words].log2().sum(dim=1)
    ### END SOLUTION


# %% test="naive_bayes_bits"
check("1.1/naive_bayes_bits", naive_bayes_bits)
### BEGIN HIDDEN TESTS
check("1.1/naive_bayes_bits", naive_bayes_bits, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="read_the_curves"
# Predict first; then look at page 1.1.
#
# - `best_order`: an n-gram has counted 16 KiB of documentation. Which length of
#   context, 0 … 6 bytes, predicts new text best?
# - `file_bytes`: how many *bytes* has the file of 100,000 bytes at 2.2 bits a byte?
# - `cheaper_than_guessing`: naive Bayes tells the package of a docstring, and is right
#   nearly nine times in ten. By its probabilities, is a label cheaper than by the
#   frequencies of the packages alone? `"yes"` or `"no"`.
# - `eight_passes`: the recurrent network reads the same 128 KiB eight times instead of
#   once. Does that take it past the n-gram that counted them? `"yes"` or `"no"`.
# - `doubled`: naive Bayes meets a word that speaks for one class, a single time. Then
#   the word is written twice. By what factor do the bits grow that it adds to the
#   logarithm of the odds?

# %% solution="read_the_curves"
read_the_curves = {
    "best_order": None,
    "file_bytes": None,
    "cheaper_than_guessing": None,
    "eight_passes": None,
    "doubled": None,
}
### BEGIN SOLUTION
read_the_curves = {
    "best_order": 3,
    "file_bytes": 27500,
    "cheaper_than_guessing": "no",
    "eight_passes": "yes",
    "doubled": 2,
}
### END SOLUTION

# %% test="read_the_curves"
check("1.1/read_the_curves", read_the_curves)
### BEGIN HIDDEN TESTS
check("1.1/read_the_curves", read_the_curves, hidden=True)
### END HIDDEN TESTS
