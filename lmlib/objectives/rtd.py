"""Replaced-token detection: which of these words did a small model make up? (ELECTRA)

A generator, small, fills in masked tokens, and is trained to (masked LM). What it
samples goes into the text, and the discriminator tells for *every* token whether it was
replaced: a signal from all tokens instead of 15 %. No gradient flows through the
sampling, and so none from the discriminator to the generator.
Source: Clark et al. (2020), "ELECTRA", section 2.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmlib.losses import IGNORE, binary_cross_entropy, cross_entropy
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.objective import (
    Batch,
    Head,
    Use,
    at_targets,
    forward,
    generator,
    one_logit,
)
from lmlib.objectives.sequences import real_tokens


def sample_tokens(
    logits: Float[Tensor, "n vocab"], uniform: Float[Tensor, " n"]
) -> Int[Tensor, " n"]:
    """One token for each row, drawn from softmax(logits), without a gradient.

    By inversion of the cumulated probabilities: `uniform` in [0, 1) is all the
    randomness there is, the same on every device.
    """
    with torch.no_grad():
        probabilities = logits.detach().float().softmax(dim=-1)
        # A GPU adds in another order for each position: its sums can rise where the
        # probability is 0. Right of equal values: never such a token.
        cumulated = probabilities.cumsum(dim=-1).masked_fill(probabilities == 0, 0.0)
        cumulated = cumulated.cummax(dim=-1).values
        # The last sum is 1 up to rounding.
        below = uniform[:, None].float() * cumulated[:, -1:]
        found = torch.searchsorted(cumulated, below, right=True).squeeze(-1)
        return found.clamp(max=logits.shape[-1] - 1)


def replace_tokens(
    token_ids: Int[Tensor, "batch length"],
    targets: Int[Tensor, "batch length"],
    sampled: Int[Tensor, " n"],
) -> tuple[Int[Tensor, "batch length"], Bool[Tensor, "batch length"]]:
    """The text with `sampled` where there are targets, and what in it is replaced.

    A sampled token that equals the original is original (section 2 of the paper).
    """
    masked = targets != IGNORE
    original = torch.where(masked, targets, token_ids)
    corrupted = original.masked_scatter(masked, sampled.to(original.dtype))
    return corrupted, corrupted != original


def replaced_token_loss(
    head: Head,
    hidden: Float[Tensor, "batch length d_model"],
    replaced: Bool[Tensor, "batch length"],
    real: Bool[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """The sum over all real tokens, not over the masked ones alone.

    Raises:
        ValueError: `head` gives something else than one logit for each token.
    """
    wanted = replaced[real]
    logits = one_logit("rtd", head(hidden[real]), len(wanted))
    return binary_cross_entropy(logits, wanted, reduction="sum")


# -- What the labels can tell ---------------------------------------------------------


def label_bits(
    p: Float[Tensor, "*places vocab"],
    g: Float[Tensor, "*places vocab"],
    share: float,
    *,
    label: Literal["replaced", "masked"] = "replaced",
) -> Float[Tensor, "*places"]:
    """Bits that the token at a place tells a perfect detector about its label.

    The true token has distribution `p`; with probability `share` the place is masked
    and shows a sample of `g` instead. What is told is the mutual information of token
    and label. ELECTRA's label "replaced" calls a sample that equals the true token
    original; Electric's label is whether the place was "masked".

    Raises:
        ValueError: `share` is not between 0 and 1.
    """
    _check_share(share)
    if label == "replaced":
        yes, no = share * g * (1 - p), p * (1 - share + share * g)
    else:
        yes, no = share * g, (1 - share) * p
    joint = torch.stack((yes, no), dim=-1)  # [*places, vocab, 2]
    # Of the label, and of the token, less that of both.
    nats = (
        torch.special.entr(joint.sum(-2)).sum(-1)
        + torch.special.entr(joint.sum(-1)).sum(-1)
        - torch.special.entr(joint).sum((-1, -2))
    )
    return nats / math.log(2)


def probability_from_detector(
    p_replaced: Float[Tensor, "*shape"], g: Float[Tensor, "*shape"], share: float
) -> Float[Tensor, "*shape"]:
    """The probability of a token that a perfect detector of replacements implies.

    `p_replaced` is what it says of the token, `g` the generator's probability of that
    token, above 0. From the odds o = share·g·(1 − p) / (p·(1 − share + share·g)):
    p = share·g / (share·g + o·(1 − share + share·g)).

    Raises:
        ValueError: `share` is not between 0 and 1.
    """
    _check_share(share)
    # Both sides times 1 − p_replaced, which may be 0.
    sampled = share * g * (1 - p_replaced)
    return sampled / (sampled + p_replaced * (1 - share + share * g))


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")


# -- The objective --------------------------------------------------------------------


class ReplacedTokens:
    """Parts "mlm", of the generator, and "rtd", of the discriminator.

    The model is the discriminator with `heads["rtd"]`, one logit for each token, and
    `heads["generator"]`: a model itself, with its own `heads["mlm"]`. What is kept
    after pre-training is the discriminator.

    Parameters:
        masked: rows and masks. ELECTRA masks with [MASK] alone:
            `MaskedLM(..., mask_share=1, random_share=0)`.
        weight: of the discriminator's loss in what is minimised, 50 in the paper: a
            binary loss is small beside one over a vocabulary.

    Raises:
        ValueError: a negative weight.
    """

    def __init__(
        self, masked: MaskedLM, *, weight: float = 50.0, seed: int = 0
    ) -> None:
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}")
        self.masked, self.seed = masked, seed
        self.weights = {"rtd": weight}

    def batch(self, step: int) -> Batch:
        return _with_dice(self.masked.batch(step), generator(self.seed, step, Use.DICE))

    def evaluation_batches(self) -> Iterator[Batch]:
        """One epoch, each time with the same masks and the same dice."""
        for i, batch in enumerate(self.masked.evaluation_batches()):
            rng = generator(self.seed, i, Use.DICE, evaluation=True)
            yield _with_dice(batch, rng)

    def counts(self, batch: Batch) -> dict[str, int]:
        return {**self.masked.counts(batch), "rtd": int(real_tokens(batch).sum())}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        small, targets = model.heads["generator"], batch["targets"]
        at, wanted = at_targets(forward(small, batch), targets)
        logits = small.heads["mlm"](at)
        sampled = sample_tokens(logits, batch["dice"][targets != IGNORE])
        corrupted, replaced = replace_tokens(batch["token_ids"], targets, sampled)
        hidden = forward(model, {**batch, "token_ids": corrupted})
        real = real_tokens(batch)
        return {
            **self.masked.sequences.losses_at(model.heads, hidden, batch),
            "mlm": cross_entropy(logits, wanted, reduction="sum"),
            "rtd": replaced_token_loss(model.heads["rtd"], hidden, replaced, real),
        }


def _with_dice(batch: Batch, rng: np.random.Generator) -> Batch:
    """Beside each token a number in [0, 1), for `sample_tokens`."""
    shape = tuple(batch["token_ids"].shape)
    return {**batch, "dice": torch.from_numpy(rng.random(shape, np.float32))}
