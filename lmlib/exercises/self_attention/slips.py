"""Mistakes of section 3.1 that are recognised, made from a function by its parameters.

The same slip (no division by √d_k, say) is made in three exercises. So that each of
them names it, the exercises' answers are written here once, with a parameter for each
thing that goes wrong. Unlike the misconceptions they are not handed in as submissions.
"""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
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


# -- The scores and what is made of them ----------------------------------------------


def _root(query: Tensor, key: Tensor) -> float:
    return float(query.shape[-1] ** -0.5)


def _softmax(scores: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(scores, dim=axis)


def _weights(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    *,
    scale: Callable[[Tensor, Tensor], float] = _root,
    weigh: Callable[[Tensor], Tensor] = _softmax,
    after: Callable[[Tensor, Tensor], float] = lambda query, key: 1.0,
    normalise: bool = False,
    how: str = "",
) -> Tensor:
    q, k = (F.normalize(t, dim=-1) if normalise else t for t in (query, key))
    scores = q @ k.transpose(-2, -1) * scale(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return weigh(scores) * after(query, key)


def _over_everything(scores: Tensor) -> Tensor:
    return torch.softmax(scores.flatten(-2), dim=-1).reshape(scores.shape)


def _relu(scores: Tensor) -> Tensor:
    shares = scores.clamp(min=0)
    return shares / shares.sum(dim=-1, keepdim=True).clamp(min=1e-9)


def _one(query: Tensor, key: Tensor) -> float:
    return 1.0


OF_WEIGHTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("You left out the division by √d_k.", {"scale": _one}),
    (
        "You divided by d_k (d_head), not by its root.",
        {"scale": lambda q, k: 1 / q.shape[-1]},
    ),
    (
        "You multiplied by √d_k where the scores have to be divided by it.",
        {"scale": lambda q, k: q.shape[-1] ** 0.5},
    ),
    (
        "You divided by the root of the number of keys, not by √d_k.",
        {"scale": lambda q, k: k.shape[-2] ** -0.5},
    ),
    (
        "You divided by √d_k twice.",
        {"scale": lambda q, k: 1 / q.shape[-1], "how": "twice"},
    ),
    (
        "You divided by √d_k after the softmax: the division belongs before it.",
        {"scale": _one, "after": _root},
    ),
    (
        "Your weights are powers of 2, not of e: the softmax takes exp.",
        {"weigh": lambda s: torch.softmax(s * math.log(2), dim=-1)},
    ),
    (
        "You took a sigmoid of each score: the softmax shares out 1 among the keys.",
        {"weigh": torch.sigmoid},
    ),
    (
        "You compared by the cosine, with vectors scaled to length 1: the scores are "
        "the dot products of the vectors as they are, divided by √d_k.",
        {"normalise": True, "scale": _one},
    ),
    (
        "You scaled the vectors to length 1 before the dot product: they are taken as "
        "they are.",
        {"normalise": True},
    ),
    (
        "Your softmax runs over the queries: each query shares out its attention over "
        "the keys, the last axis.",
        {"weigh": partial(_softmax, axis=-2)},
    ),
    (
        "Your softmax runs over the heads (or the batch): each query shares out its "
        "attention over the keys, the last axis.",
        {"weigh": partial(_softmax, axis=-3)},
    ),
    (
        "Your softmax runs over the batch: each query shares out its attention over "
        "the keys, the last axis.",
        {"weigh": partial(_softmax, axis=0)},
    ),
    (
        "Your softmax runs over queries and keys together: each row has to sum to 1.",
        {"weigh": _over_everything},
    ),
    (
        "You took the logarithm: log_softmax for softmax.",
        {"weigh": partial(F.log_softmax, dim=-1)},
    ),
    (
        "The exponentials are not divided by their sum: they have to sum to 1.",
        {"weigh": torch.exp},
    ),
    (
        "You took relu where the softmax takes exp.",
        {"weigh": _relu},
    ),
    (
        "You took the softmax twice.",
        {"weigh": lambda s: torch.softmax(torch.softmax(s, -1), -1)},
    ),
    (
        "You took the softmax of the negative scores: the nearest gets the least.",
        {"weigh": lambda s: torch.softmax(-s, dim=-1)},
    ),
    (
        "The softmax is missing: these are the scores.",
        {"weigh": lambda s: s.nan_to_num(neginf=0.0)},
    ),
)


def _of_weights(function: Callable[..., Any]) -> tuple[Misconception, ...]:
    return tuple(_slip(words, function, **options) for words, options in OF_WEIGHTS)


ATTENTION_WEIGHTS = (
    *_of_weights(_weights),
    _slip(
        "Queries and keys have changed places: one row for each query is asked.",
        lambda query, key: _weights(key, query),
    ),
)


# -- The weighted sum and the mask ----------------------------------------------------


def _sum(weights: Tensor, value: Tensor, *, of: str) -> Tensor:
    if of == "transposed":
        return weights.transpose(-2, -1) @ value
    if of == "first value":
        return weights[..., :1] * value[..., :1, :]
    if of == "float16":
        return (weights.half() @ value.half()).to(value.dtype)
    return weights.sum(dim=-1, keepdim=True) * value.sum(dim=-2, keepdim=True)


WEIGHTED_SUM = (
    _slip("Your weights are transposed: row i is for query i.", _sum, of="transposed"),
    _slip("You took the first value alone.", _sum, of="first value"),
    _slip("You computed in float16, half precision.", _sum, of="float16"),
    _slip("You summed weights and values apart: product first.", _sum, of="sums"),
)


def _masked(scores: Tensor, mask: Tensor, *, how: str) -> Tensor:
    if how == "no mask":
        return torch.softmax(scores, dim=-1)
    if how == "over queries":
        blocked = scores.masked_fill(~mask, -math.inf)
        return torch.softmax(blocked, dim=-2).nan_to_num()
    if how == "inverted after":
        return torch.softmax(scores, dim=-1) * ~mask
    if how == "minus one":
        return torch.softmax(scores.masked_fill(~mask, -1.0), dim=-1)
    if how == "ones":
        return torch.softmax(scores + mask.to(scores.dtype) - 1, dim=-1)
    if how == "first mask":
        return torch.softmax(scores.masked_fill(~mask[:1], -math.inf), dim=-1)
    if how == "plus infinity":
        return torch.softmax(scores.masked_fill(~mask, math.inf), dim=-1)
    if how == "no exp":
        return scores * mask
    if how == "log":
        return torch.log_softmax(scores.masked_fill(~mask, -math.inf), dim=-1)
    if how == "less logsumexp":
        blocked = scores.masked_fill(~mask, -math.inf)
        weights = (blocked - torch.logsumexp(blocked, dim=-1, keepdim=True)).exp()
        return weights.nan_to_num() * mask.any(dim=-1, keepdim=True)
    if how == "half":
        blocked = scores.half().masked_fill(~mask, -math.inf)
        return torch.softmax(blocked, dim=-1).to(scores.dtype)
    return torch.softmax(scores.masked_fill(~mask, -100.0), dim=-1)


MASKED_ATTENTION_WEIGHTS = (
    _slip("The mask has no effect.", _masked, how="no mask"),
    _slip(
        "Your softmax runs over the queries, not the keys.", _masked, how="over queries"
    ),
    _slip(
        "You masked after the softmax, and kept what is blocked: True means *may "
        "attend*, and the mask belongs before the softmax.",
        _masked,
        how="inverted after",
    ),
    _slip(
        "You blocked with −1, which is an ordinary score: only −∞ blocks.",
        _masked,
        how="minus one",
    ),
    _slip(
        "You subtracted 1 where a key is blocked: only −∞ blocks.", _masked, how="ones"
    ),
    _slip("You used the first mask for all of the batch.", _masked, how="first mask"),
    _slip("You blocked with +∞: the sign is minus.", _masked, how="plus infinity"),
    _slip("The softmax is missing: these are masked scores.", _masked, how="no exp"),
    _slip("You took the logarithm: log_softmax for softmax.", _masked, how="log"),
    _slip("You computed in float16, half precision.", _masked, how="half"),
    _slip(
        "exp(s − logsumexp(s)) is right on paper. At scores of −30,000 it takes the "
        "difference of two large float32 numbers, which are rounded in the third "
        "digit after the point: torch.softmax subtracts the row's maximum first.",
        _masked,
        how="less logsumexp",
    ),
    _slip(
        "You blocked with −100, and allowed scores can be lower: only −∞ blocks.",
        _masked,
        how="hundred",
    ),
)


# -- Heads ----------------------------------------------------------------------------


def _interleaved(x: Tensor, n_heads: int) -> Tensor:
    return x.unflatten(-1, (-1, n_heads)).permute(0, 3, 1, 2)


def _blocks(x: Tensor, n_heads: int) -> Tensor:
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def _reshaped(x: Tensor, n_heads: int) -> Tensor:
    return x.reshape(x.shape[0], n_heads, x.shape[1], -1)


def _together(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(-2)


def _alternating(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(-2)


def _inverted(mask: Tensor) -> Tensor:
    return ~mask


def _multi_head(
    x: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    w_value: Tensor,
    w_output: Tensor,
    n_heads: int,
    mask: Tensor | None = None,
    *,
    use: tuple[int, int, int] = (0, 1, 2),
    split: Callable[[Tensor, int], Tensor] = _blocks,
    merge: Callable[[Tensor], Tensor] = _together,
    before: Callable[[Tensor], Tensor] = lambda mask: mask,
    after: bool = False,
    causal: bool = False,
    residual: bool = False,
    transposed: str = "",
    scale_of_heads: bool = False,
    **options: Any,
) -> Tensor:
    w: tuple[Tensor, ...] = (
        w_query,
        w_key,
        w_value,
        torch.eye(x.shape[-1], dtype=x.dtype),
        w_output,
    )
    if transposed == "in":
        w = (*(each.T for each in w[:3]), w[3], w_output)
    out = w_output.T if transposed == "out" else w_output
    query, key, value = (split(x @ w[i], n_heads) for i in use)
    mask = before(mask) if mask is not None else None
    if causal:
        n = x.shape[1]
        mask = torch.ones(n, n, dtype=torch.bool).tril()
    if scale_of_heads:
        options["scale"] = lambda query, key: n_heads**-0.5
    weights = _weights(query, key, None if after else mask, **options)
    if after and mask is not None:
        weights = weights * mask
    output = merge(weights @ value) @ out
    return output + x if residual else output


def _heads_with(explanation: str, options: dict[str, Any]) -> Misconception:
    if "after" in options:
        # The same as a division of the values, and a name that _multi_head has taken.
        options = {
            "scale": _one,
            "merge": lambda heads: _together(heads) / heads.shape[-1] ** 0.5,
        }
    return _slip(explanation, _multi_head, **options)


MULTI_HEAD_ATTENTION = (
    *(_heads_with(words, options) for words, options in OF_WEIGHTS),
    _slip(
        "You divided by the root of the number of heads, not of their width, √d_head.",
        _multi_head,
        scale_of_heads=True,
    ),
    _slip(
        "You dealt the features out to the heads like cards: head h takes the block of "
        "features from h·d_head on.",
        _multi_head,
        split=_interleaved,
    ),
    _slip(
        "You dealt the features out to the heads like cards, and merged them alike: "
        "head h takes the block of features from h·d_head on.",
        _multi_head,
        split=_interleaved,
        merge=_alternating,
    ),
    _slip(
        "You interleaved the heads when you merged them: head 0 comes first, whole.",
        _multi_head,
        merge=_alternating,
    ),
    _slip(
        "You reshaped straight to (batch, heads, n, d_head), which mixes positions: "
        "split the last axis, then swap two axes.",
        _multi_head,
        split=_reshaped,
    ),
    _slip(
        "You reshaped straight to heads and back, which mixes positions: split the "
        "last axis, then swap two axes.",
        _multi_head,
        split=_reshaped,
        merge=lambda heads: heads.reshape(heads.shape[0], heads.shape[2], -1),
    ),
    _slip(
        "The values are not projected: they are x @ w_value.",
        _multi_head,
        use=(0, 1, 3),
    ),
    _slip(
        "The keys are not projected: they are x @ w_key.", _multi_head, use=(0, 3, 2)
    ),
    _slip(
        "The queries are not projected: they are x @ w_query.",
        _multi_head,
        use=(3, 1, 2),
    ),
    _slip(
        "Queries and keys have changed places: w_query makes the queries.",
        _multi_head,
        use=(1, 0, 2),
    ),
    _slip(
        "Keys and values have changed places: w_key makes the keys.",
        _multi_head,
        use=(0, 2, 1),
    ),
    _slip(
        "The keys are made with w_query: they are x @ w_key.",
        _multi_head,
        use=(0, 0, 2),
    ),
    _slip(
        "The values are made with w_query: they are x @ w_value.",
        _multi_head,
        use=(0, 1, 0),
    ),
    _slip("All three projections use w_query.", _multi_head, use=(0, 0, 0)),
    _slip(
        "You added x to the output: the residual is the block's, not the layer's.",
        _multi_head,
        residual=True,
    ),
    _slip(
        "Your attention is always causal: only `mask` says what is blocked.",
        _multi_head,
        causal=True,
    ),
    _slip(
        "You blocked where the mask is True: True means *may attend*.",
        _multi_head,
        before=_inverted,
    ),
    _slip(
        "You masked after the softmax: it belongs before it.", _multi_head, after=True
    ),
    _slip(
        "Your mask is transposed: queries are rows, keys are columns.",
        _multi_head,
        before=lambda mask: mask.transpose(-2, -1).expand(
            *mask.shape[:-2], mask.shape[-1], mask.shape[-1]
        ),
    ),
    _slip(
        "You used the mask of the first in the batch for all of them.",
        _multi_head,
        before=lambda mask: mask[:1] if mask.ndim > 2 else mask,
    ),
    _slip(
        "You multiplied by the transposed w_output: it is heads @ w_output.",
        _multi_head,
        transposed="out",
    ),
    _slip(
        "You multiplied by the transposed w_query, w_key, w_value: it is x @ w.",
        _multi_head,
        transposed="in",
    ),
)


# -- Positions ------------------------------------------------------------------------


def _angles(
    positions: Tensor,
    d: int,
    *,
    base: float = 10_000.0,
    exponent: Callable[[Tensor, int], Tensor] = lambda i, d: -2 * i / d,
    first: float = 0.0,
    times: float = 1.0,
) -> Tensor:
    i = torch.arange(d // 2, dtype=torch.float64)
    angles = (positions + first)[:, None] * base ** exponent(i, d)
    return angles * times


OF_ANGLES: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        (f"Your base is {base:,}: 10,000 is asked.", {"base": float(base)})
        for base in (100, 1_000, 1_024, 50_000, 100_000, 500_000, 1_000_000)
    ),
    ("Your positions are one too high: they count from 0, as given.", {"first": 1.0}),
    ("Your positions are one too low.", {"first": -1.0}),
    ("Your angles are half as large as they should be.", {"times": 0.5}),
    ("Your angles are twice as large as they should be.", {"times": 2.0}),
    ("Your angles are in degrees: sin and cos take radians.", {"times": 180 / math.pi}),
    (
        "You turned the angles from degrees to radians: they are radians already.",
        {"times": math.pi / 180},
    ),
    (
        "A factor 2π too many: the angle is the position times the frequency.",
        {"times": 2 * math.pi},
    ),
    ("Your angles have the wrong sign.", {"times": -1.0}),
    (
        "Your exponent is −4i/d, with the 2 taken twice: it is −2i/d.",
        {"exponent": lambda i, d: -4 * i / d},
    ),
    ("Your exponent is −i/d: it is −2i/d.", {"exponent": lambda i, d: -i / d}),
    (
        "Your frequencies grow with i: the exponent is −2i/d, with a minus.",
        {"exponent": lambda i, d: 2 * i / d},
    ),
    (
        "Your pairs count from 1: the first has i = 0 and frequency 1.",
        {"exponent": lambda i, d: -2 * (i + 1) / d},
    ),
    (
        "You spread the frequencies down to 1/10,000 exactly: −2i/d stops just before.",
        {"exponent": lambda i, d: -i / max(d // 2 - 1, 1)},
    ),
    (
        "All pairs have one frequency: pair i has 10000^(−2i/d).",
        {"exponent": lambda i, d: 0 * i},
    ),
    ("Your exponent is −2i, not divided by d.", {"exponent": lambda i, d: -2 * i}),
    (
        "Your frequencies come in reverse: the first pair turns fastest.",
        {"exponent": lambda i, d: -2 * i.flip(0) / d},
    ),
)


def _table(n: int, d_model: int, *, of: str = "", **options: Any) -> Tensor:
    if d_model % 2:
        raise ValueError
    angles = _angles(torch.arange(n), d_model, **options)
    sin, cos = angles.sin(), angles.cos()
    if of == "sine":
        cos = sin
    elif of == "cosine":
        sin = cos
    table = torch.stack((sin, cos), dim=-1).flatten(-2)
    if of == "blocks":
        table = torch.cat((cos, sin), dim=-1)
    return table.float()


def _turn(x: Tensor, positions: Tensor, *, how: str = "", **options: Any) -> Tensor:
    d = x.shape[-1]
    angles = _angles(positions, d, **options)
    cos, sin = angles.cos(), angles.sin()
    if how == "swapped":
        cos, sin = sin, cos
    y = x.double()
    even, odd = y[..., 0::2], y[..., 1::2]
    first, second = y.chunk(2, dim=-1)
    halves = how.startswith("halves")
    if halves:
        even, odd = first, second
    if how == "halves backwards":
        sin = -sin
    turned = (even * cos - odd * sin, even * sin + odd * cos)
    if how == "sign":
        turned = (even * cos - odd * sin, odd * cos - even * sin)
    if how == "cosine":
        turned = (even * cos, odd * cos)
    if how == "in place":
        turned = (turned[0], turned[0] * sin + odd * cos)
    if halves or how == "laid in halves":
        output = torch.cat(turned, dim=-1)
    elif how == "mixed":
        wide = (t.repeat_interleave(2, dim=-1) for t in (cos, sin))
        cos, sin = wide
        output = y * cos + torch.cat((-second, first), dim=-1) * sin
    elif how == "mixed the other way":
        other = torch.stack((-odd, even), dim=-1).flatten(-2)
        output = y * torch.cat((cos, cos), -1) + other * torch.cat((sin, sin), -1)
    else:
        output = torch.stack(turned, dim=-1).flatten(-2)
    return output.to(x.dtype)


def _of_angles(function: Callable[..., Any]) -> tuple[Misconception, ...]:
    return tuple(_slip(words, function, **options) for words, options in OF_ANGLES)


SINUSOIDAL_POSITIONS = (
    *_of_angles(_table),
    _slip("All your features are sines: odd ones are cosines.", _table, of="sine"),
    _slip("All your features are cosines: even ones are sines.", _table, of="cosine"),
    _slip(
        "You put all cosines first and all sines after them: they alternate, sine"
        " first.",
        _table,
        of="blocks",
    ),
)

APPLY_ROTARY = (
    *_of_angles(_turn),
    _slip("Sine and cosine have changed places.", _turn, how="swapped"),
    _slip(
        "You pair feature i with i + d/2 (GPT-NeoX), and turn backwards: "
        "neighbours form a pair.",
        _turn,
        how="halves backwards",
    ),
    _slip(
        "The second member of each pair has the wrong sign: it is a·sin + b·cos.",
        _turn,
        how="sign",
    ),
    _slip(
        "Only the cosines are used: (a, b) becomes (a·cos − b·sin, a·sin + b·cos).",
        _turn,
        how="cosine",
    ),
    _slip(
        "The second member of each pair is made from the first one *after* it was"
        " turned: keep the old one.",
        _turn,
        how="in place",
    ),
    _slip(
        "You turn neighbours, but lay the results side by side in two halves: "
        "they belong back where they were.",
        _turn,
        how="laid in halves",
    ),
    _slip(
        "You mix two layouts: angles for neighbours, but rotate_half pairs "
        "feature i with i + d/2 (GPT-NeoX).",
        _turn,
        how="mixed",
    ),
    _slip(
        "You mix two layouts: neighbours are turned, but the angles are laid out "
        "for halves (GPT-NeoX).",
        _turn,
        how="mixed the other way",
    ),
)


# -- The cache ------------------------------------------------------------------------


def _cached(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    diagonal: Callable[[int, int], int] = lambda n_query, n_key: n_key - n_query,
    flipped: bool = False,
    no_mask: bool = False,
    first_batch: bool = False,
    late_mask: bool = False,
    **options: Any,
) -> Tensor:
    n_query, n_key = query.shape[-2], key.shape[-2]
    mask = torch.ones(n_query, n_key).bool().tril(diagonal(n_query, n_key))
    mask = ~mask if flipped else mask
    none = no_mask or late_mask
    weights = _weights(query, key, None if none else mask, **options)
    if late_mask:
        weights = weights * mask
    output = weights.nan_to_num() @ value
    return output[:1].expand_as(output).clone() if first_batch else output


CACHED_ATTENTION = (
    *_of_weights(_cached),
    _slip(
        "Your mask is flipped: it blocks the past and leaves the future.",
        _cached,
        flipped=True,
    ),
    _slip(
        "Your diagonal is the number of queries: it is n_key − n_query.",
        _cached,
        diagonal=lambda n_query, n_key: n_query,
    ),
    _slip(
        "Your diagonal is the number of keys, which blocks nothing: it is n_key −"
        " n_query.",
        _cached,
        diagonal=lambda n_query, n_key: n_key,
    ),
    _slip(
        "Your diagonal has the wrong sign: it is n_key − n_query.",
        _cached,
        diagonal=lambda n_query, n_key: n_query - n_key,
    ),
    _slip(
        "There is no mask: queries see the positions after them.", _cached, no_mask=True
    ),
    _slip(
        "You computed the first of the batch alone, and gave it to all.",
        _cached,
        first_batch=True,
    ),
    _slip(
        "You masked after the softmax: it belongs before it.", _cached, late_mask=True
    ),
)
