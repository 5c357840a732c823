"""Section 7: a draft that is kept or not, wasted memory, places beside padding."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    pair,
    plain_number,
)


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand(1, generator=generator).item()


# -- accept ---------------------------------------------------------------------------


def reference_accept(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError("q gives the draft no probability")
    if u * q[draft] < p[draft]:
        return draft
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    target, total = w * sum(rest), 0.0
    for i, share in enumerate(rest):
        total += share
        if total > target:
            return i
    raise AssertionError("no draft that is rejected leaves nothing")


def drawn_from_the_target(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError
    if u * q[draft] < p[draft]:
        return draft
    total = 0.0
    for i, share in enumerate(p):
        total += share
        if total > w:
            return i
    return len(p) - 1


def ratio_turned(p: list[float], q: list[float], draft: int, u: float, w: float) -> int:
    if q[draft] <= 0:
        raise ValueError
    if u * p[draft] < q[draft]:
        return draft
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    total = 0.0
    for i, share in enumerate(rest):
        total += share
        if total > w * sum(rest):
            return i
    return draft


def not_normalised(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError
    if u * q[draft] < p[draft]:
        return draft
    total = 0.0
    for i, (a, b) in enumerate(zip(p, q, strict=True)):
        total += max(a - b, 0.0)
        if total > w:
            return i
    return len(p) - 1


def not_cut_at_zero(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError
    if u * q[draft] < p[draft]:
        return draft
    rest = [abs(a - b) for a, b in zip(p, q, strict=True)]
    total = 0.0
    for i, share in enumerate(rest):
        total += share
        if total > w * sum(rest):
            return i
    return len(p) - 1


def kept_if_likelier(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError
    if p[draft] >= q[draft]:
        return draft
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    total = 0.0
    for i, share in enumerate(rest):
        total += share
        if total > w * sum(rest):
            return i
    return len(p) - 1


def kept_by_the_target_alone(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError
    if u < p[draft]:
        return draft
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    total = 0.0
    for i, share in enumerate(rest):
        total += share
        if total > w * sum(rest):
            return i
    return draft


def the_likeliest_of_the_rest(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if q[draft] <= 0:
        raise ValueError
    if u * q[draft] < p[draft]:
        return draft
    rest = [a - b for a, b in zip(p, q, strict=True)]
    return rest.index(max(rest))


def impossible_draft_kept(
    p: list[float], q: list[float], draft: int, u: float, w: float
) -> int:
    if u * q[draft] < p[draft]:
        return draft
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    total = 0.0
    for i, share in enumerate(rest):
        total += share
        if total > w * sum(rest):
            return i
    return draft


def _laws(generator: Generator) -> tuple[list[float], list[float]]:
    """p and q of five tokens, in 64ths: q is too high for 1 and 3."""
    a, b = (draw_integer(generator, 0, 6) for _ in range(2))
    # An eighth is the grid's step below: 1 and 3 must not fall between two points.
    p, q = [16 + a, 8, 8 + b, 8, 24 - a - b], [8, 24, 4, 20, 8]
    return [x / sum(p) for x in p], [x / sum(q) for x in q]


def _index(function: Function, args: tuple[Any, ...]) -> Any:
    return plain_number(function(*args))


def _kept(generator: Generator) -> list[Case]:
    p, q = _laws(generator)
    cases = []
    for draft in (0, 1, 3, 4):
        most = min(1.0, p[draft] / q[draft])
        u = round(_uniform(generator, 0.6, 0.95) * most, 4)
        w = round(_uniform(generator, 0.1, 0.9), 4)
        cases.append(Case((p, q, draft, u, w), f"draft {draft}, u = {u}"))
    return cases


def _rejected(generator: Generator) -> list[Case]:
    p, q = _laws(generator)
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    cases = []
    for draft in (1, 3):
        low = p[draft] / q[draft]
        for i in (0, 2, 4):
            # The middle third of the part of w that gives the token i.
            begin, size = sum(rest[:i]) / sum(rest), rest[i] / sum(rest)
            if size < 1e-6:
                continue
            w = round(begin + size * _uniform(generator, 0.3, 0.7), 4)
            u = round(low + (1 - low) * _uniform(generator, 0.1, 0.9), 4)
            cases.append(Case((p, q, draft, u, w), f"draft {draft}, u = {u}, w = {w}"))
    return cases


def _law(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: how often each token comes out, over a grid of u and w."""
    p, q, n = args
    counts = [0.0] * len(p)
    for draft, share in enumerate(q):
        for i in range(n):
            for j in range(n):
                token = plain_number(
                    # 0.37: no value of u or w lies where two tokens meet.
                    function(list(p), list(q), draft, (i + 0.37) / n, (j + 0.37) / n)
                )
                if type(token) is not int or not 0 <= token < len(p):
                    raise TypeError(f"a token, 0 … {len(p) - 1}, is expected")
                counts[token] += share / n**2
    return torch.tensor(counts)


def _grid(generator: Generator) -> list[Case]:
    p, q = _laws(generator)
    return [Case((p, q, 8), "u and w on a grid of 8 × 8, drafts as often as q says")]


def _impossible(generator: Generator) -> list[Case]:
    p, q = _laws(generator)
    q = [q[0] + q[2], q[1], 0.0, *q[3:]]
    return [
        Case((p, q, 2, round(_uniform(generator, 0.1, 0.9), 4), 0.5), "q[draft] = 0")
    ]


ACCEPT = Exercise(
    name="7/accept",
    title="Keep a draft, or draw another token",
    difficulty=4,
    minutes=30,
    reference=reference_accept,
    parts=(
        Part("drafts that are kept", 1, _kept, _index),
        Part("drafts that are rejected", 2, _rejected, _index),
        Part("what comes out has the law p", 2, _grid, _law),
        Part("raises ValueError", 1, _impossible, error_type),
    ),
    misconceptions=(
        Misconception(
            drawn_from_the_target,
            "After a rejection you draw from p. Tokens that the draft proposes often "
            "then come twice as a chance: draw from what p has more than q.",
            "https://github.com/ShopeeLLM/Spec-RL/issues/14",
        ),
        Misconception(
            ratio_turned,
            "The ratio is turned: a draft is kept with probability p / q, less often "
            "the more q exaggerates.",
        ),
        Misconception(
            not_normalised,
            "What is left of p − q does not sum to 1. Divide by its sum, or multiply w "
            "by it.",
        ),
        Misconception(
            not_cut_at_zero,
            "Where q is above p there is nothing to draw: cut p − q at 0.",
        ),
        Misconception(
            kept_if_likelier,
            "A draft is kept with probability min(1, p / q); u decides. You keep it "
            "only if p is at least q.",
        ),
        Misconception(
            kept_by_the_target_alone,
            "You keep the draft with probability p. It was already drawn with q, and "
            "would come with q·p: compare u with p / q.",
        ),
        Misconception(
            the_likeliest_of_the_rest,
            "You take the likeliest of what is left. It must be drawn, by w, or the "
            "law is not p.",
        ),
        Misconception(
            impossible_draft_kept,
            "A draft to which q gives no probability was not drawn from q: ValueError.",
        ),
    ),
    hints=(
        "u < p/q, written without a division: u·q[draft] < p[draft].",
        "What is left: max(p − q, 0) for each token. Go through it, adding up.",
        "The first token at which the sum exceeds w times the whole.",
    ),
)


# -- cache_waste ----------------------------------------------------------------------


def reference_waste(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError("a length is above the reservation")
    used = sum(lengths)
    paged = sum(-(-n // block) * block for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def a_block_too_many(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    used = sum(lengths)
    paged = sum((n // block + 1) * block for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def mean_of_shares(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    n = len(lengths)
    return (
        sum(1 - x / reserved for x in lengths) / n,
        sum(1 - x / (-(-x // block) * block) for x in lengths) / n,
    )


def used_for_unused(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    used = sum(lengths)
    paged = sum(-(-n // block) * block for n in lengths)
    return used / (reserved * len(lengths)), used / paged


def last_block_left_out(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    used = sum(lengths)
    paged = sum(max(n // block, 1) * block for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def all_in_one_row(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    used = sum(lengths)
    paged = -(-used // block) * block
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def longest_for_reserved(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    used = sum(lengths)
    paged = sum(-(-n // block) * block for n in lengths)
    return 1 - used / (max(lengths) * len(lengths)), 1 - used / paged


def too_long_accepted(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    used = sum(lengths)
    paged = sum(-(-n // block) * block for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def full_reservation_refused(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) >= reserved:
        raise ValueError
    used = sum(lengths)
    paged = sum(-(-n // block) * block for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def blocks_end_at_the_reservation(
    lengths: list[int], reserved: int, block: int
) -> tuple[float, float]:
    if max(lengths) > reserved:
        raise ValueError
    used = sum(lengths)
    paged = sum(min(-(-n // block) * block, reserved) for n in lengths)
    return 1 - used / (reserved * len(lengths)), 1 - used / paged


def _two_shares(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: two numbers as a tensor."""
    lengths, reserved, block = args
    values = pair(
        function(list(lengths), reserved, block), "unused of reservation and of paging"
    )
    return torch.tensor([float(plain_number(v)) for v in values], dtype=torch.float64)


def _lengths(generator: Generator, n: int, block: int, most: int) -> list[int]:
    """They differ, and each goes a little way into its last block."""
    found: list[int] = []
    while len(found) < n:
        into = draw_integer(generator, 1, max(1, block // 3))
        length = block * draw_integer(generator, 1, most // block - 1) + into
        if length not in found:
            found.append(length)
    return found


def _some(generator: Generator) -> list[Case]:
    cases = []
    for n, block, most in ((2, 4, 32), (5, 16, 200)):
        reserved = most + draw_integer(generator, 1, 9)
        lengths = _lengths(generator, n, block, most)
        cases.append(
            Case((lengths, reserved, block), f"{n} requests, blocks of {block}")
        )
    lengths = _lengths(generator, 3, 8, 80)
    full = Case((lengths, max(lengths), 8), "the longest fills its reservation")
    return [*cases, full]


def _blocks_of_one(generator: Generator) -> list[Case]:
    lengths = _lengths(generator, 3, 2, 40)
    return [Case((lengths, 50, 1), "blocks of one token")]


def _multiples(generator: Generator) -> list[Case]:
    block = draw_integer(generator, 5, 9)
    lengths = [block * k for k in (1, 3, draw_integer(generator, 4, 6))]
    return [Case((lengths, 70, block), "lengths that fill their blocks")]


def _too_long(generator: Generator) -> list[Case]:
    lengths = _lengths(generator, 3, 4, 40)
    reserved = max(lengths) - 1
    return [Case((lengths, reserved, 4), "a length above the reservation")]


WASTE = Exercise(
    name="7/cache_waste",
    title="Memory that is kept and not used",
    difficulty=2,
    minutes=15,
    reference=reference_waste,
    parts=(
        Part("some requests", 2, _some, _two_shares),
        Part("blocks of one waste nothing", 1, _blocks_of_one, _two_shares),
        Part("lengths that fill their blocks", 1, _multiples, _two_shares),
        Part("raises ValueError", 1, _too_long, error_type),
    ),
    misconceptions=(
        Misconception(
            a_block_too_many,
            "A length that fills its blocks needs no further one: round up, do not add "
            "one.",
        ),
        Misconception(
            mean_of_shares,
            "You took the mean of the requests' shares. Memory is in common: the sum "
            "of what is unused over the sum of what is kept.",
        ),
        Misconception(used_for_unused, "These are the used shares; unused are asked."),
        Misconception(
            last_block_left_out,
            "The last block of a request is kept as well, though it is not full.",
        ),
        Misconception(
            all_in_one_row,
            "Two requests do not share a block: round each length up by itself.",
        ),
        Misconception(
            longest_for_reserved,
            "Reserved is what is promised to each request, not what the longest took.",
        ),
        Misconception(
            full_reservation_refused,
            "A length that fills its reservation is not above it.",
        ),
        Misconception(
            blocks_end_at_the_reservation,
            "Blocks know of no reservation: the last one is whole, even if it goes "
            "beyond what would have been reserved.",
        ),
        Misconception(
            too_long_accepted,
            "A request longer than its reservation must raise ValueError.",
        ),
    ),
    hints=(
        "Count three sums: tokens used, tokens reserved, tokens in blocks.",
        "Rounding up without floating point: -(-n // block).",
    ),
)


# -- position_ids ---------------------------------------------------------------------


def reference_positions(mask: Tensor) -> Tensor:
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def as_given(mask: Tensor) -> Tensor:
    return torch.arange(mask.shape[1]).expand(mask.shape).clone()


def begins_at_one(mask: Tensor) -> Tensor:
    return mask.long().cumsum(1)


def negative_under_padding(mask: Tensor) -> Tensor:
    return mask.long().cumsum(1) - 1


def first_row_for_all(mask: Tensor) -> Tensor:
    return (mask[:1].long().cumsum(1) - 1).clamp(min=0).expand(mask.shape).clone()


def along_the_batch(mask: Tensor) -> Tensor:
    return (mask.long().cumsum(0) - 1).clamp(min=0)


def counted_from_the_right_end(mask: Tensor) -> Tensor:
    n = mask.shape[1]
    shift = n - mask.long().sum(1, keepdim=True)
    return torch.arange(n).expand(mask.shape) - shift


def padding_counted(mask: Tensor) -> Tensor:
    return (~mask).long().cumsum(1)


def _places(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: what stands at real tokens; under padding, only the sign."""
    (mask,) = args
    found = function(mask.clone())
    whole = isinstance(found, Tensor) and not (
        found.is_floating_point() or found.is_complex()
    )
    if not whole:
        raise TypeError("a tensor of whole numbers is expected")
    if found.shape != mask.shape:
        raise ValueError(f"the shape must be {(*mask.shape,)}, got {(*found.shape,)}")
    found = found.long()
    return torch.where(mask, found, found.clamp(-1, 0))


def _rows(generator: Generator, n: int, left: list[int], right: list[int]) -> Tensor:
    places = torch.arange(n)
    return torch.stack(
        [(places >= a) & (places < n - b) for a, b in zip(left, right, strict=True)]
    )


def _no_padding(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 40)
    return [Case((_rows(generator, n, [0, 0], [0, 0]),), f"2 rows of {n} tokens")]


def _left(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 9, 16)
    a, b = (draw_integer(generator, 1, 3), draw_integer(generator, 4, 7))
    mask = _rows(generator, n, [a, 0, b], [0, 0, 0])
    return [Case((mask,), f"{a}, 0 and {b} tokens of padding on the left")]


def _right(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 9, 16)
    a, b = (draw_integer(generator, 1, 3), draw_integer(generator, 4, 7))
    mask = _rows(generator, n, [0, 0, 0], [a, 0, b])
    return [Case((mask,), f"{a}, 0 and {b} tokens of padding on the right")]


def _empty(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 40)
    a = draw_integer(generator, 1, 3)
    return [Case((_rows(generator, n, [n, a], [0, 0]),), "a row without a token")]


POSITIONS = Exercise(
    name="7/position_ids",
    title="Find the bug: places beside padding",
    difficulty=2,
    minutes=15,
    reference=reference_positions,
    parts=(
        Part("no padding", 1, _no_padding, _places),
        Part("padding on the left", 2, _left, _places),
        Part("padding on the right", 1, _right, _places),
        Part("a row without a token", 1, _empty, _places, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            as_given,
            "With padding on the left the first real token is not at place 0 here: the "
            "mask has to be counted, not the columns.",
            "https://github.com/huggingface/transformers/issues/3021",
        ),
        Misconception(
            begins_at_one,
            "The running count is 1 at the first real token; its place is 0.",
        ),
        Misconception(
            negative_under_padding,
            "Under padding on the left the places are −1, and an embedding has no row "
            "−1: keep them at 0 or above.",
        ),
        Misconception(
            first_row_for_all,
            "All rows have the places of the first one. Each has padding of its own.",
        ),
        Misconception(
            along_the_batch, "You counted along the batch. Tokens lie along axis 1."
        ),
        Misconception(
            counted_from_the_right_end,
            "You shift by the length of the padding, wherever it is: on the right it "
            "must not shift, and on the left nothing may become negative.",
        ),
        Misconception(
            padding_counted, "You counted the padding: count the real tokens."
        ),
    ),
    hints=(
        "How many real tokens stand up to and including a place? `cumsum`.",
        "One less is the place; nothing below 0.",
    ),
)

EXERCISES = [ACCEPT, WASTE, POSITIONS]
