"""Attention: every position asks, every position answers (sections 3.1.1, 3.1.2, 4.1).

The module reads in the order of the guide's three steps (scores, weights, weighted
sum), then masks, then heads, then the layer that a model is built from. Equation
numbers are those of Vaswani et al. (2017), "Attention Is All You Need".

A boolean mask is True where a query *may* attend, the convention of
`torch.nn.functional.scaled_dot_product_attention`. (`torch.nn.MultiheadAttention`
uses the opposite one.) A floating-point mask is added to the scores, and −inf blocks.
"""

import math
from collections.abc import Callable
from itertools import zip_longest

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Mask = Bool[Tensor, "... #query #key"] | Float[Tensor, "... #query #key"]


# -- The three steps ------------------------------------------------------------------


def attention_scores(
    query: Float[Tensor, "... query d_k"],
    key: Float[Tensor, "... key d_k"],
    scale: float | None = None,
) -> Float[Tensor, "... query key"]:
    """Step 1: how well each query matches each key, `query @ keyᵀ · scale`.

    `scale` defaults to 1/√d_k: the dot product of two vectors of d_k independent
    components with mean 0 and variance 1 has variance d_k, and the division brings
    it back to 1 (section 3.2.1 of the paper).
    """
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    return (query * scale) @ key.transpose(-2, -1)


def attention_weights(
    scores: Float[Tensor, "... query key"], mask: Mask | None = None
) -> Float[Tensor, "... query key"]:
    """Step 2: the softmax of each row of scores over the keys it may attend to.

    Every row sums to 1, but for a row in which `mask` blocks all keys: that row is
    zero, and so is its gradient (a plain softmax would make both NaN).

    Raises:
        TypeError: `mask` is neither boolean nor floating point.
        ValueError: `mask` does not broadcast to the shape of `scores`, or has fewer
            than two dimensions.
    """
    if mask is None:
        return scores.softmax(dim=-1)
    _check_mask(mask, scores.shape)
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -math.inf)
    else:
        scores = scores + mask.to(scores.dtype)
    no_key = (scores == -math.inf).all(dim=-1, keepdim=True)
    return scores.masked_fill(no_key, 0.0).softmax(dim=-1).masked_fill(no_key, 0.0)


def attention(
    query: Float[Tensor, "... query d_k"],
    key: Float[Tensor, "... key d_k"],
    value: Float[Tensor, "... key d_v"],
    mask: Mask | None = None,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
) -> tuple[Float[Tensor, "... query d_v"], Float[Tensor, "... query key"]]:
    """Steps 1 to 3: softmax(query @ keyᵀ / √d_k) @ value, and the weights (eq. 1).

    `dropout` is the probability with which a weight is dropped; pass 0 in evaluation.
    The weights that are returned are those before dropout.

    Raises:
        ValueError: the shapes of query, key, value and mask do not fit together.
        TypeError: `mask` is neither boolean nor floating point.
    """
    _check_shapes(query, key, value)
    weights = attention_weights(attention_scores(query, key, scale), mask)
    return F.dropout(weights, dropout) @ value, weights


def attend(
    query: Float[Tensor, "batch heads query d_k"],
    key: Float[Tensor, "batch heads key d_k"],
    value: Float[Tensor, "batch heads key d_v"],
    mask: Mask | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads query d_v"]:
    """`attention` without the weights, in the faster of two ways (`fused_is_faster`).

    `causal` adds `causal_mask` to `mask`; without a mask of its own, the fused kernel
    then skips the future instead of computing and discarding it.
    """
    n_query, n_key = query.shape[-2], key.shape[-2]
    # A single query is the last position: it has no future.
    causal = causal and n_query > 1
    fused = fused_is_faster(query, key, value)
    if causal and (mask is not None or n_query != n_key or not fused):
        mask = combine_masks(causal_mask(n_query, n_key, query.device), mask)
        causal = False
    if not fused:
        return _by_products(query, key, value, mask, scale, dropout)
    if mask is not None:
        mask = _for_fused_kernel(mask, query, n_key)
    return F.scaled_dot_product_attention(
        query, key, value, mask, dropout_p=dropout, is_causal=causal, scale=scale
    )


def _for_fused_kernel(mask: Tensor, query: Tensor, n_key: int) -> Tensor:
    """`mask` of the query's type, with an element for each key, side by side.

    On a GPU the kernel refuses rows that are broadcast or transposed.
    """
    _check_mask(mask, (*query.shape[:-1], n_key))
    mask = mask if mask.dtype == torch.bool else mask.to(query.dtype)
    if mask.shape[-1] == n_key and mask.stride(-1) == 1:
        return mask
    return mask.expand(*mask.shape[:-1], n_key).contiguous()


def _by_products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float | None,
    dropout: float,
) -> Tensor:
    """The output of `attention`, with the fewest passes over scores and weights.

    A row that may attend to nothing is made zero in the output, not in its weights.
    """
    _check_shapes(query, key, value)
    scores = attention_scores(query, key, scale)
    if mask is None:
        return F.dropout(scores.softmax(dim=-1), dropout) @ value
    _check_mask(mask, scores.shape)
    bias = _additive(mask).to(scores.dtype)
    no_key = (bias == -math.inf).all(dim=-1, keepdim=True)
    weights = (scores + bias.masked_fill(no_key, 0.0)).softmax(dim=-1)
    return (F.dropout(weights, dropout) @ value).masked_fill(no_key, 0.0)


def fused_is_faster(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether `attend` calls PyTorch's fused kernel, or the products one by one.

    The fused kernel never stores the weights, and wins but for one case: its backward
    in bfloat16 on a CPU is slow at short lengths (`tests/benchmarks/attention.py`).
    """
    learns = torch.is_grad_enabled() and any(
        x.requires_grad for x in (query, key, value)
    )
    cpu_bf16 = query.device.type == "cpu" and query.dtype == torch.bfloat16
    return not (cpu_bf16 and learns and key.shape[-2] <= 512)


# -- Masks ----------------------------------------------------------------------------


def causal_mask(
    n_query: int, n_key: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    """True where the key is not in the query's future.

    With more keys than queries the queries are the *last* positions, as in generation
    with a cache: query i stands at position n_key − n_query + i. (The `is_causal=True`
    of PyTorch counts from the first key instead: pytorch/pytorch issue 108108.)
    """
    n_key = n_query if n_key is None else n_key
    ones = torch.ones(n_query, n_key, dtype=torch.bool, device=device)
    return ones.tril(diagonal=n_key - n_query)


def padding_mask(lengths: Int[Tensor, " batch"], n_key: int) -> Bool[Tensor, "b 1 1 k"]:
    """True for the first `lengths[b]` keys of sequence b, for all heads and queries."""
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= n_key:
        raise ValueError(
            f"lengths must lie between 0 and n_key = {n_key}, got {lengths.tolist()}"
        )
    positions = torch.arange(n_key, device=lengths.device)
    return (positions < lengths[:, None])[:, None, None, :]


def combine_masks(*masks: Mask | None) -> Mask | None:
    """One mask that blocks what any of `masks` blocks and adds what the others add.

    Boolean masks are combined by *and*; as soon as one is floating point, the result
    is. None stands for a mask that blocks nothing.

    Raises:
        TypeError: one of the masks is neither boolean nor floating point.
    """
    given = [mask for mask in masks if mask is not None]
    for mask in given:
        _check_mask_dtype(mask)
    if not given:
        return None
    combined = given[0]
    for mask in given[1:]:
        if combined.dtype == mask.dtype == torch.bool:
            combined = combined & mask
        else:
            combined = _additive(combined) + _additive(mask)
    return combined


# -- Heads ----------------------------------------------------------------------------


def split_heads(
    x: Float[Tensor, "*batch n d_model"], n_heads: int
) -> Float[Tensor, "*batch {n_heads} n d_head"]:
    """Cut each position's features into `n_heads` pieces and bring the heads forward.

    Head h holds features h·d_head … (h+1)·d_head − 1 of every position. A single
    `reshape` to the final shape would cut across positions instead.

    Raises:
        ValueError: n_heads does not divide d_model.
    """
    _check_divides(n_heads, x.shape[-1], "n_heads", "d_model")
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)


def merge_heads(
    x: Float[Tensor, "*batch n_heads n d_head"],
) -> Float[Tensor, "*batch n n_heads*d_head"]:
    """Undo `split_heads`: lay the heads of a position side by side again."""
    return x.transpose(-3, -2).flatten(-2)


# -- The layer ------------------------------------------------------------------------


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in a subspace of its own (section 3.2.2).

    MultiHead(x) = Concat(head₁ … head_h) W_O, head_i = Attention(x W_Q, x W_K, x W_V).

    Parameters:
        d_model: features of a position of `x`, and of the output.
        n_heads: query heads; divides d_model, d_head = d_model / n_heads.
        n_kv_heads: key and value heads; divides n_heads. Fewer than n_heads is
            grouped-query attention, 1 is multi-query attention (Ainslie et al. 2023).
        d_context: features of a position of `context`; d_model by default.
        bias: whether the four projections have a bias.
        dropout: probability of dropping an attention weight in training.
        rotate: called with the split queries (or keys) and their positions, such as
            `lmlib.positions.Rotary`. As in `causal_mask`, the queries are the *last*
            positions of the context.

    Raises:
        ValueError: n_heads does not divide d_model, or n_kv_heads n_heads.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        *,
        n_kv_heads: int | None = None,
        d_context: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotate: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        _check_divides(n_heads, d_model, "n_heads", "d_model")
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        _check_divides(n_kv_heads, n_heads, "n_kv_heads", "n_heads")
        self.n_heads, self.n_kv_heads, self.dropout = n_heads, n_kv_heads, dropout
        d_context = d_model if d_context is None else d_context
        d_kv = n_kv_heads * (d_model // n_heads)
        self.query = nn.Linear(d_model, d_model, bias=bias)
        self.key = nn.Linear(d_context, d_kv, bias=bias)
        self.value = nn.Linear(d_context, d_kv, bias=bias)
        self.output = nn.Linear(d_model, d_model, bias=bias)
        self.rotate = rotate

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        context: Float[Tensor, "batch key d_context"] | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "batch query d_model"]:
        """Attend from `x` to `context` (cross-attention), or to `x` itself.

        `mask` broadcasts to (batch, heads, query, key); see `attention_weights`.
        """
        query, key, value = self._project(x, context)
        if mask is not None:
            mask = _for_fused_kernel(mask, query, key.shape[-2])
        # The fused kernel: the same equation without ever storing the weights.
        heads = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            enable_gqa=self.n_kv_heads < self.n_heads,
        )
        return self.output(merge_heads(heads))

    def weights(
        self,
        x: Float[Tensor, "batch query d_model"],
        context: Float[Tensor, "batch key d_context"] | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "batch heads query key"]:
        """The attention weights that `forward` uses, before dropout: for looking at."""
        query, key, _ = self._project(x, context)
        key = key.repeat_interleave(self.n_heads // self.n_kv_heads, dim=1)
        return attention_weights(attention_scores(query, key), mask)

    def _project(
        self, x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        context = x if context is None else context
        for name, got, layer in (("x", x, self.query), ("context", context, self.key)):
            if got.ndim != 3 or got.shape[-1] != layer.in_features:
                raise ValueError(
                    f"{name} must have shape (batch, positions, {layer.in_features}), "
                    f"got {tuple(got.shape)}"
                )
        if x.shape[0] != context.shape[0]:
            raise ValueError(
                f"x and context must have the same batch; got x {tuple(x.shape)}, "
                f"context {tuple(context.shape)}"
            )
        query = split_heads(self.query(x), self.n_heads)
        key = split_heads(self.key(context), self.n_kv_heads)
        value = split_heads(self.value(context), self.n_kv_heads)
        if self.rotate is not None:
            n_query, n_key = query.shape[-2], key.shape[-2]
            query = self.rotate(
                query, torch.arange(n_key - n_query, n_key, device=x.device)
            )
            key = self.rotate(key, torch.arange(n_key, device=x.device))
        return query, key, value


# -- What can be wrong with the arguments ---------------------------------------------


def _check_shapes(query: Tensor, key: Tensor, value: Tensor) -> None:
    shapes = ", ".join(
        f"{name} {tuple(t.shape)}"
        for name, t in (("query", query), ("key", key), ("value", value))
    )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"each needs at least (positions, features); got {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query and key must have the same d_k (last); got {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"there must be one value per key; got {shapes}")
    leading = (reversed(t.shape[:-2]) for t in (query, key, value))
    # By hand: torch.broadcast_shapes loads sympy, in half a second.
    if any(len({*sizes} - {1}) > 1 for sizes in zip_longest(*leading, fillvalue=1)):
        raise ValueError(f"the leading dimensions must broadcast; got {shapes}")


def _check_mask_dtype(mask: Tensor) -> None:
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(
            "mask must be boolean (True = may attend) or floating point (added to the "
            f"scores), got {mask.dtype}; a mask of 0 and 1 needs .bool()"
        )


def _check_mask(mask: Tensor, shape: tuple[int, ...] | torch.Size) -> None:
    _check_mask_dtype(mask)
    sizes = zip(reversed(mask.shape), reversed(shape), strict=False)
    fits = all(size in (1, wanted) for size, wanted in sizes)
    if not 2 <= mask.ndim <= len(shape) or not fits:
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} must have two dimensions or more and "
            f"broadcast to the scores' shape {tuple(shape)} (…, query, key)"
        )


def _additive(mask: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    zeros = torch.zeros(mask.shape, device=mask.device)
    return zeros.masked_fill(~mask, -math.inf)


def _check_divides(part: int, whole: int, part_name: str, whole_name: str) -> None:
    if part < 1 or whole % part:
        raise ValueError(
            f"{part_name} must divide {whole_name}; got {part_name} = {part}, "
            f"{whole_name} = {whole}"
        )
