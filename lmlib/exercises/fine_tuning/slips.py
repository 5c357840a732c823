"""Mistakes of section 3.3 that are recognised, and not handed in by the tests.

What students write who have none of the misconceptions: a number taken from the wrong
place, a root or a square forgotten. Several are one function with a parameter.
"""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lmlib.exercises.exercise import Misconception


def _slip(
    explanation: str, function: Callable[..., Any], **options: Any
) -> Misconception:
    made = partial(function, **options)
    # Its first words, for the report on a class.
    name = "_".join(re.findall(r"\w+", explanation)[:12]).lower()
    made.__name__ = name  # type: ignore[attr-defined]
    return Misconception(made, explanation)


# -- split_by_text --------------------------------------------------------------------


def _split(
    texts: list[str],
    draws: list[float],
    valid: float,
    test: float,
    *,
    words: tuple[str, str, str] = ("test", "valid", "train"),
    valid_first: bool = False,
) -> list[str]:
    parts = []
    for text in texts:
        draw = draws[texts.index(text)]
        first = valid if valid_first else test
        place = 0 if draw < first else 1 if draw < valid + test else 2
        parts.append(words[1 - place if valid_first and place < 2 else place])
    return parts


SPLIT_BY_TEXT = (
    _slip(
        "The lowest draws are the test set's and the next ones valid's: you have the "
        "two the other way round.",
        _split,
        valid_first=True,
    ),
    _slip(
        'The part for validation is called "valid".',
        _split,
        words=("test", "validation", "train"),
    ),
)


# -- pad_batch ------------------------------------------------------------------------


def _pad(
    rows: list[list[int]],
    length: int,
    cls: int,
    sep: int,
    pad: int,
    *,
    keep_end: bool = False,
    start: bool = True,
    end: str = "row",
    number: bool = False,
) -> tuple[Tensor, Tensor]:
    room = length - start - (end != "none")
    full = []
    for row in rows:
        kept = row[-room:] if keep_end else row[:room]
        full.append([cls] * start + kept + [sep] * (end == "row"))
    width = max(map(len, full))
    ids = [row + [pad] * (width - len(row)) for row in full]
    lengths = torch.tensor([[len(row)] for row in full])
    if end == "padding":
        ids = [[*row, sep] for row in ids]
        width, lengths = width + 1, lengths + 1
    mask = torch.arange(width) < lengths
    return torch.tensor(ids), mask.long() if number else mask


PAD_BATCH = (
    _slip(
        "You put [SEP] after the padding: it ends the row, and the padding follows.",
        _pad,
        end="padding",
    ),
    _slip(
        "Of a long row you keep the end: its first length − 2 tokens are asked.",
        _pad,
        keep_end=True,
    ),
    _slip("[CLS] is missing in front.", _pad, start=False),
    _slip("[SEP] is missing at the end.", _pad, end="none"),
    _slip(
        "The mask is of numbers, and is to be of booleans: as an index, 1 and 0 would "
        "mean positions.",
        _pad,
        number=True,
    ),
)


# -- load_backbone --------------------------------------------------------------------


def _load(
    pretrained: dict[str, Tensor],
    fresh: dict[str, Tensor],
    prefix: str,
    *,
    keep: Callable[[str], bool] = lambda name: name.startswith("heads."),
    checked: bool = True,
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        if keep(name):
            loaded[name] = own
            continue
        found = pretrained[prefix + name]
        if checked and found.shape != own.shape:
            raise ValueError(name)
        loaded[name] = found.to(own.dtype)
    return loaded


def _what_begins_with_the_prefix(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    n = len(prefix)
    return {k[n:]: t for k, t in pretrained.items() if k.startswith(prefix)}


LOAD_BACKBONE = (
    _slip(
        "Nothing is loaded: you return the fresh tensors.",
        _load,
        keep=lambda name: True,
    ),
    _slip(
        "You take whatever the file holds: go through the names of `fresh`, keep its "
        "heads, and complain of what is missing or has another shape.",
        _what_begins_with_the_prefix,
    ),
    _slip(
        "You don't compare the shapes: one that differs is to be a ValueError here, "
        "and not an error, or none, later on.",
        _load,
        checked=False,
    ),
)


# -- last_real ------------------------------------------------------------------------


def _place(hidden: Tensor, mask: Tensor, *, of: Callable[[Tensor], Tensor]) -> Tensor:
    return hidden[torch.arange(len(hidden)), of(mask)]


def _pooled(hidden: Tensor, mask: Tensor, *, how: str) -> Tensor:
    if how == "sum":
        return (hidden * mask[..., None]).sum(1)
    return hidden.masked_fill(~mask[..., None], -math.inf).amax(1)


LAST_REAL = (
    _slip(
        "You found the place in the flipped mask and took it for one of the mask: "
        "count it from the other end, n − 1 − place.",
        _place,
        of=lambda mask: mask.flip(1).int().argmax(1),
    ),
    _slip(
        "Your place is one too far to the right: counted from 0, the last of k real "
        "tokens that begin at 0 is k − 1.",
        _place,
        of=lambda mask: mask.sum(1) % mask.shape[1],
    ),
    _slip("You add up the real positions: one of them is asked.", _pooled, how="sum"),
    _slip(
        "You take the largest number of each feature: the vector of one position is "
        "asked.",
        _pooled,
        how="max",
    ),
)


# -- accumulated_loss -----------------------------------------------------------------


def _loss(
    sums: list[float], counts: list[int], *, of: Callable[[float, int], float]
) -> float:
    return of(sum(sums), sum(counts))


def _weighted(sums: list[float], counts: list[int]) -> float:
    weighted = sum(s * n for s, n in zip(sums, counts, strict=True))
    return weighted / max(sum(counts), 1)


ACCUMULATED_LOSS = (
    _slip(
        "That is the sum over all targets: divide it by their number.",
        _loss,
        of=lambda nats, n: nats,
    ),
    _slip(
        "You weigh the sums by the counts: `sums` are sums already, not means.",
        _weighted,
    ),
)


# -- adamw_step -----------------------------------------------------------------------


def _adamw(
    p: Tensor,
    grad: Tensor | None,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    *,
    one: int = 0,
    squared: bool = True,
    correct: str = "mv",
    root: bool = True,
    sign: float = -1.0,
    decay: str = "old",
    with_eps: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    if grad is None:
        return p, m, v
    first, second = betas[one], betas[1 - one]
    m = first * m + (1 - first) * grad
    v = second * v + (1 - second) * (grad**2 if squared else grad)
    m_hat = m / (1 - first**step) if "m" in correct else m
    v_hat = v / (1 - second**step) if "v" in correct else v
    size = (v_hat.sqrt() if root else v_hat) + (eps if with_eps else 0.0)
    moved = p + sign * lr * m_hat / size
    if decay == "old":
        moved = moved - lr * weight_decay * p
    if decay == "new":
        moved = moved - lr * weight_decay * moved
    return moved, m, v


ADAMW_STEP = (
    _slip("The two betas have changed places: the first is m's.", _adamw, one=1),
    _slip("v is the mean of the *squared* gradient.", _adamw, squared=False),
    _slip("v is corrected too, by 1 − β₂ᵗ: only m is.", _adamw, correct="m"),
    _slip("m is corrected too, by 1 − β₁ᵗ: only v is.", _adamw, correct="v"),
    _slip("You divide by v̂: by its root.", _adamw, root=False),
    _slip("You go uphill: the step is taken off.", _adamw, sign=1.0),
    _slip("There is no weight decay.", _adamw, decay="none"),
    _slip(
        "You let the new p decay, after the step: the decay is taken from the old p.",
        _adamw,
        decay="new",
    ),
    _slip("eps is missing in the denominator.", _adamw, with_eps=False),
)


# -- lora_merge -----------------------------------------------------------------------


def _merge(
    weight: Tensor,
    a: Tensor,
    b: Tensor,
    alpha: float,
    *,
    scale: Callable[[Tensor, Tensor, float], float],
) -> Tensor:
    if a.shape[0] > min(weight.shape):
        raise ValueError
    return weight + scale(a, b, alpha) * (b @ a)


LORA_MERGE = (
    _slip(
        "You take r from `b.shape[0]`, which is the width of the output: the rank is "
        "the size that a and b share.",
        _merge,
        scale=lambda a, b, alpha: alpha / b.shape[0],
    ),
    _slip(
        "You multiply by r: the update is divided by it.",
        _merge,
        scale=lambda a, b, alpha: alpha * a.shape[0],
    ),
    _slip(
        "You divide by √r, as a later variant does: here it is r.",
        _merge,
        scale=lambda a, b, alpha: alpha / math.sqrt(a.shape[0]),
    ),
    _slip("The scale alpha / r is missing.", _merge, scale=lambda a, b, alpha: 1.0),
)
