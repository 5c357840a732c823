"""What a masked model's conditionals add up to, on texts short enough to try them all.

Π p(xᵢ | the others) looks like the probability of a text and is none: over all texts
of two tokens it adds up to more than 1, and 2^(−bits) of a code adds up to 1 at most
(Kraft 1949). Besag (1975) named the product: a pseudo-likelihood.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmlib.data.corpus import SpecialTokens


@torch.inference_mode()
def pair_conditionals(
    model: Any,
    special: SpecialTokens,
    ids: Int[Tensor, " k"],
    *,
    batch_size: int = 256,
) -> tuple[Float[Tensor, "k k"], Float[Tensor, "k k"]]:
    """log p(x₁ = i | x₂ = j) and log p(x₂ = j | x₁ = i), both at [i, j], in nats.

    Each from one row [CLS] x₁ x₂ [SEP] with a [MASK] in the place that is asked, so
    that k² texts take 2·k rows. No other token than `ids` can come: the probabilities
    are normalised over them.

    Parameters:
        model: with a head "mlm", in evaluation mode.
        ids: the vocabulary of the texts.
    """
    device = next(model.parameters()).device
    ids = ids.to(device)

    def asked(place: int) -> Tensor:
        """[k, k]: row n is log p(· at `place` | ids[n] at the other one)."""
        rows = torch.full((len(ids), 4), special.mask, device=device)
        rows[:, 0], rows[:, 3] = special.cls, special.sep
        rows[:, 3 - place] = ids
        pieces = []
        for part in rows.split(batch_size):
            hidden = model.backbone(part).hidden[:, place]
            pieces.append(model.heads["mlm"](hidden)[:, ids].log_softmax(dim=-1))
        return torch.cat(pieces)

    return asked(1).T, asked(2)


def log2_kraft_sum(log_p: Float[Tensor, "..."]) -> float:
    """log₂ Σ exp(log_p): the bits by which each text is too cheap for a code.

    0 for a distribution. A positive number is what every text would have to cost more,
    so that the lengths −log₂ p were those of a code.
    """
    return torch.logsumexp(log_p.double().flatten(), dim=0).item() / math.log(2)


def inconsistency(
    first: Float[Tensor, "a b"], second: Float[Tensor, "a b"]
) -> Float[Tensor, "a b"]:
    """What no joint distribution explains of log p(x₁|x₂) − log p(x₂|x₁), in bits.

    With a joint the difference is log p(x₁) − log p(x₂), a row's number plus a
    column's. This is what is left of it after the best row and column numbers, by
    least squares: all 0 if and only if one joint has both conditionals.
    """
    difference = (first - second).double() / math.log(2)
    rows = difference.mean(dim=1, keepdim=True)
    columns = difference.mean(dim=0, keepdim=True)
    return difference - rows - columns + difference.mean()
