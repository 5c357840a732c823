"""Bits of a text, alone or after another (sections 6.1, 6.4 and 7.2)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmlib.data.tokenizers import Tokenizer
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


@torch.no_grad()
def rolling_bits(
    model: GPT,
    token_ids: Int[Tensor, " n"],
    *,
    bos: int,
    window: int,
    stride: int,
    batch_size: int = 64,
) -> Float[Tensor, " n"]:
    """−log₂ of each token's probability in a text that may be longer than the model.

    The text begins with `bos`. The first window reads `window` tokens; each further one
    ends `stride` tokens later and predicts those alone, so that a token is predicted
    once, after at least window − stride others. With stride = window nothing but the
    last token of the window before is seen again, as in lm-evaluation-harness. The last
    window is moved back, for as much context as it can have.

    Raises:
        ValueError: stride is not in 1 … window, or window exceeds the positions.
    """
    if not 1 <= stride <= window:
        raise ValueError(f"stride must be in 1 … {window}, got {stride}")
    longest = model.backbone.config.longest
    if longest is not None and window > longest:
        raise ValueError(f"window must be at most {longest}, got {window}")
    n = len(token_ids)
    seen = torch.cat((token_ids.new_tensor([bos]), token_ids))
    ends = [*range(min(window, n), n, stride), n] if n else []
    cost = torch.empty(n, device=token_ids.device)
    scored = 0
    for i in range(0, len(ends), batch_size):
        some = ends[i : i + batch_size]
        rows = torch.stack([seen[max(end - window, 0) : end + 1] for end in some])
        for end, costs in zip(
            some, continuation_bits(model, rows[:, :1], rows[:, 1:]), strict=True
        ):
            cost[scored:end] = costs[scored - end :]
            scored = end
    return cost


def text_bits(
    model: GPT,
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str, str]],
    *,
    batch_size: int = 64,
) -> list[Float[Tensor, " n"]]:
    """For each pair of texts, the bits of the second one's tokens after the first.

    The first begins with the tokenizer's bos token, and may be empty. Pairs of similar
    lengths are read together, padded at the end, which a causal model does not see.

    Raises:
        ValueError: a pair is longer than the model's positions.
    """
    firsts = [[tokenizer.special.bos, *tokenizer.encode(a).tolist()] for a, _ in pairs]
    seconds = [tokenizer.encode(b).tolist() for _, b in pairs]
    length = [len(a) + len(b) for a, b in zip(firsts, seconds, strict=True)]
    order = sorted(range(len(pairs)), key=lambda i: length[i])
    device = next(model.parameters()).device
    found = [torch.empty(0)] * len(pairs)
    for begin in range(0, len(order), batch_size):
        some = order[begin : begin + batch_size]
        rows = torch.zeros(len(some), length[some[-1]], dtype=torch.long, device=device)
        for row, i in zip(rows, some, strict=True):
            row[: length[i]] = torch.tensor(firsts[i] + seconds[i])
        costs = continuation_bits(model, rows[:, :1], rows[:, 1:])
        for cost, i in zip(costs, some, strict=True):
            found[i] = cost[len(firsts[i]) - 1 : length[i] - 1]
    return found
