"""What a masked model's loss is worth in bits: of one share hidden, and of them all.

The loss at 15 % hidden is no code length: each token is told by tokens that a receiver
would not have yet. But let sender and receiver share a random order and reveal one
token after the other. With m of a row's n tokens still hidden the next one is any of
them, with equal chances; its expected cost is L(m), the mean loss of a hidden token
when m chosen at random are hidden. The row costs L(1) + … + L(n), the area under the
curve of loss against number hidden (Hoogeboom et al. 2022, section 3).
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lmlib.losses import bits
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.objective import Sequences


@torch.inference_mode()
def bits_by_share(
    model: Any,
    sequences: Sequences,
    shares: Sequence[float],
    *,
    vocab_size: int,
    batches: int,
    seed: int = 0,
) -> list[float]:
    """Bits per hidden token when a share of the tokens is hidden, for each of `shares`.

    Every hidden token is a [MASK]: a random or kept one would tell something. The rows
    are those of the first `batches` steps of `sequences`, in all shares the same.

    Parameters:
        model: in evaluation mode, with a head "mlm".
        shares: above 0 and at most 1; of the tokens that are not special, at least one
            is hidden in each row.
        seed: of which tokens are hidden.
    """
    device = next(model.parameters()).device
    found = []
    for share in shares:
        objective = MaskedLM(
            sequences,
            vocab_size=vocab_size,
            share=share,
            mask_share=1.0,
            random_share=0.0,
            seed=seed,
        )
        total, n = 0.0, 0
        for step in range(batches):
            batch = {k: v.to(device) for k, v in objective.batch(step).items()}
            total += objective.losses(model, batch)["mlm"].item()
            n += objective.counts(batch)["mlm"]
        found.append(bits(total / n))
    return found


def random_order_bits(nats: Sequence[float]) -> float:
    """Bits of a row that is revealed in a random order, one token after the other.

    Parameters:
        nats: `nats[m - 1]` is the mean loss of a hidden token when m are hidden, for
            m = 1 … n, all of the row.

    Raises:
        ValueError: there is none.
    """
    if len(nats) == 0:
        raise ValueError("nats must have an entry for each token of the row, got none")
    return bits(float(sum(nats)))


def probability_as_seen(
    q: Float[Tensor, "..."],
    vocab_size: int,
    *,
    kept: float = 0.1,
    random: float = 0.1,
) -> Float[Tensor, "..."]:
    """P(the original is the token that is seen | a target, and not masked), by Bayes.

    To see v, it was v and was kept or drawn by chance, q·(kept + random/V), or it was
    another and v was drawn, (1 − q)·random/V.

    Parameters:
        q: what the context gives the token that is seen.
        kept, random: the shares of the targets that stay, and that are replaced by one
            of `vocab_size` tokens, alike in probability.

    Raises:
        ValueError: one of q or of the shares is no probability, or no token can be
            seen: both shares are 0.
    """
    if bool(((q < 0) | (q > 1)).any()):
        raise ValueError("q must be in 0 … 1")
    if not (min(kept, random) >= 0 and 0 < kept + random <= 1):
        raise ValueError(
            "kept and random must not be negative, and add to more than 0 and at most "
            f"1, got {kept} and {random}"
        )
    by_chance = random / vocab_size
    return q * (kept + by_chance) / (q * kept + by_chance)
