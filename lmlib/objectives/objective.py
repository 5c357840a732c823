"""What the training loop needs to know of an objective, and nothing else.

A batch is a dict of tensors whose first dimension is the batch: `token_ids` always;
where they apply `attention_mask` (bool, True is a real token; absent where nothing is
padded), `segment_ids`, `position_ids`, `document_ids` (attention stays within equal
ones; −1 is padding); `targets` (IGNORE where there is none); `labels` of sequences.
It is a pure function of seed and step, so that a resumed run sees the same batches.

Losses are sums in nats, one for each part of an objective, beside the number of targets
of that part. The loop adds both over micro-batches and processes and divides once:
the mean over all targets, not a mean of the means of batches that differ in targets.
What is minimised is the sum of the parts' means; an objective whose parts do not count
alike has `weights`, by part, and the others count once.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmlib.data.corpus import SpecialTokens
from lmlib.losses import IGNORE

Batch = dict[str, Tensor]
Head = Callable[[Tensor], Tensor]

INPUTS = ("attention_mask", "segment_ids", "position_ids", "document_ids")


@runtime_checkable
class Heads(Protocol):
    """Heads by the name of their part: a dict or a `torch.nn.ModuleDict`."""

    def __getitem__(self, part: str, /) -> Head: ...


@runtime_checkable
class Objective(Protocol):
    """What `lmlib.training` trains on."""

    def batch(self, step: int) -> Batch:
        """The batch of a step: the same one whenever it is asked for."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """The number of targets of each part, such as {"mlm": 611, "nsp": 32}."""

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """The sum of the losses over the targets of each part, in nats.

        `model.backbone` is called with `token_ids` and those of INPUTS that the batch
        has, and gives an output with `.hidden` [batch, length, d_model]; `model.heads`
        holds the head of each part by name.
        """


def minimised(
    objective: Objective, means: Mapping[str, Float[Tensor, ""]]
) -> Float[Tensor, ""]:
    """The sum of the parts' means, each times its weight in `objective.weights`.

    Raises:
        ValueError: a weight of a part that there is not.
    """
    weights: Mapping[str, float] = getattr(objective, "weights", {})
    if unknown := weights.keys() - means.keys():
        raise ValueError(
            f"objective has weights for {sorted(unknown)}, losses for {sorted(means)}"
        )
    return torch.stack([weights.get(p, 1.0) * mean for p, mean in means.items()]).sum()


@runtime_checkable
class Sequences(Objective, Protocol):
    """An objective on sequences of tokens, possibly without any part of its own.

    Masking works on top of it, and both share one forward pass. Its batches also have
    `word_starts`, bool [batch, length].
    """

    special: SpecialTokens
    batch_size: int
    n_rows: int  # in an epoch

    def evaluation_batches(self) -> Iterator[Batch]:
        """One epoch, the same every time; the last batch may be smaller."""

    def losses_at(
        self, heads: Heads, hidden: Float[Tensor, "b n d"], batch: Batch
    ) -> dict[str, Tensor]:
        """`losses`, given the hidden states of the forward pass."""


def forward(model: Any, batch: Batch) -> Float[Tensor, "batch length d_model"]:
    """The hidden states of the last layer for the inputs in `batch`."""
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    return model.backbone(batch["token_ids"], **inputs).hidden


def at_targets(
    hidden: Float[Tensor, "batch length d_model"], targets: Int[Tensor, "batch length"]
) -> tuple[Float[Tensor, "n d_model"], Int[Tensor, " n"]]:
    """Hidden states and targets at the positions that have one.

    A head costs d_model × vocabulary for each position; applied to the 15 % that are
    masked it costs 15 % of that, and the loss is the same.
    """
    counted = targets != IGNORE
    return hidden[counted], targets[counted]


def one_logit(part: str, logits: Tensor, n: int) -> Float[Tensor, " n"]:
    """The logits of a head that says yes or no, [n] or [n, 1], as [n].

    Raises:
        ValueError: the head gives something else than one logit for each token.
    """
    if logits.shape not in ((n,), (n, 1)):
        raise ValueError(
            f"head {part!r} must give one logit for each of {n} tokens, got a tensor "
            f"of shape {tuple(logits.shape)}"
        )
    return logits.reshape(n)


def n_targets(targets: Int[Tensor, "batch length"]) -> int:
    return int((targets != IGNORE).sum())


class Use(IntEnum):
    """What random numbers are for: each use in a step has its own."""

    ROWS = 0
    ORDER = 1
    MASKS = 2
    DICE = 3


def generator(
    seed: int, step: int, use: Use = Use.ROWS, *, evaluation: bool = False
) -> np.random.Generator:
    """The random numbers for one use in one step: `default_rng([seed, step, …])`.

    Raises:
        ValueError: a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    return np.random.default_rng([seed, step, use, evaluation])
