"""Section 6: the nucleus, a penalty on repetition, and beam search."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.compressor.coding import whole_numbers
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    draw_integer,
    error_type,
    normal,
    pair,
    plain_number,
)

# Of the packages that come with the course, this one has the whole of it.
FORBIDDEN = (*LIBRARY, "transformers")

# -- nucleus --------------------------------------------------------------------------


def reference_nucleus(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError("top_p must lie in (0, 1]")
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def crossing_token_dropped(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    ordered = ordered.masked_fill(ordered.cumsum(dim=-1) > top_p + 1e-6, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def not_sorted(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    kept = p.masked_fill(p.cumsum(dim=-1) - p >= top_p, 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def from_the_least_likely_up(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def each_token_against_top_p(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    kept = p.masked_fill(p < top_p, 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def sum_left_below_one(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def softmax_of_what_is_kept(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, float("-inf")).softmax(dim=-1)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def all_equal_ones_kept(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, _ = p.sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    n = (before < top_p).sum(dim=-1, keepdim=True)
    kept = p.masked_fill(p < ordered.gather(-1, n - 1), 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def left_in_sorted_order(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, _ = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return ordered / ordered.sum(dim=-1, keepdim=True)


def one_number_for_all_rows(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    n = int(((ordered.cumsum(dim=-1) - ordered)[0] < top_p).sum())
    ordered[:, n:] = 0.0
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def the_first_sum_that_reaches(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    last = (ordered.cumsum(dim=-1) >= top_p).int().argmax(dim=-1, keepdim=True)
    ordered = ordered.masked_fill(torch.arange(p.shape[-1]) > last, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def any_top_p(p: Tensor, top_p: float) -> Tensor:
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


# Slips: recognised, and not handed in by the tests.


def one_token_too_many(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    n = (ordered.cumsum(dim=-1) < top_p).sum(dim=-1, keepdim=True) + 1
    ordered = ordered.masked_fill(torch.arange(p.shape[-1]) > n, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(p).scatter(-1, order, ordered)


def places_for_ranks(p: Tensor, top_p: float) -> Tensor:
    if not 0 < top_p <= 1:
        raise ValueError
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return ordered.gather(-1, order)


def _shuffled(generator: Generator, ranked: Sequence[float], n: int) -> Tensor:
    """`n` rows of these numbers, each in another order, none sorted."""
    rows: list[list[float]] = []
    while len(rows) < n:
        row = [ranked[i] for i in torch.randperm(len(ranked), generator=generator)]
        if row not in rows and row != sorted(row, reverse=True) != row[::-1]:
            rows.append(row)
    return torch.tensor(rows)


def _some_rows(generator: Generator) -> list[Case]:
    """Far from where a rounded sum could decide."""
    cases = []
    for top_p, dtype in ((0.6, torch.float32), (0.85, torch.float64)):
        v, near = draw_integer(generator, 8, 11), True
        while near:
            p = (normal(generator, 3, v) * 1.3).softmax(dim=-1)
            sums = p.sort(dim=-1, descending=True).values.cumsum(dim=-1)
            n = (sums < top_p).sum(dim=-1)
            near = bool(
                ((sums - top_p).abs() < 0.01).any()
                or n.unique().numel() < 2  # rows differ in what they keep
                or n.max() + 3 > v  # and none keeps nearly all
                or n[0] == 0
            )
        says = f"p (3, {v}), {str(dtype)[6:]}, top_p {top_p}"
        cases.append(Case((p.to(dtype), top_p), says))
    return cases


def _first_is_enough(generator: Generator) -> list[Case]:
    rest = torch.rand(3, generator=generator) + 0.5
    ranked = [0.93, *(0.07 * rest / rest.sum()).tolist()]
    p = _shuffled(generator, ranked, 2)
    return [Case((p, 0.9), "p = [[…]], the first token has 0.93, top_p 0.9")]


def _equal_ones(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 5, 9)
    top_p = (draw_integer(generator, 1, n - 3) + 0.5) / n
    equal = torch.full((2, n), 1 / n)
    two = _shuffled(generator, [0.4, 0.2, 0.2, 0.1, 0.1], 3)
    middle = 0.42 + 0.16 * torch.rand(1, generator=generator).item()
    return [
        Case((equal, round(top_p, 3)), f"{n} equal ones, top_p {top_p:.3f}"),
        Case((two, round(middle, 3)), f"0.4, 0.2, 0.2, 0.1, 0.1, top_p {middle:.3f}"),
    ]


def _everything(generator: Generator) -> list[Case]:
    """Rows of which one sums, rounded, to less than 1."""
    sizes, whole = distinct_sizes(generator, 2, 3), True
    while whole:
        p = normal(generator, *sizes).softmax(dim=-1)
        sums = p.sort(dim=-1, descending=True).values.cumsum(dim=-1)
        whole = not bool((sums[:, -1] < 1).any())
    return [Case((p, 1.0), f"p {tuple(p.shape)}, top_p 1")]


def _outside(generator: Generator) -> list[Case]:
    p = normal(generator, 2, 4).softmax(dim=-1)
    off = round(0.1 + torch.rand(1, generator=generator).item(), 3)
    return [
        Case((p, 0.0), "top_p 0"),
        Case((p, -off), f"top_p {-off}"),
        Case((p, 1 + off), f"top_p {1 + off}"),
        Case((p, float("nan")), "top_p nan"),
    ]


def _sums_to_one(args: tuple[Any, ...], output: Any) -> str | None:
    if not isinstance(output, Tensor) or output.shape != args[0].shape:
        return None
    if bool(((output.sum(dim=-1) - 1).abs() > 1e-4).any()):
        return "Each row must sum to 1; yours does not."
    return None


NUCLEUS = Exercise(
    name="6/nucleus",
    title="The nucleus",
    difficulty=2,
    minutes=15,
    reference=reference_nucleus,
    parts=(
        Part("rows that keep unlike numbers of tokens", 1, _some_rows),
        Part("a first token above top_p", 1, _first_is_enough),
        Part("equal ones at the edge", 1, _equal_ones),
        Part("top_p = 1", 1, _everything, beside_a_value=True),
        Part("raises ValueError", 1, _outside, error_type),
    ),
    misconceptions=(
        Misconception(
            crossing_token_dropped,
            "The token that crosses `top_p` is dropped, and where the first one does, "
            "nothing is left. Keep a token if the sum *before* it is below `top_p`.",
        ),
        Misconception(
            not_sorted,
            "You sum in the order of the vocabulary. The fewest tokens are the "
            "likeliest ones: sort first.",
        ),
        Misconception(
            from_the_least_likely_up,
            "You sum from the least likely token up, and keep the tail: sort in "
            "descending order.",
        ),
        Misconception(
            each_token_against_top_p,
            "You compare each token's probability with `top_p`, which is the share "
            "that all kept tokens have *together*.",
        ),
        Misconception(
            sum_left_below_one,
            "What is kept does not sum to 1: divide it by its sum.",
        ),
        Misconception(
            softmax_of_what_is_kept,
            "You took the softmax of *probabilities*, which flattens them. They need "
            "no more than to be divided by their sum.",
        ),
        Misconception(
            all_equal_ones_kept,
            "Of equal tokens at the edge you keep all. The fewest are asked: choose "
            "places in the stable order, not a threshold.",
        ),
        Misconception(
            left_in_sorted_order,
            "The result is still sorted: column i must be token i again. `scatter` "
            "puts it back.",
        ),
        Misconception(
            one_number_for_all_rows,
            "You keep as many tokens in each row as in the first. A nucleus is as "
            "large as *its* row needs.",
        ),
        Misconception(
            the_first_sum_that_reaches,
            "With `top_p` = 1 a rounded sum may never reach it, and `argmax` of no "
            "True is 0. Count the sums that are *below* `top_p`, and keep one more.",
        ),
        Misconception(
            any_top_p,
            "A `top_p` that is not above 0 and at most 1 (nan is not) must raise "
            "ValueError.",
        ),
    ),
    slips=(
        Misconception(
            one_token_too_many,
            "You keep one token more than it takes to reach `top_p`.",
        ),
        Misconception(
            places_for_ranks,
            "You put the tokens back with `gather`. The order says where each came "
            "*from*, so the way back is `scatter`.",
        ),
    ),
    properties=(_sums_to_one,),
    hints=(
        "`sort(dim=-1, descending=True, stable=True)` gives values and their places.",
        "The sum before a token is `cumsum` minus the token itself.",
        "`torch.zeros_like(p).scatter(-1, order, kept)` puts things back.",
    ),
    forbidden=FORBIDDEN,
)


# -- penalise -------------------------------------------------------------------------


def reference_penalise(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    log_p = logits.log_softmax(dim=-1)
    is_seen = torch.zeros(len(logits), dtype=torch.bool)
    is_seen[seen] = True
    return torch.where(is_seen, penalty * log_p, log_p).log_softmax(dim=-1)


def seen_logits_divided(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    logits = logits.clone()
    for token in set(seen):
        logits[token] /= penalty
    return logits.log_softmax(dim=-1)


def divided_or_multiplied_by_sign(
    logits: Tensor, seen: list[int], penalty: float
) -> Tensor:
    logits = logits.clone()
    for token in set(seen):
        z = logits[token]
        logits[token] = z * penalty if z < 0 else z / penalty
    return logits.log_softmax(dim=-1)


def once_for_each_time(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    log_p = logits.log_softmax(dim=-1)
    for token in seen:
        log_p[token] *= penalty
    return log_p.log_softmax(dim=-1)


def the_unseen_penalised(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    log_p = logits.log_softmax(dim=-1)
    for token in range(len(log_p)):
        if token not in seen:
            log_p[token] *= penalty
    return log_p.log_softmax(dim=-1)


def not_normalised_again(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    log_p = logits.log_softmax(dim=-1)
    for token in set(seen):
        log_p[token] *= penalty
    return log_p


def log_probabilities_divided(
    logits: Tensor, seen: list[int], penalty: float
) -> Tensor:
    log_p = logits.log_softmax(dim=-1)
    for token in set(seen):
        log_p[token] /= penalty
    return log_p.log_softmax(dim=-1)


def probabilities_divided(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    p = logits.softmax(dim=-1)
    for token in set(seen):
        p[token] /= penalty
    return (p / p.sum()).log()


def logits_multiplied(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    logits = logits.clone()
    for token in set(seen):
        logits[token] *= penalty
    return logits.log_softmax(dim=-1)


# Slips: recognised, and not handed in by the tests.


def penalty_taken_off(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    logits = logits.clone()
    for token in set(seen):
        logits[token] -= penalty
    return logits.log_softmax(dim=-1)


def probabilities_returned(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    log_p = logits.log_softmax(dim=-1)
    for token in set(seen):
        log_p[token] *= penalty
    return log_p.softmax(dim=-1)


def all_penalised(logits: Tensor, seen: list[int], penalty: float) -> Tensor:
    return (penalty * logits.log_softmax(dim=-1)).log_softmax(dim=-1)


def _one_penalty(
    generator: Generator, shift: float, times: int, says: str
) -> list[Case]:
    cases = []
    for n_seen in (1, 3):
        v = draw_integer(generator, 6, 9)
        z = normal(generator, v) * 1.5
        z[:2] = torch.tensor([1.2, -0.9])  # one of either sign, whatever is drawn
        seen = [0, 1][:n_seen] + (torch.randperm(v - 3, generator=generator) + 2)[
            : n_seen - 1
        ].tolist()
        if times > 1:
            seen = [token for token in seen for _ in range(times)] + seen[:1]
        penalty = round(1.3 + torch.rand(1, generator=generator).item(), 2)
        args = (z + shift, seen, penalty)
        cases.append(Case(args, f"{v} tokens, seen {seen}, penalty {penalty}{says}"))
    return cases


def _plain(generator: Generator) -> list[Case]:
    z = normal(generator, 5)
    return [
        *_one_penalty(generator, 0.0, 1, ""),
        Case((z, [], 1.5), "5 tokens, none seen"),
    ]


def _moved(generator: Generator) -> list[Case]:
    return [
        *_one_penalty(generator, 7.0, 1, ", all logits positive"),
        *_one_penalty(generator, -9.0, 1, ", all logits negative"),
    ]


def _often(generator: Generator) -> list[Case]:
    return _one_penalty(generator, 0.0, 2, "")


def _is_normalised(args: tuple[Any, ...], output: Any) -> str | None:
    if not isinstance(output, Tensor) or output.shape != args[0].shape:
        return None
    if abs(float(output.exp().sum()) - 1) > 1e-3:
        return "exp of what you return must sum to 1; yours does not."
    return None


PENALISE = Exercise(
    name="6/penalise",
    title="Find the bug: dog dog dog",
    difficulty=3,
    minutes=20,
    reference=reference_penalise,
    parts=(
        Part("logits of either sign", 1, _plain),
        Part("a constant added to all logits", 2, _moved),
        Part("tokens seen more than once", 1, _often),
    ),
    misconceptions=(
        Misconception(
            seen_logits_divided,
            "This is the given code: a negative logit that is divided *grows*, so that "
            "an unlikely token which was seen gets likelier.",
            "https://github.com/huggingface/transformers/issues/2302",
        ),
        Misconception(
            divided_or_multiplied_by_sign,
            "The usual repair asks for the sign of the logit, which means nothing: "
            "add a constant to all logits, and the model is the same, but your "
            "penalty is not. Work on log-probabilities.",
            "https://github.com/huggingface/transformers/issues/47595",
        ),
        Misconception(
            once_for_each_time,
            "A token that was seen twice is penalised twice. It is asked for once.",
        ),
        Misconception(
            the_unseen_penalised, "You penalise the tokens that were *not* seen."
        ),
        Misconception(
            not_normalised_again,
            "After the penalty the probabilities don't sum to 1: normalise them again.",
        ),
        Misconception(
            log_probabilities_divided,
            "A log-probability is negative. Divided by a penalty above 1 it rises, and "
            "what was seen gets likelier: multiply.",
        ),
        Misconception(
            probabilities_divided,
            "You divided the probability by the penalty. Multiplying the *logarithm* "
            "raises the probability to its power.",
        ),
        Misconception(
            logits_multiplied,
            "A positive logit that is multiplied grows: logits have no zero of their "
            "own. Multiply log-probabilities, which are all below 0.",
        ),
    ),
    slips=(
        Misconception(
            penalty_taken_off,
            "You subtract the penalty. It multiplies the log-probability.",
        ),
        Misconception(
            probabilities_returned,
            "These are probabilities: their logarithms are asked for.",
        ),
        Misconception(
            all_penalised,
            "You penalise all tokens: with `seen` in the index, only some.",
        ),
    ),
    properties=(_is_normalised,),
    hints=(
        "What does the given code do to a logit of −2, with a penalty of 2?",
        "`log_softmax` gives the same for `logits` and for `logits + 7`.",
        "Multiply the log-probabilities of the set of seen tokens by the penalty, and "
        "take `log_softmax` once more.",
    ),
    forbidden=FORBIDDEN,
)


# -- beam_search ----------------------------------------------------------------------

Found = tuple[list[int], float]


def reference_beam(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children[:width] if child[0][-1] != eos]
    return max(finished or beams, key=lambda child: child[1])


def best_child_of_each(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    first = sorted(enumerate(start.tolist()), key=lambda child: -child[1])[:width]
    found = [([token], price) for token, price in first]
    ended = []
    for text, total in found:
        while text[-1] != eos and len(text) < longest:
            prices = transition[text[-1]]
            token = int(prices.argmax())
            text, total = [*text, token], total + prices[token].item()
        ended.append((text, total))
    finished = [child for child in ended if child[0][-1] == eos]
    return max(finished or ended, key=lambda child: child[1])


def goes_on_after_the_end(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        beams = sorted(children, key=lambda child: -child[1])[:width]
    return beams[0]


def what_goes_on_is_returned(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished = [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    return max(finished or beams, key=lambda child: child[1])


def the_first_that_ends(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        for child in children[:width]:
            if child[0][-1] == eos:
                return child
        beams = children[:width]
    return beams[0]


def the_end_for_nothing(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                cost = 0.0 if token == eos else price
                children.append(([*text, token], total + price, total + cost))
        children.sort(key=lambda child: -child[1])
        finished += [(c[0], c[2]) for c in children[:width] if c[0][-1] == eos]
        beams = [(c[0], c[1]) for c in children if c[0][-1] != eos][:width]
    return max(finished or beams, key=lambda child: child[1])


def divided_by_the_length(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    return max(finished or beams, key=lambda child: child[1] / len(child[0]))


def products_of_probabilities(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 1.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.exp().tolist()):
                children.append(([*text, token], total * price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    text, total = max(finished or beams, key=lambda child: child[1])
    return text, math.log(total) if total else -math.inf


def the_start_for_nothing(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for n in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        if n == 0:
            children = [(text, 0.0) for text, _ in children]
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    return max(finished or beams, key=lambda child: child[1])


def columns_for_rows(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> tuple[list[int], float]:
    beams: list[tuple[list[int], float]] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[:, text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    return max(finished or beams, key=lambda child: child[1])


# Slips: recognised, and not handed in by the tests.


def finished_ones_keep_their_places(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> Found:
    beams: list[Found] = [([], 0.0)]
    for _ in range(longest):
        children = []
        for text, total in beams:
            if text and text[-1] == eos:
                children.append((text, total))
                continue
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        beams = sorted(children, key=lambda child: -child[1])[:width]
    finished = [child for child in beams if child[0][-1] == eos]
    return max(finished or beams, key=lambda child: child[1])


def cut_off_ones_compete(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> Found:
    beams: list[Found] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    return max(finished + beams, key=lambda child: child[1])


def every_end_is_set_aside(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> Found:
    beams: list[Found] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        finished += [child for child in children if child[0][-1] == eos]
        beams = [child for child in children if child[0][-1] != eos][:width]
    return max(finished or beams, key=lambda child: child[1])


def the_last_token_left_out(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> Found:
    text, total = reference_beam(start, transition, eos, width, longest)
    return (text[:-1] if text[-1] == eos else text), total


def _text_and_total(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: log p, and behind it the tokens."""
    value = function(*args)
    if value is None:
        return None
    text, total = pair(value, "the tokens and log p")
    tokens, total = whole_numbers(text, "tokens"), plain_number(total)
    if isinstance(total, bool) or not isinstance(total, int | float):
        raise TypeError(f"log p must be a number, got a {type(total).__name__}")
    return torch.cat((torch.tensor([float(total)]).double(), tokens.double()))


def _differ(one: Found, other: Found) -> bool:
    return one[0] != other[0] or abs(one[1] - other[1]) > 0.02


def _decided(
    start: Tensor, transition: Tensor, eos: int, width: int, longest: int
) -> bool:
    """Whether no two texts are equal where one of them is chosen.

    Texts that make the same steps in another order, as in abaab and aabab, are exactly
    equal, and rounding or the order of a list would choose.
    """
    beams: list[Found] = [([], 0.0)]
    finished = []
    for _ in range(longest):
        children = []
        for text, total in beams:
            prices = transition[text[-1]] if text else start
            for token, price in enumerate(prices.tolist()):
                children.append(([*text, token], total + price))
        children.sort(key=lambda child: -child[1])
        edge = children[width - 1 : width + 1]
        if len(edge) == 2 and edge[0][1] - edge[1][1] < 1e-6:
            return False
        finished += [child for child in children[:width] if child[0][-1] == eos]
        beams = [child for child in children[:width] if child[0][-1] != eos]
    first = sorted(finished or beams, key=lambda child: -child[1])[:2]
    return len(first) < 2 or first[0][1] - first[1][1] > 1e-6


def _model(generator: Generator, v: int) -> tuple[Tensor, Tensor, int]:
    """Log-probabilities of a first token and of the next, float64; and the end."""
    eos = draw_integer(generator, 0, v - 1)
    start = normal(generator, v).double() * 0.8
    transition = normal(generator, v, v).double() * 1.2
    start[eos] -= 2.0
    return start.log_softmax(dim=-1), transition.log_softmax(dim=-1), eos


def _searches(
    generator: Generator,
    sizes: Callable[[int], tuple[int, int]],
    wrong: Sequence[Function],
) -> list[Case]:
    """Searches of which each tells some of `wrong` from the right one; all, in sum."""
    cases, left = [], set(wrong)
    while left:
        v = draw_integer(generator, 4, 5)
        args = (*_model(generator, v), *sizes(v))
        if not _decided(*args):
            continue
        right = reference_beam(*args)
        told = {function for function in left if _differ(function(*args), right)}
        if told:
            says = f"{v} tokens, width {args[3]}, at most {args[4]}"
            cases.append(Case(args, says))
            left -= told
    return cases


def _width_one(generator: Generator) -> list[Case]:
    wrong = (the_end_for_nothing, the_start_for_nothing, columns_for_rows)
    return _searches(generator, lambda v: (1, 4), wrong)


def _wider(generator: Generator) -> list[Case]:
    wrong = (
        best_child_of_each,
        goes_on_after_the_end,
        what_goes_on_is_returned,
        the_first_that_ends,
        the_end_for_nothing,
        divided_by_the_length,
        the_start_for_nothing,
        columns_for_rows,
        finished_ones_keep_their_places,
        cut_off_ones_compete,
        every_end_is_set_aside,
    )
    width = draw_integer(generator, 2, 3)
    return _searches(generator, lambda v: (width, 5), wrong)


def _all_of_them(generator: Generator) -> list[Case]:
    wrong = (goes_on_after_the_end, what_goes_on_is_returned, divided_by_the_length)
    return _searches(generator, lambda v: (v**3, 3), wrong)


def _long(generator: Generator) -> list[Case]:
    """So long that the probability is no number of double precision, and no end.

    Of two beginnings some would be exactly equal: see `_decided`.
    """
    v = 8
    start, transition = normal(generator, v), normal(generator, v, v) * 0.15
    transition[:, 0] = start[0] = -30.0
    args = (start.double().log_softmax(-1), transition.double().log_softmax(-1))
    return [Case((*args, 0, 1, 520), "8 tokens, width 1, at most 520")]


BEAM = Exercise(
    name="6/beam_search",
    title="Beam search",
    difficulty=4,
    minutes=40,
    reference=reference_beam,
    parts=(
        Part("width 1, which is greedy", 1, _width_one, _text_and_total),
        Part("a width of 2 or 3", 2, _wider, _text_and_total),
        Part("a width that keeps everything", 2, _all_of_them, _text_and_total),
        Part("520 steps", 1, _long, _text_and_total),
    ),
    misconceptions=(
        Misconception(
            best_child_of_each,
            "Each beginning goes on with its own best child: that is greedy, `width` "
            "times. Compare *all* children of all beginnings, and keep the best.",
        ),
        Misconception(
            goes_on_after_the_end,
            "Texts go on after their `eos`. What has ended is finished: set it aside.",
        ),
        Misconception(
            what_goes_on_is_returned,
            "You return the best of the last step. A text that ended earlier may be "
            "better: keep all finished ones to the end.",
        ),
        Misconception(
            the_first_that_ends,
            "You stop at the first text that ends. Another may end later and cost "
            "less.",
        ),
        Misconception(
            the_end_for_nothing,
            "The price of `eos` is left out of log p: to stop has a probability, too.",
        ),
        Misconception(
            divided_by_the_length,
            "You rank by log p divided by the length. Here the likeliest is asked for.",
        ),
        Misconception(
            products_of_probabilities,
            "You multiply probabilities, and after some hundred steps the product is "
            "0: add their logarithms.",
        ),
        Misconception(
            the_start_for_nothing,
            "The price of the first token is left out of log p: it is in `start`.",
        ),
        Misconception(
            columns_for_rows,
            "Rows and columns are turned round: `transition[i, j]` is of j *after* i.",
        ),
    ),
    slips=(
        Misconception(
            finished_ones_keep_their_places,
            "A finished text keeps its place among the `width`, and may be pushed out "
            "again. Set it aside: the best `width` that have *not* ended go on.",
        ),
        Misconception(
            cut_off_ones_compete,
            "A text that was cut off competes with those that ended. It is asked for "
            "only if none has ended.",
        ),
        Misconception(
            every_end_is_set_aside,
            "You set every text aside that ends. It has to be among the best `width` "
            "of all children.",
        ),
        Misconception(
            the_last_token_left_out,
            "The `eos` is missing at the end of the text: it is one of its tokens.",
        ),
    ),
    hints=(
        "A beginning is a pair: its tokens, and the sum of their log-probabilities.",
        "In each step make the list of all children of all beginnings, and sort it.",
        "From the sorted list take two things: those among the first `width` that end "
        "(append them to what is finished), and the first `width` that don't.",
    ),
    forbidden=FORBIDDEN,
)

EXERCISES = [NUCLEUS, PENALISE, BEAM]
