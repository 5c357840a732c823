"""The right answers of section 5 against the library, which has them, too."""

import math
import random
from fractions import Fraction

import pytest
import torch

from lmlib.compression import coder, ledger
from lmlib.exercises.compressor import coding, predicting
from lmlib.losses import IGNORE
from lmlib.objectives.causal import CausalLM
from tests.objectives.samples import SPECIAL, corpus


@pytest.fixture
def short_ends(monkeypatch):
    """The library's coder with ends of 32 bits, as the exercise has them."""
    for name, value in (
        ("WIDTH", 32),
        ("QUARTER", 1 << 30),
        ("HALF", 1 << 31),
        ("TOP", (1 << 32) - 1),
    ):
        monkeypatch.setattr(coder, name, value)


def messages():
    """Symbols with cumulative counts: some 0, some millions; a run at the middle."""
    draw = random.Random(0)
    for _ in range(40):
        counts = [draw.choice([0, 1, 3, 99, 10**6]) for _ in range(6)] + [1]
        cumulative = [sum(counts[:i]) for i in range(8)]
        yield draw.choices(range(7), counts, k=40), cumulative
    yield [1] * 50 + [0, 2], [0, 1, 2, 3]
    yield [], [0, 1, 2, 3]


def as_bits(data):
    return [byte >> place & 1 for byte in data for place in range(7, -1, -1)]


def as_bytes(bits):
    whole = [*bits, *[0] * (-len(bits) % 8)]
    return bytes(
        int("".join(map(str, whole[i : i + 8])), 2) for i in range(0, len(whole), 8)
    )


def test_decode_reads_what_the_library_wrote(short_ends):
    for symbols, cumulative in messages():
        encoder = coder.Encoder()
        for s in symbols:
            encoder.encode(cumulative[s], cumulative[s + 1], cumulative[-1])
        bits = as_bits(encoder.finish())
        assert coding.reference_decode(bits, len(symbols), cumulative) == symbols


def test_the_library_reads_what_encode_wrote(short_ends):
    for symbols, cumulative in messages():
        decoder = coder.Decoder(as_bytes(coding.reference_encode(symbols, cumulative)))
        for symbol in symbols:
            target = decoder.target(cumulative[-1])
            found = max(
                s for s in range(len(cumulative) - 1) if cumulative[s] <= target
            )
            assert found == symbol
            decoder.advance(cumulative[symbol], cumulative[symbol + 1], cumulative[-1])


def test_the_encoder_as_given_writes_short_files_and_no_long_ones():
    """What its task says of it."""
    draw, cumulative = random.Random(0), [0, 3, 9, 11, 20, 27]

    def come_back(n):
        texts = [draw.choices(range(5), [3, 6, 2, 9, 7], k=n) for _ in range(100)]
        files = [coding.as_given(text, cumulative) for text in texts]
        return sum(
            coding.reference_decode(bits, n, cumulative) == text
            for bits, text in zip(files, texts, strict=True)
        )

    assert come_back(3) == 100
    assert come_back(60) == 0


def test_frequencies_are_the_librarys():
    generator = torch.Generator().manual_seed(0)
    for n in (2, 3, 50):
        for total in (n, n + 1, 1000, 1 << 24):
            p = torch.rand(n, generator=generator, dtype=torch.float64)
            p /= p.sum()
            found = coding.reference_frequencies(p, total)
            assert found.tolist() == coder.frequencies(p.numpy(), total).tolist()


def test_the_model_pays_from_where_the_ledger_says():
    for case in ((1e6, 1.5, 2.0), (1e6, 2.0, 1.5), (1e6, 2.0, 2.0), (0.0, 1.0, 2.0)):
        assert predicting.reference_pays(*case) == ledger.pays_from(*case)


@pytest.mark.parametrize(("length", "stride"), [(8, 8), (8, 3), (8, 1), (999, 7)])
def test_windows_are_those_of_the_evaluation(length, stride):
    text = corpus(3)
    n = len(text.tokens) + 3  # and what each document begins with
    objective = CausalLM(text, SPECIAL, length=length, batch_size=4)
    batches = list(objective.evaluation_batches(stride))
    scored = torch.cat([batch["targets"] != IGNORE for batch in batches])
    windows = predicting.reference_windows(n, length, stride)
    places = torch.arange(length)
    for row, (begin, first, end) in zip(scored, windows, strict=True):
        assert row.equal((places >= first - begin) & (places < end - begin))


def test_the_shortest_code_costs_two_bits_at_most():
    draw = random.Random(0)
    for _ in range(200):
        n = draw.randrange(2, 10**6)
        width = Fraction(draw.randrange(1, n), n)
        low = (1 - width) * Fraction(draw.randrange(n + 1), n)
        bits = coding.reference_code(low, width)
        begin = Fraction(int(bits or "0", 2), 2 ** len(bits))
        assert low <= begin < begin + Fraction(1, 2 ** len(bits)) <= low + width
        assert len(bits) <= -math.log2(width) + 2
