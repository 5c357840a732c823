"""T5: published sizes, and what encoder and decoder see. Parity is in test_hub.py."""

from dataclasses import replace

import pytest
import torch
import transformers

from lmlib.models import T5, T5_SIZES, build
from lmlib.models.t5 import t5_config
from lmlib.transformer import Cache, count_parameters

# Raffel et al. 2020, section 3.7. "770 million" is 738 in the released checkpoint (4 %
# less), which transformers' model confirms below.
PAPERS = {
    "t5-small": (60, 0.01),
    "t5-base": (220, 0.02),
    "t5-large": (770, 0.05),
    "t5-3b": (2800, 0.02),
    "t5-11b": (11000, 0.03),
}


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_are_those_of_the_paper(name):
    millions, rounding = PAPERS[name]
    with torch.device("meta"):
        count = count_parameters(build(name))
    assert count == pytest.approx(millions * 1e6, rel=rounding)


# d_model, d_ff, layers, heads, d_kv of the released config.json
RELEASED = {
    "t5-small": (512, 2048, 6, 8, 64),
    "t5-base": (768, 3072, 12, 12, 64),
    "t5-large": (1024, 4096, 24, 16, 64),
    "t5-3b": (1024, 16384, 24, 32, 128),
    "t5-11b": (1024, 65536, 24, 128, 128),
    "t5-v1.1-small": (512, 1024, 8, 6, 64),
    "t5-v1.1-base": (768, 2048, 12, 12, 64),
    "t5-v1.1-large": (1024, 2816, 24, 16, 64),
    "t5-v1.1-xl": (2048, 5120, 24, 32, 64),
    "t5-v1.1-xxl": (4096, 10240, 24, 64, 64),
}


@pytest.mark.parametrize("name", T5_SIZES)
def test_sizes_are_exactly_those_of_transformers(name):
    d_model, d_ff, layers, heads, d_kv = RELEASED[name]
    v1_1 = "v1.1" in name
    config = transformers.T5Config(
        d_model=d_model,
        d_ff=d_ff,
        num_layers=layers,
        num_heads=heads,
        d_kv=d_kv,
        feed_forward_proj="gated-gelu" if v1_1 else "relu",
    )
    with torch.device("meta"):
        reference = transformers.T5ForConditionalGeneration(config)
        model = build(name)
    # transformers 5 ties the head of v1.1 until it reads a checkpoint that doesn't.
    head = 32128 * d_model if v1_1 else 0
    assert count_parameters(model) == reference.num_parameters() + head


def make(device: torch.device | str = "cpu", **changes: bool) -> T5:
    model = T5(t5_config(24, 40, 2, 3, d_head=10, vocab_size=31, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.to(device).eval()


def test_what_encoder_and_decoder_see(device):
    model = make(device)
    source = torch.randint(31, (2, 6), device=device)
    target = torch.randint(31, (2, 7), device=device)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2], device=device)

    def change(ids: torch.Tensor, at: int) -> torch.Tensor:
        ids = ids.clone()
        ids[:, at] = (ids[:, at] + 1) % 31
        return ids

    def moved(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (model(source, target, mask) - logits).abs().amax(-1) > 1e-5

    logits = model(source, target, mask)
    future = moved(source, change(target, 4))
    assert not future[:, :4].any()
    assert future[:, 4:].all()
    # All of the target sees the last token of the source, but where it is padding.
    assert moved(change(source, 5), target).tolist() == [[True] * 7, [False] * 7]


def test_relative_bias_is_one_per_stack_for_all_layers():
    model = make()
    names = [n for n, _ in model.named_parameters() if "relative_bias" in n]
    assert names == [
        "encoder.relative_bias.bias.weight",
        "backbone.relative_bias.bias.weight",
    ]
    assert model.encoder.relative_bias.bidirectional
    assert not model.backbone.relative_bias.bidirectional


@pytest.mark.parametrize("v1_1", [False, True])
def test_head(v1_1):
    model = make(v1_1=v1_1)
    hidden = torch.randn(4, 24)
    shared = model.encoder.embeddings.token
    assert model.backbone.embeddings.token is shared
    table = model.heads["lm"].embedding
    assert (table is shared) == (not v1_1)
    expected = hidden @ table.weight.T * (1.0 if v1_1 else 24**-0.5)
    torch.testing.assert_close(model.heads["lm"](hidden), expected)


def test_decode_with_cache_is_the_full_pass(device):
    model = make(device)
    source = torch.randint(31, (2, 6), device=device)
    target = torch.randint(31, (2, 7), device=device)
    memory, cache = model.encode(source), Cache()
    got = [model.decode(t, memory, cache=cache) for t in target.split([1, 4, 2], 1)]
    full = model.decode(target, memory)
    torch.testing.assert_close(torch.cat(got, dim=1), full, atol=1e-5, rtol=1e-5)


def test_initial_scale_makes_up_for_unscaled_scores():
    model = T5(t5_config(256, 64, 1, 4, vocab_size=500, d_head=64))
    weight = model.encoder.blocks[0].attention.qkv.weight
    assert weight[:256].std().item() == pytest.approx((256 * 64) ** -0.5, rel=0.05)
    assert weight[256:].std().item() == pytest.approx(256**-0.5, rel=0.05)
    token = model.encoder.embeddings.token.weight
    assert token.std().item() == pytest.approx(1.0, rel=0.05)


def test_dropout_is_for_training_alone():
    model = make()
    ids = torch.randint(31, (2, 6))
    assert torch.equal(model(ids, ids), model(ids, ids))
    model.train()
    assert not torch.equal(model(ids, ids), model(ids, ids))


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("encoder", {"vocab_size": 30}, "same vocab_size, got 30 and 31"),
        ("encoder", {"causal": True}, "encoder must not be causal"),
        ("decoder", {"cross_attention": False}, "decoder must be causal and have"),
    ],
)
def test_config_says_what_is_wrong(part, change, message):
    config = t5_config(24, 40, 2, 3, d_head=10, vocab_size=31)
    with pytest.raises(ValueError, match=message):
        replace(config, **{part: replace(getattr(config, part), **change)})
