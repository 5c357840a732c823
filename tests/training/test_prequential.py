"""Prequential code lengths against closed forms, and against a receiver."""

import math

import pytest
import torch

from lmlib.training.prequential import prequential_bits
from lmlib.training.tasks import Example

LABELS = [0, 2, 2, 1, 2, 0, 2, 2, 2, 1, 2, 2]
EXAMPLES = [Example(str(i), label) for i, label in enumerate(LABELS)]


def counting(seen):
    """Laplace's rule of succession for three classes."""
    counts = torch.ones(3)
    for example in seen:
        counts[example.wanted] += 1
    return lambda block: (counts / counts.sum()).expand(len(block), 3)


def test_counting_label_by_label_is_laplaces_closed_form():
    blocks = list(range(1, len(LABELS) + 1))
    bits = prequential_bits(counting, EXAMPLES, blocks, 3, uniform=0.0)
    # One over the number of sequences with these counts, and of the possible counts.
    ways = math.factorial(12) / math.prod(math.factorial(n) for n in (2, 2, 8))
    expected = math.log2(ways * math.comb(12 + 2, 2))
    assert bits[-1] == pytest.approx(expected, abs=1e-4)
    assert bits[0] == pytest.approx(math.log2(3))


def test_a_block_is_coded_by_what_came_before_it_and_not_by_itself():
    seen = []

    def fit(examples):
        seen.append(len(examples))
        return counting(examples)

    bits = prequential_bits(fit, EXAMPLES, [4, 8], 3, uniform=0.0)
    assert seen == [4]
    # Of 0, 2, 2, 1: a third, 2/7, 3/7, 2/7; then 2, 0, 2, 2.
    second = -3 * math.log2(3 / 7) - math.log2(2 / 7)
    assert bits == pytest.approx([4 * math.log2(3), 4 * math.log2(3) + second])


def test_what_is_ruled_out_costs_a_finite_number_of_bits():
    def wrong(seen):
        return lambda block: torch.eye(3)[[(e.wanted + 1) % 3 for e in block]]

    bits = prequential_bits(wrong, EXAMPLES, [1, 12], 3, uniform=0.03)
    assert bits[1] - bits[0] == pytest.approx(11 * math.log2(100))


def test_a_receiver_who_has_no_labels_decodes_them():
    """Arithmetic decoding, with fractions: the code is one, and as long as it says."""
    from fractions import Fraction

    blocks, low, width = [3, 6, 12], Fraction(0), Fraction(1)

    def shares(known):
        n = max((end for end in (0, *blocks) if end <= len(known)), default=0)
        counts = [1 + sum(label == c for label in known[:n]) for c in range(3)]
        return [Fraction(k, sum(counts)) for k in (counts if n else [1, 1, 1])]

    for i, label in enumerate(LABELS):
        p = shares(LABELS[:i])
        low, width = low + width * sum(p[:label]), width * p[label]
    bits = prequential_bits(counting, EXAMPLES, blocks, 3, uniform=0.0)
    assert bits[-1] == pytest.approx(-math.log2(width))
    decoded: list[int] = []
    place, start, size = low + width / 2, Fraction(0), Fraction(1)
    while len(decoded) < len(LABELS):
        p = shares(decoded)
        for label in range(3):
            if place < start + size * sum(p[: label + 1]):
                break
        start, size = start + size * sum(p[:label]), size * p[label]
        decoded.append(label)
    assert decoded == LABELS


@pytest.mark.parametrize("blocks", [[], [0, 3], [3, 3], [5, 13]])
def test_blocks_that_do_not_rise_are_refused(blocks):
    with pytest.raises(ValueError, match=r"blocks must rise.*12"):
        prequential_bits(counting, EXAMPLES, blocks, 3)


@pytest.mark.parametrize("given", [torch.ones(3, 3) / 2, torch.ones(3, 2) / 2])
def test_what_is_no_distribution_is_refused(given):
    with pytest.raises(ValueError, match=r"shape \(3, 3\).*sum to 1"):
        prequential_bits(lambda seen: lambda block: given, EXAMPLES, [3, 6], 3)
