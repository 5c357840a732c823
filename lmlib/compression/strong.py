"""The strong predictor: thirty contexts, one integer neural network (section 5.2).

Every bit of a byte is predicted by 30 contexts (the last bytes, the word, the line, …).
Each has seen a history of bits, says what it makes of it in the domain
st(p) = ln(p / (1 − p)), and gated linear mixers, trained while they code, weigh what is
said. Read from above: contexts → state → maps → match → mixer → SSE → bit.

All arithmetic is in integers, so that sender and receiver agree to the bit whatever
their machines, and runs under numba, which an extra brings: 40 KB a second instead of
24 bytes. Numba's cache looks at this file alone, so whatever is compiled stands in it;
tables come as arguments, for a global would be frozen into the cache. The model takes
1 KiB for each byte of a text, and at most 300 MiB; four times that if it has read
another text before.
Source: M. Mahoney, "Data Compression Explained" (2013), and his paq8 and lpaq.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from lmlib.compression import logistic
from lmlib.compression.bit_history import first_guess, states

try:
    from numba import njit
except ImportError as error:
    raise ImportError(
        "the strong predictor runs under numba, an optional part of this package: "
        "pip install numba, or the extra `compress`"
    ) from error

Array = NDArray[Any]
Int = Any  # an int, or numba's np.int64
Function = TypeVar("Function", bound=Callable[..., Any])
CONTEXTS = 30
INPUTS = 160  # 5 a context, 2 for each of two matches, a bias; the rest stay 0
SETS = (32, 256, 256, 256, 64, 512, 256, 256, 1024, 256, 256, 1)  # rows of weights
FIRST_ROWS = np.cumsum((0, *SETS))  # of each set
ONE = 1 << 22  # a probability of 1 in an adaptive cell
MEASURE, ENCODE, DECODE = 0, 1, 2


def compiled(function: Function) -> Function:
    """`function` under numba, in its cache where there is a folder to write it to."""
    function = inspect.unwrap(function)  # as written, without a checker of types
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder for a cache
        return cast(Function, njit(nogil=True)(function))


# -- Pieces ---------------------------------------------------------------------------


@compiled
def hash2(a: Int, b: Int) -> Int:
    """32 bits that depend on the lower 32 of both."""
    h = (a & 0xFFFFFFFF) * 0x2C1B3C6D + (b & 0xFFFFFFFF) * 0x297A2D39 + 0x12345
    h &= 0x3FFFFFFFFFFFFFFF
    h ^= h >> 29
    h = (h & 0xFFFFFFFF) * 0x369DEA0F
    return (h ^ (h >> 31)) & 0xFFFFFFFF


@compiled
def clip(value: Int, limit: Int) -> Int:
    return min(max(value, -limit), limit)


@compiled
def adapt(cells: Array, i: Int, target: Int, rates: Array) -> None:
    """Move a probability of 22 bits by 1/(n + 1.6); n ≤ 255 is in the lower 8 bits."""
    n = np.int64(cells[i]) & 255
    p = np.int64(cells[i]) >> 8
    p += ((target - p) * rates[n]) >> 16
    cells[i] = (p << 8) | min(n + 1, 255)


class Tables(NamedTuple):
    """What never changes."""

    stretch: Array  # 4,096 probabilities → 256 · ln(p / (1 − p))
    squash: Array  # back, to 16 bits; 0 is in the middle
    rates: Array  # 65536 / (n + 1.6)
    after: Array  # [state, bit] → state
    seen: Array  # [state] → n0 + n1
    sure: Array  # [state] → 0 nothing seen, 1 once, 2 one kind of bit, 3 both


@compiled
def squash(t: Tables, x: Int) -> Int:
    return np.int64(t.squash[x + (len(t.squash) >> 1)])


# -- Contexts: what of the past a prediction depends on -------------------------------


def record(*names: str) -> np.dtype[Any]:
    """Numbers that go by names."""
    return np.dtype([(name, np.int64) for name in names])


HISTORY = record(
    "last",  # eight bytes, the newest lowest
    "folded",  # the same in lower case, a newline as a space
    "word",  # hash of the letters since the last other byte
    "word1",  # of the word before
    "word2",
    "letters",  # in the word so far
    "initial",  # its first letter
    "kinds",  # of the last bytes, 4 bits each
    "marks",  # the last bytes that were no letters and no space
    "char",  # the last characters of UTF-8, the newest perhaps begun
    "char1",
    "char2",
    "line",  # where this line begins
    "line1",  # where the one above does
)


@compiled
def contexts(h: Any, data: Array, at: Int, followed: Array, out: Array) -> None:
    """Hashes of the 30 contexts of the byte at `at`."""
    c4, c1 = h.last & 0xFFFFFFFF, h.last & 0xFF
    n4, n8 = h.folded & 0xFFFFFFFF, h.folded >> 32
    column = at - h.line
    above = np.int64(0)
    if h.line1 + column < h.line:
        above = np.int64(data[h.line1 + column])
    kind = h.kinds & 15
    # Orders 0 to 6, and 8
    out[0] = 0
    out[1] = c1
    out[2] = n4 & 0xFFFF
    out[3] = n4 & 0xFFFFFF
    out[4] = n4
    out[5] = hash2(n4, n8 & 0xFF)
    out[6] = hash2(n4, n8 & 0xFFFF)
    out[7] = hash2(n4, n8)
    # Words
    out[8] = hash2(h.word, c1)
    out[9] = hash2(h.word, h.word1)
    out[10] = hash2(h.word, h.word2)
    out[11] = hash2(h.word, h.initial << 8 | c1)
    out[12] = hash2(c1, h.word1)
    out[13] = hash2(h.marks & 0xFFFF, h.word)
    # Some of the last bytes
    out[14] = c4 & 0xFFFF00
    out[15] = c4 & 0xFF00FF
    out[16] = c4 & 0xF0F0F0FF
    out[17] = n4 & 0xFFFFFF00
    # The line
    out[18] = hash2(c1, above)
    out[19] = hash2(min(column, 255), c1)
    # What followed the last byte, and the last two, the last two times
    out[20] = hash2(followed[c1], c1)
    out[21] = hash2(followed[256 + (c4 & 0xFFFF)], c4 & 0xFFFF)
    # Shape
    out[22] = h.kinds & 0xFFFFFFFF
    out[23] = h.kinds & 0xFFFF
    out[24] = hash2(min(h.letters, 15) << 4 | kind, h.initial)
    out[25] = hash2(h.marks & 0xFFFFFF, min(h.letters, 7))
    out[26] = min(h.letters, 15)
    # Characters
    out[27] = hash2(h.char, h.char1)
    out[28] = hash2(hash2(h.char, h.char1), h.char2)
    out[29] = hash2(h.char, h.char2)
    for i in range(CONTEXTS):
        out[i] = hash2(out[i], i + 1)


@compiled
def remember(h: Any, at: Int, byte: Int, followed: Array) -> None:
    """Take in the byte at `at`."""
    last, pair = h.last & 0xFF, 256 + (h.last & 0xFFFF)
    followed[last] = (followed[last] << 8 | byte) & 0xFFFF
    followed[pair] = (followed[pair] << 8 | byte) & 0xFFFF
    lower = byte
    if 65 <= byte <= 90:
        kind, lower = 0, byte + 32
    elif 97 <= byte <= 122:
        kind = 1
    elif byte >= 128:
        kind = 2
    elif 48 <= byte <= 57:
        kind = 3
    elif byte == 32:
        kind = 4
    elif byte == 10:
        kind = 5
    else:
        kind = 6
    h.last = h.last << 8 | byte
    h.folded = h.folded << 8 | (32 if byte == 10 else lower)
    h.kinds = h.kinds << 4 | kind
    if kind <= 2:
        if h.letters == 0:
            h.initial = lower
        h.word = hash2(h.word, lower + 1)
        h.letters += 1
    elif h.letters > 0:
        h.word2, h.word1, h.word, h.letters = h.word1, h.word, 0, 0
    if kind >= 3 and byte != 32:
        h.marks = h.marks << 8 | byte
    if byte == 10:
        h.line1, h.line = h.line, at + 1
    if byte < 128 or byte >= 192:
        h.char2, h.char1, h.char = h.char1, h.char, byte
    else:
        h.char = (h.char << 8 | byte) & 0xFFFFFFFF


# -- State: what a context has seen ---------------------------------------------------
# A line of the table belongs to a context and the half of a byte. Word 0: 15 bits to
# recognise it by, the byte that came last (8) and how often in a row (8). Words 1 to
# 15, for the bits of the half so far behind a leading 1: state (8), probability (16).


class Contexts(NamedTuple):
    table: Array  # [line, word]
    hashes: Array  # [context]
    byte_line: Array  # [context], line of the byte's first half
    line: Array  # [context], line of this half
    state: Array  # [context], state at this bit
    expected: Array  # [context], bit that the last byte expects, or −1
    followed: Array  # [256 + 65536], the two bytes that followed a byte, two bytes
    by_state: Array  # [context · state]
    by_place: Array  # [context · place of the bit · state]
    by_run: Array  # [context · length of the run · place]


@compiled
def find(table: Array, seen: Array, h: Int) -> Int:
    """The line of a hash: one of four neighbours; the least used makes room for it.

    The search begins at any of the four: of lines used alike, not always the same goes.
    """
    check = max(h >> 17, 1)
    first = (h * 0x2545F491 & 0xFFFFFFFF) * table.shape[0] >> 32
    worst, lowest = first, 1 << 20
    for k in range(4):
        line = first ^ k
        head = np.int64(table[line, 0])
        if head >> 16 == check:
            return line
        used = seen[table[line, 1] >> 16] if head else -1
        if used < lowest:
            worst, lowest = line, used
    table[worst, 0] = check << 16
    table[worst, 1:] = 0x8000
    return worst


# -- Maps: from what was seen to what is said -----------------------------------------


@compiled
def node_of(partial: Int, place: Int) -> Int:
    """The word of a line for the bit at `place`, 0 to 7, behind the bits in `partial`.

    `partial` is the byte so far behind a leading 1.
    """
    bits = place & 3
    return (1 << bits) | (partial & ((1 << bits) - 1))


@compiled
def ask(c: Contexts, t: Tables, x: Array, partial: Int, place: Int) -> Int:
    """Five inputs a context; how many of orders 1 to 8 have been here before."""
    node = node_of(partial, place)
    known = 0
    for i in range(CONTEXTS):
        word = np.int64(c.table[c.line[i], node])
        state = word >> 16
        j = 5 * i
        x[j : j + 5] = 0  # a context that knows nothing is silent
        if state > 0:
            if 1 <= i <= 7:
                known += 1
            p = np.int64(c.by_state[i << 8 | state]) >> 14
            x[j] = t.stretch[p >> 4]
            x[j + 1] = (p - 32768) >> 5
            x[j + 2] = t.stretch[c.by_place[(i << 3 | place) << 8 | state] >> 18]
            x[j + 3] = t.stretch[(word & 0xFFFF) >> 4]
        c.state[i] = state
        run = np.int64(c.table[c.byte_line[i], 0]) & 0xFFFF
        byte = run >> 8 | 0x100
        c.expected[i] = -1
        if run & 0xFF > 0 and byte >> (8 - place) == partial:
            bit = byte >> (7 - place) & 1
            said = t.stretch[c.by_run[run_cell(i, run, place)] >> 18]
            x[j + 4] = said if bit else -said
            c.expected[i] = bit
    return known


@compiled
def run_cell(i: Int, run: Int, place: Int) -> Int:
    return (i << 4 | min(run & 0xFF, 15)) << 3 | place


@compiled
def learn(c: Contexts, t: Tables, partial: Int, place: Int, bit: Int) -> None:
    """Tell the maps and the states which bit came."""
    node = node_of(partial, place)
    for i in range(CONTEXTS):
        state = c.state[i]
        if state > 0:
            adapt(c.by_state, i << 8 | state, bit * ONE, t.rates)
            adapt(c.by_place, (i << 3 | place) << 8 | state, bit * ONE, t.rates)
        if c.expected[i] >= 0:
            run = np.int64(c.table[c.byte_line[i], 0])
            right = ONE if c.expected[i] == bit else 0
            adapt(c.by_run, run_cell(i, run, place), right, t.rates)
        p = np.int64(c.table[c.line[i], node]) & 0xFFFF
        p += ((bit * 65535 - p) * t.rates[t.seen[state]]) >> 16
        c.table[c.line[i], node] = np.int64(t.after[state, bit]) << 16 | p


@compiled
def enter(c: Contexts, t: Tables, partial: Int, place: Int) -> None:
    """Find the lines of the half of a byte that begins behind `partial`."""
    for i in range(CONTEXTS):
        c.line[i] = find(c.table, t.seen, hash2(c.hashes[i], partial))
        if place == 0:
            c.byte_line[i] = c.line[i]


@compiled
def count_runs(c: Contexts, byte: Int) -> None:
    """Note in each context the byte that came, and how often in a row."""
    for i in range(CONTEXTS):
        head = np.int64(c.table[c.byte_line[i], 0])
        run = byte << 8 | 1
        if head >> 8 & 0xFF == byte and head & 0xFF > 0:
            run = byte << 8 | min((head & 0xFF) + 1, 255)
        c.table[c.byte_line[i], 0] = head >> 16 << 16 | run


# -- Match: what followed the last time that these bytes stood here -------------------


class Match(NamedTuple):
    places: Array  # [which, hash] → where it was last
    pointer: Array  # [which], the byte that is expected
    length: Array  # [which], bytes that agree before it; 0: no match
    misses: Array  # [which], matches that failed, 7 at most
    cell: Array  # [which], of `cells`, or −1 where nothing is expected
    expected: Array  # [which], the bit
    cells: Array  # by length, misses and whether it is the first bit: is it right?


@compiled
def look_up(m: Match, data: Array, at: Int, last: Int) -> None:
    """Find where the last 8 and 5 bytes stood before."""
    for k in range(2):
        h = hash2(last, last >> 32 if k == 0 else last >> 32 & 0xFF)
        h &= m.places.shape[1] - 1
        if m.length[k] < (16 if k == 0 else 1):
            found, length = m.places[k, h], 0
            if found > 0:
                while (
                    length < min(40, found)
                    and data[found - 1 - length] == data[at - 1 - length]
                ):
                    length += 1
            if length >= 5 and length > m.length[k]:
                m.length[k], m.pointer[k], m.misses[k] = length, found, 0
        m.places[k, h] = at


@compiled
def ask_matches(
    m: Match, t: Tables, data: Array, x: Array, partial: Int, place: Int
) -> Int:
    """Two inputs a match; row of weights for the longest, by its length and its bit."""
    longest, row = 0, 0
    for k in range(2):
        j = 5 * CONTEXTS + 2 * k
        m.cell[k] = -1
        x[j : j + 2] = 0
        twin = k == 1 and m.length[0] > 0 and m.pointer[0] == m.pointer[1]
        if m.length[k] > 0 and not twin:
            byte = np.int64(data[m.pointer[k]]) | 0x100
            if byte >> (8 - place) == partial:
                bit = byte >> (7 - place) & 1
                length = m.length[k]
                if length > 15:
                    length = min(31, 16 + ((length - 16) >> 2))
                cell = (length << 3 | m.misses[k]) << 1 | (1 if place == 0 else 0)
                p = np.int64(m.cells[k << 9 | cell]) >> 14
                sign = 1 if bit else -1
                x[j] = sign * t.stretch[p >> 4]
                x[j + 1] = sign * ((p - 32768) >> 5)
                m.cell[k], m.expected[k] = k << 9 | cell, bit
                if length > longest:
                    longest, row = length, length >> 1 << 1 | bit
    return row


@compiled
def learn_matches(m: Match, t: Tables, bit: Int) -> None:
    for k in range(2):
        if m.cell[k] >= 0:
            right = ONE if m.expected[k] == bit else 0
            adapt(m.cells, m.cell[k], right, t.rates)


@compiled
def follow(m: Match, data: Array, byte: Int) -> None:
    """Go on by one byte, or give up."""
    for k in range(2):
        if m.length[k] > 0:
            if data[m.pointer[k]] == byte:
                m.length[k] = min(m.length[k] + 1, 65535)
                m.pointer[k] += 1
            else:
                m.length[k] = 0
                m.misses[k] = min(m.misses[k] + 1, 7)


# -- Mixer: neurons that learn while they code ----------------------------------------


class Mixer(NamedTuple):
    x: Array  # [INPUTS]
    weights: Array  # [row, INPUTS], 2^20 = 1
    rows: Array  # [set], the row in use
    y: Array  # [16], what the sets say; the rest stay 0
    final: Array  # [256 + 32, 16], weights of two more neurons
    final_rows: Array  # [2]
    final_y: Array  # [2]


@compiled
def dot(x: Array, w: Array) -> Int:
    total = np.int64(0)
    for i in range(len(x)):
        total += np.int64(x[i]) * np.int64(w[i])
    return total >> 20


@compiled
def train(x: Array, w: Array, error: Int) -> None:
    """Gradient of the code length: each weight by its input times the error."""
    e = np.int32(error)
    for i in range(len(x)):
        w[i] += (x[i] * e + np.int32(512)) >> np.int32(10)


@compiled
def step(error: Int, rate: Int) -> Int:
    """error · rate / 1024, towards 0: a neuron that is sure and right is at rest.

    Rounded down, weights would grow for as long as zeros come, until they overflow.
    """
    size = abs(error) * rate >> 10
    return size if error > 0 else -size


@compiled
def choose(
    mixer: Mixer, h: Any, c: Contexts, t: Tables, at: Int, partial: Int, place: Int
) -> None:
    """A row of weights from each set but those of matches and of known orders."""
    s, rows = c.state, mixer.rows
    rows[1] = partial
    rows[2] = h.last & 0xFF
    rows[3] = h.last >> 8 & 0xFF
    rows[5] = (min(h.letters, 7) << 3 | (h.kinds & 7)) << 3 | place
    rows[6] = h.kinds & 0xFF
    rows[7] = t.sure[s[2]] | t.sure[s[3]] << 2 | t.sure[s[4]] << 4 | t.sure[s[6]] << 6
    rows[8] = min(at - h.line, 127) << 3 | place
    rows[9] = t.sure[s[8]] | t.sure[s[9]] << 2 | t.sure[s[10]] << 4 | t.sure[s[21]] << 6
    rows[10] = h.last >> 16 & 0xFF
    rows[11] = 0


@compiled
def mix(mixer: Mixer) -> Int:
    """What all inputs say together, as st(p)."""
    for k in range(len(mixer.rows)):
        w = mixer.weights[FIRST_ROWS[k] + mixer.rows[k]]
        mixer.y[k] = clip(dot(mixer.x, w), 2047)
    for k in range(2):
        w = mixer.final[mixer.final_rows[k]]
        mixer.final_y[k] = clip(dot(mixer.y, w), 2600)
    return (mixer.final_y[0] + mixer.final_y[1]) >> 1


@compiled
def learn_weights(
    mixer: Mixer, t: Tables, rate: Int, final_rate: Int, bit: Int
) -> None:
    for k in range(len(mixer.rows)):
        error = (bit << 16) - squash(t, mixer.y[k])
        w = mixer.weights[FIRST_ROWS[k] + mixer.rows[k]]
        train(mixer.x, w, step(error, rate))
    for k in range(2):
        error = (bit << 16) - squash(t, mixer.final_y[k])
        train(mixer.y, mixer.final[mixer.final_rows[k]], step(error, final_rate))


# -- SSE: what came when the mixer said this ------------------------------------------


class Stages(NamedTuple):
    cells: Array  # [row, 33], by st(p) from −10 to 10
    rows: Array  # [4]
    left: Array  # [4], the cell below st(p)


@compiled
def refine(stages: Stages, t: Tables, h: Any, said: Int, partial: Int) -> Int:
    """The probability of a 1, of 65,536, in the light of how the mixer has erred."""
    last, some = h.last, stages.rows
    some[0] = partial
    some[1] = 256 + ((last & 0xFF) << 8 | partial)
    some[2] = 256 + 65536 + (hash2(last & 0xFFFF, partial) & 0xFFFF)
    some[3] = 256 + 2 * 65536 + (hash2(h.word, partial + 5555) & 0xFFFF)
    place = clip(said, 2559) + 2560
    left, share = place // 160, place % 160
    total = 2 * squash(t, said)
    for k in range(4):
        cells = stages.cells[some[k]]
        low, high = np.int64(cells[left]) >> 8, np.int64(cells[left + 1]) >> 8
        q = (low * (160 - share) + high * share) // (160 << 6)
        total += q if k % 2 == 0 else 2 * q
    stages.left[0] = left
    return min(max((total + 4) >> 3, 1), 65535)


@compiled
def learn_stages(stages: Stages, t: Tables, bit: Int) -> None:
    left = stages.left[0]
    for k in range(4):
        cells = stages.cells[stages.rows[k]]
        adapt(cells, left, bit * ONE, t.rates)
        adapt(cells, left + 1, bit * ONE, t.rates)


# -- Bit: the interval that says which text it is -------------------------------------

CODER = record(
    "low",  # 32 bits, both included
    "high",
    "code",  # what the decoder has read of the number
    "used",  # bytes of the stream
)


@compiled
def narrow(coder: Any, stream: Array, p: Int, bit: Int, mode: Int) -> Int:
    """Encode `bit`, or decode one; p of 65,536 is the share of the interval for a 1."""
    width = coder.high - coder.low
    middle = coder.low + (width >> 16) * p + ((width & 0xFFFF) * p >> 16)
    if mode == DECODE:
        bit = 1 if coder.code <= middle else 0
    if bit:
        coder.high = middle
    else:
        coder.low = middle + 1
    while (coder.low ^ coder.high) & 0xFF000000 == 0:
        if mode == ENCODE:
            stream[coder.used] = coder.high >> 24
        else:
            coder.code = (coder.code << 8 & 0xFFFFFFFF) | next_byte(coder, stream)
        coder.used += 1
        coder.low = coder.low << 8 & 0xFFFFFFFF
        coder.high = (coder.high << 8 & 0xFFFFFFFF) | 0xFF
    return bit


@compiled
def next_byte(coder: Any, stream: Array) -> Int:
    """Behind the end of the stream come zeros."""
    return np.int64(stream[coder.used]) if coder.used < len(stream) else np.int64(0)


# -- All of it ------------------------------------------------------------------------


class Model(NamedTuple):
    tables: Tables
    history: Any
    contexts: Contexts
    match: Match
    mixer: Mixer
    stages: Stages
    coder: Any
    spent: Array  # [65536], how often a bit came that had this probability


@compiled
def begin(data: Array, at: Int, model: Model) -> None:
    """Everything that is looked up once a byte."""
    h = model.history[0]
    contexts(h, data, at, model.contexts.followed, model.contexts.hashes)
    look_up(model.match, data, at, h.last)


@compiled
def predict(data: Array, at: Int, partial: Int, place: Int, model: Model) -> Int:
    """The probability of a 1, of 65,536, behind the bits of `partial`."""
    t, c, mixer, h = model.tables, model.contexts, model.mixer, model.history[0]
    if place & 3 == 0:
        enter(c, t, partial, place)
    mixer.rows[4] = ask(c, t, mixer.x, partial, place) << 3 | place
    mixer.rows[0] = ask_matches(model.match, t, data, mixer.x, partial, place)
    choose(mixer, h, c, t, at, partial, place)
    mixer.final_rows[0] = partial
    mixer.final_rows[1] = 256 + mixer.rows[0]
    return refine(model.stages, t, h, mix(mixer), partial)


@compiled
def learn_bit(at: Int, partial: Int, place: Int, bit: Int, model: Model) -> None:
    """What came after `predict`."""
    t = model.tables
    rate = 30 + 370 * 4000 // (4000 + at)
    final_rate = 20 + 130 * 4000 // (4000 + at)
    learn_weights(model.mixer, t, rate, final_rate, bit)
    learn_stages(model.stages, t, bit)
    learn(model.contexts, t, partial, place, bit)
    learn_matches(model.match, t, bit)


@compiled
def learn_byte(data: Array, at: Int, byte: Int, model: Model) -> None:
    data[at] = byte
    count_runs(model.contexts, byte)
    follow(model.match, data, byte)
    remember(model.history[0], at, byte, model.contexts.followed)


@compiled
def run(
    mode: Int, data: Array, start: Int, end: Int, stream: Array, model: Model
) -> None:
    """Predict the bytes from `start` to `end`, and measure, encode or decode them."""
    coder = model.coder[0]
    for at in range(start, end):
        begin(data, at, model)
        byte, partial, bit = np.int64(data[at]), np.int64(1), np.int64(0)
        for place in range(8):
            p = predict(data, at, partial, place, model)
            bit = byte >> (7 - place) & 1
            if mode != MEASURE:
                bit = narrow(coder, stream, p, bit, mode)
            model.spent[p if bit else 65536 - p] += 1
            learn_bit(at, partial, place, bit, model)
            partial = partial << 1 | bit
        learn_byte(data, at, partial & 0xFF, model)


# -- The start ------------------------------------------------------------------------

CHUNK = 4096  # bytes between two reports of progress
LINES = 1 << 22, 1 << 24  # of 64 bytes, at most: without, and with a text beforehand


@functools.cache
def tables() -> Tables:
    order, after = states()
    counts = np.array(order)[:, :2]
    seen = counts.sum(axis=1)
    return Tables(
        stretch=logistic.stretch_table(),
        squash=logistic.squash_table(),
        rates=655360 // (10 * np.arange(256) + 16),
        after=np.array(after),
        seen=seen,
        sure=np.where(counts.min(axis=1) > 0, 3, np.minimum(seen, 2)),
    )


def start(n: int, most_lines: int = LINES[0]) -> Model:
    """The model before the first of `n` bytes."""
    t = tables()
    by_state = np.full(256, ONE // 2)
    for i, state in enumerate(states()[0]):
        by_state[i] = first_guess(state, ONE)
    # As a run or a match grows, it is likelier to be right.
    by_run = (ONE - ONE // (2 + 2 * np.arange(16)))[:, None]
    by_length = (ONE - ONE // (3 + np.arange(32)))[:, None]
    steps = [squash(t, 160 * (k - 16)) << 6 for k in range(33)]
    lines = min(max(16 * n, 1 << 10), most_lines)
    places = min(max(n, 1 << 8).bit_length(), 21)

    def cells(p: Array, *shape: int) -> Array:
        return np.broadcast_to(p << 8, shape).astype(np.int32)

    def zeros(*shape: int) -> Array:
        return np.zeros(shape, np.int64)

    x = np.zeros(INPUTS, np.int32)
    x[5 * CONTEXTS + 4] = 256  # the bias
    history, coder = (np.zeros(1, kind).view(np.recarray) for kind in (HISTORY, CODER))
    coder.high = 0xFFFFFFFF
    return Model(
        tables=t,
        history=history,
        contexts=Contexts(
            table=np.zeros((lines, 16), np.int32),
            hashes=zeros(CONTEXTS),
            byte_line=zeros(CONTEXTS),
            line=zeros(CONTEXTS),
            state=zeros(CONTEXTS),
            expected=zeros(CONTEXTS),
            followed=zeros(256 + 65536),
            by_state=cells(by_state, CONTEXTS, 256).reshape(-1),
            by_place=cells(by_state, CONTEXTS, 8, 256).reshape(-1),
            by_run=cells(by_run, CONTEXTS, 16, 8).reshape(-1),
        ),
        match=Match(
            places=np.zeros((2, 1 << places), np.int32),
            pointer=zeros(2),
            length=zeros(2),
            misses=zeros(2),
            cell=zeros(2),
            expected=zeros(2),
            cells=cells(by_length, 2, 32, 16).reshape(-1),
        ),
        mixer=Mixer(
            x=x,
            weights=np.full((FIRST_ROWS[-1], INPUTS), 45 << 10, np.int32),
            rows=zeros(len(SETS)),
            y=np.zeros(16, np.int32),
            final=np.full((256 + 32, 16), (1 << 20) // len(SETS), np.int32),
            final_rows=zeros(2),
            final_y=zeros(2),
        ),
        stages=Stages(
            cells=cells(np.array(steps), 256 + 3 * 65536, 33),
            rows=zeros(4),
            left=zeros(1),
        ),
        coder=coder,
        spent=zeros(65536),
    )


# -- What is called -------------------------------------------------------------------

#: Called now and then with the bytes done and the bits that they took.
Progress = Callable[[int, float], None]


def prepare(n: int, primed: bytes) -> tuple[Model, Array]:
    """A model that has read `primed`, and a buffer with it and room for `n` bytes."""
    data = np.zeros(len(primed) + n, np.uint8)
    data[: len(primed)] = np.frombuffer(primed, np.uint8)
    model = start(len(data), LINES[1 if primed else 0])
    run(MEASURE, data, 0, len(primed), np.zeros(0, np.uint8), model)
    model.spent[:] = 0
    return model, data


def chunks(start: int, end: int) -> Iterator[tuple[int, int]]:
    for at in range(start, end, CHUNK):
        yield at, min(at + CHUNK, end)


def encode(data: bytes, primed: bytes = b"", progress: Progress | None = None) -> bytes:
    """`data` as bytes that `decode` reads with the same `primed`, read beforehand."""
    model, buffer = prepare(len(data), primed)
    buffer[len(primed) :] = np.frombuffer(data, np.uint8)
    stream = np.zeros(16 * CHUNK + 8, np.uint8)  # a bit costs 16 at most
    payload = bytearray()
    coder = model.coder[0]
    for at, end in chunks(len(primed), len(buffer)):
        coder.used = 0
        run(ENCODE, buffer, at, end, stream, model)
        payload += stream[: coder.used].tobytes()
        if progress is not None:
            progress(end - len(primed), 8 * len(payload))
    return bytes(payload) + ending(int(coder.low), int(coder.high))


def ending(low: int, high: int) -> bytes:
    """The fewest bytes such that they, and zeros behind them, are in low … high."""
    for n in range(4):
        unit = 1 << (32 - 8 * n)
        number = -(-low // unit) * unit
        if number <= high:
            return number.to_bytes(4, "big")[:n]
    return low.to_bytes(4, "big")


def decode(
    payload: bytes,
    length: int,
    primed: bytes = b"",
    progress: Progress | None = None,
) -> bytes:
    """The `length` bytes that `encode` made `payload` of.

    A payload that is damaged gives other bytes: their checksum is the file's business.
    """
    model, buffer = prepare(length, primed)
    stream = np.frombuffer(
        bytearray(payload), np.uint8
    )  # writable: one compilation for all modes
    coder = model.coder[0]
    for _ in range(4):
        coder.code = coder.code << 8 | next_byte(coder, stream)
        coder.used += 1
    for at, end in chunks(len(primed), len(buffer)):
        run(DECODE, buffer, at, end, stream, model)
        if progress is not None:
            progress(end - len(primed), 8 * min(int(coder.used), len(payload)))
    return buffer[len(primed) :].tobytes()


def code_length(data: bytes, primed: bytes = b"") -> float:
    """−log₂ of the probability of `data`, in bits; `encode` writes hardly more."""
    model, buffer = prepare(len(data), primed)
    buffer[len(primed) :] = np.frombuffer(data, np.uint8)
    run(MEASURE, buffer, len(primed), len(buffer), np.zeros(0, np.uint8), model)
    return math.fsum(
        int(times) * -math.log2(p / 65536) for p, times in enumerate(model.spent) if p
    )


class Strong:
    """A `Predictor`: one bit after another, so that it can be mixed with others.

    Parameters:
        n: bytes that there will be, at most.
        primed: bytes that it has read before.

    Raises:
        ValueError: another bit comes behind `n` bytes.
    """

    def __init__(self, n: int, primed: bytes = b"") -> None:
        self._model, self._data = prepare(n, primed)
        self._at, self._partial, self._place = len(primed), 1, 0
        self._predict()

    def p1(self) -> int:
        """See `Predictor`."""
        return self._p

    def update(self, bit: int) -> None:
        """See `Predictor`."""
        if self._at == len(self._data):
            raise ValueError("all of the n bytes have come")
        learn_bit(self._at, self._partial, self._place, bit, self._model)
        self._partial, self._place = 2 * self._partial + bit, self._place + 1
        if self._place == 8:
            learn_byte(self._data, self._at, self._partial & 255, self._model)
            self._at, self._partial, self._place = self._at + 1, 1, 0
        self._predict()

    def _predict(self) -> None:
        if self._at == len(self._data):
            return
        if self._place == 0:
            begin(self._data, self._at, self._model)
        at, partial, place = self._at, self._partial, self._place
        self._p = int(predict(self._data, at, partial, place, self._model))
