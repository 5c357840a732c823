"""Section 1.2: what a model can see, found by changing its inputs."""

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    distinct_sizes,
    draw_integer,
    normal,
)


def reference_seen(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).abs() > 1e-5).any(dim=-1).T


def transposed(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).abs() > 1e-5).any(dim=-1)


def sum_of_differences(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).sum(dim=-1).abs() > 1e-5).T


def bitwise_unequal(before: Tensor, after: Tensor) -> Tensor:
    return (after != before).any(dim=-1).T


def all_features(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).abs() > 1e-5).all(dim=-1).T


def not_itself(before: Tensor, after: Tensor) -> Tensor:
    moved = ((after - before).abs() > 1e-5).any(dim=-1).T
    return moved & ~torch.eye(len(before), dtype=torch.bool)


def upwards_only(before: Tensor, after: Tensor) -> Tensor:
    return (after - before > 1e-5).any(dim=-1).T


def mean_of_sizes(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).abs().mean(dim=-1) > 1e-5).T


def always_the_triangle(before: Tensor, after: Tensor) -> Tensor:
    return torch.ones(len(before), len(before), dtype=torch.bool).tril()


# Slips: recognised, and not handed in by the tests.


def what_stays(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).abs() <= 1e-5).all(dim=-1).T


def too_coarse(before: Tensor, after: Tensor) -> Tensor:
    return ((after - before).abs() > 1e-3).any(dim=-1).T


def relative(before: Tensor, after: Tensor) -> Tensor:
    return (~torch.isclose(after, before)).any(dim=-1).T


def against_the_next(before: Tensor, after: Tensor) -> Tensor:
    moved = (after - before[:, None]).abs() > 1e-5
    return moved.any(dim=-1).T


def _case(generator: Generator, sees: Tensor, d: int, says: str) -> Case:
    """Outputs of a model that `sees`: [i, j] says whether i sees j."""
    n = len(sees)
    before = normal(generator, n, d)
    moves = normal(generator, n, n, d)
    moves = moves + moves.sign() / 10  # none is too small to tell
    moves[:, :, 0] = -moves[:, :, 0].abs()  # some go down …
    moves[0] = -moves[0].abs()  # … and when input 0 is changed, all
    after = torch.where(sees.T[..., None], before + moves, before)
    return Case((before, after), f"{n} positions, {d} features: {says}")


def _sizes(generator: Generator) -> tuple[int, int]:
    n, d = distinct_sizes(generator, 2, 3)
    return n, d


def _causal(generator: Generator) -> list[Case]:
    cases = []
    for says in ("each sees the past", "each sees the future"):
        n, d = _sizes(generator)
        past = torch.ones(n, n, dtype=torch.bool).tril()
        cases.append(_case(generator, past if "past" in says else past.T, d, says))
    return cases


def _full_and_prefix(generator: Generator) -> list[Case]:
    n, d = _sizes(generator)
    full = torch.ones(n, n, dtype=torch.bool)
    cases = [_case(generator, full, d, "all see all")]
    n, d = _sizes(generator)
    prefix = torch.ones(n, n, dtype=torch.bool).tril()
    prefix[:, : draw_integer(generator, 2, n - 1)] = True
    return [*cases, _case(generator, prefix, d, "a prefix that all see")]


def _rounding(generator: Generator) -> list[Case]:
    """What is not seen moves by a millionth; what is, by twice the bound."""
    cases = []
    for which in ("one feature moves", "all features move"):
        n, d = _sizes(generator)
        sees = torch.ones(n, n, dtype=torch.bool).tril()
        before = normal(generator, n, d)
        before = before + before.sign()
        before[0, 0] /= 1000  # here rounding is large beside the number
        signs = torch.where(torch.rand(n, n, d, generator=generator) < 0.5, -1.0, 1.0)
        noise = signs * (8e-7 + 7e-7 * torch.rand(n, n, d, generator=generator))
        moves = 2.4e-5 * signs[..., :1].expand(n, n, d)
        if which == "one feature moves":
            place = torch.randint(d, (n, n), generator=generator)
            moves = moves * torch.nn.functional.one_hot(place, d)
        after = before + torch.where(sees.T[..., None], moves, noise)
        says = f"{n} positions, {d} features: {which} a little, others by rounding"
        cases.append(Case((before, after), says))
    return cases


def _cancels(generator: Generator) -> list[Case]:
    n, d = _sizes(generator)
    sees = torch.rand(n, n, generator=generator) < 0.4
    sees[torch.arange(n), torch.arange(n)] = True
    sees[0, n - 1], sees[n - 1, 0] = True, False
    before = normal(generator, n, d)
    size = 0.5 + torch.rand(n, n, generator=generator)
    moves = torch.zeros(n, n, d)
    moves[:, :, 0], moves[:, :, 2] = size, -size
    after = torch.where(sees.T[..., None], before + moves, before)
    says = f"{n} positions, {d} features: one feature rises by what another falls"
    return [Case((before, after), says)]


SEEN = Exercise(
    name="1.2/seen",
    title="Who sees whom",
    difficulty=2,
    minutes=15,
    reference=reference_seen,
    parts=(
        Part("past, and future", 1, _causal),
        Part("everything, and a prefix", 1, _full_and_prefix),
        Part("rounding is no sight", 1, _rounding),
        Part("changes that cancel", 1, _cancels),
    ),
    misconceptions=(
        Misconception(
            transposed,
            "Rows and columns are swapped: `after[j]` comes first, but [i, j] of the "
            "result asks whether output i moves with input j.",
        ),
        Misconception(
            sum_of_differences,
            "A rise and a fall cancel in a sum. Take the size of each difference "
            "first.",
        ),
        Misconception(
            bitwise_unequal,
            "Rounding makes numbers unequal that nobody has touched: only what moves "
            "by more than 1e-5 counts.",
        ),
        Misconception(
            all_features,
            "You ask that *all* features move. One that does is enough.",
        ),
        Misconception(
            not_itself,
            "The diagonal is left out: whether a position sees itself is read from the "
            "outputs, like all else.",
        ),
        Misconception(
            upwards_only, "An output that falls has moved, too: take absolute values."
        ),
        Misconception(
            mean_of_sizes,
            "The mean over the features hides one that moves alone. Any feature beyond "
            "1e-5 counts.",
        ),
        Misconception(
            always_the_triangle,
            "This is a causal mask whatever the outputs are. Find it in them.",
        ),
    ),
    slips=(
        Misconception(what_stays, "True and False are swapped: True means seen."),
        Misconception(too_coarse, "Your bound is larger than 1e-5."),
        Misconception(
            relative,
            "Your bound goes with the size of the numbers. It is 1e-5 for all: "
            "`rtol=0`, if you like `isclose`.",
        ),
        Misconception(
            against_the_next,
            "`before[:, None]` puts the outputs on the axis of the changed inputs. "
            "`after[j]` has the shape of `before`, so after − before does it.",
        ),
    ),
    hints=(
        "`after - before` has the axes changed input, output, feature.",
        "`.abs() > 1e-5`, then `.any` over the features.",
        "What is left is [j, i].",
    ),
)

EXERCISES = [SEEN]
