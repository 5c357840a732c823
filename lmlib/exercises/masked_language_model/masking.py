"""Section 3.2.1, the first two steps: which tokens are targets, and what they become.

What is random comes as an argument, so that there is one right answer.
"""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    error_type,
)
from lmlib.losses import IGNORE

# -- choose_targets -------------------------------------------------------------------


def reference_choose(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    n_maskable = maskable.sum(dim=1)
    n_targets = (share * n_maskable.double()).round().clamp(min=1)
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def a_coin_for_each(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    return maskable & (uniform < share)


def special_tokens_too(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    rank = uniform.argsort(dim=1).argsort(dim=1)
    return (rank < n_targets[:, None]) & maskable.any(dim=1, keepdim=True)


def special_tokens_counted(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = max(1, round(share * maskable.shape[1]))
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets)


def rows_compete(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = max(1, round(share * int(maskable.sum())))
    drawn = uniform.masked_fill(~maskable, 2.0).flatten()
    rank = drawn.argsort().argsort().reshape(maskable.shape)
    return maskable & (rank < n_targets)


def rounded_down(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).floor().clamp(min=1)
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def none_in_short_rows(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).round()
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def one_in_any_case(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return rank < n_targets[:, None]


def the_largest(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    drawn = uniform.masked_fill(~maskable, -1.0)
    rank = drawn.argsort(dim=1, descending=True).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def order_for_rank(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    order = uniform.masked_fill(~maskable, 2.0).argsort(dim=1)
    return maskable & (order < n_targets[:, None])


def any_share(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def rounded_up(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).ceil()
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def the_first_ones(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    if not 0 < share <= 1:
        raise ValueError("share")
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    return maskable & (maskable.cumsum(dim=1) <= n_targets[:, None])


def zero_is_the_smallest(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    reference_choose(maskable, uniform, share)
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    rank = (uniform * maskable).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets[:, None])


def places_among_maskable(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    chosen = torch.zeros_like(maskable)
    compact = reference_choose(maskable, uniform, share)
    for row, (may, take) in enumerate(zip(maskable, compact, strict=True)):
        among = take[may].nonzero().flatten()
        chosen[row, among] = True
    return chosen


def as_many_as_in_the_longest(
    maskable: Tensor, uniform: Tensor, share: float
) -> Tensor:
    reference_choose(maskable, uniform, share)
    n_targets = max(1, round(share * int(maskable.sum(dim=1).max())))
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank < n_targets)


def one_too_many(maskable: Tensor, uniform: Tensor, share: float) -> Tensor:
    reference_choose(maskable, uniform, share)
    n_targets = (share * maskable.sum(dim=1)).round().clamp(min=1)
    rank = uniform.masked_fill(~maskable, 2.0).argsort(dim=1).argsort(dim=1)
    return maskable & (rank <= n_targets[:, None])


def a_subset_of_maskable(args: tuple[Any, ...], output: Tensor) -> str | None:
    maskable = args[0]
    if output.shape == maskable.shape and (output.bool() & ~maskable).any():
        return "Only maskable tokens may be targets; you choose others too."
    return None


def as_many_as_asked(args: tuple[Any, ...], output: Tensor) -> str | None:
    maskable, _, share = args
    if output.shape != maskable.shape:
        return None
    wanted = reference_choose(*args).sum(dim=1)
    counts = (maskable.sum(dim=1), wanted, output.sum(dim=1))
    for row, (n, k, got) in enumerate(zip(*(t.tolist() for t in counts), strict=True)):
        if got != k:
            return (
                f"Row {row} has {n} maskable tokens, so round({share:g} · {n}) = "
                f"{round(share * n)}"
                + (", but at least 1," if n and not round(share * n) else "")
                + f" of them are targets; you choose {got:g}."
            )
    return None


N_COLUMNS = 24


def _row(generator: Generator, n_maskable: int) -> Tensor:
    """Neither the first token nor the last, and some of those between."""
    row = torch.zeros(N_COLUMNS, dtype=torch.bool)
    places = torch.randperm(N_COLUMNS - 2, generator=generator)[:n_maskable] + 1
    row[places] = True
    return row


def _draws(generator: Generator, maskable: Tensor) -> Tensor:
    """Random numbers; in each row a token that is not maskable has the smallest."""
    drawn = torch.rand(maskable.shape, generator=generator)
    for row, may in zip(drawn, maskable, strict=True):
        others = (~may).nonzero().flatten()
        place = others[torch.randint(len(others), (1,), generator=generator)]
        smallest = row.argmin()
        row[place], row[smallest] = row[smallest].clone(), row[place].clone()
    return drawn


def _far_from_a_half(number: float) -> bool:
    return abs(number % 1 - 0.5) > 0.05


def _share(generator: Generator, counts: list[int]) -> float:
    """One that rounds up in the longest row, and not to the same of the whole row."""
    while True:
        share = round(0.1 + 0.25 * torch.rand(1, generator=generator).item(), 2)
        longest = share * max(counts)
        if (
            all(_far_from_a_half(share * n) for n in counts)
            and longest % 1 > 0.5
            and round(longest) != round(share * N_COLUMNS)
            and round(longest) > 1
        ):
            return share


def _one_row(generator: Generator) -> list[Case]:
    n_maskable = int(torch.randint(14, 19, (1,), generator=generator))
    share = _share(generator, [n_maskable])
    maskable = _row(generator, n_maskable)[None]
    says = f"one row, {n_maskable} of {N_COLUMNS} tokens maskable, share {share:g}"
    return [Case((maskable, _draws(generator, maskable), share), says)]


def _rows(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(2):
        # Of different lengths, so that a share of all is none of each.
        counts = (torch.randperm(8, generator=generator)[:4] + 10).tolist()
        share = _share(generator, counts)
        maskable = torch.stack([_row(generator, n) for n in counts])
        says = f"rows with {counts} of {N_COLUMNS} tokens maskable, share {share:g}"
        cases.append(Case((maskable, _draws(generator, maskable), share), says))
    return cases


def _short_rows(generator: Generator) -> list[Case]:
    counts = [20, 0, 1, 2, 3]
    share = _share(generator, counts)
    maskable = torch.stack([_row(generator, n) for n in counts])
    says = f"rows with {counts} of {N_COLUMNS} tokens maskable, share {share:g}"
    return [Case((maskable, _draws(generator, maskable), share), says)]


def _no_share(generator: Generator) -> list[Case]:
    cases = []
    for share in (0.0, -0.2, 1.5):
        maskable = _row(generator, 12)[None]
        share = share and share * (1 + torch.rand(1, generator=generator).item())
        args = (maskable, _draws(generator, maskable), share)
        cases.append(Case(args, f"share = {share:g}"))
    return cases


CHOOSE_TARGETS = Exercise(
    name="3.2.1/choose_targets",
    title="Which tokens are targets",
    difficulty=2,
    minutes=15,
    reference=reference_choose,
    parts=(
        Part("one row", 1, _one_row),
        Part("rows with special tokens and padding", 2, _rows),
        Part("short rows, and an empty one", 1, _short_rows),
        Part("a share that is none: ValueError", 1, _no_share, error_type),
    ),
    properties=(a_subset_of_maskable, as_many_as_asked),
    misconceptions=(
        Misconception(
            a_coin_for_each,
            "You toss a coin for each token: the number of targets then varies from "
            "row to row, and a short row easily gets none. Take the "
            "round(share · n_maskable) smallest draws of each row.",
            "https://github.com/huggingface/transformers/pull/1814",
        ),
        Misconception(
            special_tokens_too,
            "Tokens that are not maskable compete, and some become targets: [CLS], "
            "[SEP] and padding have nothing to teach. Put their draws out of reach "
            "before you look for the smallest.",
            "https://github.com/huggingface/transformers/issues/11155",
        ),
        Misconception(
            special_tokens_counted,
            "You took the share of the whole row, padding and special tokens "
            "included: it is the share of the maskable tokens.",
        ),
        Misconception(
            rows_compete,
            "You looked for the smallest draws in the whole batch: each row has its "
            "own share, whatever the draws of the other rows.",
        ),
        Misconception(
            rounded_down,
            "You rounded share · n_maskable down: round to the nearest number, or the "
            "share is too small on average.",
        ),
        Misconception(
            none_in_short_rows,
            "In a short row share · n_maskable rounds to 0 and you choose nothing: a "
            "row that has a maskable token has at least one target.",
        ),
        Misconception(
            one_in_any_case,
            "A row of nothing but padding and special tokens gets a target from you: "
            "it has nothing to hide, so it has none.",
        ),
        Misconception(
            the_largest,
            "You took the largest draws: the tokens with the smallest ones are asked "
            "for.",
        ),
        Misconception(
            order_for_rank,
            "argsort gives, for each rank, the place of the token. You used it as if "
            "it gave, for each place, the rank; that is argsort of argsort.",
        ),
        Misconception(
            any_share,
            "A share of 0, below 0 or above 1 has to be refused with a ValueError.",
        ),
    ),
    slips=(
        Misconception(
            rounded_up,
            "You rounded share · n_maskable up: round to the nearest number, and take "
            "at least one.",
        ),
        Misconception(
            the_first_ones,
            "You took the first maskable tokens of each row, whatever was drawn: a "
            "model that is only asked for the beginnings learns nothing of the rest.",
        ),
        Misconception(
            zero_is_the_smallest,
            "uniform * maskable gives the tokens that are not maskable a draw of 0, "
            "the smallest of all: they take the places of the targets. Give them a "
            "draw above 1.",
        ),
        Misconception(
            places_among_maskable,
            "You count the places among the maskable tokens alone, and mark the places "
            "of these numbers in the whole row.",
        ),
        Misconception(
            as_many_as_in_the_longest,
            "All rows get as many targets as the longest: each row has its own number.",
        ),
        Misconception(
            one_too_many,
            "One target too many in each row: ranks count from 0, so it is rank < "
            "n_targets.",
        ),
    ),
    hints=(
        "Count the maskable tokens of each row, and from that the targets of each row: "
        "round, then at least 1. An empty row takes care of itself if the result is "
        "and-ed with `maskable`.",
        "Give the tokens that are not maskable a draw above 1, so that they come last.",
        "`draws.argsort(dim=1).argsort(dim=1)` is the rank of each token in its row. "
        "Compare it with the number of targets, `n_targets[:, None]`.",
    ),
)


# -- corrupt --------------------------------------------------------------------------


def reference_corrupt(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, IGNORE)


def a_tenth_of_the_rest(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.1)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def random_over_masks(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs = token_ids.masked_fill(chosen & (draw < 0.8), mask_id)
    inputs = torch.where(chosen & (second_draw < 0.5), random_ids, inputs)
    return inputs, token_ids.masked_fill(~chosen, -100)


def one_draw_for_both(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs = torch.where(chosen & (draw < 0.9), random_ids, token_ids)
    inputs = inputs.masked_fill(chosen & (draw < 0.8), mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def masks_everywhere(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = draw < 0.8
    replaced = ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def asked_where_masked_only(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(inputs != mask_id, -100)


def asked_where_changed_only(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(inputs == token_ids, -100)


def written_into_the_text(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs = token_ids
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs[masked] = mask_id
    inputs[replaced] = random_ids[replaced]
    return inputs, token_ids.masked_fill(~chosen, -100)


def every_token_asked(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.clone()


def zero_for_no_target(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, 0)


def targets_of_the_inputs(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, inputs.masked_fill(~chosen, -100)


def all_masked(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs = token_ids.masked_fill(chosen, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def kept_and_replaced_swapped(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = chosen & ~masked & (second_draw >= 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def masked_above(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw > 0.8)
    replaced = chosen & ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def replaced_everywhere(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    replaced = ~masked & (second_draw < 0.5)
    inputs = torch.where(replaced, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def none_kept(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    masked = chosen & (draw < 0.8)
    inputs = torch.where(chosen, random_ids, token_ids).masked_fill(masked, mask_id)
    return inputs, token_ids.masked_fill(~chosen, -100)


def minus_one(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs, targets = reference_corrupt(
        token_ids, chosen, draw, second_draw, random_ids, mask_id
    )
    return inputs, targets.masked_fill(~chosen, -1)


def the_others_asked(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs, _ = reference_corrupt(
        token_ids, chosen, draw, second_draw, random_ids, mask_id
    )
    return inputs, token_ids.masked_fill(chosen, IGNORE)


def targets_first(
    token_ids: Tensor,
    chosen: Tensor,
    draw: Tensor,
    second_draw: Tensor,
    random_ids: Tensor,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    inputs, targets = reference_corrupt(
        token_ids, chosen, draw, second_draw, random_ids, mask_id
    )
    return targets, inputs


def _of_two(which: int, function: Function, args: tuple[Any, ...]) -> Any:
    both = function(*args)
    if not isinstance(both, tuple | list) or len(both) != 2:
        raise TypeError("two tensors are to be returned: return inputs, targets")
    return both[which]


def the_inputs(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the first of the two tensors."""
    return _of_two(0, function, args)


def the_targets(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the second of the two tensors."""
    return _of_two(1, function, args)


MASK_ID = 4


def _text(generator: Generator, rows: int, n: int, chosen: Tensor) -> tuple[Any, ...]:
    """A text with token 0 in it, and draws that leave no fate of a token out.

    Of the chosen places the first eight come in all the kinds that tell mistakes apart.
    """
    token_ids = torch.randint(10, 100, (rows, n), generator=generator)
    random_ids = torch.randint(10, 100, (rows, n), generator=generator)
    random_ids += random_ids >= token_ids  # never the same by luck
    draw = torch.rand(rows, n, generator=generator)
    second = torch.rand(rows, n, generator=generator)
    places = chosen.flatten().nonzero().flatten()
    places = places[torch.randperm(len(places), generator=generator)]
    low, high = torch.rand(2, len(KINDS), generator=generator)
    for place, (a, b), u, v in zip(places, KINDS, low, high, strict=False):
        draw.view(-1)[place] = a[0] + (a[1] - a[0]) * u
        second.view(-1)[place] = b[0] + (b[1] - b[0]) * v
    others = (~chosen).flatten().nonzero().flatten()
    token_ids.view(-1)[others[0]] = 0
    token_ids.view(-1)[places[0]] = 0  # a target, and masked
    draw.view(-1)[others[0]], draw.view(-1)[others[1]] = 0.3, 0.95
    second.view(-1)[others[1]] = 0.2
    return token_ids, chosen, draw, second, random_ids, MASK_ID


# From and to of draw and of second_draw: masked, replaced, kept, and in between.
KINDS = (
    ((0.1, 0.7), (0.6, 0.9)),
    ((0.92, 0.99), (0.2, 0.4)),
    ((0.82, 0.88), (0.6, 0.9)),
    ((0.1, 0.7), (0.2, 0.4)),
    ((0.82, 0.88), (0.01, 0.09)),
    ((0.92, 0.99), (0.6, 0.9)),
)


def _one_text(generator: Generator) -> list[Case]:
    chosen = torch.zeros(1, 10, dtype=torch.bool)
    chosen[0, torch.randperm(10, generator=generator)[:6]] = True
    args = _text(generator, 1, 10, chosen)
    lines = [
        f"{name} = {[round(v, 2) for v in value[0].tolist()]}"
        for name, value in zip(
            ("token_ids", "chosen", "draw", "second_draw", "random_ids"),
            args,
            strict=False,
        )
    ]
    return [Case(args, "\n".join([f"mask_id = {MASK_ID}", *lines]))]


def _texts(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(2):
        rows, n = (torch.randint(3, 7, (2,), generator=generator) * 3).tolist()
        chosen = torch.rand(rows, n, generator=generator) < 0.4
        chosen[0, :6], chosen[1, :3] = True, False
        args = _text(generator, rows, n, chosen)
        cases.append(Case(args, f"token_ids {(rows, n)}"))
    return cases


CORRUPT = Exercise(
    name="3.2.1/corrupt",
    title="Masked, replaced or kept",
    difficulty=3,
    minutes=20,
    reference=reference_corrupt,
    parts=(
        Part("the inputs of one row", 1, _one_text, the_inputs),
        Part("the inputs, any shape", 2, _texts, the_inputs),
        Part("the targets", 2, _texts, the_targets),
    ),
    misconceptions=(
        Misconception(
            a_tenth_of_the_rest,
            "You replace a tenth of those that are not masked: a tenth of the "
            "remaining fifth makes 80/2/18. It is half of the rest, second_draw < 0.5, "
            "that is a tenth of all.",
            "https://github.com/huggingface/transformers/issues/32329",
        ),
        Misconception(
            random_over_masks,
            "The random tokens overwrite half of the [MASK]s, which makes 40/50/10: "
            "only targets that are not masked may be replaced.",
        ),
        Misconception(
            one_draw_for_both,
            "You replace where 0.8 ≤ draw < 0.9. The shares come out right, but here "
            "second_draw decides among those that are not masked.",
        ),
        Misconception(
            masks_everywhere,
            "You mask and replace tokens that were not chosen: what is not a target "
            "stays as it is.",
        ),
        Misconception(
            asked_where_masked_only,
            "Your targets are those that show [MASK] alone. Kept and random tokens are "
            "asked for too; that is what they are there for.",
        ),
        Misconception(
            asked_where_changed_only,
            "Tokens that are kept are no targets of yours: unless they are asked for, "
            "the model can learn that a token that is no [MASK] and is asked for is "
            "always wrong.",
        ),
        Misconception(
            written_into_the_text,
            "`inputs = token_ids` is no copy: you write [MASK] into the text itself, "
            "and into the targets that are read from it afterwards.",
            "https://github.com/huggingface/transformers/pull/244",
        ),
        Misconception(
            every_token_asked,
            "All tokens are targets of yours: at 15 % chosen, more than five in six "
            "questions could be answered by copying.",
        ),
        Misconception(
            zero_for_no_target,
            "You write 0 where nothing is asked, but 0 is a token: write −100, which "
            "is none.",
        ),
        Misconception(
            targets_of_the_inputs,
            "You read the targets from the corrupted inputs: the model would learn to "
            "answer [MASK]. Read them from token_ids.",
        ),
    ),
    slips=(
        Misconception(
            all_masked,
            "You mask every target: that is a mask share of 100 %. A fifth of the "
            "targets, where draw ≥ 0.8, is replaced or kept.",
        ),
        Misconception(
            kept_and_replaced_swapped,
            "Kept and replaced have changed places: second_draw < 0.5 is replaced.",
        ),
        Misconception(
            masked_above,
            "You mask where draw is above 0.8, a fifth of the targets: mask where it "
            "is below.",
        ),
        Misconception(
            replaced_everywhere,
            "You replace tokens that were not chosen: `~masked` holds for them too, so "
            "`chosen` must stand in both conditions.",
        ),
        Misconception(
            none_kept,
            "All targets that are not masked are replaced: where second_draw is 0.5 or "
            "more, they stay.",
        ),
        Misconception(
            minus_one,
            "You write −1 where nothing is asked: −100 is what F.cross_entropy leaves "
            "out by itself.",
        ),
        Misconception(
            the_others_asked,
            "Your targets are the tokens that were *not* chosen: fill with −100 where "
            "`~chosen`.",
        ),
        Misconception(
            targets_first,
            "The two results have changed places: return inputs, targets.",
        ),
    ),
    hints=(
        "Make two boolean tensors first, `masked` and `replaced`, which have no True "
        "in common and are both parts of `chosen`. The rest of `chosen` is kept.",
        "`replaced = chosen & ~masked & (second_draw < 0.5)`: what is the share of "
        "all targets for which this holds?",
        "`torch.where(condition, a, b)` and `x.masked_fill(condition, value)` return "
        "new tensors and leave theirs alone.",
    ),
)

EXERCISES = [CHOOSE_TARGETS, CORRUPT]
