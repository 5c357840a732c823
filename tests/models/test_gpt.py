"""GPT-2 and GPT-3: published sizes, and what a language model promises."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import transformers

from lmlib.models import GPT, GPT2, build
from lmlib.models.gpt import gpt_config
from lmlib.transformer import Cache, count_parameters

# GPT-2: the README of github.com/openai/gpt-2, which corrects table 2 of the paper
# (117M, 345M, 762M, 1542M: "our original parameter counts were wrong"). GPT-3: table
# 2.1 of Brown et al. 2020. The printed figures have two or three digits.
PAPERS = {
    "gpt": (117, 0.005),  # table 2 of the paper of GPT-2 has it beside its own smallest
    "gpt2": (124, 0.005),
    "gpt2-medium": (355, 0.005),
    "gpt2-large": (774, 0.005),
    "gpt2-xl": (1558, 0.005),
    "gpt3-small": (125, 0.01),
    "gpt3-medium": (350, 0.02),
    "gpt3-large": (760, 0.01),
    "gpt3-xl": (1320, 0.004),  # table D.1
    "gpt3-2.7b": (2700, 0.02),
    "gpt3-6.7b": (6700, 0.01),
    "gpt3-13b": (12850, 0.0005),  # table D.1
    "gpt3-175b": (175000, 0.005),
}


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_are_those_of_the_papers(name):
    millions, rounding = PAPERS[name]
    with torch.device("meta"):
        count = count_parameters(build(name))
    assert count == pytest.approx(millions * 1e6, rel=rounding)


@pytest.mark.parametrize("name", GPT2)
def test_sizes_are_exactly_those_of_transformers(name):
    width, depth, heads = {
        "gpt2": (768, 12, 12),
        "gpt2-medium": (1024, 24, 16),
        "gpt2-large": (1280, 36, 20),
        "gpt2-xl": (1600, 48, 25),
    }[name]
    with torch.device("meta"):
        reference = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_embd=width, n_layer=depth, n_head=heads)
        )
        model = build(name)
    assert count_parameters(model) == reference.num_parameters()


def test_the_size_of_gpt_is_exactly_that_of_transformers():
    with torch.device("meta"):
        reference = transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig())
        model = build("gpt")
    assert count_parameters(model) == reference.num_parameters() == 116_534_784


def test_gpt_computes_what_transformers_does():
    """Which stores its matrices as GPT-2 does; lmlib has no reader for its layout."""
    theirs = transformers.OpenAIGPTLMHeadModel(
        transformers.OpenAIGPTConfig(
            vocab_size=31, n_positions=16, n_embd=24, n_layer=2, n_head=3
        )
    ).eval()
    model = GPT(replace(SMALL, norm_first=False)).eval()
    names = {
        "attention.qkv": "attn.c_attn",
        "attention.output": "attn.c_proj",
        "attention_norm": "ln_1",
        "feed_forward.up": "mlp.c_fc",
        "feed_forward.down": "mlp.c_proj",
        "feed_forward_norm": "ln_2",
    }
    with torch.no_grad():
        body = theirs.transformer
        model.backbone.embeddings.token.weight.copy_(body.tokens_embed.weight)
        model.backbone.embeddings.position.table.copy_(body.positions_embed.weight)
        for ours, other in zip(model.backbone.blocks, body.h, strict=True):
            for name, their_name in names.items():
                part, given = ours.get_submodule(name), other.get_submodule(their_name)
                bias = given.bias.normal_(std=0.3)
                given.weight.normal_(1.0 if "ln" in their_name else 0.0, 0.3)
                part.weight.copy_(given.weight.transpose(0, -1))
                part.bias.copy_(bias)
        ids = torch.randint(31, (2, 8))
        torch.testing.assert_close(model(ids), theirs(ids).logits, atol=1e-5, rtol=1e-5)


def test_size_of_gpt3_by_hand():
    d, layers = 12288, 96
    block = 12 * d * d + 13 * d  # 4 + 8 matrices, their biases, two norms
    with torch.device("meta"):
        count = count_parameters(build("gpt3-175b"))
    assert count == (50257 + 2048) * d + layers * block + 2 * d


def test_gpt3_175b_takes_no_memory():
    program = """
import resource, torch
from lmlib.models import build
from lmlib.transformer import count_parameters
with torch.device("meta"): build("gpt2")  # what torch loads for it at first use
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.device("meta"): model = build("gpt3-175b")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(count_parameters(model), (after - before) // 1024)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    count, mebibytes = map(int, result.stdout.split())
    assert count > 174e9
    assert mebibytes < 100


SMALL = gpt_config(24, 2, 3, vocab_size=31, max_len=16)


def test_logits_know_nothing_of_what_they_predict(device):
    model = GPT(replace(SMALL, init_std=0.3)).to(device).eval()
    ids = torch.randint(31, (2, 8), device=device)
    changed = ids.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 31
    difference = (model(ids) - model(changed)).abs().amax(-1)
    assert difference[:, :5].max() == 0
    assert (difference[:, 5:] > 1e-3).all()


def test_last_only_and_cache(device):
    model = GPT(replace(SMALL, init_std=0.3)).to(device).eval()
    ids, cache = torch.randint(31, (2, 8), device=device), Cache()
    full = model(ids)
    model(ids[:, :5], cache=cache)
    last = model(ids[:, 5:], cache=cache, last_only=True)
    torch.testing.assert_close(last, full[:, -1:], atol=1e-5, rtol=1e-5)


def test_packed_documents_are_those_documents_alone(device):
    model = GPT(replace(SMALL, init_std=0.3)).to(device).eval()
    ids = torch.randint(31, (1, 7), device=device)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1]], device=device)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3]], device=device)
    packed = model(ids, position_ids=positions, document_ids=documents)
    torch.testing.assert_close(packed[:, :3], model(ids[:, :3]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed[:, 3:], model(ids[:, 3:]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("change", [{"causal": False}, {"cross_attention": True}])
def test_gpt_says_what_is_wrong(change):
    with pytest.raises(ValueError, match="config must be causal, without cross_att"):
        GPT(replace(SMALL, **change))
