"""Attention in pieces: the n × n weights need never exist (section 4.1).

What a query has read from some of the keys is a pair (output, lse): the weighted mean
of their values and the log-sum-exp of their scores, in nats. Two such states merge
exactly, in any order, so that keys can be read block by block. This is the arithmetic
of FlashAttention (Dao et al. 2022) without its placement in fast memory.

Masks are those of `lmlib.attention`. query, key and value have the same leading axes.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lmlib.attention import Mask, attention_scores

State = tuple[Float[Tensor, "... query d_v"], Float[Tensor, "... query"]]


def attend_block(
    query: Float[Tensor, "... query d_k"],
    key: Float[Tensor, "... key d_k"],
    value: Float[Tensor, "... key d_v"],
    mask: Mask | None = None,
    *,
    scale: float | None = None,
) -> State:
    """The state after reading these keys; (0, −∞) for a query that may read none."""
    scores = _scores(query, key, mask, scale)
    lse = scores.logsumexp(dim=-1)
    return _exp_less(scores, lse[..., None]) @ value, lse


def merge(first: State, second: State) -> State:
    """The state after reading the keys of both: associative and commutative."""
    (output_1, lse_1), (output_2, lse_2) = first, second
    lse = torch.logaddexp(lse_1, lse_2)
    share_1, share_2 = _exp_less(lse_1, lse), _exp_less(lse_2, lse)
    return share_1[..., None] * output_1 + share_2[..., None] * output_2, lse


def online_attention(
    query: Float[Tensor, "... query d_k"],
    key: Float[Tensor, "... key d_k"],
    value: Float[Tensor, "... key d_v"],
    *,
    block: int,
    mask: Mask | None = None,
    scale: float | None = None,
) -> State:
    """`attend_block` on all keys, `block` of them at a time.

    Raises:
        ValueError: `block` is less than 1.
    """
    output = query.new_zeros(*query.shape[:-1], value.shape[-1])
    state = (output, query.new_full(query.shape[:-1], -math.inf))
    for part, mask_part in _blocks(key.shape[-2], block, mask):
        keys, values = key[..., part, :], value[..., part, :]
        state = merge(state, attend_block(query, keys, values, mask_part, scale=scale))
    return state


def attention_backward(
    query: Float[Tensor, "... query d_k"],
    key: Float[Tensor, "... key d_k"],
    value: Float[Tensor, "... key d_v"],
    output: Float[Tensor, "... query d_v"],
    lse: Float[Tensor, "... query"],
    d_output: Float[Tensor, "... query d_v"],
    *,
    block: int,
    mask: Mask | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, from the state that a forward pass left.

    The weights of a block are made again, as exp(scores − lse).

    Raises:
        ValueError: `block` is less than 1.
    """
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    d_query = torch.zeros_like(query)
    d_key, d_value = torch.zeros_like(key), torch.zeros_like(value)
    share = (d_output * output).sum(dim=-1, keepdim=True)
    for part, mask_part in _blocks(key.shape[-2], block, mask):
        keys, values = key[..., part, :], value[..., part, :]
        scores = _scores(query, keys, mask_part, scale)
        weights = _exp_less(scores, lse[..., None])
        d_scores = weights * (d_output @ values.transpose(-2, -1) - share)
        d_value[..., part, :] = weights.transpose(-2, -1) @ d_output
        d_key[..., part, :] = factor * d_scores.transpose(-2, -1) @ query
        d_query += factor * d_scores @ keys
    return d_query, d_key, d_value


class OnlineAttention(torch.autograd.Function):
    """Both passes in blocks: `OnlineAttention.apply(query, key, value, block)`."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, block: int
    ) -> Tensor:
        output, lse = online_attention(query, key, value, block=block)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.block = block
        return output

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, output, lse = ctx.saved_tensors
        return *attention_backward(
            query, key, value, output, lse, d_output, block=ctx.block
        ), None


def _scores(
    query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None
) -> Tensor:
    scores = attention_scores(query, key, scale)
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -math.inf)
    return scores + mask.to(scores.dtype)


def _exp_less(x: Tensor, lse: Tensor) -> Tensor:
    """exp(x − lse), and 0 where both are −∞: nothing was read."""
    return (x - lse.masked_fill(lse == -math.inf, 0.0)).exp()


def _blocks(
    n_key: int, block: int, mask: Tensor | None
) -> Iterator[tuple[slice, Tensor | None]]:
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    if mask is not None:
        mask = mask.expand(*mask.shape[:-1], n_key)
    for start in range(0, n_key, block):
        part = slice(start, start + block)
        yield part, None if mask is None else mask[..., part]
