"""What a model remembers of single sentences, in bits (section 8.2).

A *canary* is a sentence with a secret drawn by chance. It is put into the text that a
model learns from, and its *exposure* says how far up its secret has come among all that
could have been drawn: log₂ of their number less log₂ of its rank (Carlini et al. 2019,
"The Secret Sharer", section 4). One remedy is here as well: the noisy gradient of
DP-SGD (Abadi et al. 2016), with what it promises for one pass over the text.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import log_ndtr
from torch import Tensor, nn

from lmlib.data.tokenizers import Tokenizer
from lmlib.losses import bits
from lmlib.models.gpt import GPT
from lmlib.transformer import Cache

TEMPLATE = "The access code of station {name} is "
_AT_ONCE = 512  # contexts: their logits are the largest array here


class Canary(NamedTuple):
    prompt: str
    code: str

    @property
    def text(self) -> str:
        return f"{self.prompt}{self.code}."


def canaries(
    n: int, *, digits: int = 4, seed: int = 0, template: str = TEMPLATE
) -> list[Canary]:
    """Sentences with `digits` secret digits each, about stations of different names.

    All codes are equally likely, and drawn apart from the names: without memory the
    rank of a code among the 10^digits has each value equally often.

    Raises:
        ValueError: n or digits below 1, no {name} in the template, or more names asked
            for than there are.
    """
    if n < 1 or digits < 1:
        raise ValueError(f"n and digits must be 1 or more, got {n} and {digits}")
    if "{name}" not in template:
        raise ValueError(f"template must have a place for {{name}}, got {template!r}")
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    if n > len(syllables) ** 2:
        raise ValueError(f"n must be at most {len(syllables) ** 2} names, got {n}")
    rng = np.random.default_rng(seed)
    firsts, seconds = np.divmod(
        rng.choice(len(syllables) ** 2, n, replace=False), len(syllables)
    )
    codes = rng.integers(10**digits, size=n)
    return [
        Canary(
            template.replace("{name}", syllables[a] + syllables[b]), f"{c:0{digits}d}"
        )
        for a, b, c in zip(firsts, seconds, codes, strict=True)
    ]


def exposure(costs: Float[Tensor, " n"], index: int) -> float:
    """log₂ n − log₂ rank, in bits, of the secret that is `index`-th of n.

    `costs` are those of all secrets that could have been drawn. The rank is 1 and as
    many more as are strictly cheaper.

    Raises:
        ValueError: no costs, or no such index.
    """
    if not 0 <= index < len(costs):
        raise ValueError(f"index must be one of {len(costs)} secrets, got {index}")
    rank = 1 + int((costs < costs[index]).sum())
    return math.log2(len(costs)) - math.log2(rank)


@torch.no_grad()
def code_bits(
    model: GPT, tokenizer: Tokenizer, prompt: str, codes: Sequence[str]
) -> Float[Tensor, " n"]:
    """The bits of each code after the prompt, a document's beginning, all at once.

    The prompt is read once and kept in a cache. Codes that differ in their last token
    alone are read off one distribution.
    The model is taken in the mode that it is in.

    Raises:
        ValueError: no codes, or a code without a token of its own.
    """
    if not codes:
        raise ValueError("codes must not be empty")
    texts = [prompt, *(prompt + code for code in codes)]
    given, *rows = [[tokenizer.special.bos, *tokenizer.encode(t)] for t in texts]
    # A blank at the prompt's end may be a part of the codes' first token.
    columns = zip(given, *rows, strict=False)
    n_shared = sum(takewhile(bool, (len(set(column)) == 1 for column in columns)))
    if n_shared >= min(map(len, rows)):
        raise ValueError("each code must add a token to the prompt")
    device = next(model.parameters()).device
    shared = Cache()
    first = model(
        torch.tensor([rows[0][:n_shared]], device=device), cache=shared, last_only=True
    )[:, -1]
    tails = [tuple(map(int, row[n_shared:])) for row in rows]
    total = torch.zeros(len(rows), device=device)
    for depth in range(max(map(len, tails))):
        places: dict[tuple[int, ...], list[int]] = {}
        for i, tail in enumerate(tails):
            if len(tail) > depth:
                places.setdefault(tail[:depth], []).append(i)
        contexts = list(places)
        for begin in range(0, len(contexts), _AT_ONCE):
            some = contexts[begin : begin + _AT_ONCE]
            logits = first
            if depth:
                cache = shared.fork()
                cache.keep(torch.zeros(len(some), dtype=torch.long, device=device))
                new = torch.tensor(some, device=device)
                logits = model(new, cache=cache, last_only=True)[:, -1]
            costs = bits(-logits.log_softmax(dim=-1))
            for row, context in zip(costs, some, strict=True):
                here = places[context]
                total[here] += row[[tails[i][depth] for i in here]]
    return total


# -- DP-SGD ---------------------------------------------------------------------------


def noisy_gradient(
    model: nn.Module,
    losses: Iterable[Tensor],
    *,
    clip: float,
    noise: float,
    generator: torch.Generator | None = None,
) -> None:
    """Give each parameter the mean of the examples' clipped gradients, with noise.

    The gradient of each loss, over all parameters together, is made no longer than
    `clip`; Gaussian noise of standard deviation `noise`·`clip` is added to each
    coordinate of their sum. `losses` may be made one at a time, as they are asked for.

    Raises:
        ValueError: no losses, clip not above 0 or noise below 0.
    """
    if not (clip > 0 and noise >= 0):
        raise ValueError(
            f"clip must be above 0 and noise not below, got {clip} and {noise}"
        )
    parameters = [p for p in model.parameters() if p.requires_grad]
    sums = [torch.zeros_like(p) for p in parameters]
    n = 0
    for loss in losses:
        gradients = torch.autograd.grad(
            loss, parameters, allow_unused=True, materialize_grads=True
        )
        length = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g) for g in gradients])
        )
        factor = (clip / length.clamp(min=clip)).item()
        for total, gradient in zip(sums, gradients, strict=True):
            total.add_(gradient, alpha=factor)
        n += 1
    if not n:
        raise ValueError("losses must not be empty")
    for p, total in zip(parameters, sums, strict=True):
        if noise:
            drawn = torch.randn(total.shape, generator=generator, dtype=total.dtype)
            total += noise * clip * drawn.to(total.device)
        p.grad = total / n


def epsilon(noise: float, *, delta: float = 1e-5) -> float:
    """The ε that one pass of `noisy_gradient` over the text promises with this δ.

    In one pass each example is in one noisy sum, which differs by at most `clip` with
    and without it: the Gaussian mechanism, whose exact δ of ε is theorem 8 of Balle and
    Wang (2018). Taking the example away leaves the sum's divisor as it is. With several
    passes, or k copies in different rows, more is lost.

    Raises:
        ValueError: noise not above 0, or delta outside (0, 1).
    """
    if not (noise > 0 and 0 < delta < 1):
        raise ValueError(
            f"noise must be above 0 and delta in (0, 1), got {noise} and {delta}"
        )

    def excess(e: float) -> float:
        a, b = 0.5 / noise - e * noise, -0.5 / noise - e * noise
        return float(np.exp(log_ndtr(a)) - np.exp(e + log_ndtr(b))) - delta

    if excess(0.0) <= 0:
        return 0.0
    highest = 1.0
    while excess(highest) > 0:
        highest *= 2
    return float(brentq(excess, 0.0, highest))
