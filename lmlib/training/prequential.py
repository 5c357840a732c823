"""The price of labels, in bits, without a bill for the model (section 3.3).

A two-part code sends a model and then the data, and the numbers of a fine-tuned
network cost more than any set of labels. A prequential code sends no model: label k is
coded by a model trained on labels 1 … k − 1, which a receiver, who has decoded them,
trains just as well. The sum of −log₂ p(label k | those before it) is a file size.

To train for each label would take long; so a model codes a whole block.

Source: Blier & Ollivier (2018), "The Description Length of Deep Learning Models"; for
blocks Voita & Titov (2020), "Information-Theoretic Probing with Minimum Description
Length".
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from lmlib.training.tasks import Example

Predict = Callable[[Sequence[Example]], Float[Tensor, "n classes"]]
Fit = Callable[[Sequence[Example]], Predict]


def prequential_bits(
    fit: Fit,
    examples: Sequence[Example],
    blocks: Sequence[int],
    n_classes: int,
    *,
    uniform: float = 0.01,
) -> list[float]:
    """The bits that the first n labels take, for each n of `blocks`.

    Parameters:
        fit: trains on examples and gives a function from examples to probabilities.
        examples: in the order in which they are coded; `wanted` is a class.
        blocks: where blocks end, rising. The first is coded with equal probabilities.
        n_classes: what a class is one of.
        uniform: the share of equal probabilities in each prediction: a class that a
            model rules out would cost infinitely much.

    Raises:
        ValueError: blocks do not rise from 1 or more to the number of examples or less,
            or probabilities are not of shape (n, n_classes) with rows that sum to 1.
    """
    ends = [0, *blocks]
    if not blocks or any(a >= b for a, b in pairwise(ends)) or ends[-1] > len(examples):
        raise ValueError(
            f"blocks must rise, from 1 or more to {len(examples)} or less, got {blocks}"
        )
    total, bits = 0.0, []
    for start, end in pairwise(ends):
        block = examples[start:end]
        given = torch.full((len(block), n_classes), 1 / n_classes)
        if start:
            given = fit(examples[:start])(block).detach().double().cpu()
        if given.shape != (len(block), n_classes) or not torch.allclose(
            given.sum(dim=1), given.new_ones(len(block)), atol=1e-4
        ):
            raise ValueError(
                f"probabilities must be of shape ({len(block)}, {n_classes}), with "
                f"rows that sum to 1, got shape {tuple(given.shape)}"
            )
        mixed = (1 - uniform) * given + uniform / n_classes
        wanted = torch.tensor([example.wanted for example in block])
        total -= mixed[torch.arange(len(block)), wanted].log2().sum().item()
        bits.append(total)
    return bits
