"""Arithmetic coding in integers: probabilities become a file (section 5.1).

A text is an interval inside [0, 1): each symbol cuts the interval down to its own
share, so that the width is the product of the probabilities. The file is the binary
fraction of a point in it, −log₂ of the width long, and at most two bits more; every
continuation of these bits stays inside.

Only integers: sender and receiver must cut at the very same places. What both know of
the interval are its ends, `WIDTH` bits each; bits that both ends share are written and
shifted out, and while the ends straddle the middle, too close for a shared bit, bits
are *pending*: the next one decides them all.

Sources: Pasco 1976, Rissanen 1976; in this form Witten, Neal & Cleary (1987),
"Arithmetic Coding for Data Compression".
"""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

#: Bits of an end. A cut rounds to units of which there are 2^(WIDTH − 2) or more; with
#: 32 bits a symbol of frequency 1 in 10^9 costs 0.3 % more than it should.
WIDTH = 48
QUARTER = 1 << (WIDTH - 2)
HALF, TOP = 2 * QUARTER, 4 * QUARTER - 1
#: The largest total of frequencies.
MOST = 1 << 30
#: What a bit's probability is out of.
ONE = 1 << 16


class Encoder:
    """Writes symbols, each by its share [low, high) of a total.

    >>> encoder = Encoder()
    >>> for low, high in [(0, 3), (3, 4), (0, 3)]:
    ...     encoder.encode(low, high, 4)
    >>> encoder.finish()
    b'\\xa0'
    """

    def __init__(self) -> None:
        self._low, self._high = 0, TOP
        self._pending = 0
        self._bits = 1  # not yet a byte; the leading 1 counts them
        self._out = bytearray()

    def encode(self, low: int, high: int, total: int) -> None:
        """Write the symbol to which [low, high) of `total` belongs.

        Raises:
            ValueError: not 0 ≤ low < high ≤ total ≤ `MOST`.
        """
        if not 0 <= low < high <= total <= MOST:
            raise ValueError(
                f"the share must satisfy 0 ≤ low < high ≤ total ≤ {MOST}, got low = "
                f"{low}, high = {high}, total = {total}"
            )
        span = self._high - self._low + 1
        self._high = self._low + span * high // total - 1
        self._low += span * low // total
        while True:
            if self._high < HALF:
                self._write(0)
            elif self._low >= HALF:
                self._write(1)
                self._low, self._high = self._low - HALF, self._high - HALF
            elif self._low >= QUARTER and self._high < HALF + QUARTER:
                self._pending += 1
                self._low, self._high = self._low - QUARTER, self._high - QUARTER
            else:
                return
            self._low, self._high = 2 * self._low, 2 * self._high + 1

    def encode_bit(self, bit: int, p1: int) -> None:
        """Write a bit that is 1 with a probability of p1 in `ONE`."""
        if bit:
            self.encode(ONE - p1, ONE, ONE)
        else:
            self.encode(0, ONE - p1, ONE)

    def take(self) -> bytes:
        """The bytes that are settled, and have not been taken before."""
        taken = bytes(self._out)
        self._out.clear()
        return taken

    def finish(self) -> bytes:
        """Settle on a point in the interval, and give the rest of the bytes.

        One quarter is inside as a whole, the second or the third: its two bits.
        """
        if (self._low, self._high, self._pending) != (0, TOP, 0):
            self._pending += 1
            self._write(int(self._low >= QUARTER))
        while self._bits != 1:
            self._append(0)
        return self.take()

    def _write(self, bit: int) -> None:
        self._append(bit)
        for _ in range(self._pending):
            self._append(1 - bit)
        self._pending = 0

    def _append(self, bit: int) -> None:
        self._bits = 2 * self._bits + bit
        if self._bits > 0xFF:
            self._out.append(self._bits & 0xFF)
            self._bits = 1


class Decoder:
    """Reads what an `Encoder` wrote, from bytes or from anything that yields bytes.

    >>> decoder = Decoder(b"\\xa0")
    >>> for _ in range(3):
    ...     second = decoder.target(4) >= 3
    ...     decoder.advance(*((3, 4) if second else (0, 3)), 4)
    ...     print("second" if second else "first")
    first
    second
    first
    """

    def __init__(self, data: Iterable[int]) -> None:
        self._low, self._high = 0, TOP
        self._source = _bits(data)
        self._point = 0
        for _ in range(WIDTH):
            self._point = 2 * self._point + next(self._source)

    def target(self, total: int) -> int:
        """A number below `total`, in the share of the symbol that comes next."""
        span = self._high - self._low + 1
        return ((self._point - self._low + 1) * total - 1) // span

    def advance(self, low: int, high: int, total: int) -> None:
        """Go on behind the symbol to which [low, high) of `total` belongs.

        Raises:
            ValueError: the data end long before the symbols do.
        """
        span = self._high - self._low + 1
        self._high = self._low + span * high // total - 1
        self._low += span * low // total
        while True:
            if self._high < HALF:
                off = 0
            elif self._low >= HALF:
                off = HALF
            elif self._low >= QUARTER and self._high < HALF + QUARTER:
                off = QUARTER
            else:
                return
            self._low, self._high = 2 * (self._low - off), 2 * (self._high - off) + 1
            self._point = 2 * (self._point - off) + next(self._source)

    def decode_bit(self, p1: int) -> int:
        """Read a bit that is 1 with a probability of p1 in `ONE`."""
        if self.target(ONE) >= ONE - p1:
            self.advance(ONE - p1, ONE, ONE)
            return 1
        self.advance(0, ONE - p1, ONE)
        return 0


def _bits(data: Iterable[int]) -> Iterator[int]:
    """The bits of `data`; then zeros, as many as a decoder can look ahead."""
    for byte in chain(data, repeat(0, WIDTH // 8)):
        for place in range(7, -1, -1):
            yield byte >> place & 1
    raise ValueError("the data end too early: a part of them is missing")


def frequencies(
    p: Float[ndarray, "symbols"], total: int = 1 << 24
) -> Int64[ndarray, "symbols"]:
    """Whole numbers in proportion to the probabilities `p`, that sum to `total`.

    Each is 1 + ⌊p·(total − n)⌋ for n symbols: what can come has a code, and no symbol
    costs −log₂(1 − n/total) bits more than it should. What rounding leaves over goes
    to the first of the largest.

    Raises:
        ValueError: p has negative entries or NaN, or does not sum to 1 within 10⁻⁶, or
            there are more symbols than `total`.
    """
    if total < len(p):
        raise ValueError(f"total must be at least {len(p)}, one a symbol, got {total}")
    p = p.astype(np.float64)
    if not (len(p) and bool((p >= 0).all()) and abs(p.sum() - 1) <= 1e-6):
        raise ValueError("p must be probabilities, which sum to 1")
    found = 1 + np.floor(p * (total - len(p))).astype(np.int64)
    found[found.argmax()] += total - found.sum()
    return found
