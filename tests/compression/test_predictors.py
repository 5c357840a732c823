"""Predictors against their formulas, and through the coder and back."""

import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from lmlib.compression.coder import ONE
from lmlib.compression.mixing import Mixed, Mixture
from lmlib.compression.predictors import KT, Bits, KTBits, NGram, bits, decode, encode

pytestmark = pytest.mark.usefixtures("no_runtime_types")

TEXT = (
    "How much wood would a woodchuck chuck if a woodchuck could chuck wood? He would "
    "chuck, he would, as much as he could, and chuck as much wood as a woodchuck "
    "would if a woodchuck could chuck wood. 不亦乐乎"
).encode() + b"\xff"

PREDICTORS = {
    "KT 0": lambda: Bits(KT(0)),
    "KT 2": lambda: Bits(KT(2, 0.1)),
    "KT bits 0": lambda: KTBits(0),
    "KT bits 3": lambda: KTBits(3, 0.1),
    "n-gram 0": lambda: Bits(NGram(0)),
    "n-gram 4": lambda: Bits(NGram(4)),
    "mixed": lambda: Mixed(lines=12),
    "mixed, less": lambda: Mixed((2,), words=False, match=False, lines=4),
    "mixture": lambda: Mixture([KTBits(1), Bits(NGram(3)), Mixed(lines=12)]),
}


@pytest.mark.parametrize("make", PREDICTORS.values(), ids=PREDICTORS)
@pytest.mark.parametrize(
    "data",
    [b"", b"\0", TEXT, bytes(600), b"\xff" * 300 + bytes(300) + TEXT],
    ids=["empty", "zero", "text", "zeros", "turns"],
)
def test_bytes_come_back_at_the_price_that_was_told(make, data):
    payload = encode(make(), data)
    assert decode(make(), payload, len(data)) == data
    price = bits(make(), data)
    assert price - 1e-6 <= 8 * len(payload) <= price * 1.0001 + 10


@pytest.mark.parametrize("make", PREDICTORS.values(), ids=PREDICTORS)
def test_probabilities_stay_between_0_and_1(make):
    predictor, rng = make(), random.Random(0)
    for bit in [0] * 3000 + [1] * 3000 + [rng.getrandbits(1) for _ in range(500)]:
        assert 1 <= predictor.p1() <= ONE - 1
        predictor.update(bit)


def test_kt_is_its_formula():
    seen = Counter()
    price = 0.0
    for n, byte in enumerate(TEXT):
        price -= math.log2((seen[byte] + 0.5) / (n + 128))
        seen[byte] += 1
    assert bits(Bits(KT(0)), TEXT) == pytest.approx(price, rel=2e-4)


def test_kt_bit_by_bit_is_its_formula():
    seen = Counter()
    price = Fraction(1)
    for n, byte in enumerate(TEXT):
        before = TEXT[max(n - 2, 0) : n]
        for place in range(7, -1, -1):
            node, bit = (before, place, byte >> place + 1), byte >> place & 1
            price *= Fraction(
                2 * seen[node, bit] + 1, 2 * (seen[node, 0] + seen[node, 1] + 1)
            )
            seen[node, bit] += 1
    log = math.log2(price.numerator) - math.log2(price.denominator)
    assert bits(KTBits(2), TEXT) == pytest.approx(-log, rel=2e-4)


def witten_bell(data, history, order):
    """By the definition: shorter contexts first."""
    p = [1 / 256] * 256
    for k in range(min(order, len(history)) + 1):
        context = history[len(history) - k :]
        after = [
            data[i + k] for i in range(len(data) - k) if data[i : i + k] == context
        ]
        n, t = len(after), len(set(after))
        if n:
            p = [(after.count(s) + t * p[s]) / (n + t) for s in range(256)]
    return p


@pytest.mark.parametrize("order", [0, 1, 2, 4])
@pytest.mark.parametrize("data", [b"", b"aaabab", b"abracadabra", TEXT])
def test_the_n_gram_is_witten_and_bells(order, data):
    model = NGram(order)
    for byte in data:
        model.update(byte)
    found = model.probabilities()
    np.testing.assert_allclose(found, witten_bell(data, data, order), rtol=1e-12)
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("context", [b"", b"chuck", b"a wood", b"never seen \0"])
def test_an_n_gram_can_be_asked_about_any_context(context):
    model = NGram(3)
    for byte in TEXT:
        model.update(byte)
    for end in (context, context[-2:]):  # fewer bytes are a lower order
        expected = witten_bell(TEXT, end, min(3, len(end)))
        np.testing.assert_allclose(model.after(end), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.after(TEXT), model.probabilities())


def test_a_negative_order_is_told():
    with pytest.raises(ValueError, match="order must not be negative, got -1"):
        NGram(-1)


def test_eight_questions_cost_what_the_byte_costs():
    class Fixed:
        def frequencies(self):
            return np.arange(1, 257)

        def update(self, byte):
            pass

    price = sum(math.log2(257 * 128 / (byte + 1)) for byte in TEXT)
    assert bits(Bits(Fixed()), TEXT) == pytest.approx(price, rel=1e-3)


def test_more_context_makes_kt_worse_and_bits_repair_it():
    text = TEXT * 3
    by_bytes = [bits(Bits(KT(order)), text) for order in (0, 3)]
    by_bits = [bits(KTBits(order), text) for order in (0, 3)]
    assert by_bytes[1] > by_bytes[0]
    assert by_bits[1] < by_bits[0]
