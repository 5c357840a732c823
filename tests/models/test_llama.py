"""Llama and its relatives: published sizes, and what is GPT's as well.

That they compute what `transformers` does is in test_hub and test_published_folders.
"""

from dataclasses import replace

import pytest
import torch
import transformers

from lmlib.models import LLAMA, Llama, build
from lmlib.models.llama import llama_config
from lmlib.transformer import Cache, count_parameters

# The number of parameters that the hub shows for each checkpoint.
HUB = {
    "llama-7b": 6_738_415_616,
    "llama-3.2-1b": 1_235_814_400,
    "smollm2-135m": 134_515_008,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-0.6b": 596_049_920,
    # By the total_size of its index: 16,061,784,576 bytes, of which each of 34 layers
    # has 64 frequencies of 4 bytes that are not learned.
    "openpangu-7b": (16_061_784_576 - 34 * 64 * 4) // 2,
}


@pytest.mark.parametrize("name", LLAMA)
def test_sizes_are_exactly_those_of_the_checkpoints(name):
    with torch.device("meta"):
        assert count_parameters(build(name)) == HUB[name]


@pytest.mark.parametrize(
    ("change", "family"),
    [
        ({}, "llama"),
        ({"bias": True}, "llama"),
        ({"qkv_bias": True}, "qwen2"),
        ({"qk_norm": True}, "qwen3"),
    ],
)
def test_the_config_tells_the_family(change, family):
    config = llama_config(24, 40, 2, 4, 2, vocab_size=31)
    assert Llama(replace(config, **change)).family == family


def test_a_cache_holds_the_shared_heads_alone(device):
    config = llama_config(24, 40, 2, 4, 2, vocab_size=31, init_std=0.3, qk_norm=True)
    model = Llama(config, tied=False).to(device).eval()
    ids, cache = torch.randint(31, (2, 9), device=device), Cache()
    full = model(ids)
    model(ids[:, :5], cache=cache)
    for i in (5, 6):
        model(ids[:, i : i + 1], cache=cache)
    rest = model(ids[:, 7:], cache=cache)
    torch.testing.assert_close(rest, full[:, 7:], atol=1e-5, rtol=1e-5)
    assert cache.get("0")[0].shape == (2, 2, 9, 6)


def test_an_untied_head_has_a_table_of_its_own():
    config = llama_config(24, 40, 2, 4, 2, vocab_size=31)
    tied, untied = Llama(config), Llama(config, tied=False)
    assert count_parameters(untied) - count_parameters(tied) == 31 * 24
    assert untied.heads["lm"].embedding.weight.std().item() == pytest.approx(
        0.02, rel=0.2
    )


def test_the_tables_of_the_smallest_are_those_of_transformers():
    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        reference = transformers.LlamaForCausalLM(config)
    assert reference.num_parameters() == HUB["smollm2-135m"]
