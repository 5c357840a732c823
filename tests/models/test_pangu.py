"""PanGu-α: published sizes, and the query layer by hand."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lmlib.attention import MultiHeadAttention, causal_mask
from lmlib.models import PanGu, build
from lmlib.models.generate import generate
from lmlib.models.gpt import gpt_config
from lmlib.transformer import Cache, count_parameters

SMALL = replace(gpt_config(24, 3, 3, vocab_size=31, max_len=16), init_std=0.3)


# Zeng et al. 2021: 2.6, 13.1 and 207.0 billion. The 13B of the released sizes is 12.8
# with the vocabulary of 40,000 and 40 layers, query layer included; hence 3 %.
@pytest.mark.parametrize(
    ("name", "billions", "rounding"),
    [
        ("pangu-2.6b", 2.6, 0.02),
        ("pangu-13b", 13.1, 0.03),
        ("pangu-200b", 207.0, 0.002),
    ],
)
def test_sizes_are_those_of_the_paper(name, billions, rounding):
    with torch.device("meta"):
        count = count_parameters(build(name))
    assert count == pytest.approx(billions * 1e9, rel=rounding)


def test_size_by_hand():
    d, v, n, layers = 2560, 40000, 1024, 32
    block = (4 * d * d + 4 * d) + (8 * d * d + 5 * d) + 4 * d
    with torch.device("meta"):
        count = count_parameters(build("pangu-2.6b"))
    # token, position and query embeddings; the norm below the query layer
    assert count == (v + 2 * n) * d + layers * block + 2 * d


def test_query_layer_by_hand(device):
    model = PanGu(SMALL).to(device).eval()
    backbone = model.backbone
    norms = (backbone.query_attention_norm, backbone.query_feed_forward_norm)
    with torch.no_grad():  # a fresh norm does nothing to what is already normed
        for norm in norms:
            norm.weight.normal_()
            norm.bias.normal_()
    ids = torch.randint(31, (2, 7), device=device)
    everything = backbone(ids, return_all=True)
    assert len(everything.attentions) == 3
    below = everything.hidden_states[-2]  # after the norm
    oracle = MultiHeadAttention(24, 3).to(device)
    attention = backbone.query_attention
    with torch.no_grad():
        oracle.query.load_state_dict(attention.query.state_dict())
        for i, part in enumerate((oracle.key, oracle.value)):
            part.weight.copy_(attention.key_value.weight[24 * i : 24 * (i + 1)])
            part.bias.copy_(attention.key_value.bias[24 * i : 24 * (i + 1)])
        oracle.output.load_state_dict(attention.output.state_dict())
        queries = backbone.query_position.weight[:7].expand(2, -1, -1)
        keys = F.layer_norm(below, (24,), norms[0].weight, norms[0].bias, 1e-5)
        x = below + oracle(queries, keys, causal_mask(7, device=device))
        inner = F.layer_norm(x, (24,), norms[1].weight, norms[1].bias, 1e-5)
        expected = x + backbone.query_feed_forward(inner)
    torch.testing.assert_close(everything.hidden, expected, atol=1e-5, rtol=1e-5)
    fast = backbone(ids).hidden
    torch.testing.assert_close(fast, expected, atol=1e-5, rtol=1e-5)


def test_pangu_sees_no_future_and_caches(device):
    model = PanGu(SMALL).to(device).eval()
    ids, cache = torch.randint(31, (2, 9), device=device), Cache()
    full = model(ids)
    changed = ids.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 31
    difference = (full - model(changed)).abs().amax(-1)
    assert difference[:, :5].max() == 0
    assert (difference[:, 5:] > 1e-4).all()
    got = [model(chunk, cache=cache) for chunk in ids.split([4, 1, 4], dim=1)]
    torch.testing.assert_close(torch.cat(got, dim=1), full, atol=1e-5, rtol=1e-5)


def test_pangu_padded_packed_and_generating(device):
    model = PanGu(SMALL).to(device).eval()
    ids = torch.randint(31, (1, 7), device=device)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1]], device=device)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3]], device=device)
    packed = model(ids, position_ids=positions, document_ids=documents)
    torch.testing.assert_close(packed[:, 3:], model(ids[:, 3:]), atol=1e-5, rtol=1e-5)
    mask = torch.tensor([[False] * 3 + [True] * 4], device=device)
    padded = generate(model, ids, 3, attention_mask=mask)
    assert torch.equal(padded[:, 3:], generate(model, ids[:, 3:], 3))


def test_pangu_needs_two_layers():
    with pytest.raises(ValueError, match="n_layers counts the query layer"):
        PanGu(replace(SMALL, n_layers=1))
