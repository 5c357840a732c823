"""The coder against exact fractions, against another coder, and against its bound."""

import doctest
import math
import random
from fractions import Fraction
from itertools import accumulate

import constriction
import numpy as np
import pytest

from lmlib.compression import coder
from lmlib.compression.coder import MOST, ONE, Decoder, Encoder, frequencies

pytestmark = pytest.mark.usefixtures("no_runtime_types")


def encoded(symbols, tables):
    """The bytes of symbols; a table of running sums for each."""
    encoder = Encoder()
    for symbol, table in zip(symbols, tables, strict=True):
        encoder.encode(table[symbol], table[symbol + 1], table[-1])
    return encoder.finish()


def decoded(data, tables):
    decoder, symbols = Decoder(data), []
    for table in tables:
        target = decoder.target(table[-1])
        symbol = next(i for i in range(len(table) - 1) if table[i + 1] > target)
        decoder.advance(table[symbol], table[symbol + 1], table[-1])
        symbols.append(symbol)
    return symbols


def cost(symbols, tables):
    return math.fsum(
        math.log2(table[-1] / (table[s + 1] - table[s]))
        for s, table in zip(symbols, tables, strict=True)
    )


def sums(counts):
    return [0, *accumulate(counts)]


def random_tables(rng, n):
    """Of few and many symbols, flat and peaked, with totals up to the largest."""
    tables = []
    for _ in range(n):
        size = rng.choice([1, 2, 3, 7, 256])
        top = rng.choice([1, 3, 1000, MOST // size])
        counts = [rng.randint(1, top) for _ in range(size)]
        if rng.random() < 0.3:
            counts[rng.randrange(size)] += MOST - sum(counts)
        tables.append(sums(counts))
    return tables


@pytest.mark.parametrize("seed", range(8))
def test_symbols_come_back_within_the_bound(seed):
    rng = random.Random(seed)
    tables = random_tables(rng, 2000)
    symbols = [rng.randrange(len(table) - 1) for table in tables]
    data = encoded(symbols, tables)
    assert decoded(data, tables) == symbols
    least = cost(symbols, tables)
    assert least <= 8 * len(data) <= least * 1.0001 + 32


@pytest.mark.parametrize(
    ("counts", "symbol"),
    [
        ([1, MOST - 1], 0),  # the improbable again and again
        ([1, MOST - 1], 1),
        ([MOST - 1, 1], 0),
        ([MOST - 1, 1], 1),
        ([1, 999_999_999], 0),  # no power of two: each cut is rounded down
        ([1, 15_999_999], 0),
        ([(1 << 24) - 1, 1], 1),
        ([1, 1, 1], 1),  # the middle: no bit is settled for long
        ([333, 334, 333], 1),
        ([5], 0),
    ],
)
def test_one_symbol_again_and_again(counts, symbol):
    n = 3000
    tables = [sums(counts)] * n
    data = encoded([symbol] * n, tables)
    assert decoded(data, tables) == [symbol] * n
    least = cost([symbol] * n, tables)
    assert least <= 8 * len(data) <= least * 1.0001 + 32


def test_a_million_symbols_are_within_the_bound():
    rng = random.Random(0)
    bits = [int(rng.random() < 0.003) for _ in range(1 << 20)]
    encoder, size = Encoder(), 0
    for bit in bits:
        encoder.encode_bit(bit, 200)
        size += len(encoder.take())  # what has been taken is not kept
    size += len(encoder.finish())
    least = -math.fsum(math.log2((200 if bit else ONE - 200) / ONE) for bit in bits)
    assert least <= 8 * size <= least * 1.0001 + 32


def test_nothing_takes_nothing():
    assert Encoder().finish() == b""
    sure = Encoder()
    for _ in range(1000):
        sure.encode(0, 1, 1)
    assert sure.finish() == b""


def exact(symbols, tables):
    """The interval by fractions: its lower end and its width."""
    low, width = Fraction(0), Fraction(1)
    for symbol, table in zip(symbols, tables, strict=True):
        low += width * Fraction(table[symbol], table[-1])
        width *= Fraction(table[symbol + 1] - table[symbol], table[-1])
    return low, width


@pytest.mark.parametrize("seed", range(20))
def test_every_continuation_stays_inside_the_exact_interval(seed):
    # Powers of two are cut without rounding: the interval is the exact one.
    rng = random.Random(seed)
    tables = [sums([1, 1, 2, 4])] * rng.randrange(1, 40)
    symbols = [rng.randrange(4) for _ in tables]
    data = encoded(symbols, tables)
    low, width = exact(symbols, tables)
    unit = Fraction(1, 256 ** len(data))
    point = int.from_bytes(data, "big") * unit
    assert low <= point
    assert point + unit <= low + width


@pytest.mark.parametrize("seed", range(20))
def test_what_follows_changes_nothing(seed):
    rng = random.Random(seed)
    tables = random_tables(rng, 50)
    symbols = [rng.randrange(len(table) - 1) for table in tables]
    data = encoded(symbols, tables)
    for more in (b"", b"\xff" * 9, bytes(9), rng.randbytes(9)):
        assert decoded(data + more, tables) == symbols


def test_as_short_as_the_coder_of_another_library():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(64, 0.3))
    symbols = rng.choice(64, size=20_000, p=p)
    table = sums(frequencies(p).tolist())
    ours = encoded(symbols.tolist(), [table] * len(symbols))
    other = constriction.stream.queue.RangeEncoder()
    other.encode(
        symbols.astype(np.int32),
        constriction.stream.model.Categorical(p, perfect=False),
    )
    # It writes words of 32 bits and calculates with probabilities of 24.
    assert abs(8 * len(ours) - 32 * len(other.get_compressed())) <= 64
    assert decoded(ours, [table] * len(symbols)) == symbols.tolist()


def test_data_that_end_too_early_are_told():
    rng = random.Random(0)
    bits = [rng.getrandbits(1) for _ in range(4000)]
    encoder = Encoder()
    for bit in bits:
        encoder.encode_bit(bit, ONE // 2)
    data = encoder.finish()

    def read(data):
        decoder = Decoder(data)
        return [decoder.decode_bit(ONE // 2) for _ in bits]

    assert read(iter(data)) == bits  # a stream will do
    with pytest.raises(ValueError, match="too early"):
        read(data[:-20])


@pytest.mark.parametrize(
    "share", [(0, 0, 1), (1, 1, 2), (-1, 1, 2), (0, 3, 2), (0, 1, MOST + 1)]
)
def test_a_share_that_is_none_is_told(share):
    with pytest.raises(ValueError, match="low < high"):
        Encoder().encode(*share)


# -- Frequencies ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_frequencies_sum_and_cost_as_little_as_promised(seed):
    rng = np.random.default_rng(seed)
    n, total = int(rng.integers(1, 300)), int(2 ** rng.integers(9, 25))
    p = rng.dirichlet(np.full(n, 0.1))
    found = frequencies(p, total)
    assert found.sum() == total
    assert found.min() >= 1
    some = p > 0
    over = np.log2(p[some]) - np.log2(found[some] / total)
    assert over.max() <= -math.log2(1 - n / total) + 1e-9


def test_frequencies_by_hand():
    p = np.array([0.5, 0.0, 0.25, 0.25])
    # 10 are shared: 5, 0, 2, 2; one each; the one left over goes to the first largest.
    assert frequencies(p, 14).tolist() == [7, 1, 3, 3]
    assert frequencies(np.array([0.0, 1.0]), 2).tolist() == [1, 1]
    assert frequencies(np.array([0.5, 0.5], dtype=np.float32), 7).tolist() == [4, 3]


@pytest.mark.parametrize(
    ("p", "total", "said"),
    [
        ([0.5, 0.5, 0.0], 2, "at least 3"),
        ([1.5, -0.5], 100, "probabilities"),
        ([np.nan, 1.0], 100, "probabilities"),
        ([0.5, 0.4], 100, "probabilities"),
        ([], 100, "probabilities"),
    ],
)
def test_what_is_no_distribution_is_told(p, total, said):
    with pytest.raises(ValueError, match=said):
        frequencies(np.array(p), total)


def test_the_examples_of_the_documentation():
    assert doctest.testmod(coder).failed == 0
