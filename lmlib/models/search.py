"""Beam search for the likeliest text, a few beginnings at a time (6.1 and 6.2)."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmlib.models.gpt import GPT
from lmlib.models.t5 import T5
from lmlib.transformer import Cache


@torch.no_grad()
def beam_search(
    model: GPT | T5,
    token_ids: Int[Tensor, " length"],
    n_new: int,
    *,
    width: int,
    eos_id: int | None = None,
    length_penalty: float = 0.0,
    start_id: int = 0,
) -> tuple[list[Int[Tensor, " total"]], Float[Tensor, " found"]]:
    """The best continuations of one prompt that are found with `width` beginnings.

    In each step every beginning is continued by every token. Of all these, a text that
    ends is set aside if it is among the best `width`; the best `width` that do not end
    are the next beginnings. Ranked is by Σ log p in the search, and at its end by
    Σ log p / nᵅ, with n the new tokens (the last, `eos_id`, among them) and α the
    `length_penalty`: 0 takes the likeliest, 1 the mean, and more favours the long.

    Width 1 without `eos_id` is greedy; a width of all texts is an exhaustive search.

    Parameters:
        token_ids: the prompt; for a T5, what its encoder reads. Continuations are read
            without dropout.
        n_new: the longest continuation; one that is cut off there competes with those
            that ended.
        start_id: what a T5's decoder starts with, and so its prompt.

    Returns:
        The texts with their prompt, at most `width` and the best first; of each
        Σ log p / nᵅ, in nats.

    Raises:
        ValueError: `width` or `n_new` is below 1, the penalty is negative, the prompt
            is empty, or the whole would be longer than the model's positions.
    """
    longest = model.backbone.config.longest
    prompt = token_ids if isinstance(model, GPT) else token_ids.new_tensor([start_id])
    if width < 1 or n_new < 1:
        raise ValueError(f"width and n_new must be positive, got {width}, {n_new}")
    if not length_penalty >= 0:
        raise ValueError(f"length_penalty must not be negative, got {length_penalty}")
    if len(token_ids) == 0:
        raise ValueError("token_ids must not be empty")
    if longest is not None and len(prompt) + n_new > longest:
        raise ValueError(
            f"prompt and continuation must have at most {longest} positions, "
            f"got {len(prompt)} + {n_new}"
        )
    training = model.training
    model.eval()
    try:
        read = _reader(model, token_ids)
        return _search(read, prompt, n_new, width, eos_id, length_penalty)
    finally:
        model.train(training)


Read = Callable[[Tensor, Cache], Tensor]  # new tokens of each row → logits of the next


def _reader(model: GPT | T5, token_ids: Tensor) -> Read:
    if isinstance(model, GPT):
        return lambda new, cache: model(new, cache=cache, last_only=True)[:, -1]
    memory = model.encode(token_ids[None])

    def read(new: Tensor, cache: Cache) -> Tensor:
        hidden = model.decode(new, memory.expand(len(new), -1, -1), cache=cache)
        return model.heads["lm"](hidden[:, -1])

    return read


def _search(
    read: Read,
    prompt: Tensor,
    n_new: int,
    width: int,
    eos_id: int | None,
    penalty: float,
) -> tuple[list[Tensor], Tensor]:
    cache = Cache()
    beams, scores = prompt[None], torch.zeros(1, device=prompt.device)
    new = beams
    ended: list[tuple[float, Tensor]] = []
    for n in range(1, n_new + 1):
        logits = read(new, cache)
        totals = scores[:, None] + logits.float().log_softmax(dim=-1)
        n_tokens = totals.shape[1]
        # Each beginning ends in one way: of 2·width children, width or more go on.
        best, places = totals.flatten().topk(min(2 * width, totals.numel()))
        parents, tokens = places // n_tokens, places % n_tokens
        ends = torch.full_like(tokens, n == n_new, dtype=torch.bool)
        if eos_id is not None:
            ends |= tokens == eos_id
        children = torch.cat((beams[parents], tokens[:, None]), dim=1)
        for i in ends[:width].nonzero()[:, 0].tolist():
            ended.append((float(best[i]) / n**penalty, children[i]))
        ended = sorted(ended, key=lambda pair: -pair[0])[:width]
        go_on = (~ends).nonzero()[:width, 0]
        if len(go_on) == 0:
            break
        beams, scores = children[go_on], best[go_on]
        # Σ log p only falls, and is divided by n_new^α at most.
        if len(ended) == width and ended[-1][0] >= float(scores[0]) / n_new**penalty:
            break
        cache.keep(parents[go_on])
        new = beams[:, -1:]
    return [text for _, text in ended], torch.tensor([score for score, _ in ended])
