"""Generation: feed the model its own words (sections 1.2 and 3.2).

One pass reads the prompt; then each token costs one position, since a `Cache` keeps the
keys and values of those before.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmlib.models.gpt import GPT
from lmlib.models.t5 import T5
from lmlib.transformer import Cache


@torch.no_grad()
def generate(
    model: GPT | T5,
    token_ids: Int[Tensor, "batch length"],
    n_new: int,
    *,
    attention_mask: Bool[Tensor, "batch length"] | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    pad_id: int = 0,
    start_id: int = 0,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch total"]:
    """Continue each row of `token_ids` by up to `n_new` tokens, without dropout.

    Parameters:
        token_ids: the prompts; for a T5, what its encoder reads.
        attention_mask: False where a prompt is padded. A GPT continues at the right
            end, so that its prompts are padded on the left.
        temperature, top_k, top_p: see `sample`; the default is the likeliest token.
        eos_id: a row is finished when it has produced this; then come `pad_id`s. When
            all rows are finished, generation stops.
        start_id: what a T5's decoder starts with.

    Returns:
        For a GPT prompts and continuations; for a T5 `start_id` and the continuations.

    Raises:
        ValueError: the whole would be longer than the model's positions, a GPT's
            prompt is empty or padded on the right, or `n_new` is negative.
    """
    batch, length = token_ids.shape
    if n_new < 0:
        raise ValueError(f"n_new must not be negative, got {n_new}")
    training = model.training
    model.eval()
    try:
        if isinstance(model, T5):
            memory = model.encode(token_ids, attention_mask)
            step = _t5_step(model, memory, attention_mask)
            tokens = token_ids.new_full((batch, 1), start_id)
        else:
            longest = model.backbone.config.longest
            if longest is not None and length + n_new > longest:
                raise ValueError(
                    f"prompt and continuation must have at most {longest} positions, "
                    f"got {length} + {n_new}"
                )
            if length == 0 or (
                attention_mask is not None and not bool(attention_mask[:, -1].all())
            ):
                raise ValueError(
                    "token_ids must end in real tokens: pad prompts on the left"
                )
            step = _gpt_step(model, attention_mask)
            tokens = token_ids
        finished = torch.zeros(batch, dtype=torch.bool, device=tokens.device)
        new = tokens
        for _ in range(n_new):
            chosen = sample(
                step(new),
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                generator=generator,
            )
            chosen = chosen.masked_fill(finished, pad_id)
            new = chosen[:, None]
            tokens = torch.cat((tokens, new), dim=1)
            if eos_id is not None:
                finished = finished | (chosen == eos_id)
                if bool(finished.all()):
                    break
    finally:
        model.train(training)
    return tokens


def sample(
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " batch"]:
    """Draw a token from each row of softmax(logits / temperature).

    At temperature 0 it is the likeliest. `top_k` leaves only the k likeliest (Fan et
    al. 2018); `top_p` the fewest whose probabilities sum to p or more (Holtzman et al.
    2020), counted after top_k and temperature.

    Raises:
        ValueError: temperature below 0, top_k below 1, or top_p outside (0, 1].
    """
    if not temperature >= 0:  # nor is nan
        raise ValueError(f"temperature must not be negative, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")
    if temperature == 0:
        return logits.argmax(dim=-1)
    return torch.multinomial(
        probabilities(logits, temperature, top_k, top_p), 1, generator=generator
    )[:, 0]


def probabilities(
    logits: Float[Tensor, "batch vocab"],
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "batch vocab"]:
    """What `sample` draws from, at temperatures above 0; in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # From the likeliest down: both cuts then keep a beginning of each row.
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    # None is above 0 then: divided by the smallest temperature it may be -inf, which
    # has the probability 0, and never inf.
    ordered = ordered - ordered[:, :1]
    ordered = torch.where(ordered == 0, 0.0, ordered / temperature)
    if top_k is not None:
        ordered[:, top_k:] = -torch.inf
    ordered = ordered.softmax(dim=-1)
    if top_p is not None:
        before = ordered.cumsum(dim=-1) - ordered
        ordered = ordered.masked_fill(before >= top_p, 0.0)
        ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(ordered).scatter(-1, order, ordered)


Step = Callable[[Tensor], Tensor]  # new tokens → logits of the next


def _gpt_step(model: GPT, mask: Tensor | None) -> Step:
    cache = Cache()

    def step(new: Tensor) -> Tensor:
        nonlocal mask
        positions = None
        if mask is not None:
            if cache.length:
                mask = torch.cat((mask, mask.new_ones(len(mask), new.shape[1])), dim=1)
            # Padding on the left has no positions: each prompt starts at 0.
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -new.shape[1] :]
        return model(new, mask, positions, cache=cache, last_only=True)[:, -1]

    return step


def _t5_step(model: T5, memory: Tensor, memory_mask: Tensor | None) -> Step:
    cache = Cache()

    def step(new: Tensor) -> Tensor:
        hidden = model.decode(new, memory, memory_mask, cache=cache)
        return model.heads["lm"](hidden[:, -1])

    return step
