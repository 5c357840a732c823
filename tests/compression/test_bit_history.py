"""States by their definition, worked out by hand."""

import itertools

import pytest

from lmlib.compression.bit_history import CAPS, first_guess, following, states


@pytest.mark.parametrize(
    ("state", "bit", "after"),
    [
        ((0, 0, 0), 0, (1, 0, 0)),
        ((0, 0, 0), 1, (0, 1, 0)),
        ((2, 0, 0), 1, (2, 1, 1)),
        ((3, 2, 1), 0, (4, 2, 0)),  # up to 3 the other count stays
        ((9, 0, 0), 1, (6, 1, 1)),  # 3 + 6 // 2
        ((0, 10, 0), 0, (1, 6, 0)),  # 3 + 7 // 2
        ((40, 0, 0), 0, (40, 0, 0)),  # a cap
        ((22, 1, 1), 0, (22, 1, 0)),
        ((5, 5, 0), 1, (4, 6, 1)),
        ((5, 5, 0), 0, (6, 4, 0)),
    ],
)
def test_following(state, bit, after):
    assert following(state, bit) == after


def test_every_state_can_be_reached_and_fits_in_a_byte():
    order, after = states()
    assert len(order) == len(set(order)) == len(after) == 233
    assert order[0] == (0, 0, 0)
    for state, both in zip(order, after, strict=True):
        assert [order[i] for i in both] == [following(state, bit) for bit in (0, 1)]
        n0, n1, last = state
        assert max(n0, n1) <= CAPS[min(n0, n1)]
        assert last == 0 or min(n0, n1) > 0
    assert set(itertools.chain(*after)) == set(range(1, 233))


def test_first_guess():
    assert first_guess((0, 0, 0), 1000) == 500
    assert first_guess((1, 1, 0), 1000) == 500
    assert first_guess((0, 3, 0), 1000) == 1000 - first_guess((3, 0, 0), 1000)
    assert first_guess((3, 0, 0), 1000) == 105  # 1 / (2.5 · 3 + 2)
    assert first_guess((2, 1, 0), 1000) == 368  # 1.4 / 3.8
