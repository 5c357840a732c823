"""Calibration by hand, and temperature against an optimizer that is not ours."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from torch.nn import functional as F

from lmlib.calibration import (
    best_temperature,
    calibrated_error,
    expected_calibration_error,
    good_turing,
    overconfidence,
    reliability,
)


def answers(n=500, seed=0):
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(n, generator=generator)
    return confidence, torch.rand(n, generator=generator) < confidence**2


@pytest.mark.parametrize("n_bins", [1, 4, 10, 15])
def test_bins_are_those_of_scikit_learn(n_bins):
    confidence, correct = answers()
    bins = reliability(confidence, correct, n_bins)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=n_bins)
    assert bins.accuracy.numpy() == pytest.approx(accuracy)
    assert bins.confidence.numpy() == pytest.approx(mean)
    assert bins.answers.sum() == 500
    share = np.histogram(confidence, bins=n_bins, range=(0, 1))[0] / 500
    expected = (share[share > 0] * abs(accuracy - mean)).sum()
    error = expected_calibration_error(confidence, correct, n_bins)
    assert error == pytest.approx(expected)


def test_edges_by_hand():
    confidence = torch.tensor([0.0, 0.5, 0.75, 1.0])
    correct = torch.tensor([False, True, True, True])
    bins = reliability(confidence, correct, 2)
    assert bins.answers.tolist() == [1, 3]
    assert bins.accuracy.tolist() == [0, 1]
    assert bins.confidence.tolist() == [0, 0.75]
    # 3/4 of the answers, 0.25 off
    assert expected_calibration_error(confidence, correct, 2) == pytest.approx(0.1875)


def test_calibrated_models_have_errors_that_shrink_with_the_sample():
    confidence, _ = answers(4000)
    few, many = (
        calibrated_error(confidence[:250], 10, draws=60, seed=1),
        calibrated_error(confidence, 10, draws=60, seed=1),
    )
    # the mean gap of a bin is √(2/π) standard deviations, √(p(1 − p)/n) each
    middle = (torch.arange(10) + 0.5) / 10
    expected = (2 / torch.pi) ** 0.5 * (middle * (1 - middle) / 400).sqrt().mean()
    assert many.mean().item() == pytest.approx(expected.item(), rel=0.1)
    assert few.mean() / many.mean() == pytest.approx(4, rel=0.2)
    assert (calibrated_error(confidence, 10, draws=60, seed=1) == many).all(), (
        "by the seed"
    )


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_best_temperature_is_the_minimum(scale):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(400, 7, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    logits = scale * logits
    found = minimize_scalar(
        lambda t: F.cross_entropy(logits / t, targets).item(),
        bounds=(0.05, 20),
        method="bounded",
    )
    temperature, nats = best_temperature(logits, targets)
    assert temperature == pytest.approx(found.x, rel=1e-2)
    assert nats == pytest.approx(found.fun, rel=1e-5)
    assert temperature == pytest.approx(scale, rel=0.15)


def test_what_is_no_confidence_is_refused():
    with pytest.raises(ValueError, match="n_bins"):
        reliability(torch.ones(2), torch.ones(2, dtype=torch.bool), 0)
    with pytest.raises(ValueError, match="confidence"):
        reliability(torch.tensor([1.5]), torch.ones(1, dtype=torch.bool), 3)


# -- Overconfidence in bits, and what a text left out ---------------------------------


def test_overconfidence_by_hand():
    # 3/4 and 1/4: H = 2 − 3/4·log₂3; both targets cost log₂(4/3) and 2 bits.
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log()
    paid, announced = (4 - np.log2(3)) / 2, 2 - 0.75 * np.log2(3)
    gap = overconfidence(logits, torch.tensor([0, 1]))
    assert gap == pytest.approx(paid - announced, abs=1e-6)
    assert gap > 0  # right one time in two, and announced three in four
    assert overconfidence(logits, torch.tensor([0, 0])) < 0
    assert overconfidence(torch.zeros(3, 5), torch.tensor([0, 3, 4])) == pytest.approx(
        0
    )


def test_overconfidence_is_the_slope_of_the_cost_in_inverse_temperature():
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(40, 6, generator=generator, dtype=torch.float64)
    targets = torch.multinomial((logits / 2).softmax(1), 1, generator=generator)[:, 0]
    beta = torch.ones((), dtype=torch.float64, requires_grad=True)
    F.cross_entropy(beta * logits, targets).backward()
    slope = float(beta.grad) / np.log(2)
    assert overconfidence(logits, targets) == pytest.approx(slope, abs=1e-12)
    best, _ = best_temperature(logits, targets)
    assert overconfidence(logits / best, targets) == pytest.approx(0, abs=1e-4)


def test_an_impossible_class_announces_nothing_and_costs_everything():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    assert overconfidence(logits, torch.tensor([1])) == pytest.approx(0)
    assert overconfidence(logits, torch.tensor([2])) == np.inf


@pytest.mark.parametrize("targets", [[], [-100], [0, -1], [3]])
def test_overconfidence_wants_targets(targets):
    with pytest.raises(ValueError, match="targets must"):
        overconfidence(torch.zeros(len(targets), 3), torch.tensor(targets).long())


def test_good_turing_by_hand():
    assert good_turing([3, 1, 1, 0, 2]) == 2 / 7
    assert good_turing([2, 5]) == 0
    assert good_turing(np.ones(4, dtype=int)) == 1
    for counts in ([], [0, 0], [2, -1]):
        with pytest.raises(ValueError, match="counts must"):
            good_turing(counts)


def test_good_turing_is_the_mass_of_what_was_not_seen():
    p = 1 / np.arange(1, 501)
    p /= p.sum()
    rng = np.random.default_rng(0)
    found = [np.bincount(rng.choice(500, 400, p=p), minlength=500) for _ in range(300)]
    guess = np.mean([good_turing(counts) for counts in found])
    assert guess == pytest.approx(np.mean([p[c == 0].sum() for c in found]), abs=0.004)
