"""Section 2.3: a classifier by its nearest neighbours, and how it is flattered."""

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
)


def reference_accuracy(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]].tolist()
        # `max` takes the first of equals, and the nearest comes first.
        right += max(near, key=near.count) == label
    return right / len(wanted)


def right_if_any(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]].tolist()
        most = max(near.count(one) for one in near)
        right += near.count(label) == most
    return right / len(wanted)


def smallest_label_wins(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]]
        right += near.bincount().argmax().item() == label
    return right / len(wanted)


def last_of_ties_wins(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]].tolist()
        right += max(near[::-1], key=near.count) == label
    return right / len(wanted)


def farthest(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(descending=True)[:k]].tolist()
        right += max(near, key=near.count) == label
    return right / len(wanted)


def one_too_many(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[: k + 1]].tolist()
        right += max(near, key=near.count) == label
    return right / len(wanted)


def nearest_left_out(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[1 : k + 1]].tolist()
        right += max(near, key=near.count) == label
    return right / len(wanted)


def weighted(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        order = row.argsort(stable=True)[:k]
        votes = torch.zeros(int(labels.max()) + 1).double()
        votes.index_add_(0, labels[order], 1 / row[order].double())
        right += votes.argmax().item() == label
    return right / len(wanted)


def nearest_alone(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        right += labels[row.argmin()].item() == label
    return right / len(wanted)


def top_k(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        right += label in labels[row.argsort(stable=True)[:k]].tolist()
    return right / len(wanted)


# Slips: recognised, and not handed in by the tests.


def ties_are_wrong(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]].tolist()
        mine = near.count(label)
        right += (
            all(near.count(one) < mine for one in near if one != label) and mine > 0
        )
    return right / len(wanted)


def how_many(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0.0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]].tolist()
        right += max(near, key=near.count) == label
    return right


def in_per_cent(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        near = labels[row.argsort(stable=True)[:k]].tolist()
        right += max(near, key=near.count) == label
    return 100 * right / len(wanted)


def ties_by_distance(
    distances: Tensor, labels: Tensor, wanted: Tensor, k: int
) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        order = row.argsort(stable=True)[:k]
        near = labels[order].tolist()
        best = max(
            (near.count(one), -row[order][labels[order] == one].sum().item(), one)
            for one in near
        )
        right += best[2] == label
    return right / len(wanted)


def votes_by_rank(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        votes = torch.zeros(int(labels.max()) + 1)
        share = 1 / torch.arange(1.0, k + 1)
        votes.index_add_(0, labels[row.argsort(stable=True)[:k]], share)
        right += votes.argmax().item() == label
    return right / len(wanted)


def votes_fall_off(distances: Tensor, labels: Tensor, wanted: Tensor, k: int) -> float:
    right = 0
    for row, label in zip(distances, wanted.tolist(), strict=True):
        order = row.argsort(stable=True)[:k]
        votes = torch.zeros(int(labels.max()) + 1, dtype=row.dtype)
        votes.index_add_(0, labels[order], torch.exp(-row[order]))
        right += votes.argmax().item() == label
    return right / len(wanted)


RIVALS = (
    right_if_any,
    smallest_label_wins,
    last_of_ties_wins,
    farthest,
    one_too_many,
    nearest_left_out,
    weighted,
    nearest_alone,
    top_k,
    ties_by_distance,
    votes_fall_off,
)


def _cases(
    generator: Generator,
    ks: tuple[int, ...],
    n_labels: int,
    rivals: tuple[Function, ...],
) -> list[Case]:
    """Tests and labelled texts, until every rival gets another share of one right."""
    while True:
        cases = []
        for k in ks:
            t, n = draw_integer(generator, 9, 11), draw_integer(generator, 14, 18)
            args = (
                0.2 + torch.rand(t, n, generator=generator),
                torch.randint(n_labels, (n,), generator=generator),
                torch.randint(n_labels, (t,), generator=generator),
                k,
            )
            says = f"{t} tests, {n} texts, {n_labels} labels, k = {k}"
            cases.append(Case(args, says))
        right = [reference_accuracy(*case.args) for case in cases]
        if all([f(*case.args) for case in cases] != right for f in rivals):
            return cases


def _nearest(generator: Generator) -> list[Case]:
    return _cases(generator, (1, 1), 2, (farthest, nearest_left_out))


def _ties(generator: Generator) -> list[Case]:
    return _cases(generator, (2, 4, 4, 4), 2, RIVALS)


def _three_labels(generator: Generator) -> list[Case]:
    return _cases(generator, (5, 3, 5), 3, (*RIVALS, votes_by_rank))


NEIGHBOUR_ACCURACY = Exercise(
    name="2.3/neighbour_accuracy",
    title="Find the bug: an accuracy that flatters",
    difficulty=3,
    minutes=25,
    reference=reference_accuracy,
    parts=(
        Part("the nearest alone", 1, _nearest),
        Part("ties", 2, _ties),
        Part("three labels", 1, _three_labels),
    ),
    misconceptions=(
        Misconception(
            right_if_any,
            "A test counts as right if *any* of the tied labels is. A classifier must "
            "decide for one before it looks.",
            "https://github.com/bazingagin/npc_gzip/issues/3",
        ),
        Misconception(
            smallest_label_wins,
            "The smallest label gets all ties, as `bincount().argmax()` gives them. "
            "They go to the label that comes first among the nearest.",
        ),
        Misconception(
            last_of_ties_wins,
            "Ties go to the farthest of the labels. They go to that of the nearest.",
        ),
        Misconception(farthest, "These are the farthest. A small distance means near."),
        Misconception(
            one_too_many,
            "You take k + 1: that is for texts that lie among their own neighbours, "
            "and a test does not.",
        ),
        Misconception(
            nearest_left_out,
            "The nearest is left out, as if it were the test itself. A test is not "
            "among the labelled texts.",
        ),
        Misconception(
            weighted,
            "You weigh the votes by 1/distance, which is another classifier. Each of "
            "the k has one vote.",
        ),
        Misconception(
            nearest_alone, "You ask the nearest alone. k of them vote, each once."
        ),
        Misconception(
            top_k,
            "You count a test as right if its label is anywhere among the k. It must "
            "win the vote.",
        ),
    ),
    slips=(
        Misconception(
            ties_are_wrong,
            "You count every tie as wrong. Of the tied labels the nearest one is "
            "chosen, and may be right.",
        ),
        Misconception(
            how_many, "That is how many are right. Asked is the share of all tests."
        ),
        Misconception(
            ties_by_distance,
            "Ties go to the label with the least distances together. They go to the "
            "one that comes first.",
        ),
        Misconception(
            votes_by_rank,
            "The nearer ones have larger votes. Each of the k has one vote.",
        ),
        Misconception(
            votes_fall_off,
            "Your votes fall off with the distance. Each of the k has one vote.",
        ),
        Misconception(in_per_cent, "A share is asked, 0 … 1, not per cent."),
    ),
    hints=(
        "What does the given code do where two labels have equally many votes?",
        "Decide for a label first, without `wanted`. Then compare.",
        "`max(near, key=near.count)` takes the first of equals: order `near` by "
        "distance.",
    ),
)

EXERCISES = [NEIGHBOUR_ACCURACY]
