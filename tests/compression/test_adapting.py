"""A transformer that learns while it codes: the same for sender and receiver."""

from dataclasses import replace

import pytest
import torch

from lmlib.compression.adapting import SMALL, Adapting
from lmlib.compression.predictors import Bits, bits, decode, encode

pytestmark = pytest.mark.usefixtures("no_runtime_types")

TINY = replace(SMALL, d_model=16, n_layers=1, n_heads=2, max_len=32)
TEXT = b"to be or not to be, " * 18


def tiny(**settings):
    return Bits(Adapting(TINY, every=16, batch=4, length=24, **settings))


def test_bytes_come_back_and_get_cheaper():
    payload = encode(tiny(), TEXT)
    assert decode(tiny(), payload, len(TEXT)) == TEXT
    assert 8 * len(payload) < 0.9 * bits(tiny(lr=1e-9), TEXT)


def test_the_seed_decides_and_dice_elsewhere_do_not():
    torch.manual_seed(1)
    first = encode(tiny(), TEXT[:100])
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert encode(tiny(), TEXT[:100]) == first
    assert encode(tiny(seed=1), TEXT[:100]) != first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
