"""Does a model mean its probabilities? Calibration, and what one number mends of it.

Of the answers that a model gives with confidence 0.8, eight in ten should be right. A
model that is sure more often than it is right pays for it in bits (section 4.2).
Guo et al. (2017), "On Calibration of Modern Neural Networks". Section 8.4 asks the same
of whole distributions, in bits, and of facts that a text doesn't hold.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmlib.losses import bits, cross_entropy


class Reliability(NamedTuple):
    """Answers by how sure they were: one entry for each bin that has any.

    Attributes:
        answers: how many are in the bin.
        confidence: their mean confidence.
        accuracy: the share of them that is right.
    """

    answers: Int[Tensor, " bins"]
    confidence: Float[Tensor, " bins"]
    accuracy: Float[Tensor, " bins"]


def reliability(
    confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], n_bins: int
) -> Reliability:
    """Sort answers into `n_bins` equally wide bins of confidence, 0 … 1.

    A bin holds its lower edge and not its upper one; the last holds both.

    Raises:
        ValueError: n_bins is not positive, or a confidence is not in 0 … 1.
    """
    _check(confidence, n_bins)
    bin_of = (confidence * n_bins).long().clamp(max=n_bins - 1)
    count = torch.bincount(bin_of, minlength=n_bins)
    filled = count > 0

    def mean(values: Tensor) -> Tensor:
        total = torch.zeros(n_bins, dtype=torch.float64)
        return total.index_add(0, bin_of, values.double())[filled] / count[filled]

    return Reliability(count[filled], mean(confidence), mean(correct))


def expected_calibration_error(
    confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], n_bins: int
) -> float:
    """The gap between confidence and accuracy of a bin, averaged over the answers.

    It is no proper score: always answering with the overall accuracy makes it 0.

    Raises:
        ValueError: as `reliability`.
    """
    bins = reliability(confidence, correct, n_bins)
    gap = (bins.confidence - bins.accuracy).abs()
    return float((bins.answers * gap).sum() / bins.answers.sum())


def calibrated_error(
    confidence: Float[Tensor, " n"], n_bins: int, *, draws: int, seed: int = 0
) -> Float[Tensor, " draws"]:
    """The `expected_calibration_error` of models that mean these confidences.

    Each draw decides whether an answer is right by a coin of just its confidence. What
    comes out is not 0: bins are finite samples. An error has to stand out from these.

    Raises:
        ValueError: as `reliability`.
    """
    _check(confidence, n_bins)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(draws):
        correct = torch.rand(len(confidence), generator=generator) < confidence
        found.append(expected_calibration_error(confidence, correct, n_bins))
    return torch.tensor(found)


def best_temperature(
    logits: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]
) -> tuple[float, float]:
    """The T whose softmax(logits / T) costs the targets least; that mean cost, in nats.

    The cost is convex in β = 1/T, with the derivative E[z] − z_target, where E is under
    softmax(βz): β is found by bisection of its sign, between 1/50 and 50.
    """
    low, high = 1 / 50, 50.0
    wanted = logits.gather(1, targets[:, None]).double().mean()
    for _ in range(24):
        middle = (low * high) ** 0.5
        p = (logits * middle).softmax(dim=1)
        if (p * logits).sum(dim=1).double().mean() > wanted:
            high = middle
        else:
            low = middle
    temperature = 1 / (low * high) ** 0.5
    return temperature, float(cross_entropy(logits / temperature, targets))


def overconfidence(
    logits: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]
) -> float:
    """What the targets cost less what the predictions announced, in bits a target.

    The announcement is the mean entropy of softmax(logits), the cost that a predictor
    which means its probabilities has to expect. The gap is the slope of the cost in
    β = 1/T at β = 1: above 0, a temperature above 1 would cost less. That it is 0 is
    necessary for calibration, and not sufficient. A class may have the logit −∞; where
    it is the target, the gap is infinite.

    Raises:
        ValueError: no target, or one that is no class.
    """
    if len(targets) == 0 or int(targets.min()) < 0:
        raise ValueError("targets must be the numbers of classes, one or more")
    logits = logits.double()
    announced = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1).mean()
    paid = cross_entropy(logits, targets)
    return float(bits(paid - announced))


def good_turing(counts: Iterable[int] | Int[ndarray, " kinds"]) -> float:
    """Turing's estimate of the share of draws to come that will be of a new kind.

    `counts` has the number of draws of each kind so far; kinds never drawn may be left
    out. The estimate is the share of draws whose kind came just once: n₁ / N. Good
    (1953), "The Population Frequencies of Species and the Estimation of Population
    Parameters".

    Raises:
        ValueError: no draw, or a negative count.
    """
    each = [int(count) for count in counts]
    if min(each, default=0) < 0:
        raise ValueError("counts must not be negative")
    if sum(each) == 0:
        raise ValueError("counts must hold a draw")
    return each.count(1) / sum(each)


def _check(confidence: Tensor, n_bins: int) -> None:
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidence must be in 0 … 1")
