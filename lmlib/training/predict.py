"""What a fine-tuned model says of texts that nobody has labelled."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmlib.data.tokenizers import Tokenizer
from lmlib.losses import IGNORE
from lmlib.training.finetune import forward, inputs
from lmlib.training.tasks import Example, HeldOut, Kind, Task


@torch.no_grad()
def predict(
    model: Any,
    examples: Sequence[Example],
    kind: Kind,
    tokenizer: Tokenizer,
    *,
    length: int,
    batch_size: int = 32,
) -> list[NDArray[np.float64]]:
    """The probabilities of the classes of each example, whatever it says is wanted.

    The model is taken as it is, such as `lmlib.training.saved.load` gives it, without
    dropout. A text of more than `length` tokens is cut off, as in training.

    Returns:
        [classes] for a text or a pair. For tagging [words, classes], and nan for a word
        that was cut off, or that has no token.

    Raises:
        ValueError: a kind without classes (generation), or a batch_size below 1.
        FloatingPointError: the model gives what is no number.
    """
    if kind == "generation":
        raise ValueError("kind must have classes, got generation")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    device = next(model.parameters()).device
    # Each word of a text wants its own number, to be found again among the tokens.
    asked = [
        replace(e, wanted=tuple(range(len(e.text.split()))) if kind == "tagging" else 0)
        for e in examples
    ]
    nothing = [Example("a", (0,) if kind == "tagging" else 0, "b" * (kind == "pairs"))]
    task = Task(kind, ("",), nothing, nothing, HeldOut([]))
    found: list[NDArray[np.float64]] = [np.empty(0)] * len(asked)
    # Similar lengths together: less padding.
    order = sorted(
        range(len(asked)), key=lambda i: len(asked[i].text) + len(asked[i].second)
    )
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        some = [asked[i] for i in chosen]
        batch = inputs(some, task, tokenizer, model, length=length)
        logits, words = forward(model, {k: v.to(device) for k, v in batch.items()})
        shares = logits.double().softmax(dim=-1).cpu().numpy()
        if not np.isfinite(shares).all():
            raise FloatingPointError("the model gives what is no number: it is damaged")
        if kind != "tagging":
            found_here = list(shares)
        else:
            rows = (batch["targets"] != IGNORE).nonzero()[:, 0].numpy()
            found_here = []
            for row, example in enumerate(some):
                own = np.full((len(example.text.split()), shares.shape[1]), np.nan)
                own[words.cpu().numpy()[rows == row]] = shares[rows == row]
                found_here.append(own)
        for i, one in zip(chosen, found_here, strict=True):
            found[i] = one
    return found
