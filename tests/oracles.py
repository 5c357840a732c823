"""Independent references: the papers' equations as loops over float64 numbers.

Nothing here is vectorised or shares a line with lmlib, so that a mistake in one is
not a mistake in both. Slow on purpose; give them small arrays.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


# -- How close is close ---------------------------------------------------------------


def tolerance(dtype: torch.dtype, n_roundings: int) -> dict[str, float]:
    """`rtol` and `atol` for values of order one that were rounded so many times.

    Each operation rounds with relative error of at most u = eps/2. A sum of n products
    errs by at most about n·u·Σ|xᵢyᵢ|, in any order of summation (Higham 2002,
    section 3.1), and typically by √n·u. We allow n·eps, the worst case for operands of
    order one and far above the typical one. So `n_roundings` is the summed length of
    the dot products on the way from input to output (features, then keys, …).

    In bfloat16 torch accumulates in float32 and rounds each *result* once. There
    `n_roundings` counts operations (project, scale, score, softmax, …) instead.
    """
    t = n_roundings * torch.finfo(dtype).eps
    return {"rtol": t, "atol": t}


# A central difference with step h of a smooth function of order one is off by h² for
# the terms left out and by 1e-16/h for rounding: about 1e-10 and 1e-11 at h = 1e-5.
# The third derivative and the loss are not quite of order one: two digits of margin.
DIFFERENCE_STEP = 1e-5
DIFFERENCE_TOLERANCE = {"rtol": 1e-8, "atol": 1e-8}


def directional_derivative(
    f: Callable[..., float], arguments: dict[str, Array], name: str, along: Array
) -> float:
    """The slope of `f` as argument `name` moves along `along` (central difference)."""

    def at(step: float) -> float:
        return f(**{**arguments, name: arguments[name] + step * along})

    return (at(DIFFERENCE_STEP) - at(-DIFFERENCE_STEP)) / (2 * DIFFERENCE_STEP)


def to_numpy(x: Tensor) -> NDArray[np.generic]:
    """Floating point becomes float64 (exactly, whatever it was); bool stays bool."""
    x = x.detach().cpu()
    return (x.double() if x.is_floating_point() else x).numpy()


def close(got: Tensor, want: NDArray[np.generic], **tolerances: float) -> None:
    """Assert that a tensor equals an oracle's array, NaN nowhere."""
    np.testing.assert_allclose(to_numpy(got), want, equal_nan=False, **tolerances)


# -- Vaswani et al. 2017, section 3.2 -------------------------------------------------


def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: NDArray[np.generic] | None = None,
    scale: float | None = None,
) -> tuple[Array, Array]:
    """Equation 1, and the weights; a query that may attend to nothing gets zeros."""
    lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    query, key, value = (
        np.broadcast_to(x, lead + x.shape[-2:]) for x in (query, key, value)
    )
    n_query, d_k = query.shape[-2:]
    n_key, d_v = value.shape[-2:]
    if mask is not None:
        mask = np.broadcast_to(mask, (*lead, n_query, n_key))
    weights, output = (np.zeros((*lead, n_query, n)) for n in (n_key, d_v))
    for at in np.ndindex(*lead, n_query):
        scores = {}
        for j in range(n_key):
            q, k = query[at], key[*at[:-1], j]
            score = sum(q[c] * k[c] for c in range(d_k))
            score *= 1 / math.sqrt(d_k) if scale is None else scale
            if mask is not None and mask.dtype == np.bool_:
                if not mask[*at, j]:
                    continue
            elif mask is not None:
                if mask[*at, j] == -math.inf:
                    continue
                score += float(mask[*at, j])
            scores[j] = score
        if not scores:
            continue
        highest = max(scores.values())
        exponentials = {j: math.exp(s - highest) for j, s in scores.items()}
        for j, exponential in exponentials.items():
            weights[*at, j] = exponential / sum(exponentials.values())
            for c in range(d_v):
                output[*at, c] += weights[*at, j] * value[*at[:-1], j, c]
    return output, weights


def multi_head_attention(
    x: Array,
    context: Array,
    parameters: dict[str, Array],
    n_heads: int,
    n_kv_heads: int,
    mask: NDArray[np.generic] | None = None,
    rotate: Callable[[Array, list[int]], Array] = lambda x, positions: x,
) -> tuple[Array, Array]:
    """Section 3.2.2 head by head; query heads share keys as in Ainslie et al. 2023.

    The queries stand at the last positions of the context, for `rotate`.
    """

    def project(name: str, inputs: Array, head: int) -> Array:
        rows = slice(head * d_head, (head + 1) * d_head)
        bias = parameters.get(f"{name}.bias")
        projected = inputs @ parameters[f"{name}.weight"][rows].T
        return projected if bias is None else projected + bias[rows]

    batch, n_query, d_model = x.shape
    d_head = d_model // n_heads
    n_key = context.shape[1]
    of_query, of_key = list(range(n_key - n_query, n_key)), list(range(n_key))
    if mask is not None:
        mask = np.broadcast_to(mask, (batch, n_heads, n_query, context.shape[1]))
    outputs, weights = [], []
    for b in range(batch):
        heads = []
        for h in range(n_heads):
            shared = h * n_kv_heads // n_heads
            heads.append(
                attention(
                    rotate(project("query", x[b], h), of_query),
                    rotate(project("key", context[b], shared), of_key),
                    project("value", context[b], shared),
                    None if mask is None else mask[b, h],
                )
            )
        concatenated = np.concatenate([output for output, _ in heads], axis=-1)
        output = concatenated @ parameters["output.weight"].T
        outputs.append(output + parameters.get("output.bias", np.zeros(d_model)))
        weights.append([w for _, w in heads])
    return np.array(outputs), np.array(weights)


# -- Positions ------------------------------------------------------------------------


def sinusoids(n: int, d_model: int, base: float = 10_000.0) -> Array:
    """Vaswani et al. 2017, section 3.5."""
    table = np.zeros((n, d_model))
    for p in range(n):
        for i in range(d_model // 2):
            angle = p / base ** (2 * i / d_model)
            table[p, 2 * i] = math.sin(angle)
            table[p, 2 * i + 1] = math.cos(angle)
    return table


def rotary(
    x: Array, positions: list[int], base: float = 10_000.0, interleaved: bool = True
) -> Array:
    """Su et al. 2021, section 3.2: feature pairs as complex numbers, times e^(ipω)."""
    d = x.shape[-1]
    rotated = np.zeros_like(x)
    for at in np.ndindex(*x.shape[:-1]):
        for i in range(d // 2):
            pair = (2 * i, 2 * i + 1) if interleaved else (i, i + d // 2)
            angle = positions[at[-1]] * base ** (-2 * i / d)
            z = complex(*x[at][list(pair)]) * complex(math.cos(angle), math.sin(angle))
            rotated[*at, pair[0]], rotated[*at, pair[1]] = z.real, z.imag
    return rotated


def alibi_slopes(n_heads: int) -> list[float]:
    """Press et al. 2022, section 3, and their code's rule when n is no power of two."""
    if n_heads & (n_heads - 1) == 0:
        ratio = 2 ** (-8 / n_heads)
        return [ratio ** (h + 1) for h in range(n_heads)]
    lower = 1
    while 2 * lower < n_heads:
        lower *= 2
    return alibi_slopes(lower) + alibi_slopes(2 * lower)[0::2][: n_heads - lower]


def t5_bucket(
    relative: int, n_buckets: int, max_distance: int, bidirectional: bool
) -> int:
    """Raffel et al. 2020, section 2.1, in exact integer arithmetic: no logarithm.

    Bucket `exact + k` begins at distance exact · (max_distance / exact)^(k/m), where m
    is the number of logarithmic buckets; both sides are raised to the power m.
    """
    n = n_buckets // 2 if bidirectional else n_buckets
    first = n if bidirectional and relative > 0 else 0
    distance = abs(relative) if bidirectional else max(-relative, 0)
    exact = n // 2
    if distance < exact:
        return first + distance
    m, k = n - exact, 0
    while k + 1 < m and (
        distance**m * exact ** (k + 1) >= max_distance ** (k + 1) * exact**m
    ):
        k += 1
    return first + exact + k
