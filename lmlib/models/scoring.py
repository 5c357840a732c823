"""Bits of a text after another, and choices made by them (sections 6.1 and 6.4)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmlib.losses import bits, cross_entropy
from lmlib.models.gpt import GPT


@torch.no_grad()
def continuation_bits(
    model: GPT,
    context: Int[Tensor, "batch past"],
    continuation: Int[Tensor, "batch n"],
) -> Float[Tensor, "batch n"]:
    """−log₂ of each token's probability after the context and the tokens before it.

    The model is taken in the mode that it is in: call its `eval()` to have no dropout.

    Raises:
        ValueError: the context is empty (begin a text with the tokenizer's bos), or
            both are longer than the model's positions.
    """
    if context.shape[1] == 0:
        raise ValueError("context must not be empty: begin with the bos token")
    seen = torch.cat((context, continuation[:, :-1]), dim=1)
    longest = model.backbone.config.longest
    if longest is not None and seen.shape[1] > longest:
        raise ValueError(
            f"context and continuation must have at most {longest + 1} tokens, got "
            f"{context.shape[1]} + {continuation.shape[1]}"
        )
    logits = model(seen)[:, context.shape[1] - 1 :]
    return bits(cross_entropy(logits, continuation, reduction="none"))
