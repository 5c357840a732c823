"""Pruning against torch.nn.utils.prune, masked layers, and hand-made masks."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from lmlib.compression.prune import (
    Pruned,
    global_masks,
    magnitude_mask,
    n_of_m_mask,
    prune_heads,
    prune_units,
    sparsity_at,
    stored_bits,
)
from lmlib.transformer import Attention, FeedForward, TransformerConfig


def values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_mask_is_that_of_torch(sparsity):
    layer = nn.Linear(13, 7)
    mask = magnitude_mask(layer.weight, sparsity)
    prune.l1_unstructured(layer, "weight", amount=round(sparsity * 91))
    assert torch.equal(mask, layer.weight_mask.bool())


def test_one_threshold_for_all_is_that_of_torch():
    layers = {"a": nn.Linear(5, 4), "b": nn.Linear(4, 9)}
    with torch.no_grad():
        layers["b"].weight *= 3
    masks = global_masks({name: x.weight for name, x in layers.items()}, 0.4)
    prune.global_unstructured(
        [(x, "weight") for x in layers.values()],
        pruning_method=prune.L1Unstructured,
        amount=round(0.4 * 56),
    )
    for name, layer in layers.items():
        assert torch.equal(masks[name], layer.weight_mask.bool())


def test_ties_and_halves():
    assert magnitude_mask(torch.ones(4), 0.5).tolist() == [False, False, True, True]
    assert magnitude_mask(values(7), 0.5).sum() == 3  # 3.5 go: four
    assert magnitude_mask(torch.tensor([-5.0, 1.0, 2.0]), 1 / 3).tolist() == [
        True,
        False,
        True,
    ]


def test_n_of_m():
    w = torch.tensor([[1.0, -4.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]])
    kept = n_of_m_mask(w)
    assert kept.tolist() == [[False, True, True, False, True, True, False, False]]
    w = values(6, 16)
    groups = n_of_m_mask(w, 1, 4).unflatten(-1, (-1, 4))
    assert bool((groups.sum(-1) == 1).all())
    assert torch.equal(
        groups.int().argmax(-1), w.abs().unflatten(-1, (-1, 4)).argmax(-1)
    )
    with pytest.raises(ValueError, match="multiple of 4"):
        n_of_m_mask(values(4, 6))
    with pytest.raises(ValueError, match="n must be in 0"):
        n_of_m_mask(values(4, 8), 5, 4)


def test_schedule():
    shares = [sparsity_at(step, 10, 30, 0.8, 0.2) for step in (0, 10, 20, 30, 99)]
    assert shares == pytest.approx([0.2, 0.2, 0.8 - 0.6 / 8, 0.8, 0.8])
    with pytest.raises(ValueError, match="end must be after begin"):
        sparsity_at(0, 5, 5, 0.5)
    with pytest.raises(ValueError, match="final must be in 0 … 1"):
        sparsity_at(0, 0, 5, 1.5)


def test_pruned_weights_stay_at_0():
    torch.manual_seed(0)
    layer = nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.1)

    def step():
        optimizer.zero_grad()
        layer(values(4, 8)).square().sum().backward()
        optimizer.step()

    step()  # there is momentum before anything is pruned
    mask = magnitude_mask(layer.weight, 0.5)
    pruned = Pruned(layer, {"weight": mask})
    for _ in range(5):
        step()
        assert bool((layer.weight[~mask] != 0).any())  # the gradient moved them
        pruned.apply()
        assert bool((layer.weight[~mask] == 0).all())
    assert bool((layer.weight[mask] != 0).all())
    assert pruned.sparsity == 0.5


@pytest.mark.parametrize("masks", [{"no": torch.ones(8, 8)}, {"bias": torch.ones(3)}])
def test_a_mask_that_fits_nothing(masks):
    with pytest.raises(ValueError, match="fits none"):
        Pruned(nn.Linear(8, 8), masks)


CONFIG = TransformerConfig(
    vocab_size=9, d_model=12, n_layers=1, n_heads=3, d_ff=10, dropout=0.0,
    attention_dropout=0.0,
)  # fmt: skip


@pytest.mark.parametrize("heads", [{0}, {1}, {0, 2}, set()])
def test_without_heads_is_with_heads_of_0(heads):
    torch.manual_seed(0)
    layer, x = Attention(CONFIG).eval(), values(2, 5, 12)
    with torch.no_grad():
        layer.qkv.bias.normal_()
    masked = Attention(CONFIG).eval()
    masked.load_state_dict(layer.state_dict())
    with torch.no_grad():
        for head in heads:
            masked.output.weight[:, 4 * head : 4 * head + 4] = 0
    prune_heads(layer, heads)
    assert layer.output.in_features == 12 - 4 * len(heads)
    assert torch.allclose(layer(x)[0], masked(x)[0], atol=1e-6)


@pytest.mark.parametrize("gated", [False, True])
def test_without_units_is_with_units_of_0(gated):
    torch.manual_seed(0)
    layer = FeedForward(replace(CONFIG, gated=gated)).eval()
    wanted, x = FeedForward(replace(CONFIG, gated=gated)).eval(), values(2, 5, 12)
    wanted.load_state_dict(layer.state_dict())
    with torch.no_grad():
        wanted.down.weight[:, [0, 7]] = 0
    prune_units(layer, [0, 7])
    assert layer.down.in_features == 8
    assert torch.allclose(layer(x), wanted(x), atol=1e-6)


@pytest.mark.parametrize("heads", [[3], [-1], [0, 1, 2]])
def test_heads_that_cannot_go(heads):
    with pytest.raises(ValueError, match="heads must be some but not all of 0 … 2"):
        prune_heads(Attention(CONFIG), heads)


def test_heads_that_share_keys_and_values_stay():
    layer = Attention(replace(CONFIG, n_kv_heads=1))
    with pytest.raises(ValueError, match="keys and values for each head, not 1 for 3"):
        prune_heads(layer, [0])


def test_stored_bits_by_hand():
    codes = torch.tensor([[0, 3, 0, 0], [1, 0, 0, 0]])
    kept = codes != 0
    assert stored_bits(codes, kept, 8, "dense") == 64
    assert stored_bits(codes, kept, 8, "bitmap") == 8 + 16
    assert stored_bits(codes, kept, 8, "coordinates") == 2 * (8 + 128)
    # 6 zeros and two others in 8: 6/8·log₂(8/6) + 2/8·log₂ 8.
    wanted = 8 * (0.75 * 0.4150375 + 0.25 * 3)
    assert stored_bits(codes, kept, 8, "entropy") == pytest.approx(wanted)
    dense = values(30, 40).where(magnitude_mask(values(30, 40), 0.5), 0)
    coo = dense.to_sparse()
    size = coo.indices().nbytes + coo.values().nbytes
    assert stored_bits(dense.int(), dense != 0, 32, "coordinates") == 8 * size
    with pytest.raises(ValueError, match="layout must be"):
        stored_bits(codes, kept, 8, "other")
