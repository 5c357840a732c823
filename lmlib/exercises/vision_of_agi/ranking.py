"""Section 2.3: whether two measures order alike, and what the nearest say."""

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    draw_integer,
    error_type,
    normal,
)

# -- rank_correlation -----------------------------------------------------------------


def reference_correlation(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2:
        raise ValueError("two values at least, and as many of y as of x")
    centred = []
    for values in (x, y):
        below = (values[:, None] > values).sum(dim=1)
        equal = (values[:, None] == values).sum(dim=1)
        ranks = below + (equal + 1) / 2
        centred.append((ranks - ranks.mean()).double())
    a, b = centred
    if not a.any() or not b.any():
        raise ValueError("equal values have no order")
    return ((a @ b) / (a.norm() * b.norm())).item()


def argsort_once(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = (v.argsort(stable=True).double() for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    return ((a @ b) / (a.norm() * b.norm())).item()


def ties_as_they_come(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = (v.argsort(stable=True).argsort().double() for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    return ((a @ b) / (a.norm() * b.norm())).item()


def ties_without_gaps(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = (v.unique(return_inverse=True)[1].double() for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    return ((a @ b) / (a.norm() * b.norm())).item()


def least_place_of_ties(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = ((v[:, None] > v).sum(dim=1).double() for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    return ((a @ b) / (a.norm() * b.norm())).item()


def shortcut_with_ties(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = (
        (v[:, None] > v).sum(dim=1) + ((v[:, None] == v).sum(dim=1) + 1) / 2
        for v in (x, y)
    )
    n = len(x)
    return 1 - 6 * (a - b).double().square().sum().item() / (n**3 - n)


def of_the_values(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = x.double() - x.double().mean(), y.double() - y.double().mean()
    return ((a @ b) / (a.norm() * b.norm())).item()


def sign_lost(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = (
        ((v[:, None] > v).sum(dim=1) + ((v[:, None] == v).sum(dim=1) + 1) / 2).double()
        for v in (x, y)
    )
    a, b = a - a.mean(), b - b.mean()
    return abs((a @ b) / (a.norm() * b.norm())).item()


def zero_for_no_order(x: Tensor, y: Tensor) -> float:
    k = min(len(x), len(y))
    x, y = x[:k], y[:k]
    a, b = (
        ((v[:, None] > v).sum(dim=1) + ((v[:, None] == v).sum(dim=1) + 1) / 2).double()
        for v in (x, y)
    )
    a, b = a - a.mean(), b - b.mean()
    length = (a.norm() * b.norm()).item()
    return (a @ b).item() / length if length else 0.0


# Slips: recognised, and not handed in by the tests.


def pairs_in_order(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = ((v[:, None] - v).sign() for v in (x.double(), y.double()))
    return ((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()).item()


def squared(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or len(x) < 2 or x.unique().numel() == 1:
        raise ValueError
    if y.unique().numel() == 1:
        raise ValueError
    a, b = (
        ((v[:, None] > v).sum(dim=1) + ((v[:, None] == v).sum(dim=1) + 1) / 2).double()
        for v in (x, y)
    )
    a, b = a - a.mean(), b - b.mean()
    return ((a @ b) ** 2 / (a @ a) / (b @ b)).item()


def _says(x: Tensor, y: Tensor) -> str:
    return (
        f"x {[round(v, 2) for v in x.tolist()]}, y {[round(v, 2) for v in y.tolist()]}"
    )


def _no_ties(generator: Generator) -> list[Case]:
    cases = []
    for sign in (1, -1):
        n = draw_integer(generator, 5, 7)
        # Where each stands and which rank it has differ: argsort is no ranking.
        while True:
            x = normal(generator, n)
            y = sign * (x + normal(generator, n)).exp()
            args = x, y
            right = reference_correlation(*args)
            others = (argsort_once(*args), of_the_values(*args), pairs_in_order(*args))
            if (
                min(abs(right - other) for other in others) > 0.02
                and sign * right > 0.1
            ):
                break
        cases.append(Case(args, _says(*args)))
    return cases


def _ties(generator: Generator) -> list[Case]:
    wrong = (
        argsort_once,
        ties_as_they_come,
        ties_without_gaps,
        least_place_of_ties,
        shortcut_with_ties,
        of_the_values,
    )
    cases = []
    for _ in range(2):
        n = draw_integer(generator, 7, 9)
        while True:
            x = torch.randint(1, 5, (n,), generator=generator).float()
            y = x.square() + torch.randint(-8, 9, (n,), generator=generator)
            y = -(y / 4).round()
            if min(x.unique().numel(), y.unique().numel()) < 3:
                continue
            right = reference_correlation(x, y)
            if min(abs(right - f(x, y)) for f in wrong) > 0.01 and right < -0.1:
                break
        cases.append(Case((x, y), _says(x, y)))
    return cases


def _no_order(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 6)
    x, one = normal(generator, n), normal(generator, 1)
    return [
        Case((x, one.repeat(n)), "all of y are equal"),
        Case((one.repeat(n), x), "all of x are equal"),
        Case((x, normal(generator, n + 1)), f"{n} of x, {n + 1} of y"),
        Case((x[:1], one), "one of each"),
    ]


RANK_CORRELATION = Exercise(
    name="2.3/rank_correlation",
    title="Do two measures order alike?",
    difficulty=2,
    minutes=20,
    reference=reference_correlation,
    parts=(
        Part("no two alike", 1, _no_ties),
        Part("ties", 2, _ties),
        Part("what has no order: ValueError", 1, _no_order, error_type),
    ),
    misconceptions=(
        Misconception(
            argsort_once,
            "`argsort` says where the smallest stands, not the place of each in the "
            "order. It takes a second `argsort` to make ranks of it.",
            "https://github.com/statlab/permute/issues/191",
        ),
        Misconception(
            ties_as_they_come,
            "Equal values get unequal ranks, by where they stand. They share the mean "
            "of their places.",
        ),
        Misconception(
            ties_without_gaps,
            "Of equal values you count one: 1, 2, 2, 3. They take two places, and "
            "share the mean of them: 1, 2.5, 2.5, 4.",
        ),
        Misconception(
            least_place_of_ties,
            "Equal values get the first of their places. They share the mean of them.",
        ),
        Misconception(
            shortcut_with_ties,
            "1 − 6Σd²/(n³ − n) holds only where no two values are equal. The "
            "correlation of the ranks always does.",
            "https://github.com/TheAlgorithms/Python/pull/14887",
        ),
        Misconception(
            of_the_values,
            "This is the correlation of the values. One that is far out rules it: "
            "take the ranks first.",
        ),
        Misconception(
            sign_lost, "The sign is lost: few bits and many right answers are −1."
        ),
        Misconception(
            zero_for_no_order,
            "Equal values have no order, and unequal numbers of values no pairs: raise "
            "ValueError.",
        ),
    ),
    slips=(
        Misconception(
            pairs_in_order,
            "This is Kendall's, which counts pairs. Asked is the correlation of ranks.",
        ),
        Misconception(squared, "That is the square of the correlation."),
    ),
    hints=(
        "Rank: how many are below, and half of those that are equal.",
        "below + (equal + 1)/2, where each counts among its own equals.",
        "Then the correlation of the ranks: centre both, product over lengths.",
    ),
    forbidden=(*LIBRARY, "scipy.stats.spearmanr", "scipy.stats.rankdata"),
)

EXERCISES = [RANK_CORRELATION]
