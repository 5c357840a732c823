"""Predictors: what comes next, in numbers that a coder can use (sections 1.1, 5.2).

One interface for all: `p1` tells the probability that the next *bit* is 1, `update`
tells what it was. Asked bit by bit, highest first, anything that predicts bytes becomes
such a predictor (`Bits`), and any of them can be mixed with any other
(`lmlib.compression.mixing`). Sender and receiver run the same predictor over the same
past, so that only whole numbers, and floating-point operations that IEEE 754 rounds in
one way, may decide what it says.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from lmlib.compression.coder import ONE, Decoder, Encoder, frequencies

#: Called now and then with the bytes done and the bits that they took.
Progress = Callable[[int, float], None]


@runtime_checkable
class Predictor(Protocol):
    """Predicts bits."""

    def p1(self) -> int:
        """The probability that the next bit is 1, of 2^16; neither 0 nor 2^16."""

    def update(self, bit: int) -> None:
        """The next bit was `bit`."""


@runtime_checkable
class BytePredictor(Protocol):
    """Predicts bytes."""

    def frequencies(self) -> Int64[ndarray, "256"]:
        """How often each byte is to be expected, at least 1, of any total."""

    def update(self, byte: int) -> None:
        """The next byte was `byte`."""


# -- From a predictor to a file, and back ---------------------------------------------


def feed(predictor: Predictor, data: bytes) -> None:
    """Have a predictor read bytes that both sides know."""
    for byte in data:
        for place in range(7, -1, -1):
            predictor.update(byte >> place & 1)


def encode(
    predictor: Predictor, data: bytes, progress: Progress | None = None
) -> bytes:
    """The bytes with which `decode` and an equal predictor give `data` back."""
    encoder, out = Encoder(), bytearray()
    for n, byte in enumerate(data):
        if progress is not None and n % 1024 == 0:
            out += encoder.take()
            progress(n, 8 * len(out))
        for place in range(7, -1, -1):
            bit = byte >> place & 1
            encoder.encode_bit(bit, predictor.p1())
            predictor.update(bit)
    return bytes(out) + encoder.finish()


def decode(
    predictor: Predictor, payload: bytes, n: int, progress: Progress | None = None
) -> bytes:
    """The `n` bytes of which `encode` made `payload`.

    Raises:
        ValueError: the payload ends too early.
    """
    decoder, out = Decoder(payload), bytearray()
    while len(out) < n:
        if progress is not None and len(out) % 1024 == 0:
            progress(len(out), 8 * len(payload) * len(out) / n)
        byte = 1
        while byte < 256:
            bit = decoder.decode_bit(predictor.p1())
            predictor.update(bit)
            byte = 2 * byte + bit
        out.append(byte & 255)
    return bytes(out)


def bits(predictor: Predictor, data: bytes) -> float:
    """−Σ log₂ p over the bits of `data`: the length of the file, without a coder."""
    total = 0.0
    for byte in data:
        for place in range(7, -1, -1):
            bit, p1 = byte >> place & 1, predictor.p1()
            total += math.log2(ONE / (p1 if bit else ONE - p1))
            predictor.update(bit)
    return total


class Bits:
    """A predictor of bytes, asked bit by bit: is the byte in the upper half?

    That a byte is among those that are left is known; what part of their frequency the
    upper half has is the probability.
    """

    def __init__(self, inner: BytePredictor) -> None:
        self._inner = inner
        self._low, self._high = 0, 256  # the byte is one of these
        self._below = self._cumulative()

    def p1(self) -> int:
        """See `Predictor`."""
        below, middle = self._below, (self._low + self._high) // 2
        upper = below[self._high] - below[middle]
        p1 = upper * ONE // (below[self._high] - below[self._low])
        return max(1, min(ONE - 1, p1))

    def update(self, bit: int) -> None:
        """See `Predictor`."""
        middle = (self._low + self._high) // 2
        if bit:
            self._low = middle
        else:
            self._high = middle
        if self._high - self._low == 1:
            self._inner.update(self._low)
            self._low, self._high = 0, 256
            self._below = self._cumulative()

    def _cumulative(self) -> list[int]:
        return [0, *accumulate(self._inner.frequencies().tolist())]


# -- Counts ---------------------------------------------------------------------------


class KT:
    """Bytes counted after each context of `order` bytes, `alpha` added to each count.

        p(s) = (n_s + α) / (n + 256·α);

    α = ½ is Krichevsky and Trofimov's (1981), whose cost over the best fixed code is
    (256 − 1)/2 · log₂ n bits a context: ruinous, for most bytes never come.
    """

    def __init__(self, order: int, alpha: float = 0.5) -> None:
        self._order, self._alpha = order, alpha
        self._counts: dict[bytes, ndarray] = defaultdict(lambda: np.zeros(256))
        self._context = b""

    def frequencies(self) -> Int64[ndarray, "256"]:
        """See `BytePredictor`."""
        counts = self._counts[self._context]
        n = int(counts.sum())  # whole numbers: exact in any order
        return frequencies((counts + self._alpha) / (n + 256 * self._alpha))

    def update(self, byte: int) -> None:
        """See `BytePredictor`."""
        self._counts[self._context][byte] += 1
        self._context = _context(self._context, byte, self._order)


class KTBits:
    """The same counts asked bit by bit: a prior over trees instead of over bytes.

        p(1) = (n₁ + α) / (n₀ + n₁ + 2·α),

    where n are the bits that came after this context and these first bits of a byte.
    """

    def __init__(self, order: int, alpha: float = 0.5) -> None:
        self._order, self._alpha = order, alpha
        self._counts: dict[tuple[bytes, int], list[int]] = defaultdict(lambda: [0, 0])
        self._context, self._byte = b"", 1

    def p1(self) -> int:
        """See `Predictor`."""
        n0, n1 = self._counts[self._context, self._byte]
        p1 = int(ONE * ((n1 + self._alpha) / (n0 + n1 + 2 * self._alpha)))
        return max(1, min(ONE - 1, p1))

    def update(self, bit: int) -> None:
        """See `Predictor`."""
        self._counts[self._context, self._byte][bit] += 1
        self._byte = 2 * self._byte + bit
        if self._byte > 255:
            self._context = _context(self._context, self._byte & 255, self._order)
            self._byte = 1


class NGram:
    """Witten and Bell's n-gram (1991): each context falls back on the shorter one.

        p_k(s | c) = (n(c, s) + t(c)·p_{k−1}(s | c′)) / (n(c) + t(c)),  p₋₁ = 1/256,

    with c′ the context without its first byte and t(c) the number of *different* bytes
    that followed c. The mass t/(n + t) of what never came there is method C of PPM
    (Moffat 1990): the best language models of the 1980s were file compressors.
    """

    def __init__(self, order: int) -> None:
        if order < 0:
            raise ValueError(f"order must not be negative, got {order}")
        self._order = order
        self._followers: dict[bytes, dict[int, int]] = defaultdict(dict)
        self._context = b""

    def after(self, context: bytes) -> Float64[ndarray, "256"]:
        """The probability of each byte after this context, by what was counted so far.

        Of a context that is longer than any counted one the end decides.
        """
        p = np.full(256, 1 / 256)
        for k in range(min(len(context), self._order) + 1):
            if not (followers := self._followers.get(context[len(context) - k :])):
                break  # nor has a longer one been seen
            n, t = sum(followers.values()), len(followers)
            p *= t / (n + t)
            for byte, count in followers.items():
                p[byte] += count / (n + t)
        return p

    def probabilities(self) -> Float64[ndarray, "256"]:
        """Of each byte to come next."""
        return self.after(self._context)

    def frequencies(self) -> Int64[ndarray, "256"]:
        """See `BytePredictor`."""
        return frequencies(self.probabilities())

    def update(self, byte: int) -> None:
        """See `BytePredictor`."""
        for k in range(len(self._context) + 1):
            followers = self._followers[self._context[len(self._context) - k :]]
            followers[byte] = followers.get(byte, 0) + 1
        self._context = _context(self._context, byte, self._order)


def _context(before: bytes, byte: int, order: int) -> bytes:
    """The last `order` bytes."""
    return (before + bytes((byte,)))[-order:] if order else b""
