# %% [markdown]
# # Exercises 5: the language model as a compressor
#
# From probabilities to a file, and back. You will find the shortest bits of an
# interval; make whole numbers of probabilities; write the decoder, and mend an
# encoder that is right as long as files are short; mix predictions; and keep the
# books: what is scored, what is paid, and from where on it pays.
#
# **How it works.** Write your code where it says `YOUR CODE HERE` and run the cell.
# Then run the cell below it: `check` tries your function, tells you which parts are
# right, and where something is wrong it says what, often by the name of the mistake.
# Run it as often as you like. When your work is graded, the same checks run on other
# inputs. An answer that calls `lmlib`, which has all of this, gets no points.
#
# The pages of chapter 5 explain everything that is asked here.

# %% given="imports"
import math
from fractions import Fraction

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

# %% [markdown] exercise="shortest_code"
# The bits $b_1 \ldots b_n$ stand for every number whose binary fraction begins with
# them: $[0.b, 0.b + 2^{-n})$. Return the shortest bits, as a text of "0" and "1",
# whose numbers all lie in $[\text{low}, \text{low} + \text{width})$; of several, the
# smallest. No bits at all, "", stand for the whole of $[0, 1)$. For $[\frac13,
# \frac23)$ the answer is "011".
#
# Stay with fractions: `Fraction(1, 3)` is exactly a third, and so are sums, products
# and comparisons. The width is above 0. Raise ValueError if the interval does not
# lie in $[0, 1]$.


# %% solution="shortest_code"
def shortest_code(low: Fraction, width: Fraction) -> str:
    ### BEGIN SOLUTION
    if low < 0 or low + width > 1:
        raise ValueError("the interval must lie in [0, 1]")
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1
    ### END SOLUTION


# %% test="shortest_code"
check("5/shortest_code", shortest_code)
### BEGIN HIDDEN TESTS
check("5/shortest_code", shortest_code, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="frequencies"
# The coder wants whole numbers. Of the probabilities `p` of $n$ symbols,
# `torch.float64` (n,), make frequencies, `torch.int64` (n,), that sum to `total`:
# $f_i = 1 + \lfloor p_i \cdot (\text{total} - n) \rfloor$, and what is then missing
# to `total` goes to the largest of them, the first if there are several.
#
# Raise ValueError if `total` < n, or if `p` is no distribution: a negative entry, a
# NaN, a sum that is more than $10^{-6}$ off 1.


# %% solution="frequencies"
def frequencies(p: Tensor, total: int) -> Tensor:
    ### BEGIN SOLUTION
    if total < len(p) or not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError("p must be probabilities, with a unit of total for each")
    found = 1 + (p * (total - len(p))).floor().long()
    found[found.argmax()] += total - found.sum()
    return found
    ### END SOLUTION


# %% test="frequencies"
check("5/frequencies", frequencies)
### BEGIN HIDDEN TESTS
check("5/frequencies", frequencies, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="decode"
# Read `n` symbols from `bits`, a list of 0 and 1. Symbol s has the share
# `cumulative[s]` … `cumulative[s + 1]` of `total = cumulative[-1]`. The encoder keeps
# two ends, whole numbers of 32 bits, at first low = 0 and high = $2^{32} - 1$, both
# inside. For each symbol it cuts, with span = high − low + 1,
#
# - the new high = low + span · cumulative[s + 1] // total − 1,
# - the new low = low + span · cumulative[s] // total,
#
# each from the old low. Then, as long as it can, it takes off both ends 0 if both are
# below $2^{31}$, $2^{31}$ if neither is, or $2^{30}$ if both are in
# $2^{30} \ldots 3 \cdot 2^{30} - 1$; and doubles them, high with a 1 coming in. The
# decoder does the same, and with them moves its point, at first the first 32 bits: a
# bit of the file comes in. After the end come zeros.
#
# A symbol may have no share; it never comes. Raise ValueError if `cumulative` does not
# begin with 0, falls somewhere, or ends outside $1 \ldots 2^{30}$.


# %% solution="decode"
def decode(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
    ### BEGIN SOLUTION
    total = cumulative[-1]
    if cumulative[0] != 0 or cumulative != sorted(cumulative):
        raise ValueError("cumulative counts must rise from 0")
    if not 1 <= total <= 1 << 30:
        raise ValueError("the total must be in 1 … 2^30")
    half, quarter = 1 << 31, 1 << 30
    coming, point = iter(bits), 0
    for _ in range(32):
        point = 2 * point + next(coming, 0)
    low, high, symbols = 0, 2 * half - 1, []
    for _ in range(n):
        span = high - low + 1
        target = ((point - low + 1) * total - 1) // span
        s = max(s for s in range(len(cumulative) - 1) if cumulative[s] <= target)
        symbols.append(s)
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if high < half:
                off = 0
            elif low >= half:
                off = half
            elif low >= quarter and high < half + quarter:
                off = quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
            point = 2 * (point - off) + next(coming, 0)
    return symbols
    ### END SOLUTION


# %% test="decode"
check("5/decode", decode)
### BEGIN HIDDEN TESTS
check("5/decode", decode, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="encode"
# An encoder for the decoder of the exercise before. Files of a few symbols come back,
# long ones do not; and of three equally probable symbols the middle one, again and
# again, leaves no room for itself.
#
# Find the bug, and write the encoder as it should be. What counts is that the decoder
# reads the symbols back from your bits; how you end the file is
# your choice.


# %% given="buggy_encode"
def buggy_encode(symbols: list[int], cumulative: list[int]) -> list[int]:
    half, total = 1 << 31, cumulative[-1]
    low, high, bits = 0, 2 * half - 1, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while low // half == high // half:
            bit = low // half
            bits.append(bit)
            low, high = 2 * (low - bit * half), 2 * (high - bit * half) + 1
    point = (low + high) // 2
    return bits + [point >> place & 1 for place in range(31, -1, -1)]


# %% solution="encode"
def encode(symbols: list[int], cumulative: list[int]) -> list[int]:
    ### BEGIN SOLUTION
    half, quarter, total = 1 << 31, 1 << 30, cumulative[-1]
    low, high, pending, bits = 0, 2 * half - 1, 0, []
    for s in symbols:
        span = high - low + 1
        high = low + span * cumulative[s + 1] // total - 1
        low += span * cumulative[s] // total
        while True:
            if low // half == high // half:
                bit = low // half
                bits += [bit] + [1 - bit] * pending
                pending, off = 0, bit * half
            elif low >= quarter and high < half + quarter:
                pending, off = pending + 1, quarter
            else:
                break
            low, high = 2 * (low - off), 2 * (high - off) + 1
    point = (low + high) // 2
    for place in range(31, -1, -1):
        bit = point >> place & 1
        bits += [bit] + [1 - bit] * pending
        pending = 0
    return bits
    ### END SOLUTION


# %% test="encode"
check("5/encode", encode)
### BEGIN HIDDEN TESTS
check("5/encode", encode, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="mix"
# Some predictors say how probable it is that the next bit is a 1: `p` (k,). Cut p to
# $\frac{1}{4096} \ldots \frac{4095}{4096}$, let $\text{stretch}(p) = \ln \frac{p}{1 -
# p}$ and $\text{stretch}(q) = \sum_i w_i \, \text{stretch}(p_i)$ with the weights `w`
# (k,). Then `bit` comes, 0 or 1, and the weights learn: $w_i + \text{rate} \cdot
# (\text{bit} - q) \cdot \text{stretch}(p_i)$. Return q, a float, and the new weights;
# change none of the arguments.


# %% solution="mix"
def mix(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
    ### BEGIN SOLUTION
    p = p.clamp(1 / 4096, 4095 / 4096)
    stretched = (p / (1 - p)).log()
    q = torch.sigmoid(w @ stretched)
    return q.item(), w + rate * (bit - q) * stretched
    ### END SOLUTION


# %% test="mix"
check("5/mix", mix)
### BEGIN HIDDEN TESTS
check("5/mix", mix, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="windows"
# A model reads `length` tokens at most; the text has `n`. It is read in windows that
# begin at 0, `stride`, 2 · `stride`, …, until one reaches the end; each token is scored
# once, by the first window in which it is. Return a list of
# `(begin, first_scored, end)`, one for each window: it reads the tokens begin … end − 1
# of the text and scores those from `first_scored` on, all three counted in the text.
#
# `stride` is at least 1. Raise ValueError if `n` < 1, or if `stride` > `length`.


# %% solution="windows"
def windows(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
    ### BEGIN SOLUTION
    if n < 1 or stride > length:
        raise ValueError("n must be at least 1, and stride at most length")
    found = [(0, 0, min(length, n))]
    while found[-1][2] < n:
        begin, end = found[-1][0] + stride, found[-1][2]
        found.append((begin, end, min(begin + length, n)))
    return found
    ### END SOLUTION


# %% test="windows"
check("5/windows", windows)
### BEGIN HIDDEN TESTS
check("5/windows", windows, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="pays_from"
# A model of `model_bits` is sent along with the text, which it writes at `own` bits a
# byte. A rival that needs no model takes `rival` bits a byte. From how many bytes of
# text on is the model worth sending: where are both files equally long? `math.inf` if
# nothing is gained.


# %% solution="pays_from"
def pays_from(model_bits: float, own: float, rival: float) -> float:
    ### BEGIN SOLUTION
    if own >= rival:
        return math.inf
    return model_bits / (rival - own)
    ### END SOLUTION


# %% test="pays_from"
check("5/pays_from", pays_from)
### BEGIN HIDDEN TESTS
check("5/pays_from", pays_from, hidden=True)
### END HIDDEN TESTS

# %% [markdown] exercise="answers"
# Predict first; then run it, if you like.
#
# - `order_4`: a book of 150 KB is coded byte by byte, with counts that start at ½ for
#   each of 256 bytes (KT). With the counts of four bytes of context instead of none,
#   is the file "smaller", "larger" or of the "same" size?
# - `floor`: a vocabulary of 4,096, frequencies of `frequencies` with total $2^{16}$.
#   How many bits a token may the units that everyone gets cost at most? Two decimals.
# - `temperature`: all logits of a model are divided by 2. Is its accuracy, the share of
#   tokens whose most probable guess is right, "smaller", "larger" or the "same"?
# - `second_epoch`: a network learns a text while it codes it, from nothing. Does the
#   lower loss of its second epoch count as the text's code length, "yes" or "no"?
# - `poems`: the small GPT of this course, trained on English documentation, codes
#   Chinese poems in UTF-8 by its bytes. Is what a byte costs "smaller" than 8 bits,
#   "larger", or the "same"?

# %% solution="answers"
answers = {
    "order_4": None,
    "floor": None,
    "temperature": None,
    "second_epoch": None,
    "poems": None,
}
### BEGIN SOLUTION
answers = {
    "order_4": "larger",
    "floor": 0.09,
    "temperature": "same",
    "second_epoch": "no",
    "poems": "larger",
}
### END SOLUTION

# %% test="answers"
check("5/answers", answers)
### BEGIN HIDDEN TESTS
check("5/answers", answers, hidden=True)
### END HIDDEN TESTS
