"""lmlib.compute: the formula against torch's counter, and both against a hand."""

import pytest
import torch

from lmlib.compute import counted_flops, flops_per_token
from lmlib.models import LLAMA, build
from lmlib.models.gpt import GPT, GPT2, gpt_config


@pytest.mark.parametrize(
    ("name", "length"), [("gpt2", 1024), ("gpt2", 7), ("smollm2-135m", 100)]
)
def test_the_formula_is_what_torch_counts(name, length):
    with torch.device("meta"):
        model = build(name)
    config = GPT2[name] if name in GPT2 else LLAMA[name][0]
    assert counted_flops(model, length) == flops_per_token(config, length)


def test_gpt2_by_hand():
    d = 768
    weights = 12 * 12 * d * d + 50257 * d
    assert flops_per_token(GPT2["gpt2"], 1024) == 6 * weights + 12 * 12 * 1024 * d


def test_what_is_shared_or_read_twice_counts_as_it_works():
    """ALBERT's block works 12 times; a T5 has as many tokens again in its decoder."""
    with torch.device("meta"):
        bert, albert = build("bert-base-uncased"), build("albert-base-v2")
        small, t5 = GPT(gpt_config(32, 2, 2, vocab_size=11)), build("t5-small")
    assert counted_flops(albert, 128) / counted_flops(bert, 128) > 0.7
    assert counted_flops(small, 8) == 6 * (2 * 12 * 32 * 32 + 11 * 32) + 24 * 8 * 32
    # Half of the stacks each, and all of the cross-attention but for half its queries.
    assert 2.5 < counted_flops(t5, 8) / sum(p.numel() for p in t5.parameters()) < 4
