"""Section 2.1: a loss whose targets somebody has moved already."""

import torch
import torch.nn.functional as F
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
from lmlib.exercises.self_supervised_pre_training.splits import a_number


def reference_loss(logits: Tensor, targets: Tensor) -> float:
    losses = -logits.log_softmax(dim=-1)
    counted = targets != -100
    told = losses.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return (told * counted).sum().item() / counted.sum().item()


def moved_again(logits: Tensor, targets: Tensor) -> float:
    logits, targets = logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten()
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100)
    return loss.item()


def across_rows(logits: Tensor, targets: Tensor) -> float:
    logits, targets = logits.flatten(0, 1), targets.flatten()
    targets = torch.cat([targets[1:], targets.new_tensor([-100])])
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100)
    return loss.item()


def mean_of_row_means(logits: Tensor, targets: Tensor) -> float:
    rows = [
        torch.nn.functional.cross_entropy(row, wanted, ignore_index=-100)
        for row, wanted in zip(logits, targets, strict=True)
    ]
    return torch.stack(rows).mean().item()


def ignored_in_the_mean(logits: Tensor, targets: Tensor) -> float:
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"
    )
    return loss.item() / targets.numel()


def softmax_twice(logits: Tensor, targets: Tensor) -> float:
    probabilities = logits.softmax(dim=-1).flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(
        probabilities, targets.flatten(), ignore_index=-100
    )
    return loss.item()


def padding_as_a_class(logits: Tensor, targets: Tensor) -> float:
    targets = targets.clamp(min=0).flatten()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets).item()


def summed(logits: Tensor, targets: Tensor) -> float:
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"
    )
    return loss.item()


# Slips: recognised, and not handed in by the tests.


def mean_of_place_means(logits: Tensor, targets: Tensor) -> float:
    places = [
        F.cross_entropy(logits[:, i], targets[:, i]) for i in range(targets.shape[1])
    ]
    return float(torch.stack(places).nanmean())


def moved_logits(logits: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(logits.flatten(0, 1)[1:], targets.flatten()[:-1]))


def first_row_alone(logits: Tensor, targets: Tensor) -> float:
    return reference_loss(logits[:1], targets[:1])


def in_bits(logits: Tensor, targets: Tensor) -> float:
    return float(reference_loss(logits, targets) * 1.4426950408889634)


def moved_back(logits: Tensor, targets: Tensor) -> float:
    return float(
        F.cross_entropy(logits[:, 1:].flatten(0, 1), targets[:, :-1].flatten())
    )


def last_place_dropped(logits: Tensor, targets: Tensor) -> float:
    return float(
        F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, :-1].flatten())
    )


def first_place_dropped(logits: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(logits[:, 1:].flatten(0, 1), targets[:, 1:].flatten()))


def turned_round(logits: Tensor, targets: Tensor) -> float:
    return -reference_loss(logits, targets)


def logits_alone(logits: Tensor, targets: Tensor) -> float:
    counted = targets != -100
    told = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -float((told * counted).sum() / counted.sum())


def over_places(logits: Tensor, targets: Tensor) -> float:
    """The softmax runs over the positions."""
    losses = -logits.log_softmax(dim=1)
    counted = targets != -100
    told = losses.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return float((told * counted).sum() / counted.sum())


def rolled(logits: Tensor, targets: Tensor) -> float:
    return reference_loss(logits, targets.roll(-1, 1))


def per_batch(logits: Tensor, targets: Tensor) -> float:
    return summed(logits, targets) / len(targets)


def perplexity(logits: Tensor, targets: Tensor) -> float:
    return float(torch.tensor(reference_loss(logits, targets)).exp())


def _case(generator: Generator, left: bool, says: str) -> Case:
    b, t, v = distinct_sizes(generator, 3, low=4)
    logits = 2 * normal(generator, b, t, v)
    targets = torch.randint(v, (b, t), generator=generator)
    if left:
        for row, n in enumerate(torch.randperm(t - 1, generator=generator)[: b - 2]):
            targets[row, t - 1 - int(n) :] = -100
    return Case((logits, targets), f"logits ({b}, {t}, {v}){says}")


def _values(generator: Generator) -> list[Case]:
    return [_case(generator, False, "") for _ in range(2)]


def _ignored(generator: Generator) -> list[Case]:
    return [_case(generator, True, ", some targets −100") for _ in range(2)]


def _rows_apart(generator: Generator) -> list[Case]:
    """Each row asks for a class of its own, and each is sure of it."""
    b, t, v = 3, draw_integer(generator, 3, 5), draw_integer(generator, 6, 8)
    classes = torch.randperm(v, generator=generator)[:b]
    targets = classes[:, None].expand(b, t).clone()
    logits = normal(generator, b, t, v) + 5 * F.one_hot(targets, v)
    targets[0, -1] = -100
    says = f"logits ({b}, {t}, {v}), a class for each row"
    return [Case((logits, targets), says)]


LOSS_OF_MOVED_TARGETS = Exercise(
    name="2.1/loss_of_moved_targets",
    title="Find the bug: moved once more",
    difficulty=3,
    minutes=20,
    reference=reference_loss,
    parts=(
        Part("all places have a target", 2, _values, a_number),
        Part("targets of −100", 1, _ignored, a_number),
        Part("rows stay apart", 1, _rows_apart, a_number),
    ),
    misconceptions=(
        Misconception(
            moved_again,
            "The targets are moved already, and you move them again: this trains the "
            "token after the next.",
            "https://github.com/huggingface/transformers/pull/37830",
        ),
        Misconception(
            across_rows,
            "The targets are moved again, and across the rows: each row's last place "
            "is asked for the beginning of the next row.",
            "https://github.com/huggingface/transformers/issues/47394",
        ),
        Misconception(
            mean_of_row_means,
            "The mean of the rows' means lets a target in a row of few weigh more. "
            "Divide the sum of all by the number of all.",
        ),
        Misconception(
            ignored_in_the_mean,
            "You divided by all places. Those of −100 ask for nothing, and dilute the "
            "loss: count the targets.",
        ),
        Misconception(
            softmax_twice,
            "The softmax is taken twice: `cross_entropy` expects logits. The loss "
            "can't get below a floor then, whatever is learned.",
        ),
        Misconception(
            padding_as_a_class,
            "−100 became class 0, which is learned. Such places are left out.",
        ),
        Misconception(
            summed, "This is the sum over all targets: divide by their number."
        ),
    ),
    slips=(
        Misconception(
            mean_of_place_means,
            "The mean of the places' means lets a target in a place of few weigh more. "
            "Divide the sum of all by the number of all.",
        ),
        Misconception(
            moved_logits,
            "You moved the logits against the targets, across the rows: both stand in "
            "place already.",
        ),
        Misconception(first_row_alone, "This is the first row's loss. Take all rows."),
        Misconception(in_bits, "This is in bits. The loss is asked in nats."),
        Misconception(
            moved_back,
            "You moved the logits against the targets: both stand in place already.",
        ),
        Misconception(
            last_place_dropped,
            "The last place of each row is left out: it has a target, too.",
        ),
        Misconception(
            first_place_dropped,
            "The first place of each row is left out: it has a target, too.",
        ),
        Misconception(turned_round, "The sign is turned: a loss is −log p."),
        Misconception(
            logits_alone,
            "These are the logits of the targets. Their log-softmax is missing.",
        ),
        Misconception(
            over_places, "The softmax runs over the places. It is over the classes."
        ),
        Misconception(
            rolled, "The targets are moved again, and go round within the row."
        ),
        Misconception(per_batch, "You divided by the number of rows: count targets."),
        Misconception(perplexity, "This is the perplexity. The loss is asked."),
    ),
    hints=(
        "The rows of section 2.1 have their targets moved: place t is asked for "
        "targets[:, t].",
        "What does the given code do with `targets` before it compares anything?",
        "Flatten both, and let `F.cross_entropy` ignore −100.",
    ),
)
