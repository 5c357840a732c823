"""Section 3.2.2: the loss of a yes/no question, and a judge without parameters."""

import math

import torch
from torch import Generator, Tensor

from lmlib.exercises.calls import LIBRARY
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    gradient,
    normal,
)

# -- nsp_loss -------------------------------------------------------------------------


def reference_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels)


def zero_ignored(logits: Tensor, labels: Tensor) -> Tensor:
    cost = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return (cost * (labels != 0)).sum() / (labels != 0).sum().clamp(min=1)


def one_means_follows(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, 1 - labels)


def two_questions(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.nn.functional.one_hot(labels, 2).to(logits.dtype)
    )


def the_other_logit_ignored(logits: Tensor, labels: Tensor) -> Tensor:
    return -torch.nn.functional.logsigmoid(logits.gather(1, labels[:, None])).mean()


def loss_in_bits(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels) / math.log(2)


def loss_summed(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


def probability_for_its_logarithm(logits: Tensor, labels: Tensor) -> Tensor:
    return -logits.softmax(dim=1).gather(1, labels[:, None]).mean()


def softmax_twice(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.softmax(dim=1), labels)


def first_logit_for_random(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], labels.to(logits.dtype)
    )


def softmax_over_the_batch(logits: Tensor, labels: Tensor) -> Tensor:
    return -logits.log_softmax(dim=0).gather(1, labels[:, None]).mean()


def _labelled(generator: Generator, labels: list[int], says: str) -> list[Case]:
    logits = 2 * normal(generator, len(labels), 2)
    target = torch.tensor(labels)
    return [
        Case((logits, target), says),
        Case((logits.double(), target), says + ", float64"),
    ]


def _unbalanced(generator: Generator) -> list[Case]:
    labels = [0, 1, 1, 0, 0, 0, 1]
    order = torch.randperm(len(labels), generator=generator).tolist()
    labels = [labels[i] for i in order]
    logits = torch.full((1, 2), 3.0) + normal(generator, 1, 1)  # both alike
    alike = Case((logits, torch.tensor([1])), "one pair, both logits alike")
    return [alike, *_labelled(generator, labels, f"labels {labels}")]


def _all_follow(generator: Generator) -> list[Case]:
    return _labelled(generator, [0, 0, 0], "labels [0, 0, 0]")


def _confident(generator: Generator) -> list[Case]:
    logits = 300 * normal(generator, 4, 2)
    return [Case((logits, torch.tensor([0, 1, 1, 0])), "logits of some hundreds")]


NSP_LOSS = Exercise(
    name="3.2.2/nsp_loss",
    title="The loss of two logits",
    difficulty=2,
    minutes=10,
    reference=reference_loss,
    parts=(
        Part("both labels", 1, _unbalanced),
        Part("all labels 0", 1, _all_follow),
        Part("logits of some hundreds", 1, _confident),
        Part("the gradient", 1, _unbalanced, gradient, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            zero_ignored,
            "Label 0 is ignored, as padding is in a masked model's loss: pairs that "
            "follow each other cost nothing, the loss falls, and the model learns to "
            "answer 1.",
            "https://github.com/codertimo/BERT-pytorch/issues/98",
        ),
        Misconception(
            one_means_follows,
            "You read label 1 as “follows”. In BERT 1 means that B is random; whoever "
            "mixes the two up trains a model to be wrong.",
            "https://github.com/google-research/bert/issues/125",
        ),
        Misconception(
            two_questions,
            "A sigmoid for each logit asks two questions. There is one question with "
            "two answers, whose probabilities sum to 1: softmax over the two logits.",
        ),
        Misconception(
            the_other_logit_ignored,
            "You took the label's logit alone through a sigmoid. What counts is how "
            "far it is above the other one: σ(z_label − z_other).",
        ),
        Misconception(loss_in_bits, "This is in bits: nats are asked."),
        Misconception(loss_summed, "This is the sum over the pairs; return the mean."),
        Misconception(
            probability_for_its_logarithm,
            "You took the mean of −p: the loss is the mean of −log p.",
        ),
        Misconception(
            softmax_twice,
            "The softmax is taken twice: cross-entropy takes logits, and takes one.",
        ),
        Misconception(
            first_logit_for_random,
            "You made the first logit the answer “random”, and did not look at the "
            "second: logit 1 belongs to label 1.",
        ),
        Misconception(
            softmax_over_the_batch,
            "Your softmax runs over the pairs of the batch: each pair has two logits "
            "of its own, the last axis.",
        ),
    ),
    properties=(),
    hints=(
        "For one pair, −log of the probability that the softmax gives the label.",
        "−log softmax(z)_y = log Σ exp(z) − z_y.",
        "`torch.logsumexp(logits, dim=1)` survives logits of some hundreds; "
        "`logits.gather(1, labels[:, None])` picks those of the labels.",
    ),
    forbidden=(
        *LIBRARY,
        "torch.nn.functional.cross_entropy",
        "torch.nn.CrossEntropyLoss",
    ),
)


# -- threshold_accuracy ---------------------------------------------------------------


def reference_threshold(scores: Tensor, labels: Tensor) -> float:
    cuts = [*scores.tolist(), math.inf]
    return max(((scores < t) == (labels == 1)).double().mean().item() for t in cuts)


def cut_at_half(scores: Tensor, labels: Tensor) -> float:
    return ((scores < 0.5) == (labels == 1)).double().mean().item()


def cut_at_the_mean(scores: Tensor, labels: Tensor) -> float:
    return ((scores < scores.mean()) == (labels == 1)).double().mean().item()


def between_equals(scores: Tensor, labels: Tensor) -> float:
    # sorted by label within equal scores, so that the best cut may lie between them
    order = sorted(zip(scores.tolist(), (-labels).tolist(), strict=True))
    label = [-y for _, y in order]
    n = len(label)
    right = [sum(label[:k]) + (n - k) - sum(label[k:]) for k in range(n + 1)]
    return max(right) / n


def turned_round(scores: Tensor, labels: Tensor) -> float:
    cuts = [*scores.tolist(), math.inf]
    found = [((scores < t) == (labels == 1)).double().mean().item() for t in cuts]
    return max(max(found), 1 - min(found))


def never_all_random(scores: Tensor, labels: Tensor) -> float:
    return max(
        ((scores < t) == (labels == 1)).double().mean().item() for t in scores.tolist()
    )


def never_none(scores: Tensor, labels: Tensor) -> float:
    return max(
        ((scores <= t) == (labels == 1)).double().mean().item() for t in scores.tolist()
    )


def above_is_random(scores: Tensor, labels: Tensor) -> float:
    cuts = [*scores.tolist(), math.inf]
    return max(((scores >= t) == (labels == 1)).double().mean().item() for t in cuts)


def a_count(scores: Tensor, labels: Tensor) -> float:
    cuts = [*scores.tolist(), math.inf]
    return max(float(((scores < t) == (labels == 1)).sum()) for t in cuts)


def the_larger_class(scores: Tensor, labels: Tensor) -> float:
    share = (labels == 1).double().mean().item()
    return max(share, 1 - share)


def _scored(generator: Generator, n: int, n_scores: int, says: str) -> Case:
    """Scores in quarters, with ties where there are fewer of them than pairs."""
    labels = torch.randint(2, (n,), generator=generator)
    if n_scores >= n:
        scores = torch.rand(n, generator=generator) - 0.6 * labels
    else:
        scores = torch.randint(n_scores, (n,), generator=generator) / 4
    return Case((scores, labels), f"{n} pairs, {says}")


def _small(scores: list[float], labels: list[int], generator: Generator) -> Case:
    shift = float(torch.randint(1, 40, (1,), generator=generator)) / 8
    order = torch.randperm(len(scores), generator=generator)
    moved = (torch.tensor(scores) + shift)[order]
    label = torch.tensor(labels)[order]
    return Case(
        (moved, label),
        f"scores {moved.tolist()}, labels {label.tolist()}",
    )


def _distinct(generator: Generator) -> list[Case]:
    return [
        _small([0.1, 0.2, 0.7], [1, 1, 0], generator),
        _small([-0.3, 0.1, 0.2, 0.7], [0, 1, 0, 1], generator),
        _scored(generator, 9, 9, "distinct scores"),
        _scored(generator, 14, 14, "distinct scores"),
    ]


def _ties(generator: Generator) -> list[Case]:
    return [
        _small([0.5, 0.5, 0.5], [0, 1, 1], generator),
        _small([0.0, 0.5, 0.5, 0.5, 0.9], [1, 1, 0, 1, 0], generator),
        _scored(generator, 12, 4, "some scores equal"),
    ]


def _one_label(generator: Generator) -> list[Case]:
    return [
        _small([0.1, 0.4, 0.6], [1, 1, 1], generator),
        _small([0.1, 0.4, 0.6, 0.9], [0, 0, 0, 0], generator),
        _small([0.9, 0.1], [1, 0], generator),
    ]


THRESHOLD_ACCURACY = Exercise(
    name="3.2.2/threshold_accuracy",
    title="The best that one number can do",
    difficulty=3,
    minutes=20,
    reference=reference_threshold,
    parts=(
        Part("distinct scores", 1, _distinct),
        Part("equal scores", 2, _ties),
        Part("one label only; scores the wrong way round", 1, _one_label),
    ),
    misconceptions=(
        Misconception(
            cut_at_half,
            "You cut at ½. Any threshold is allowed, and scores need not lie in 0 … 1.",
        ),
        Misconception(
            cut_at_the_mean,
            "You cut at the mean of the scores: the best threshold may be anywhere.",
        ),
        Misconception(
            between_equals,
            "You cut between pairs whose scores are equal: no threshold separates "
            "equals, they all get the same answer.",
        ),
        Misconception(
            turned_round,
            "You also count the rule turned round (“random if the score is high”): "
            "that is another rule.",
        ),
        Misconception(
            never_all_random,
            "With thresholds among the scores alone, the largest score never counts as "
            "random: t = ∞ is missing.",
        ),
        Misconception(
            never_none,
            "With `scores <= t` at the scores alone, the smallest score always counts "
            "as random: the rule under which nothing is random is missing.",
        ),
        Misconception(
            above_is_random,
            "You call high scores random. A low score is the sign of a random B.",
        ),
        Misconception(
            a_count, "This is how many are right: the *share* of the pairs is asked."
        ),
        Misconception(
            the_larger_class,
            "You never look at the scores: this is the share of the larger class.",
        ),
    ),
    hints=(
        "Only a few thresholds matter: which ones give different answers?",
        "Each score as a threshold, and one above all of them.",
        "For one threshold: `((scores < t) == (labels == 1))`, and its mean.",
    ),
)

EXERCISES = [NSP_LOSS, THRESHOLD_ACCURACY]
