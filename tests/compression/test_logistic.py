"""The tables against floating point, which is right to far more digits than they."""

import math

from lmlib.compression.logistic import LIMIT, squash_table, stretch_table


def test_squash_is_the_logistic_function():
    table = squash_table()
    assert len(table) == 2 * LIMIT + 1
    for x, p in zip(range(-LIMIT, LIMIT + 1), table.tolist(), strict=True):
        exact = 65536 / (1 + math.exp(-x / 256))
        assert abs(p - exact) <= 0.5 + 1e-9
        assert 1 <= p <= 65535


def test_stretch_is_its_inverse():
    for i, x in enumerate(stretch_table().tolist()):
        p = (i + 0.5) / 4096
        assert abs(x - 256 * math.log(p / (1 - p))) <= 0.5 + 1e-9


def test_both_sides_of_one_half_are_the_same():
    squash, stretch = squash_table(), stretch_table()
    assert (stretch == -stretch[::-1]).all()
    assert (squash + squash[::-1] == 65536).all()
