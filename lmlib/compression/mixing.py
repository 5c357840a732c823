"""Mixing: many predictors, each weak, make one that is strong (section 5.2).

Every predictor says the probability of the next *bit*. In the logistic domain,
stretch(p) = ln(p/(1 − p)), a weighted sum of what they say is

    stretch(q) = Σ wᵢ·stretch(pᵢ),        Δwᵢ = η·(bit − q)·stretch(pᵢ),

one neuron; the step goes down the gradient of the code length, −log₂ of what q gave
the bit that came. It learns while it codes: sender and receiver make the same steps.

All numbers are integers, logarithms come from tables, and the tables from `decimal`,
whose results are rounded correctly: the same on every machine. A probability is out of
2^16, stretch(p) is 256 times the logarithm.

Source: Mahoney (2005), "Adaptive Weighing of Context Models for Lossless Data
Compression", and his lpaq1, of which this is a relative.
"""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from operator import mul

from lmlib.compression.bit_history import first_guess, states
from lmlib.compression.coder import ONE
from lmlib.compression.logistic import LIMIT, squash_table, stretch_table
from lmlib.compression.predictors import Predictor

_STRETCH, _SQUASH = stretch_table().tolist(), squash_table().tolist()


def stretch(p: int) -> int:
    """256·ln(p/(1 − p)), of p in 2^16; within ±`LIMIT`."""
    return _STRETCH[p >> 4]


def squash(x: int) -> int:
    """The p in 2^16 whose stretch is x; beyond ±`LIMIT` that of the limit."""
    return _SQUASH[max(-LIMIT, min(LIMIT, x)) + LIMIT]


class Mixer:
    """The neuron; which of its sets of weights is used, a number chooses.

    Parameters:
        n_inputs: how many are mixed.
        rate: of learning; larger at first, falling to `rate` over some thousand bytes.
        start: what all weights begin with, 2^16 being 1.
    """

    def __init__(self, n_inputs: int, rate: int = 2, start: int = ONE // 4) -> None:
        self._sets: dict[int, list[int]] = defaultdict(lambda: [start] * n_inputs)
        self._rate, self._bits = rate, 0

    def mix(self, inputs: Sequence[int], chosen: int) -> int:
        """stretch(q), of inputs that are stretch(p) each."""
        self._inputs, self._weights = inputs, self._sets[chosen]
        mixed = sum(map(mul, inputs, self._weights)) >> 16
        self._q = squash(mixed)
        return max(-LIMIT, min(LIMIT, mixed))

    def update(self, bit: int) -> None:
        """Learn from the bit that came after `mix`."""
        self._bits += 1
        rate = self._rate + 448_000 // (32_000 + self._bits)
        step = ((bit << 16) - self._q) * rate
        self._weights[:] = [
            w + (x * step >> 18)
            for w, x in zip(self._weights, self._inputs, strict=True)
        ]


class Refinement:
    """What a stretched probability has meant so far, in a context: 33 cells, a curve.

    A mixer that says 90 % and is right 80 % of the time is corrected here.
    """

    _CELLS = tuple(_SQUASH[LIMIT + 128 * i] << 4 for i in range(-16, 17))

    def __init__(self) -> None:
        self._curves: dict[int, list[int]] = defaultdict(lambda: list(self._CELLS))

    def refine(self, x: int, context: int) -> int:
        """The p in 2^16 for stretch(p) = x, between the two cells beside x."""
        at, beyond = divmod(max(-2048, min(2047, x)) + 2048, 128)
        self._curve = curve = self._curves[context]
        self._nearest = at + (beyond > 64)
        return (curve[at] * (128 - beyond) + curve[at + 1] * beyond) >> 11

    def update(self, bit: int) -> None:
        """Move the nearer cell towards the bit that came."""
        curve, nearest = self._curve, self._nearest
        curve[nearest] += ((bit << 20) - curve[nearest]) >> 6


class Mixture:
    """Any predictors as one: a mixer over what they say, by the bits of this byte."""

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        self._predictors = list(predictors)
        n = len(self._predictors)
        self._mixer = Mixer(n, start=ONE // n)
        self._node = 1  # the bits of this byte so far, behind a leading 1
        self._mix()

    def p1(self) -> int:
        """See `Predictor`."""
        return self._p

    def update(self, bit: int) -> None:
        """See `Predictor`."""
        self._mixer.update(bit)
        for predictor in self._predictors:
            predictor.update(bit)
        self._node = 2 * self._node + bit
        if self._node > 255:
            self._node = 1
        self._mix()

    def _mix(self) -> None:
        said = [stretch(predictor.p1()) for predictor in self._predictors]
        self._p = squash(self._mixer.mix(said, self._node))


# -- The small context mixer ----------------------------------------------------------


_STATES, _AFTER = states()
_NEXT = [bytes(after[bit] for after in _AFTER) for bit in (0, 1)]
_USES = [n0 + n1 for n0, n1, _ in _STATES]
_FIRST = [first_guess(state, 1 << 22) for state in _STATES]
_EMPTY = bytes(15)  # a line without its check
#: How far a probability moves the n-th time, in 2^16.
_PACE = [10 * ONE // (10 * n + 16) for n in range(256)]


class Mixed:
    """A context mixer in plain Python that fits on a page.

    The last 0, 1, 2 … bytes, the word, and the word with the one before it are
    contexts. Each looks up a history of the bits that came there, a map says what such
    a history has meant, and two mixers, one that knows how many of the contexts are
    old and one that knows the bits of this byte so far, weigh that. The longest earlier
    match adds the bit that came then.

    Parameters:
        orders: lengths of contexts in bytes.
        words: whether words are contexts.
        match: whether a match is looked for.
        lines: log₂ of the number of 16-byte lines of the table of histories.
    """

    def __init__(
        self,
        orders: Sequence[int] = (1, 2, 3, 4, 6),
        words: bool = True,
        match: bool = True,
        lines: int = 22,
    ) -> None:
        self._masks = [(1 << 8 * k) - 1 for k in (0, *orders)]
        self._words, self._match = words, match
        n = len(self._masks) + 2 * words
        self._table, self._lines = bytearray(16 << lines), (1 << lines) - 1
        self._maps = [_FIRST[:] for _ in range(n)]
        self._met = [[0] * len(_FIRST) for _ in range(n)]
        self._by_age, self._by_node = (
            Mixer(n + 2, start=ONE * 3 // 10) for _ in range(2)
        )
        self._order0, self._order1 = Refinement(), Refinement()
        self._text, self._last = bytearray(), 0  # all bytes; the last 8 as a number
        self._word = self._word_before = 0
        self._ends = array("I", bytes(4 << 18))  # hash of 6 bytes → where they ended
        self._place = self._length = 0  # where the match goes on, and how long it is
        self._right = [3 << 20] * 32  # by length, how often it is right, in 2^22
        self._byte, self._nibble = 1, 1  # the bits so far, behind a leading 1
        self._find_lines()
        self._predict()

    def p1(self) -> int:
        """See `Predictor`."""
        return self._p

    def update(self, bit: int) -> None:
        """See `Predictor`."""
        for part in (self._by_age, self._by_node, self._order0, self._order1):
            part.update(bit)
        target, following, table = bit << 22, _NEXT[bit], self._table
        for cell, history, p, met in zip(
            self._cells, self._histories, self._maps, self._met, strict=True
        ):
            p[history] += (target - p[history]) * _PACE[met[history]] >> 16
            if met[history] < 255:
                met[history] += 1
            table[cell] = following[history]
        if self._expected is not None:
            length, hit = min(self._length, 31), bit == self._expected
            self._right[length] += ((hit << 22) - self._right[length]) >> 7
            if not hit:
                self._length = 0
        self._byte, self._nibble = 2 * self._byte + bit, 2 * self._nibble + bit
        if self._byte > 255:
            self._read(self._byte & 255)
            self._byte = 1
        if self._nibble > 15:
            self._nibble = 1
            self._find_lines()
        self._predict()

    def _predict(self) -> None:
        nibble, table = self._nibble, self._table
        self._cells = [line + nibble for line in self._found]
        self._histories = [table[cell] for cell in self._cells]
        inputs = [
            _STRETCH[p[history] >> 10]
            for p, history in zip(self._maps, self._histories, strict=True)
        ]
        inputs += (self._from_match(), 256)
        old = sum(map(bool, self._histories[1 : len(self._masks)]))
        surety = 0 if self._expected is None else 1 + min(self._length, 31) // 8
        x = (
            self._by_age.mix(inputs, 8 * old + surety)
            + self._by_node.mix(inputs, self._byte)
        ) >> 1
        refined = self._order0.refine(x, self._byte) + self._order1.refine(
            x, (self._last & 255) << 8 | self._byte
        )
        self._p = max(1, (2 * squash(x) + refined) >> 2)

    def _from_match(self) -> int:
        """stretch(p) of the bit that came after the match; 0 if there is none."""
        self._expected = None
        if not self._length:
            return 0
        n = self._byte.bit_length() - 1  # bits that are known
        byte = self._text[self._place] | 256
        if byte >> 8 - n != self._byte:
            self._length = 0
            return 0
        self._expected = byte >> 7 - n & 1
        x = _STRETCH[self._right[min(self._length, 31)] >> 10]
        return x if self._expected else -x

    def _read(self, byte: int) -> None:
        """Take in a whole byte: the contexts of the next one."""
        text = self._text
        text.append(byte)
        self._last = (self._last << 8 | byte) & (1 << 64) - 1
        lower = byte | 32 if 65 <= byte <= 90 else byte
        if 97 <= lower <= 122 or byte > 127:
            self._word = (self._word * 0x2F0B4C47 + lower + 1) & 0xFFFFFFFF
        elif self._word:
            self._word, self._word_before = 0, self._word
        if not self._match:
            return
        if self._length:
            self._length, self._place = self._length + 1, self._place + 1
        key = _hash(self._last & (1 << 48) - 1) >> 46
        if not self._length:
            self._place = place = self._ends[key]
            while self._length < min(place, 32) and (
                text[place - 1 - self._length] == text[-1 - self._length]
            ):
                self._length += 1
            if self._length < 5:
                self._length = 0
        self._ends[key] = len(text)

    def _find_lines(self) -> None:
        """For each context the line of the table in which this nibble's cells are."""
        contexts = [self._last & mask for mask in self._masks]
        if self._words:
            contexts += (self._word, self._word << 32 | self._word_before)
        nibbles = self._byte if self._byte > 1 else 0
        self._found = [
            self._line(_hash((context << 5 | nibbles) << 4 | i))
            for i, context in enumerate(contexts)
        ]

    def _line(self, key: int) -> int:
        """Where the line of a hash begins; the less used of two gives way to it."""
        table, check = self._table, key & 255
        first = (key >> 20 & self._lines) << 4
        second = first ^ 16
        if table[first] == check:
            return first
        if table[second] == check:
            return second
        used = _USES[table[first + 1]] > _USES[table[second + 1]]
        line = second if used else first
        table[line : line + 16] = bytes((check, *_EMPTY))
        return line


def _hash(number: int) -> int:
    """64 bits in which every bit of `number` has a say."""
    number = number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    return (number ^ number >> 29) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
