"""Fewer weights: pruning (section 2.2).

A mask says which weights are kept. The smallest go first, for a weight that is nearly 0
moves the output least (magnitude pruning). Which are kept must be stored as well: one
bit a weight, or less if the share is far from a half.

Sources: Han et al. (2015), "Learning both Weights and Connections for Efficient Neural
Networks"; Zhu & Gupta (2017), "To prune, or not to prune", for the schedule; Michel et
al. (2019), "Are Sixteen Heads Really Better than One?", for heads.
"""

import math
from collections.abc import Collection, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.compression.quantize import code_entropy
from lmlib.transformer import Attention, FeedForward


def magnitude_mask(w: Float[Tensor, "..."], sparsity: float) -> Bool[Tensor, "..."]:
    """False for the ⌊sparsity·n + ½⌋ weights of least magnitude.

    Of equal ones the first go, so that the number is met.

    Raises:
        ValueError: sparsity is not in 0 … 1.
    """
    _check_share("sparsity", sparsity)
    order = w.detach().abs().flatten().argsort(stable=True)
    mask = torch.ones(w.numel(), dtype=torch.bool, device=w.device)
    mask[order[: math.floor(sparsity * w.numel() + 0.5)]] = False
    return mask.reshape(w.shape)


def global_masks(
    weights: Mapping[str, Tensor], sparsity: float
) -> dict[str, Bool[Tensor, "..."]]:
    """One threshold for all tensors: the small ones lose more than the large ones."""
    sizes = [w.numel() for w in weights.values()]
    joined = torch.cat([w.detach().flatten() for w in weights.values()])
    parts = magnitude_mask(joined, sparsity).split(sizes)
    return {
        name: part.reshape(w.shape)
        for (name, w), part in zip(weights.items(), parts, strict=True)
    }


def n_of_m_mask(
    w: Float[Tensor, "... columns"], n: int = 2, m: int = 4
) -> Bool[Tensor, "... columns"]:
    """The `n` largest of each `m` neighbours along the last axis are kept.

    Sparse tensor cores multiply by 2:4 (Mishra et al. 2021, "Accelerating Sparse Deep
    Neural Networks").

    Raises:
        ValueError: not 0 ≤ n ≤ m, or the last axis can't be divided into groups of m.
    """
    if not 0 <= n <= m or not m:
        raise ValueError(f"n must be in 0 … m, got n = {n}, m = {m}")
    if w.ndim == 0 or w.shape[-1] % m:
        raise ValueError(f"the last axis must be a multiple of {m}: {(*w.shape,)}")
    groups = w.detach().abs().unflatten(-1, (-1, m))
    rank = groups.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return (rank < n).flatten(-2)


def sparsity_at(
    step: int, begin: int, end: int, final: float, initial: float = 0.0
) -> float:
    """The share that is pruned at a step: fast at first, and slower to the end.

    final + (initial − final)·(1 − (step − begin)/(end − begin))³ between `begin` and
    `end` (Zhu & Gupta 2017, equation 1).

    Raises:
        ValueError: end is not after begin, or a share is not in 0 … 1.
    """
    _check_share("initial", initial)
    _check_share("final", final)
    if end <= begin:
        raise ValueError(f"end must be after begin, {begin}, got {end}")
    left = 1 - min(max((step - begin) / (end - begin), 0.0), 1.0)
    return final + (initial - final) * left**3


class Pruned:
    """Keeps pruned weights at 0 while a model trains on.

    Call `apply` after each step of the optimizer: a gradient of 0 is not enough, for
    the momentum of earlier steps and weight decay move a weight as well.

    Raises:
        ValueError: a mask has no parameter of its name and shape.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(model.named_parameters())
        for name, mask in masks.items():
            if name not in parameters or parameters[name].shape != mask.shape:
                raise ValueError(f"masks must fit parameters; {name} fits none")
        self.masks = dict(masks)
        self.parameters = {name: parameters[name] for name in masks}
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.mul_(self.masks[name])

    @property
    def sparsity(self) -> float:
        """The share of weights that are pruned, of those that have a mask."""
        n = sum(mask.numel() for mask in self.masks.values())
        return 1 - sum(int(mask.sum()) for mask in self.masks.values()) / n


@torch.no_grad()
def prune_heads(attention: Attention, heads: Collection[int]) -> None:
    """Take heads out of a self-attention for good: its matrices get smaller.

    The output is that of the layer in which these heads gave 0.

    Raises:
        ValueError: no such head, none would be left, or several share one of keys and
            values, which then cannot go with any of them.
    """
    n = attention.n_heads
    if attention.n_kv_heads != n:
        raise ValueError(
            f"attention must have keys and values for each head, not "
            f"{attention.n_kv_heads} for {n}"
        )
    left = _left("heads", heads, n)
    rows = torch.arange(attention.output.in_features).view(n, -1)[left].flatten()
    size = attention.output.in_features
    attention.qkv = _selected(
        attention.qkv, torch.cat([rows + i * size for i in range(3)]), 0
    )
    attention.output = _selected(attention.output, rows, 1)
    attention.n_heads = attention.n_kv_heads = len(left)


@torch.no_grad()
def prune_units(feed_forward: FeedForward, units: Collection[int]) -> None:
    """Take hidden units out of a feed-forward layer for good.

    Raises:
        ValueError: no such unit, or none would be left.
    """
    n = feed_forward.down.in_features
    left = torch.tensor(_left("units", units, n))
    rows = torch.cat([left, left + n]) if feed_forward.gated else left
    feed_forward.up = _selected(feed_forward.up, rows, 0)
    feed_forward.down = _selected(feed_forward.down, left, 1)


def stored_bits(
    codes: Int[Tensor, "..."],
    kept: Bool[Tensor, "..."],
    bits: int,
    layout: str,
) -> float:
    """What a pruned tensor of codes takes, the places of what is kept counted.

    dense: a code for each weight. bitmap: a bit for each, and the codes that are kept.
    coordinates: 64 bits for each axis beside each code, as `torch.sparse_coo_tensor`.
    entropy: what an entropy coder needs for the codes with their zeros.

    Raises:
        ValueError: no such layout, or the shapes differ.
    """
    if codes.shape != kept.shape:
        raise ValueError(f"kept must have shape {(*codes.shape,)}: {(*kept.shape,)}")
    n, k = codes.numel(), int(kept.sum())
    if layout == "dense":
        return float(n * bits)
    if layout == "bitmap":
        return float(n + k * bits)
    if layout == "coordinates":
        return float(k * (bits + 64 * codes.ndim))
    if layout == "entropy":
        return n * code_entropy(codes * kept)
    raise ValueError(f"layout must be dense, bitmap, coordinates or entropy: {layout}")


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be in 0 … 1, got {share}")


def _left(name: str, gone: Collection[int], n: int) -> list[int]:
    if not set(gone) < set(range(n)):
        raise ValueError(f"{name} must be some but not all of 0 … {n - 1}, got {gone}")
    return [i for i in range(n) if i not in gone]


def _selected(layer: nn.Linear, which: Tensor, axis: int) -> nn.Linear:
    """The layer with these outputs (axis 0) or inputs (axis 1) alone."""
    weight = layer.weight.index_select(axis, which.to(layer.weight.device))
    chosen = nn.Linear(
        weight.shape[1], weight.shape[0], layer.bias is not None, device="meta"
    )
    chosen.weight = nn.Parameter(weight, layer.weight.requires_grad)
    if layer.bias is not None:
        bias = layer.bias.index_select(0, which) if axis == 0 else layer.bias.detach()
        chosen.bias = nn.Parameter(bias, layer.bias.requires_grad)
    return chosen
