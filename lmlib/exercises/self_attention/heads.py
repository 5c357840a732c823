"""Section 3.1.2: splitting and merging heads, multi-head attention."""

import math

import torch
from torch import Generator, Tensor

from lmlib import attention
from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    error_type,
    normal,
)
from lmlib.exercises.self_attention import slips

# -- split_heads ----------------------------------------------------------------------


def split_by_reshape(x: Tensor, n_heads: int) -> Tensor:
    batch, n, d_model = x.shape
    if d_model % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {d_model} features")
    return x.reshape(batch, n_heads, n, d_model // n_heads)


def split_interleaved(x: Tensor, n_heads: int) -> Tensor:
    batch, n, d_model = x.shape
    if d_model % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {d_model} features")
    return x.reshape(batch, n, d_model // n_heads, n_heads).permute(0, 3, 1, 2)


def split_not_transposed(x: Tensor, n_heads: int) -> Tensor:
    batch, n, d_model = x.shape
    if d_model % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {d_model} features")
    return x.reshape(batch, n, n_heads, d_model // n_heads)


def heads_before_batch(x: Tensor, n_heads: int) -> Tensor:
    if x.shape[-1] % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {x.shape[-1]} features")
    return torch.stack(x.chunk(n_heads, dim=-1))


def copies_of_x(x: Tensor, n_heads: int) -> Tensor:
    if x.shape[-1] % n_heads:
        raise ValueError(f"{n_heads} heads do not divide {x.shape[-1]} features")
    return x[:, None].expand(-1, n_heads, -1, -1).clone()


def leftover_dropped(x: Tensor, n_heads: int) -> Tensor:
    batch, n, d_model = x.shape
    d_head = d_model // n_heads
    used = x[..., : n_heads * d_head]
    return used.reshape(batch, n, n_heads, d_head).transpose(1, 2)


def _numbered(generator: Generator) -> list[Case]:
    start = int(torch.randint(0, 50, (1,), generator=generator))
    x = torch.arange(start, start + 12.0).reshape(1, 2, 6)
    return [Case((x, 3), f"n_heads = 3, x = {x.int().tolist()}")]


def _splits(generator: Generator) -> list[Case]:
    batch, n, n_heads, d_head = distinct_sizes(generator, 4)
    x = normal(generator, batch, n, n_heads * d_head)
    says = f"x {tuple(x.shape)}, n_heads = {n_heads}"
    return [Case((x, n_heads), says), Case((x.double(), n_heads), says + ", float64")]


def _no_split(generator: Generator) -> list[Case]:
    n_heads, width = distinct_sizes(generator, 2, low=3)
    rest = int(torch.randint(1, n_heads, (1,), generator=generator))
    d_model = n_heads * width + rest
    x = normal(generator, 2, 3, d_model)
    return [Case((x, n_heads), f"d_model = {d_model}, n_heads = {n_heads}")]


SPLIT_HEADS = Exercise(
    name="3.1/split_heads",
    title="Splitting into heads",
    difficulty=2,
    minutes=10,
    reference=attention.split_heads,
    parts=(
        Part("numbers that you can follow", 1, _numbered),
        Part("any shape", 1, _splits),
        Part("heads that do not divide d_model: ValueError", 1, _no_split, error_type),
    ),
    misconceptions=(
        Misconception(
            split_by_reshape,
            "You reshaped straight to (batch, heads, n, d_head): the shape is right "
            "and the numbers are not, for a head now holds pieces of several "
            "positions. Split the last axis, then swap two axes.",
            "https://github.com/reczoo/FuxiCTR/issues/30",
        ),
        Misconception(
            split_interleaved,
            "You dealt the features out like cards (head h gets h, h + n_heads, …): "
            "head h takes the block of features from h·d_head on.",
        ),
        Misconception(
            split_not_transposed,
            "The heads are split but not brought forward: the result has shape (batch, "
            "n, heads, d_head), and a matrix product would attend across heads.",
        ),
        Misconception(
            heads_before_batch,
            "You put the heads before the batch: (batch, heads, n, d_head) is asked.",
        ),
        Misconception(
            copies_of_x,
            "You gave each head all the features: each gets d_model / n_heads of them, "
            "which is why many heads cost no more than one.",
        ),
        Misconception(
            leftover_dropped,
            "When the heads do not divide d_model, you silently drop the features that "
            "are left over: raise a ValueError.",
        ),
    ),
    hints=(
        "First only split the last axis: (batch, n, d_model) → (batch, n, n_heads, "
        "d_head). That needs no data to move.",
        "Then exchange the axes of positions and heads: `transpose(1, 2)`.",
    ),
)


# -- merge_heads ----------------------------------------------------------------------


def merge_by_reshape(x: Tensor) -> Tensor:
    batch, n_heads, n, d_head = x.shape
    return x.reshape(batch, n, n_heads * d_head)


def merge_interleaved(x: Tensor) -> Tensor:
    batch, n_heads, n, d_head = x.shape
    return x.permute(0, 2, 3, 1).reshape(batch, n, n_heads * d_head)


def heads_added(x: Tensor) -> Tensor:
    return x.sum(dim=1)


def heads_averaged(x: Tensor) -> Tensor:
    return x.mean(dim=1)


def merged_backwards(x: Tensor) -> Tensor:
    return torch.cat(x.flip(1).unbind(dim=1), dim=-1)


def merge_along_positions(x: Tensor) -> Tensor:
    batch, n_heads, n, d_head = x.shape
    return x.reshape(batch, n_heads * n, d_head)


def _numbered_heads(generator: Generator) -> list[Case]:
    start = int(torch.randint(0, 50, (1,), generator=generator))
    x = torch.arange(start, start + 12.0).reshape(1, 3, 2, 2)
    return [Case((x,), f"x = {x.int().tolist()}")]


def _merges(generator: Generator) -> list[Case]:
    x = normal(generator, *distinct_sizes(generator, 4))
    return [
        Case((x,), f"x {tuple(x.shape)}"),
        Case((x.double(),), f"x {tuple(x.shape)}, float64"),
    ]


MERGE_HEADS = Exercise(
    name="3.1/merge_heads",
    title="Merging the heads",
    difficulty=2,
    minutes=5,
    reference=attention.merge_heads,
    parts=(
        Part("numbers that you can follow", 1, _numbered_heads),
        Part("any shape", 1, _merges),
    ),
    misconceptions=(
        Misconception(
            merge_by_reshape,
            "You reshaped without bringing the positions forward first: each output "
            "row mixes several positions of one head.",
            "https://github.com/jsbaan/transformer-from-scratch/pull/6",
        ),
        Misconception(
            merge_interleaved,
            "You interleaved the heads: the features of head 0 come first, all of "
            "them, then those of head 1.",
        ),
        Misconception(
            heads_added,
            "You added the heads up: they are laid side by side, and the output "
            "projection decides how to mix them.",
        ),
        Misconception(
            heads_averaged,
            "You averaged the heads: they are laid side by side, and the output "
            "projection decides how to mix them.",
        ),
        Misconception(
            merged_backwards, "The last head comes first: head 0 belongs on the left."
        ),
        Misconception(
            merge_along_positions,
            "You stacked the heads along the positions: the sequence keeps its length "
            "and the features grow.",
        ),
    ),
    hints=("Undo `split_heads` step by step, the last step first.",),
)


# -- multi_head_attention -------------------------------------------------------------


def reference_multi_head(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        attention.split_heads(x @ w, n_heads) for w in (w_query, w_key, w_value)
    )
    output, _ = attention.attention(query, key, value, mask)
    return attention.merge_heads(output) @ w_output


def one_head_only(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = x @ w_query, x @ w_key, x @ w_value
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ value @ w_output


def scaled_by_d_model(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        (x @ w).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for w in (w_query, w_key, w_value)
    )
    scores = query @ key.transpose(-2, -1) / math.sqrt(x.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    heads = torch.softmax(scores, dim=-1) @ value
    return heads.transpose(1, 2).flatten(-2) @ w_output


def no_output_projection(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        (x @ w).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for w in (w_query, w_key, w_value)
    )
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    heads = torch.softmax(scores, dim=-1) @ value
    return heads.transpose(1, 2).flatten(-2)


def heads_not_merged_back(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        (x @ w).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for w in (w_query, w_key, w_value)
    )
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    heads = torch.softmax(scores, dim=-1) @ value
    return heads.reshape(x.shape) @ w_output


def weights_transposed(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        (x @ w.T).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for w in (w_query, w_key, w_value)
    )
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    heads = torch.softmax(scores, dim=-1) @ value
    return heads.transpose(1, 2).flatten(-2) @ w_output.T


def mask_ignored(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        (x @ w).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for w in (w_query, w_key, w_value)
    )
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    heads = torch.softmax(scores, dim=-1) @ value
    return heads.transpose(1, 2).flatten(-2) @ w_output


def keys_as_values(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    query, key = (
        (x @ w).unflatten(-1, (n_heads, -1)).transpose(1, 2) for w in (w_query, w_key)
    )
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    heads = torch.softmax(scores, dim=-1) @ key
    return heads.transpose(1, 2).flatten(-2) @ w_output


def _layer(
    generator: Generator, batch: int, n: int, n_heads: int, d_head: int
) -> tuple[Tensor, ...]:
    d_model = n_heads * d_head
    x = normal(generator, batch, n, d_model)
    w = [normal(generator, d_model, d_model) / math.sqrt(d_model) for _ in range(4)]
    return (x, *w)


def _two_heads(generator: Generator) -> list[Case]:
    # Three sizes and all their products unlike, and √d_model unlike d_head.
    layer = _layer(generator, batch=1, n=4, n_heads=2, d_head=3)
    return [Case((*layer, 2), "x (1, 4, 6), n_heads = 2, no mask")]


def _any_heads(generator: Generator) -> list[Case]:
    batch, n, n_heads, d_head = distinct_sizes(generator, 4)
    layer = _layer(generator, batch, n, n_heads, d_head)
    says = f"x {tuple(layer[0].shape)}, n_heads = {n_heads}, no mask"
    return [
        Case((*layer, n_heads), says),
        Case((*(t.double() for t in layer), n_heads), says + ", float64"),
    ]


def _masked_heads(generator: Generator) -> list[Case]:
    batch, n, n_heads, d_head = distinct_sizes(generator, 4, low=3)
    layer = _layer(generator, batch, n, n_heads, d_head)
    lengths = torch.randint(1, n, (batch,), generator=generator)
    padding = attention.padding_mask(lengths, n)
    says = f"x {tuple(layer[0].shape)}, n_heads = {n_heads}"
    return [
        Case((*layer, n_heads, attention.causal_mask(n)), says + ", causal mask"),
        Case((*layer, n_heads, padding), says + f", mask {tuple(padding.shape)}"),
    ]


MULTI_HEAD_ATTENTION = Exercise(
    name="3.1/multi_head_attention",
    title="Multi-head attention",
    difficulty=3,
    minutes=30,
    reference=reference_multi_head,
    parts=(
        Part("two heads", 1, _two_heads),
        Part("any shape", 2, _any_heads),
        Part("with a mask", 2, _masked_heads),
    ),
    misconceptions=(
        Misconception(
            one_head_only,
            "This is attention with one head of d_model features: split into n_heads "
            "before the scores.",
        ),
        Misconception(
            scaled_by_d_model,
            "You scaled by √d_model, not by √d_head: a head's dot product sums over "
            "d_head features only.",
        ),
        Misconception(
            no_output_projection,
            "The merged heads still have to be multiplied by w_output, the only place "
            "where heads mix.",
        ),
        Misconception(
            heads_not_merged_back,
            "You reshaped the heads back without swapping the axes of heads and "
            "positions first, which scrambles the positions.",
            "https://github.com/jsbaan/transformer-from-scratch/pull/6",
        ),
        Misconception(
            weights_transposed,
            "You multiplied by the transposed weights, as nn.Linear stores them: here "
            "the projections are x @ w.",
        ),
        Misconception(
            mask_ignored, "The mask has no effect: it belongs before the softmax."
        ),
        Misconception(
            keys_as_values,
            "You summed up the keys: what is summed are the values, x @ w_value.",
        ),
    ),
    slips=slips.MULTI_HEAD_ATTENTION,
    hints=(
        "You have written all the parts: three projections, `split_heads` on each, "
        "weights, weighted sum, `merge_heads`, one more projection.",
        "The scale is taken from the last axis of the *split* queries.",
        "When there is a mask, use your `masked_attention_weights`.",
    ),
    builds_on=(
        "attention_weights",
        "weighted_sum",
        "masked_attention_weights",
        "split_heads",
        "merge_heads",
    ),
    forbidden=(
        *LIBRARY,
        "torch.nn.MultiheadAttention",
        "torch.nn.functional.multi_head_attention_forward",
    ),
)


EXERCISES = [SPLIT_HEADS, MERGE_HEADS, MULTI_HEAD_ATTENTION]
