"""Section 2.1: a text as inputs and targets."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    error_type,
    pair,
)


def _stacked(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: inputs and targets, one above the other."""
    both = pair(function(*args), "inputs and targets")
    if not all(isinstance(value, Tensor) for value in both):
        kinds = " and ".join(type(value).__name__ for value in both)
        raise TypeError(f"inputs and targets must be tensors, got {kinds}")
    one, other = both
    if one.shape != other.shape:
        raise TypeError(
            f"inputs and targets must have one shape, got {tuple(one.shape)} and "
            f"{tuple(other.shape)}"
        )
    if one.dtype != other.dtype:
        raise TypeError(
            f"inputs and targets must be int64, got {one.dtype} and {other.dtype}"
        )
    return torch.stack([one, other])


# -- next_token_rows ------------------------------------------------------------------


def reference_rows(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError("there must be two tokens at least, and length at least 1")
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[: n - 1], targets[: n - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def not_shifted(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[: n - 1] = targets[: n - 1] = tokens[:-1]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def shifted_back(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[: n - 1], targets[: n - 1] = tokens[1:], tokens[:-1]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def rolled(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-n // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[:n], targets[:n] = tokens, torch.roll(tokens, -1)
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def lost_at_the_seam(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-n // (length + 1))
    inputs = torch.zeros(rows, length, dtype=torch.int64)
    targets = torch.full((rows, length), -100)
    for i in range(rows):
        row = tokens[i * (length + 1) : (i + 1) * (length + 1)]
        inputs[i, : len(row) - 1], targets[i, : len(row) - 1] = row[:-1], row[1:]
    return inputs, targets


def remainder_dropped(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = (n - 1) // length
    inputs, targets = tokens[: rows * length], tokens[1 : rows * length + 1]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def shifted_twice(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[: n - 1], targets[: n - 2] = tokens[:-1], tokens[2:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def padding_asked_for(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.zeros(rows * length, dtype=torch.int64)
    inputs[: n - 1], targets[: n - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def nothing_refused(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n, length = len(tokens), max(length, 1)
    rows = -(-(n - 1) // length)
    inputs = torch.zeros(max(rows, 0) * length, dtype=torch.int64)
    targets = torch.full((max(rows, 0) * length,), -100)
    inputs[: n - 1], targets[: n - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(-1, length), targets.reshape(-1, length)


# Slips: recognised, and not handed in by the tests.


def ignored_inputs(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-(n - 1) // length)
    both = torch.full((2, rows * length), -100)
    both[:, : n - 1] = torch.stack([tokens[:-1], tokens[1:]])
    inputs, targets = both.reshape(2, rows, length)
    return inputs, targets


def moved_within_each_row(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    inputs, _ = reference_rows(tokens, length)
    targets = torch.full_like(inputs, -100)
    targets[:, :-1] = inputs[:, 1:]
    return inputs, targets


def padded_with_minus_one(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    inputs, targets = reference_rows(tokens, length)
    return inputs, torch.where(targets == -100, -1, targets)


def a_row_too_many(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = (n - 1) // length + 1
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[: n - 1], targets[: n - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def windows_that_overlap(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    if len(tokens) < 2 or length < 1:
        raise ValueError
    windows = tokens.unfold(0, min(length + 1, len(tokens)), 1)
    return windows[:, :-1], windows[:, 1:]


def last_token_in_a_row_of_its_own(
    tokens: Tensor, length: int
) -> tuple[Tensor, Tensor]:
    n = len(tokens)
    if n < 2 or length < 1:
        raise ValueError
    rows = -(-n // length)
    inputs = torch.zeros(rows * length, dtype=torch.int64)
    targets = torch.full((rows * length,), -100)
    inputs[:n], targets[: n - 1] = tokens, tokens[1:]
    return inputs.reshape(rows, length), targets.reshape(rows, length)


def down_the_columns(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    inputs, targets = reference_rows(tokens, length)
    return (
        inputs.flatten().reshape(length, -1).T,
        targets.flatten().reshape(length, -1).T,
    )


def never_cut(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
    if len(tokens) < 2 or length < 1:
        raise ValueError
    return tokens[:-1][None], tokens[1:][None]


def _tokens(generator: Generator, n: int) -> Tensor:
    """All different, and none of them 0, which is the padding."""
    return torch.randperm(90, generator=generator)[:n] + 10


def _one_row(generator: Generator) -> list[Case]:
    (length,) = distinct_sizes(generator, 1, low=4)
    n = length + 1
    return [Case((_tokens(generator, n), length), f"{n} tokens, length {length}")]


def _several(generator: Generator) -> list[Case]:
    cases = []
    for length, rows in (distinct_sizes(generator, 2, low=3) for _ in range(2)):
        n = length * rows + 1
        says = f"{n} tokens, length {length}"
        cases.append(Case((_tokens(generator, n), length), says))
    return cases


def _last_row(generator: Generator) -> list[Case]:
    cases = []
    for length, rows in (distinct_sizes(generator, 2, low=4) for _ in range(2)):
        left = int(torch.randint(2, length - 1, (1,), generator=generator))
        n = length * rows + left + 1
        says = f"{n} tokens, length {length}"
        cases.append(Case((_tokens(generator, n), length), says))
    (length,) = distinct_sizes(generator, 1, low=3)
    cases.append(Case((_tokens(generator, 2), length), f"2 tokens, length {length}"))
    return cases


def _refused(generator: Generator) -> list[Case]:
    (length,) = distinct_sizes(generator, 1, low=2)
    return [
        Case((_tokens(generator, 1), length), f"1 token, length {length}"),
        Case((_tokens(generator, 0), length), f"0 tokens, length {length}"),
        Case((_tokens(generator, 6), 0), "6 tokens, length 0"),
        Case((_tokens(generator, 6), -length), f"6 tokens, length {-length}"),
    ]


NEXT_TOKEN_ROWS = Exercise(
    name="2.1/next_token_rows",
    title="A text is its own label",
    difficulty=2,
    minutes=20,
    reference=reference_rows,
    parts=(
        Part("one row", 1, _one_row, _stacked),
        Part("several rows", 2, _several, _stacked),
        Part("a last row that is not full", 1, _last_row, _stacked),
        Part("raises ValueError", 1, _refused, error_type),
    ),
    misconceptions=(
        Misconception(
            not_shifted,
            "Your targets are the inputs: the answer stands in the question, and the "
            "loss goes to 0 without anything being learned. Target t is token t + 1.",
        ),
        Misconception(
            shifted_back,
            "You ask for what was just read: target t is token t − 1 of your inputs. "
            "What follows is to be told.",
        ),
        Misconception(
            rolled,
            "`torch.roll` goes round: your last target is the first token. After the "
            "last token comes nothing, so it is no input.",
        ),
        Misconception(
            lost_at_the_seam,
            "You cut first and move then: the first token of each row is nobody's "
            "target. Move the whole text by one, and cut both into rows.",
        ),
        Misconception(
            remainder_dropped,
            "The end of the text is text, too: what doesn't fill a row is padded, "
            "with input 0 and target −100, and not dropped.",
        ),
        Misconception(
            shifted_twice,
            "Target t is token t + 2 here: it was moved twice. Mind who moves: the "
            "rows, or the loss.",
            "https://github.com/huggingface/transformers/issues/32944",
        ),
        Misconception(
            padding_asked_for,
            "The padding's target is 0, which is a token that would be learned. A "
            "place that asks for nothing has the target −100.",
        ),
        Misconception(
            nothing_refused,
            "Fewer than two tokens have no target, and no row is shorter than 1: "
            "raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            ignored_inputs,
            "The inputs are padded with −100, which no embedding has a row for: 0 "
            "there, −100 among the targets.",
        ),
        Misconception(
            moved_within_each_row,
            "The last target of each row is missing: it is the first token of the next "
            "row. Move the whole text by one, and cut both into rows.",
        ),
        Misconception(
            padded_with_minus_one,
            "A place that asks for nothing has the target −100, not −1.",
        ),
        Misconception(
            a_row_too_many,
            "Where the text fills its rows, there is one more that is all filling: "
            "round (n − 1)/length up.",
        ),
        Misconception(
            windows_that_overlap,
            "Your rows overlap, and most tokens are targets many times. Each is one "
            "once.",
        ),
        Misconception(
            last_token_in_a_row_of_its_own,
            "The last token is an input whose target is unknown: with n tokens there "
            "are n − 1 inputs.",
        ),
        Misconception(
            down_the_columns,
            "The text runs down the columns. It runs along the rows, one after the "
            "other.",
        ),
        Misconception(never_cut, "All is in one row. Cut it into rows of `length`."),
    ),
    hints=(
        "With n tokens there are n − 1 pairs of an input and a target: which tokens "
        "are the inputs, which the targets?",
        "Move first, cut then. −(−(n − 1) // length) rounds up.",
        "Fill a flat tensor of zeros and one of −100, rows·length long, and reshape "
        "both.",
    ),
)
