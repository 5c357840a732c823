"""One transformer, of which every family in `lmlib.models` is a configuration.

tokens → embeddings → blocks of attention and feed-forward → hidden vectors

Encoder (BERT), decoder (GPT) and the halves of an encoder–decoder (T5) differ in
nothing but the fields of `TransformerConfig`. A head (`lmlib.models.heads`) turns the
hidden vectors into predictions. Sources: Vaswani et al. (2017) for the whole; Xiong et
al. (2020) for the place of the norms; Shazeer (2020) for gated feed-forward layers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.attention import (
    Mask,
    attend,
    attention,
    causal_mask,
    combine_masks,
    merge_heads,
)
from lmlib.positions import (
    LearnedPositions,
    Rotary,
    RotaryScaling,
    SinusoidalPositions,
    T5RelativeBias,
    alibi_bias,
)

Positions = Literal["learned", "sinusoidal", "rotary", "alibi", "t5", "none"]
Activation = Literal["gelu", "gelu_tanh", "relu", "silu"]
Norm = Literal["layer", "rms"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


@dataclass(frozen=True)
class TransformerConfig:
    """What a transformer is made of. The defaults are BERT's, but for the sizes.

    Parameters:
        vocab_size: number of tokens.
        d_model: features of a hidden vector.
        n_layers: blocks that an input passes.
        n_heads: attention heads.
        d_ff: features inside a feed-forward layer; 4·d_model by default.
        d_head: features of a head; d_model / n_heads by default.
        n_kv_heads: heads of keys and values, each for n_heads / n_kv_heads of queries
            (grouped-query attention, Ainslie et al. 2023); n_heads by default. Not in
            attention to a memory.
        max_len: rows of the table of learned positions.
        causal: no position sees a later one.
        cross_attention: blocks also attend to a `memory`.
        positions: how order is told, see `lmlib.positions`.
        rotary_base, rotary_interleaved, rotary_scaling: of rotary positions.
        pad_id: RoBERTa's habit, for learned positions: positions count the tokens that
            are not `pad_id`, and start at pad_id + 1; padding has position pad_id.
        n_segments: kinds of segment; 0 for no segment embedding.
        d_embedding: features of the embeddings, projected to d_model (ALBERT); d_model
            by default, without projection.
        n_groups: blocks with parameters of their own (ALBERT); n_layers by default.
            Layer i is block ⌊i·n_groups / n_layers⌋.
        norm: LayerNorm, or RMSNorm, which has no bias and takes no mean.
        norm_first: the norm is at the entrance of each sub-layer (pre-norm) and once
            more at the end, not after each residual addition (post-norm).
        embedding_norm: a norm after the embeddings.
        norm_eps: added to the variance.
        activation: of the feed-forward layer; `gelu_tanh` is the approximation of
            Hendrycks & Gimpel (2016) that GPT-2 was trained with; `silu`, gated, makes
            SwiGLU.
        gated: the activation multiplies a second projection.
        bias: whether linear layers (not norms) have one.
        qkv_bias, ff_bias: the same of the projections to query, key and value, and of
            feed-forward layers; `bias` by default.
        qk_norm: a norm of each head's queries and keys, before they are rotated. Not in
            attention to a memory.
        scale_scores: scores are divided by √d_head. T5 does not.
        n_buckets, max_distance: of T5's relative bias.
        dropout: of embeddings and of what each sub-layer adds.
        attention_dropout: of attention weights.
        ff_dropout: of the activations inside the feed-forward layer.
        init_std: of the normal distribution that weights start from.

    Raises:
        TypeError: a size that is no whole number.
        ValueError: a field out of its range, or fields that contradict each other.
    """

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int | None = None
    d_head: int | None = None
    n_kv_heads: int | None = None
    max_len: int = 512
    causal: bool = False
    cross_attention: bool = False
    positions: Positions = "learned"
    rotary_base: float = 10_000.0
    rotary_interleaved: bool = True
    rotary_scaling: RotaryScaling | None = None
    pad_id: int | None = None
    n_segments: int = 0
    d_embedding: int | None = None
    n_groups: int | None = None
    norm: Norm = "layer"
    norm_first: bool = False
    embedding_norm: bool = True
    norm_eps: float = 1e-12
    activation: Activation = "gelu"
    gated: bool = False
    bias: bool = True
    qkv_bias: bool | None = None
    ff_bias: bool | None = None
    qk_norm: bool = False
    scale_scores: bool = True
    n_buckets: int = 32
    max_distance: int = 128
    dropout: float = 0.1
    attention_dropout: float = 0.1
    ff_dropout: float = 0.0
    init_std: float = 0.02

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "d_model", "n_layers", "n_heads", "max_len", "n_buckets")
        optional = (
            "max_distance",
            "d_ff",
            "d_head",
            "n_kv_heads",
            "d_embedding",
            "n_groups",
        )
        for name in (*sizes, *optional):
            value = getattr(self, name)
            if value is None and name in optional:
                continue
            if not isinstance(value, Integral):
                raise TypeError(f"{name} must be a whole number, got {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                "n_heads must divide d_model, unless d_head is given; got "
                f"n_heads = {self.n_heads}, d_model = {self.d_model}"
            )
        if self.n_heads % self.kv_heads:
            raise ValueError(
                "n_kv_heads must divide n_heads; got "
                f"n_kv_heads = {self.n_kv_heads}, n_heads = {self.n_heads}"
            )
        for name in ("dropout", "attention_dropout", "ff_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must lie in [0, 1), got {getattr(self, name)}"
                )
        for name, kind in (
            ("positions", Positions),
            ("activation", Activation),
            ("norm", Norm),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(kind))}, "
                    f"got {getattr(self, name)!r}"
                )
        if self.n_blocks > self.n_layers:
            raise ValueError(
                f"n_groups must be at most n_layers = {self.n_layers}, "
                f"got {self.n_groups}"
            )
        if self.n_segments < 0:
            raise ValueError(f"n_segments must not be negative, got {self.n_segments}")
        if self.pad_id is not None and (
            self.positions != "learned" or not 0 <= self.pad_id < self.max_len - 1
        ):
            raise ValueError(
                "pad_id is for learned positions and must leave room for one: "
                f"0 ≤ pad_id < max_len − 1 = {self.max_len - 1}; got pad_id = "
                f"{self.pad_id}, positions = {self.positions!r}"
            )

    # What is derived is not stored, so that `dataclasses.replace` derives it anew.

    @property
    def ff_size(self) -> int:
        """Features inside a feed-forward layer."""
        return 4 * self.d_model if self.d_ff is None else self.d_ff

    @property
    def attention_size(self) -> int:
        """Features of all heads together."""
        return self.d_model if self.d_head is None else self.n_heads * self.d_head

    @property
    def head_size(self) -> int:
        """Features of a head."""
        return self.attention_size // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def embedding_size(self) -> int:
        """Features of an embedding."""
        return self.d_model if self.d_embedding is None else self.d_embedding

    @property
    def n_blocks(self) -> int:
        """Blocks with parameters of their own."""
        return self.n_layers if self.n_groups is None else self.n_groups

    @property
    def longest(self) -> int | None:
        """The longest sequence; None if the positions set no limit."""
        if self.positions != "learned":
            return None
        return self.max_len - (0 if self.pad_id is None else self.pad_id + 1)


@dataclass
class Output:
    """What a transformer returns; all but `hidden` only when `return_all` is set.

    Attributes:
        hidden: [batch, length, d_model].
        hidden_states: the input of the first block, then the output of each; the last
            is `hidden`, so that it includes the final norm of a pre-norm model.
        attentions: of each layer, [batch, heads, query, key], before dropout.
        cross_attentions: the same for attention to the memory.
    """

    hidden: Float[Tensor, "batch length d_model"]
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


class Cache:
    """Keys and values of the positions that a decoder has seen.

    Give the same cache to successive calls, each with the tokens that are new.
    """

    def __init__(self) -> None:
        self.length = 0
        self._stored: dict[str, tuple[Tensor, Tensor]] = {}

    def get(self, slot: str) -> tuple[Tensor, Tensor] | None:
        return self._stored.get(slot)

    def put(self, slot: str, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append to what `slot` holds, and return all of it."""
        if slot in self._stored:
            past_key, past_value = self._stored[slot]
            key = torch.cat((past_key, key), dim=-2)
            value = torch.cat((past_value, value), dim=-2)
        self._stored[slot] = (key, value)
        return key, value

    def fork(self) -> "Cache":
        """Another cache that has seen the same, and goes on by itself."""
        other = Cache()
        other.length, other._stored = self.length, dict(self._stored)
        return other

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Go on with these rows of the batch alone; one may come twice."""
        self._stored = {
            slot: (key[rows], value[rows])
            for slot, (key, value) in self._stored.items()
        }


# -- Sub-layers -----------------------------------------------------------------------


def make_norm(config: TransformerConfig, d: int | None = None) -> nn.Module:
    """The norm that `config` asks for, of `d` features (d_model by default)."""
    d = config.d_model if d is None else d
    if config.norm == "rms":
        return nn.RMSNorm(d, eps=config.norm_eps)
    return nn.LayerNorm(d, eps=config.norm_eps)


class Attention(nn.Module):
    """Multi-head attention as `lmlib.attention.MultiHeadAttention`, made for speed.

    One product projects to query, key and value where all three come from one input;
    with `from_context`, query comes from `x`, key and value from `context`.
    """

    def __init__(
        self, config: TransformerConfig, *, from_context: bool = False
    ) -> None:
        super().__init__()
        d, d_attention, d_head = config.d_model, config.attention_size, config.head_size
        bias = config.bias if config.qkv_bias is None else config.qkv_bias
        self.n_heads, self.dropout = config.n_heads, config.attention_dropout
        self.n_kv_heads = config.n_heads if from_context else config.kv_heads
        d_kv = self.n_kv_heads * d_head
        if from_context:
            self.query = nn.Linear(d, d_attention, bias=bias)
            self.key_value = nn.Linear(d, 2 * d_kv, bias=bias)
        else:
            self.qkv = nn.Linear(d, d_attention + 2 * d_kv, bias=bias)
        self.output = nn.Linear(d_attention, d, bias=config.bias)
        normed = config.qk_norm and not from_context
        self.query_norm = make_norm(config, d_head) if normed else None
        self.key_norm = make_norm(config, d_head) if normed else None
        self.rotate = None
        if config.positions == "rotary" and not from_context:
            self.rotate = Rotary(
                base=config.rotary_base,
                interleaved=config.rotary_interleaved,
                scaling=config.rotary_scaling,
            )
        self.from_context = from_context
        self.scale = None if config.scale_scores else 1.0

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        context: Float[Tensor, "batch new d_model"] | None = None,
        mask: Mask | None = None,
        *,
        causal: bool = False,
        cache: Cache | None = None,
        slot: str = "",
        fixed_context: bool = False,
        return_weights: bool = False,
    ) -> tuple[
        Float[Tensor, "batch query d_model"],
        Float[Tensor, "batch heads query key"] | None,
    ]:
        """Attend, and also return the weights (before dropout) if asked to.

        With a `cache`, the keys and values of `context` (or of `x`) are appended to
        those in `slot`; a `fixed_context` is projected at the first call alone.
        """
        if not self.from_context:
            h, kv = self.n_heads, self.n_kv_heads
            query, key, value = _split_heads(self.qkv(x), h, kv, kv)
            if self.query_norm is not None and self.key_norm is not None:
                query, key = self.query_norm(query), self.key_norm(key)
            if self.rotate is not None:
                start = 0 if cache is None else cache.length
                positions = torch.arange(start, start + x.shape[1], device=x.device)
                query, key = self.rotate(query, positions), self.rotate(key, positions)
        else:
            (query,) = _split_heads(self.query(x), self.n_heads)
            stored = cache.get(slot) if cache is not None and fixed_context else None
            if stored is not None:
                key, value = stored
            elif context is None:
                raise ValueError("context must be given: keys and values come from it")
            else:
                key, value = _split_heads(
                    self.key_value(context), self.n_heads, self.n_heads
                )
                if cache is not None and fixed_context:
                    cache.put(slot, key, value)
        if cache is not None and not fixed_context:
            key, value = cache.put(slot, key, value)
        if (group := self.n_heads // self.n_kv_heads) > 1:
            key, value = (x.repeat_interleave(group, dim=1) for x in (key, value))
        dropout = self.dropout if self.training else 0.0
        weights = None
        if return_weights:
            if causal:
                seen = causal_mask(query.shape[-2], key.shape[-2], x.device)
                mask = combine_masks(seen, mask)
            heads, weights = attention(
                query, key, value, mask, scale=self.scale, dropout=dropout
            )
        else:
            heads = attend(
                query,
                key,
                value,
                mask,
                causal=causal,
                scale=self.scale,
                dropout=dropout,
            )
        return self.output(merge_heads(heads)), weights


def _split_heads(x: Tensor, *heads: int) -> tuple[Tensor, ...]:
    """For each number of heads a [batch, heads, positions, d_head] out of one product.

    As `lmlib.attention.split_heads` of each part; but cut where they lie, so that the
    gradients are joined where they lie.
    """
    parts = x.unflatten(-1, (sum(heads), -1)).split(heads, dim=2)
    return tuple(part.transpose(1, 2) for part in parts)


class FeedForward(nn.Module):
    """Each position by itself: down(act(up(x))), or down(act(gate(x)) · up(x)).

    Gated, `up` computes both projections at once, the gate first.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gated = config.gated
        d_up = config.ff_size * (2 if config.gated else 1)
        bias = config.bias if config.ff_bias is None else config.ff_bias
        self.up = nn.Linear(config.d_model, d_up, bias=bias)
        self.down = nn.Linear(config.ff_size, config.d_model, bias=bias)
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nn.Dropout(config.ff_dropout)

    def forward(
        self, x: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        if self.gated:
            gate, up = self.up(x).chunk(2, dim=-1)
            inner = self.activation(gate) * up
        else:
            inner = self.activation(self.up(x))
        return self.down(self.dropout(inner))


class Block(nn.Module):
    """Self-attention, attention to the memory if there is one, and feed-forward.

    Each adds to what came in: x + f(norm(x)) with pre-norm, norm(x + f(x)) with
    post-norm.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.attention = Attention(config)
        self.attention_norm = make_norm(config)
        if config.cross_attention:
            self.cross_attention = Attention(config, from_context=True)
            self.cross_norm = make_norm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = make_norm(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        mask: Mask | None = None,
        memory: Float[Tensor, "batch memory d_model"] | None = None,
        memory_mask: Bool[Tensor, "batch 1 1 memory"] | None = None,
        *,
        causal: bool = False,
        cache: Cache | None = None,
        layer: int = 0,
        return_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch length d_model"], Tensor | None, Tensor | None]:
        """The output, and the weights of both attentions (None if not asked for)."""
        before, after = self._place(self.attention_norm)
        added, weights = self.attention(
            before(x),
            mask=mask,
            causal=causal,
            cache=cache,
            slot=f"{layer}",
            return_weights=return_weights,
        )
        x = after(x + self.dropout(added))
        cross_weights = None
        if memory is not None:
            before, after = self._place(self.cross_norm)
            added, cross_weights = self.cross_attention(
                before(x),
                memory,
                memory_mask,
                cache=cache,
                slot=f"{layer} memory",
                fixed_context=True,
                return_weights=return_weights,
            )
            x = after(x + self.dropout(added))
        before, after = self._place(self.feed_forward_norm)
        x = after(x + self.dropout(self.feed_forward(before(x))))
        return x, weights, cross_weights

    def _place(self, norm: nn.Module) -> tuple[nn.Module, nn.Module]:
        return (norm, _NOTHING) if self.norm_first else (_NOTHING, norm)


_NOTHING = nn.Identity()  # of all blocks: it holds nothing


class Embeddings(nn.Module):
    """Tokens, positions and segments as vectors: added, normed, projected."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pad_id = config.pad_id
        d = config.embedding_size
        self.token = nn.Embedding(config.vocab_size, d)
        self.position: LearnedPositions | SinusoidalPositions | None = None
        if config.positions == "learned":
            self.position = LearnedPositions(config.max_len, d)
        elif config.positions == "sinusoidal":
            self.position = SinusoidalPositions(d)
        self.segment: nn.Embedding | None = None
        if config.n_segments:
            self.segment = nn.Embedding(config.n_segments, d)
        self.norm = make_norm(config, d) if config.embedding_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.project: nn.Module = (
            nn.Identity() if d == config.d_model else nn.Linear(d, config.d_model)
        )

    def forward(
        self,
        token_ids: Int[Tensor, "batch length"],
        segment_ids: Int[Tensor, "batch length"] | None = None,
        position_ids: Int[Tensor, "batch length"] | None = None,
        start: int = 0,
    ) -> Float[Tensor, "batch length d_model"]:
        """`position_ids` count from 0, and default to start, start + 1, …"""
        x = self.token(token_ids)
        if self.segment is not None:
            first = self.segment.weight[0]
            x = x + (first if segment_ids is None else self.segment(segment_ids))
        elif segment_ids is not None:
            raise ValueError("segment_ids are given, but the model has n_segments = 0")
        if self.position is not None:
            x = self.position(x, self._positions(token_ids, position_ids, start))
        return self.project(self.dropout(self.norm(x)))

    def _positions(
        self, token_ids: Tensor, position_ids: Tensor | None, start: int
    ) -> Tensor | None:
        if self.pad_id is not None:
            if position_ids is None:
                real = token_ids != self.pad_id
                return (real.cumsum(dim=-1) + start) * real + self.pad_id
            return position_ids + self.pad_id + 1
        if position_ids is None and start:
            n = token_ids.shape[-1]
            return torch.arange(start, start + n, device=token_ids.device)
        return position_ids


# -- The whole ------------------------------------------------------------------------


class Transformer(nn.Module):
    """Embeddings and a stack of blocks; see `TransformerConfig` for all that it can be.

    On the meta device (`with torch.device("meta")`) it takes no memory.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        self.final_norm = make_norm(config) if config.norm_first else nn.Identity()
        if config.positions == "t5":
            self.relative_bias = T5RelativeBias(
                config.n_heads,
                n_buckets=config.n_buckets,
                max_distance=config.max_distance,
                bidirectional=not config.causal,
            )
        initialise(self, config)

    def forward(
        self,
        token_ids: Int[Tensor, "batch length"],
        attention_mask: Bool[Tensor, "batch seen"] | None = None,
        segment_ids: Int[Tensor, "batch length"] | None = None,
        position_ids: Int[Tensor, "batch length"] | None = None,
        document_ids: Int[Tensor, "batch length"] | None = None,
        *,
        memory: Float[Tensor, "batch memory d_model"] | None = None,
        memory_mask: Bool[Tensor, "batch memory"] | None = None,
        cache: Cache | None = None,
        return_all: bool = False,
    ) -> Output:
        """Hidden vectors of `token_ids`.

        Parameters:
            attention_mask: True where there is a token, not padding; with a `cache` it
                covers the positions seen before as well.
            segment_ids: 0 for all by default.
            position_ids: count from 0, and start again in each packed document. Only
                learned and sinusoidal positions need them: the others act on
                differences of positions, which within a document are those of columns.
            document_ids: packed sequences, in which a position sees its own document
                alone (−1 for padding).
            memory: what an encoder made, for a model with `cross_attention`.
            memory_mask: True where the memory is not padding.
            cache: of earlier calls; this one appends to it.
            return_all: return hidden states and attention weights of all layers.

        Raises:
            TypeError: a mask that is not boolean, or token_ids that are no integers.
            ValueError: a sequence longer than the table of positions, a shape that
                does not fit, an argument that this configuration has no use for, or
                (on a CPU: a GPU would have to wait for it) an id out of its range.
        """
        self._check(token_ids, attention_mask, document_ids, memory, cache)
        _check_masks(attention_mask, memory, memory_mask)
        for name, ids in (
            ("segment_ids", segment_ids),
            ("position_ids", position_ids),
            ("document_ids", document_ids),
        ):
            if ids is not None and ids.shape != token_ids.shape:
                raise ValueError(
                    f"{name} must have the shape of token_ids, "
                    f"{tuple(token_ids.shape)}; got {tuple(ids.shape)}"
                )
        config = self.config
        _check_range("token_ids", token_ids, config.vocab_size)
        _check_range("segment_ids", segment_ids, config.n_segments or None)
        _check_range("position_ids", position_ids, config.longest)
        past = 0 if cache is None else cache.length
        x = self.embeddings(token_ids, segment_ids, position_ids, past)
        mask = self.mask(token_ids, attention_mask, document_ids, past)
        # Without other masks the kernel is told "causal", and needs no mask.
        causal = config.causal and mask is None
        seen = None if memory_mask is None else memory_mask[:, None, None, :]
        states, attentions, cross_attentions = [x], [], []
        for i in range(config.n_layers):
            block = self.blocks[i * config.n_blocks // config.n_layers]
            x, weights, cross_weights = block(
                x,
                mask,
                memory,
                seen,
                causal=causal,
                cache=cache,
                layer=i,
                return_weights=return_all,
            )
            if return_all:
                states.append(x)
                attentions.append(weights)
                cross_attentions.append(cross_weights)
        x = self.final_norm(x)
        if cache is not None:
            cache.length += token_ids.shape[1]
        if not return_all:
            return Output(x)
        return Output(
            x,
            (*states[:-1], x),
            tuple(attentions),
            tuple(cross_attentions) if memory is not None else None,
        )

    def mask(
        self,
        token_ids: Tensor,
        attention_mask: Tensor | None,
        document_ids: Tensor | None,
        past: int,
    ) -> Mask | None:
        """One mask for all layers, or None where `causal` alone says it."""
        config, device = self.config, token_ids.device
        n_query, n_key = token_ids.shape[1], past + token_ids.shape[1]
        mask: Mask | None = None
        if attention_mask is not None:
            mask = attention_mask[:, None, None, :]
        if document_ids is not None:
            same = document_ids[:, :, None] == document_ids[:, None, :]
            mask = combine_masks(mask, same[:, None])
        bias = None
        if config.positions == "t5":
            bias = self.relative_bias(n_query, n_key)
        elif config.positions == "alibi":
            bias = alibi_bias(config.n_heads, n_query, n_key, device)
        if config.causal and (mask is not None or bias is not None):
            past_and_self = causal_mask(n_query, n_key, device)
            if mask is not None:
                # Padding on the left would see nothing at all, for which kernels have
                # no common answer; so each position sees itself. No real one changes.
                mask = (mask & past_and_self) | past_and_self.triu(past)
            else:
                mask = past_and_self
        return combine_masks(mask, bias)

    def _check(
        self,
        token_ids: Tensor,
        attention_mask: Tensor | None,
        document_ids: Tensor | None,
        memory: Tensor | None,
        cache: Cache | None,
    ) -> None:
        config = self.config
        if token_ids.ndim != 2:
            raise ValueError(
                f"token_ids must be [batch, length], got {tuple(token_ids.shape)}"
            )
        if token_ids.is_floating_point() or token_ids.dtype == torch.bool:
            raise TypeError(f"token_ids must be integers, got {token_ids.dtype}")
        batch, length = token_ids.shape
        total = length + (0 if cache is None else cache.length)
        if config.longest is not None and total > config.longest:
            raise ValueError(
                f"token_ids must have at most {config.longest} positions (max_len), "
                f"got {total}"
            )
        if attention_mask is not None and attention_mask.shape != (batch, total):
            raise ValueError(
                f"attention_mask must have shape {(batch, total)}, with the positions "
                f"of the cache; got {tuple(attention_mask.shape)}"
            )
        if (memory is not None) != config.cross_attention:
            raise ValueError(
                "memory must be given to a model with cross_attention, and to no other"
            )
        if memory is not None and (
            memory.ndim != 3 or memory.shape[::2] != (batch, config.d_model)
        ):
            raise ValueError(
                f"memory must be [batch, length, d_model] with batch = {batch} and "
                f"d_model = {config.d_model}, got {tuple(memory.shape)}"
            )
        if cache is not None and not config.causal:
            raise ValueError("cache is for causal models: others see the future too")
        if cache is not None and document_ids is not None:
            raise ValueError("cache and document_ids cannot be combined")


def _check_masks(
    attention_mask: Tensor | None, memory: Tensor | None, memory_mask: Tensor | None
) -> None:
    for name, mask in (
        ("attention_mask", attention_mask),
        ("memory_mask", memory_mask),
    ):
        # Zeros and ones as floats would be added to the scores: wrong, but no error.
        if mask is not None and mask.dtype != torch.bool:
            raise TypeError(
                f"{name} must be boolean (True is a token, False is padding), got "
                f"{mask.dtype}; a mask of 0 and 1 needs .bool()"
            )
    if memory_mask is None:
        return
    expected = None if memory is None else memory.shape[:2]
    if memory_mask.shape != expected:
        raise ValueError(
            "memory_mask must have the batch and length of memory, "
            f"{None if expected is None else tuple(expected)}; got "
            f"{tuple(memory_mask.shape)}"
        )


def _check_range(name: str, ids: Tensor | None, end: int | None) -> None:
    if ids is None or end is None or not ids.numel():
        return
    if ids.device.type != "cpu" or torch.compiler.is_compiling():
        return
    least, most = (int(value) for value in ids.aminmax())
    if least < 0 or most >= end:
        raise ValueError(
            f"{name} must be in 0 … {end - 1}, got {least if least < 0 else most}"
        )


def initialise(module: nn.Module, config: TransformerConfig) -> None:
    """Draw weights from N(0, init_std²); biases are 0 and the gains of norms 1.

    In a pre-norm model whatever writes to the residual stream starts smaller by
    √(number of writes), so that the stream's variance does not grow with depth
    (Radford et al. 2019, section 2.3).
    """
    writes = config.n_layers * (3 if config.cross_attention else 2)
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            std = config.init_std
            if config.norm_first and name.endswith(("attention.output", ".down")):
                std /= math.sqrt(writes)
            nn.init.normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=config.init_std)
        elif isinstance(part, LearnedPositions):
            nn.init.normal_(part.table, std=config.init_std)


def count_parameters(module: nn.Module) -> int:
    """Numbers that are learned; those that two modules share are counted once."""
    return sum(parameter.numel() for parameter in module.parameters())
