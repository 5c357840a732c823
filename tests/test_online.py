"""Attention in pieces is attention: against PyTorch's kernel and its autograd."""

import math
import random

import pytest
import torch
import torch.nn.functional as F

from lmlib.attention import causal_mask
from lmlib.online import (
    OnlineAttention,
    attend_block,
    attention_backward,
    merge,
    online_attention,
)

# Float64 and sums of a few dozen terms of order 1: a hundred roundings of 1e-16.
CLOSE = {"rtol": 0.0, "atol": 1e-14}


def drawn(seed=0, queries=5, keys=11, size=1.0):
    g = torch.Generator().manual_seed(seed)
    shapes = (queries, 4), (keys, 4), (keys, 3)
    q, k, v = (torch.randn(2, 3, *s, generator=g).double() for s in shapes)
    return size * q, k, v


MASKS = {
    "none": None,
    "causal": causal_mask(5, 11),
    "one column for all": torch.ones(5, 1, dtype=torch.bool),
    "added": torch.randn(5, 11, dtype=torch.float64).masked_fill(
        ~causal_mask(5, 11), -math.inf
    ),
}


@pytest.mark.parametrize("block", [1, 4, 11, 100])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("scale", [None, 0.7])
def test_both_passes_are_those_of_pytorch(block, mask, scale):
    q, k, v = (t.requires_grad_() for t in drawn())
    right = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    d_output = torch.randn(right.shape, generator=torch.Generator().manual_seed(1))
    d_output = d_output.double()
    wanted = torch.autograd.grad(right, (q, k, v), d_output)
    with torch.no_grad():
        kept = online_attention(q, k, v, block=block, mask=mask, scale=scale)
        got = attention_backward(
            q, k, v, *kept, d_output, block=block, mask=mask, scale=scale
        )
    torch.testing.assert_close(kept[0], right.detach(), **CLOSE)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_states_merge_in_any_order():
    q, k, v = drawn()
    whole = attend_block(q, k, v)
    order = list(range(11))
    for seed in range(20):
        random.Random(seed).shuffle(order)
        states = [attend_block(q, k[..., [j], :], v[..., [j], :]) for j in order]
        while len(states) > 1:  # and in any grouping
            i = random.Random(seed).randrange(len(states) - 1)
            states[i : i + 2] = [merge(states[i], states[i + 1])]
        for one, other in zip(states[0], whole, strict=True):
            torch.testing.assert_close(one, other, **CLOSE)


def test_large_scores_overflow_nowhere():
    q, k, v = (t.float() for t in drawn(size=1e4))
    output, lse = online_attention(q, k, v, block=3)
    right = F.scaled_dot_product_attention(q, k, v)
    assert lse.isfinite().all()
    torch.testing.assert_close(output, right)


def test_nothing_read_is_the_empty_state_and_has_no_gradient():
    q, k, v = drawn()
    mask = torch.ones(5, 11, dtype=torch.bool)
    mask[2] = False
    output, lse = online_attention(q, k, v, block=4, mask=mask)
    assert (output[..., 2, :] == 0).all()
    assert (lse[..., 2] == -math.inf).all()
    grads = attention_backward(q, k, v, output, lse, output + 1, block=4, mask=mask)
    assert all(g.isfinite().all() for g in grads)
    assert (grads[0][..., 2, :] == 0).all()
    empty = torch.zeros_like(output), torch.full_like(lse, -math.inf)
    assert all(map(torch.equal, merge(empty, (output, lse)), (output, lse)))


def test_autograd_function_has_the_right_gradient_and_keeps_no_square():
    q, k, v = (t.requires_grad_() for t in drawn(keys=50, queries=50))
    kept = []
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        output = OnlineAttention.apply(q, k, v, 16)
    assert max(kept) < 2 * 3 * 50 * 50
    right = F.scaled_dot_product_attention(q, k, v)
    for one, other in zip(
        torch.autograd.grad(output.square().sum(), (q, k, v)),
        torch.autograd.grad(right.square().sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_no_block_is_refused():
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        online_attention(*drawn(), block=0)
