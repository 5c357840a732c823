"""Section 9: targets of a causal model that keep the end of each document."""

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    draw_integer,
    error_type,
)
from lmlib.losses import IGNORE


def reference_targets(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError(f"lengths must be in 1 … {n}, got {lengths.tolist()}")
    place = torch.arange(n)
    following = ids.roll(-1, dims=1)
    last = place == lengths[:, None] - 1
    return following.masked_fill(last, eos).masked_fill(
        place >= lengths[:, None], IGNORE
    )


def hidden_by_id(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.roll(-1, dims=1).masked_fill(place == lengths[:, None] - 1, eos)
    result = result.masked_fill(place >= lengths[:, None], pad)
    return result.masked_fill(result == pad, -100)


def length_by_id(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    real = (ids != pad).sum(dim=1, keepdim=True)
    place = torch.arange(n)
    result = ids.roll(-1, dims=1).masked_fill(place == real - 1, eos)
    return result.masked_fill(place >= real, -100)


def moved_twice(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.roll(-2, dims=1).masked_fill(place == lengths[:, None] - 2, eos)
    return result.masked_fill(place >= lengths[:, None] - 1, -100)


def not_moved(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.masked_fill(place == lengths[:, None], eos)
    return result.masked_fill(place > lengths[:, None], -100)


def ends_to_the_end_of_the_row(
    ids: Tensor, lengths: Tensor, pad: int, eos: int
) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    return ids.roll(-1, dims=1).masked_fill(place >= lengths[:, None] - 1, eos)


def zero_for_nothing(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.roll(-1, dims=1).masked_fill(place == lengths[:, None] - 1, eos)
    return result.masked_fill(place >= lengths[:, None], 0)


def no_end(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    return ids.roll(-1, dims=1).masked_fill(place >= lengths[:, None] - 1, -100)


def what_stands_behind(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.roll(-1, dims=1)
    result[:, -1] = pad
    return result.masked_fill(place >= lengths[:, None], -100)


def full_row_without_end(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.roll(-1, dims=1).masked_fill(place == lengths[:, None] - 1, eos)
    result = result.masked_fill(place >= lengths[:, None], -100)
    result[:, -1] = -100
    return result


def around_the_corner(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    last = (place == lengths[:, None] - 1) & (place < n - 1)
    result = ids.roll(-1, dims=1).masked_fill(last, eos)
    return result.masked_fill(place >= lengths[:, None], -100)


def one_end_too_late(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    n = ids.shape[1]
    if ((lengths < 1) | (lengths > n)).any():
        raise ValueError("lengths")
    place = torch.arange(n)
    result = ids.roll(-1, dims=1).masked_fill(place == lengths[:, None], eos)
    return result.masked_fill(place > lengths[:, None], -100)


def any_length(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
    place = torch.arange(ids.shape[1])
    result = ids.roll(-1, dims=1).masked_fill(place == lengths[:, None] - 1, eos)
    return result.masked_fill(place >= lengths[:, None], -100)


def _batch(
    generator: Generator, lengths: list[int], n: int, *, alike: bool, says: str
) -> Case:
    """Rows of text, padded; where `alike`, the id of pad and eos is in the text too."""
    eos = draw_integer(generator, 1, 9)
    pad = eos if alike else eos + draw_integer(generator, 1, 9)
    ids = torch.randint(20, 90, (len(lengths), n), generator=generator)
    for row, length in zip(ids, lengths, strict=True):
        if alike and length > 2:
            row[draw_integer(generator, 1, length - 2)] = pad
        row[length:] = pad
    return Case((ids, torch.tensor(lengths), pad, eos), says)


def _unlike(generator: Generator) -> list[Case]:
    lengths = [draw_integer(generator, 3, 6), draw_integer(generator, 2, 5)]
    return [_batch(generator, lengths, 8, alike=False, says="pad and eos differ")]


def _alike(generator: Generator) -> list[Case]:
    says = "pad is eos, which also stands inside the text"
    return [
        _batch(
            generator,
            [draw_integer(generator, 3, n - 2) for _ in range(rows)],
            n,
            alike=True,
            says=says,
        )
        for rows, n in ((2, 7), (4, 9))
    ]


def _full(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 5, 8)
    return [
        _batch(generator, [n, n - 2], n, alike=alike, says="a row without padding")
        for alike in (False, True)
    ]


def _short(generator: Generator) -> list[Case]:
    return [
        _batch(generator, [1, 4, 1], 6, alike=alike, says="rows of a single token")
        for alike in (False, True)
    ]


def _no_length(generator: Generator) -> list[Case]:
    cases = []
    for wrong in (0, 7, -1):
        lengths = [draw_integer(generator, 2, 5), 3]
        ids, _, pad, eos = _batch(generator, lengths, 6, alike=False, says="").args
        given = torch.tensor([lengths[0], wrong])
        cases.append(Case((ids, given, pad, eos), f"a length of {wrong} in rows of 6"))
    return cases


TARGETS = Exercise(
    name="9/targets",
    title="Targets that end",
    difficulty=3,
    minutes=20,
    reference=reference_targets,
    parts=(
        Part("pad and eos are two tokens", 1, _unlike),
        Part("pad is eos", 2, _alike),
        Part("a full row", 1, _full),
        Part("a single token", 1, _short),
        Part("a length outside 1 … n: ValueError", 1, _no_length, error_type),
    ),
    misconceptions=(
        Misconception(
            hidden_by_id,
            "You hide whatever equals `pad`. Where pad is eos the ends go as well, and "
            "so does the id inside the text: the model never learns to stop. Padding "
            "is told by `lengths`.",
            "https://github.com/huggingface/transformers/issues/23530",
        ),
        Misconception(
            length_by_id,
            "You count the tokens that are not `pad`; the text may hold that id too. "
            "How long a row is, `lengths` says.",
        ),
        Misconception(
            moved_twice,
            "Your targets are moved by two: the model would learn the token after the "
            "next.",
            "https://github.com/huggingface/transformers/pull/44642",
        ),
        Misconception(
            not_moved,
            "Your targets are not moved: position t is to predict token t + 1, and "
            "copying what it sees is no task.",
        ),
        Misconception(
            ends_to_the_end_of_the_row,
            "Every padding place has the target eos: a document has one end, and what "
            "comes behind it is no target (−100).",
        ),
        Misconception(
            zero_for_nothing,
            "0 is a token. What shall not count is −100, which the loss leaves out.",
        ),
        Misconception(
            no_end,
            "The last token of a row has no target: after it comes one eos, or the "
            "model never learns to stop.",
            "https://github.com/huggingface/trl/issues/976",
        ),
        Misconception(
            what_stands_behind,
            "The last token's target is what stands behind it in the tensor, padding: "
            "write eos there.",
        ),
        Misconception(
            full_row_without_end,
            "A row without padding loses its end: its last position has the target "
            "eos as well.",
        ),
        Misconception(
            around_the_corner,
            "In a full row the last target is the row's first token: `roll` goes "
            "around the corner.",
        ),
        Misconception(
            any_length,
            "A length below 1 or above n has to be refused with a ValueError.",
        ),
    ),
    slips=(
        Misconception(
            one_end_too_late,
            "The end comes one place too late: the eos belongs to the last token of "
            "the text, at length − 1.",
        ),
    ),
    hints=(
        "Write a row of three tokens and two places of padding down, and below it what "
        "each position should predict.",
        "`torch.arange(n) >= lengths[:, None]` says where there is padding, whatever "
        "stands there.",
    ),
)

EXERCISES = [TARGETS]
