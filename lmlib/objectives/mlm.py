"""Masked language modelling: fill in what was hidden, from both sides (BERT).

Of the tokens 15 % are targets. Of those 80 % are replaced by [MASK], 10 % by a random
token and 10 % stay, since at fine-tuning there is no [MASK], and the model should keep
a representation of every token (Devlin et al. 2019, section 3.1 and appendix A.1).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from lmlib.losses import IGNORE, cross_entropy
from lmlib.objectives.objective import (
    Batch,
    Head,
    Heads,
    Sequences,
    Use,
    at_targets,
    forward,
    generator,
    n_targets,
)
from lmlib.objectives.sequences import Ids

Flags = NDArray[np.bool_]


def choose_tokens(
    maskable: Flags, share: float, rng: np.random.Generator, word_starts: Flags
) -> Flags:
    """Which tokens become targets, bool [batch, length]: whole words at random.

    In each row the words stand in random order, and those are taken that lie at least
    half within the first round(share · maskable tokens), and the first one in any case.
    With words of one token each, so many tokens exactly, and at least one.

    A word runs from one of `word_starts` to the next, or to what is not maskable.
    """
    starts = word_starts | ~maskable
    starts[:, 0] = True
    starts[:, 1:] |= ~maskable[:, :-1]
    words = (np.cumsum(starts) - 1).reshape(starts.shape)  # numbered through the batch
    n_words = int(words[-1, -1]) + 1
    order = np.argsort(
        np.where(maskable, rng.random(n_words)[words], 2.0), axis=1, kind="stable"
    )
    words = np.take_along_axis(words, order, axis=1)  # now each word lies in one piece
    rank = np.arange(maskable.shape[1])
    begins = np.ones_like(maskable)
    begins[:, 1:] = words[:, 1:] != words[:, :-1]
    first = np.maximum.accumulate(np.where(begins, rank, 0), axis=1)
    middle = first + np.bincount(words.ravel())[words] / 2
    n_maskable = maskable.sum(axis=1, keepdims=True)
    taken = (middle <= np.rint(share * n_maskable)) | (first == 0)
    chosen = np.empty_like(maskable)
    np.put_along_axis(chosen, order, taken & (rank < n_maskable), axis=1)
    return chosen


def mask_tokens(
    token_ids: Ids,
    chosen: Flags,
    mask: int,
    replacements: NDArray[np.integer[Any]],
    rng: np.random.Generator,
    *,
    mask_share: float = 0.8,
    random_share: float = 0.1,
) -> tuple[Ids, Ids]:
    """Inputs and targets: the chosen tokens masked, replaced or kept; all are targets.

    Each chosen token becomes `mask` with probability `mask_share`, one of
    `replacements` with `random_share`, and stays otherwise.
    """
    targets = np.where(chosen, token_ids, IGNORE)
    n = int(chosen.sum())
    fate = rng.random(n)
    random_ids = replacements[rng.integers(len(replacements), size=n)]
    new = np.where(fate < mask_share + random_share, random_ids, token_ids[chosen])
    new = np.where(fate < mask_share, mask, new)
    inputs = token_ids.copy()
    inputs[chosen] = new
    return inputs, targets


def masked_lm_loss(
    head: Head,
    hidden: Float[Tensor, "batch length d_model"],
    targets: Int[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """The sum over the targets alone; `head` is applied to those positions alone."""
    at, wanted = at_targets(hidden, targets)
    return cross_entropy(head(at), wanted, reduction="sum")


class MaskedLM:
    """Part "mlm", on the rows of `sequences`, and whatever parts those have.

    On `PackedSequences` this is RoBERTa's objective, on `NextSentence` BERT's, on
    `SentenceOrder` ALBERT's (without its n-grams); there is one forward pass for both
    parts.

    Special tokens are never targets and never drawn as replacements.

    Parameters:
        vocab_size: random replacements are drawn from 0 … vocab_size − 1.
        share: of the tokens that are not special, to be targets.
        mask_share, random_share: of the targets; the rest stay as they are.
        whole_words: all tokens of a word are targets, or none.
        copies: None masks anew in each epoch (dynamic, RoBERTa). A number makes masks
            static, as BERT's were: the batches of so many epochs, with their masks,
            are repeated for ever (BERT: 10 copies).

    Raises:
        ValueError: a share is not in 0 … 1, or the vocabulary has no ordinary token.
    """

    def __init__(
        self,
        sequences: Sequences,
        *,
        vocab_size: int,
        share: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        whole_words: bool = False,
        copies: int | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share}")
        shares = (mask_share, random_share)
        if not (min(shares) >= 0 and sum(shares) <= 1 + 1e-9):  # nor NaN
            raise ValueError(
                "mask_share and random_share must not be negative nor add to more than "
                f"1, got {mask_share} and {random_share}"
            )
        if copies is not None and copies < 1:
            raise ValueError(f"copies must be None or at least 1, got {copies}")
        self.sequences, self.special = sequences, sequences.special
        self.batch_size, self.n_rows = sequences.batch_size, sequences.n_rows
        self.share, self.mask_share, self.random_share = share, mask_share, random_share
        self.whole_words, self.copies, self.seed = whole_words, copies, seed
        self._special = np.array(self.special.ids)
        self._ordinary = np.setdiff1d(np.arange(vocab_size), self._special)
        if len(self._ordinary) == 0:
            raise ValueError(f"a vocabulary of {vocab_size} has only special tokens")

    def batch(self, step: int) -> Batch:
        if self.copies is not None:
            step %= -(-self.copies * self.n_rows // self.batch_size)
        return self._masked(
            self.sequences.batch(step), generator(self.seed, step, Use.MASKS)
        )

    def evaluation_batches(self) -> Iterator[Batch]:
        """One epoch of `sequences`, each time with the same masks."""
        for i, batch in enumerate(self.sequences.evaluation_batches()):
            rng = generator(self.seed, i, Use.MASKS, evaluation=True)
            yield self._masked(batch, rng)

    def counts(self, batch: Batch) -> dict[str, int]:
        return {**self.sequences.counts(batch), "mlm": n_targets(batch["targets"])}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        return self.losses_at(model.heads, forward(model, batch), batch)

    def losses_at(
        self, heads: Heads, hidden: Float[Tensor, "b n d"], batch: Batch
    ) -> dict[str, Tensor]:
        return {
            **self.sequences.losses_at(heads, hidden, batch),
            "mlm": masked_lm_loss(heads["mlm"], hidden, batch["targets"]),
        }

    def _masked(self, batch: Batch, rng: np.random.Generator) -> Batch:
        ids, word_starts = batch["token_ids"].numpy(), batch["word_starts"].numpy()
        maskable = ~np.isin(ids, self._special)
        if not self.whole_words:
            word_starts = np.ones_like(maskable)
        inputs, targets = mask_tokens(
            ids,
            choose_tokens(maskable, self.share, rng, word_starts),
            self.special.mask,
            self._ordinary,
            rng,
            mask_share=self.mask_share,
            random_share=self.random_share,
        )
        return {
            **batch,
            "token_ids": torch.from_numpy(inputs),
            "targets": torch.from_numpy(targets),
        }
