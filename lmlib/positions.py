"""Positions: how a model that sees a set is told the order (section 3.1.3).

Attention is permutation equivariant: shuffle the positions of its input and its output
is shuffled alike, nothing else. Order must come from outside. Five ways, in the order
in which they were published:

| encoding   | acts on          | parameters      | source                            |
| ---------- | ---------------- | --------------- | --------------------------------- |
| sinusoidal | the embeddings   | none            | Vaswani et al. 2017, section 3.5  |
| learned    | the embeddings   | max_len·d_model | Gehring et al. 2017; BERT, GPT    |
| T5's bias  | the scores       | buckets·heads   | Raffel et al. 2020, section 2.1   |
| rotary     | queries and keys | none            | Su et al. 2021, section 3.4       |
| ALiBi      | the scores       | none            | Press et al. 2022, section 3      |
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

# -- Added to the embeddings ----------------------------------------------------------


def sinusoidal_positions(
    n: int,
    d_model: int,
    *,
    base: float = 10_000.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "{n} {d_model}"]:
    """Row p is sin(p·ωᵢ) at feature 2i, cos(p·ωᵢ) at 2i+1; ωᵢ = base^(−2i/d_model).

    Raises:
        ValueError: d_model is odd, so that a sine would have no cosine.
    """
    _check_even(d_model, "d_model")
    positions = torch.arange(n, device=device)
    angles = rotary_angles(positions, d_model, base=base)
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
    return table.to(dtype).to(positions.device)


class SinusoidalPositions(nn.Module):
    """Add `sinusoidal_positions` to the embeddings; nothing is learned.

    The table is made for the length that comes, so there is no longest sequence.
    """

    def __init__(self, d_model: int, *, base: float = 10_000.0) -> None:
        super().__init__()
        _check_even(d_model, "d_model")
        self.d_model, self.base = d_model, base

    def forward(
        self,
        x: Float[Tensor, "*batch n d_model"],
        positions: Int[Tensor, "*#batch n"] | None = None,
    ) -> Float[Tensor, "*batch n d_model"]:
        """`positions` defaults to 0 … n−1."""
        d_model = x.shape[-1]
        if d_model != self.d_model:
            raise ValueError(f"x must have {self.d_model} features, got {d_model}")
        if positions is None:
            positions = torch.arange(x.shape[-2], device=x.device)
        angles = rotary_angles(positions, d_model, base=self.base)
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        return x + table.to(x.dtype).to(x.device)


class LearnedPositions(nn.Module):
    """Add a learned vector per position, as BERT and GPT do: `max_len` of them."""

    def __init__(self, max_len: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(max_len, d_model))
        nn.init.normal_(self.table, std=0.02)

    def forward(
        self,
        x: Float[Tensor, "*batch n d_model"],
        positions: Int[Tensor, "*#batch n"] | None = None,
    ) -> Float[Tensor, "*batch n d_model"]:
        """`positions`, each below `max_len`, default to 0 … n−1.

        Raises:
            ValueError: x is longer than `max_len`: there is no vector for that.
        """
        max_len, d_model = self.table.shape
        if x.shape[-2] > max_len or x.shape[-1] != d_model:
            raise ValueError(
                f"x must have at most {max_len} positions of {d_model} features, "
                f"got {tuple(x.shape[-2:])}"
            )
        if positions is None:
            return x + self.table[: x.shape[-2]]
        return x + F.embedding(positions, self.table)


# -- Applied to queries and keys ------------------------------------------------------


@dataclass(frozen=True)
class RotaryScaling:
    """How the frequencies of a trained model are lowered for texts beyond its length.

    Without `original_len` each is divided by `factor`: positions p as if they were
    p / factor (Chen et al. 2023, "Extending Context Window of Large Language Models via
    Position Interpolation"). With it as in Llama 3.1: the slow ones alone, which turn
    less than `low` times in `original_len` positions; those that turn more than `high`
    times stay, and between the two it goes over from one to the other along a line.

    Raises:
        ValueError: factor is not positive, or low is not below high.
    """

    factor: float
    low: float = 1.0
    high: float = 4.0
    original_len: int | None = None

    def __post_init__(self) -> None:
        if self.factor <= 0 or self.low >= self.high:
            raise ValueError(
                "factor must be positive and low below high; got "
                f"factor = {self.factor}, low = {self.low}, high = {self.high}"
            )

    def __call__(self, frequencies: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """The lowered frequencies."""
        if self.original_len is None:
            return frequencies / self.factor
        turns = frequencies * self.original_len / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequencies * (kept + (1 - kept) / self.factor)


def rotary_angles(
    positions: Int[Tensor, "*n"],
    d: int,
    *,
    base: float = 10_000.0,
    scaling: RotaryScaling | None = None,
) -> Float[Tensor, "*n {d//2}"]:
    """The angle p·ωᵢ of position p for each pair i of features, ωᵢ = base^(−2i/d).

    In double precision: at position 100,000 a float32 angle is off by up to 0.004.
    For positions on mps, which has no float64, the angles are on the cpu.

    Raises:
        ValueError: d is odd.
    """
    _check_even(d, "d")
    device = "cpu" if positions.device.type == "mps" else positions.device
    exponents = torch.arange(0, d, 2, device=device, dtype=torch.float64) / d
    frequencies = base**-exponents
    if scaling is not None:
        frequencies = scaling(frequencies)
    return positions.to(device)[..., None] * frequencies


def apply_rotary(
    x: Float[Tensor, "*batch n d_head"],
    positions: Int[Tensor, " n"] | None = None,
    *,
    base: float = 10_000.0,
    interleaved: bool = True,
    scaling: RotaryScaling | None = None,
) -> Float[Tensor, "*batch n d_head"]:
    """Rotate feature pair i at position p by the angle p·ωᵢ (Su et al., eq. 34).

    The dot product of a rotated query at m and a rotated key at n depends on the two
    and on m − n alone. `positions` defaults to 0 … n−1; with a cache of c keys give
    `torch.arange(c, c + n)`.

    `interleaved` pairs features (0,1), (2,3) … as the paper does; False pairs i with
    i + d_head/2, the layout of GPT-NeoX and LLaMA checkpoints.

    Raises:
        ValueError: d_head is odd, or there is not one position per row of x.
    """
    n, d_head = x.shape[-2:]
    _check_even(d_head, "d_head")
    if positions is None:
        positions = torch.arange(n, device=x.device)
    if positions.shape != (n,):
        raise ValueError(
            f"positions must have shape ({n},), one per position of x, "
            f"got {tuple(positions.shape)}"
        )
    angles = rotary_angles(positions, d_head, base=base, scaling=scaling)
    cos, sin = (t.to(x.dtype).to(x.device) for t in (angles.cos(), angles.sin()))
    axis = -1 if interleaved else -2
    first, second = x.unflatten(-1, (-1, 2) if interleaved else (2, -1)).unbind(axis)
    rotated = (first * cos - second * sin, first * sin + second * cos)
    return torch.stack(rotated, dim=axis).flatten(-2)


class Rotary(nn.Module):
    """`apply_rotary` as the `rotate` of a `MultiHeadAttention`; nothing is learned."""

    def __init__(
        self,
        *,
        base: float = 10_000.0,
        interleaved: bool = True,
        scaling: RotaryScaling | None = None,
    ) -> None:
        super().__init__()
        self.base, self.interleaved, self.scaling = base, interleaved, scaling

    def forward(
        self,
        x: Float[Tensor, "*batch n d_head"],
        positions: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "*batch n d_head"]:
        return apply_rotary(
            x,
            positions,
            base=self.base,
            interleaved=self.interleaved,
            scaling=self.scaling,
        )


# -- Added to the scores --------------------------------------------------------------


def relative_positions(
    n_query: int, n_key: int, device: torch.device | str | None = None
) -> Int[Tensor, "query key"]:
    """key position − query position; the queries are the last `n_query` positions."""
    keys = torch.arange(n_key, device=device)
    queries = torch.arange(n_key - n_query, n_key, device=device)
    return keys[None, :] - queries[:, None]


def alibi_slopes(n_heads: int) -> Float[Tensor, " {n_heads}"]:
    """The penalty per position of distance of each head: 2^(−8/n), 2^(−16/n), … 2^(−8).

    When n_heads is not a power of two, the slopes of the next lower power come first,
    and then every second slope of the next higher one (the authors' code).

    Raises:
        ValueError: n_heads is less than 1.
    """
    if n_heads < 1:
        raise ValueError(f"n_heads must be at least 1, got {n_heads}")
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = 2.0 ** (-8 * torch.arange(1, power + 1) / power)
    between = 2.0 ** (-4 * (2 * torch.arange(n_heads - power) + 1) / power)
    return torch.cat((slopes, between))


def alibi_bias(
    n_heads: int,
    n_query: int,
    n_key: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "{n_heads} query key"]:
    """−slope · |distance| for each head: an additive mask for `lmlib.attention`.

    For a causal model combine it with `causal_mask` by `combine_masks`.
    """
    n_key = n_query if n_key is None else n_key
    distance = relative_positions(n_query, n_key, device).abs()
    return -alibi_slopes(n_heads).to(distance.device)[:, None, None] * distance


def relative_position_buckets(
    relative: Int[Tensor, "query key"],
    *,
    n_buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Int[Tensor, "query key"]:
    """T5's bucket of each key − query: exact when near, logarithmic when far.

    Half of the buckets are for keys after the query if `bidirectional`; otherwise all
    of those share bucket 0. Of the buckets of one direction the first half hold one
    distance each; the others grow geometrically up to `max_distance`, and everything
    farther shares the last one.

    Raises:
        ValueError: n_buckets is too small or odd, or max_distance is below the exact
            buckets.
    """
    per_side = n_buckets // 2 if bidirectional else n_buckets
    exact = per_side // 2
    if exact < 1 or n_buckets % 2 or max_distance <= exact:
        raise ValueError(
            "n_buckets must be even and at least 2 (4 if bidirectional) and "
            f"max_distance larger than the {exact} exact buckets; "
            f"got n_buckets = {n_buckets}, max_distance = {max_distance}"
        )
    distance = relative.abs() if bidirectional else (-relative).clamp(min=0)
    growth = torch.log(distance.clamp(min=1) / exact) / math.log(max_distance / exact)
    far = (exact + (growth * (per_side - exact)).long()).clamp(max=per_side - 1)
    bucket = torch.where(distance < exact, distance, far)
    return bucket + per_side * (relative > 0) if bidirectional else bucket


class T5RelativeBias(nn.Module):
    """A learned number per head and bucket, added to the scores (T5 shares it)."""

    def __init__(
        self,
        n_heads: int,
        *,
        n_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        self.bias = nn.Embedding(n_buckets, n_heads)
        self.n_buckets, self.max_distance = n_buckets, max_distance
        self.bidirectional = bidirectional

    def forward(
        self, n_query: int, n_key: int | None = None
    ) -> Float[Tensor, "heads query key"]:
        n_key = n_query if n_key is None else n_key
        buckets = relative_position_buckets(
            relative_positions(n_query, n_key, self.bias.weight.device),
            n_buckets=self.n_buckets,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )
        bias: Tensor = self.bias(buckets)
        return bias.permute(2, 0, 1)


def _check_even(d: int, name: str) -> None:
    if d < 2 or d % 2:
        raise ValueError(
            f"{name} must be even and positive, for features go in pairs; got {d}"
        )
