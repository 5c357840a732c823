"""Losses against torch, scipy and numpy in float64; famous mistakes must be noticed.

Tolerances: in float64 both sides round fewer than a hundred times, 1e-12 is far above
100·2e-16 and far below any mistake; in float32 likewise 1e-5.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, rel_entr, softmax
from torch.autograd import gradcheck

from lmlib.losses import (
    IGNORE,
    binary_cross_entropy,
    binary_cross_entropy_from_probabilities,
    binary_cross_entropy_from_probabilities_gradient,
    binary_cross_entropy_gradient,
    bits,
    bits_per_byte,
    bits_per_character,
    cross_entropy,
    cross_entropy_from_probabilities,
    cross_entropy_from_probabilities_gradient,
    cross_entropy_gradient,
    kl_divergence,
    kl_divergence_gradient,
    nats,
    perplexity,
)

EXACT = {"rtol": 1e-12, "atol": 1e-12}
SINGLE = {"rtol": 1e-5, "atol": 1e-5}


def scores(*shape, dtype=torch.float64, scale=3.0, device="cpu"):
    return (scale * torch.randn(*shape, dtype=dtype)).to(device)


def some_targets(n_classes, *shape, device="cpu", ignored=IGNORE):
    """About one in four is `ignored`; the first never is, the second always."""
    targets = torch.randint(n_classes, shape)
    gaps = torch.rand(shape) < 0.25
    gaps.view(-1)[:2] = torch.tensor([False, True])
    return targets.masked_fill(gaps, ignored).to(device)


def oracle_cross_entropy(logits, targets):
    """Row by row in float64; one loss for each target that is not IGNORE."""
    rows = log_softmax(logits.double().cpu().numpy(), axis=-1).reshape(
        -1, logits.shape[-1]
    )
    wanted = targets.cpu().numpy().reshape(-1)
    return [-row[t] for row, t in zip(rows, wanted, strict=True) if t != IGNORE]


# -- Values ---------------------------------------------------------------------------


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_is_that_of_torch(device, label_smoothing, reduction):
    logits = scores(3, 5, 7, device=device)
    targets = some_targets(7, 3, 5, device=device)
    ours = cross_entropy(
        logits, targets, label_smoothing=label_smoothing, reduction=reduction
    )
    theirs = F.cross_entropy(
        logits.transpose(1, 2),
        targets,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("ignore_index", [IGNORE, -1])
def test_the_index_to_ignore_can_be_chosen(device, ignore_index):
    logits = scores(20, 4, device=device)
    targets = some_targets(4, 20, device=device, ignored=ignore_index)
    ours = cross_entropy(logits, targets, ignore_index=ignore_index)
    theirs = F.cross_entropy(logits, targets, ignore_index=ignore_index)
    torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_binary_cross_entropy_is_that_of_torch(device, reduction):
    logits = scores(4, 9, device=device)
    targets = torch.rand(4, 9, dtype=torch.float64).to(device)
    ours = binary_cross_entropy(logits, targets, reduction=reduction)
    theirs = F.binary_cross_entropy_with_logits(logits, targets, reduction=reduction)
    torch.testing.assert_close(ours, theirs, **EXACT)
    p = logits.sigmoid()
    ours = binary_cross_entropy_from_probabilities(p, targets, reduction=reduction)
    theirs = F.binary_cross_entropy(p, targets, reduction=reduction)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_binary_targets_may_be_truth_values(device):
    logits, truth = scores(12, device=device), torch.rand(12).to(device) < 0.5
    for targets in (truth, truth.long()):
        ours = binary_cross_entropy(logits, targets)
        theirs = F.binary_cross_entropy_with_logits(logits, truth.double())
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_divergence_is_that_of_torch_and_scipy(device, temperature):
    student, teacher = scores(3, 4, 6, device=device), scores(3, 4, 6, device=device)
    ours = kl_divergence(student, teacher, temperature=temperature, reduction="none")
    t = softmax(teacher.cpu().numpy() / temperature, axis=-1)
    s = softmax(student.cpu().numpy() / temperature, axis=-1)
    expected = temperature**2 * rel_entr(t, s).sum(axis=-1)
    np.testing.assert_allclose(ours.cpu().numpy(), expected, **EXACT)
    theirs = temperature**2 * F.kl_div(
        (student / temperature).log_softmax(-1).flatten(0, 1),
        (teacher / temperature).softmax(-1).flatten(0, 1),
        reduction="batchmean",
    )
    torch.testing.assert_close(
        kl_divergence(student, teacher, temperature=temperature), theirs, **EXACT
    )


def test_probabilities_give_the_same_loss_as_their_logits(device):
    logits, targets = scores(5, 8, device=device), some_targets(8, 5, device=device)
    torch.testing.assert_close(
        cross_entropy_from_probabilities(logits.softmax(-1), targets),
        cross_entropy(logits, targets),
        **EXACT,
    )


def test_values_that_can_be_worked_out_by_hand():
    quarter = torch.zeros(1, 4, dtype=torch.float64)
    loss = cross_entropy(quarter, torch.tensor([2])).item()
    assert loss == pytest.approx(math.log(4), abs=1e-15)
    assert bits(loss) == pytest.approx(2, abs=1e-15)
    assert nats(bits(loss)) == pytest.approx(loss, abs=1e-15)
    assert perplexity(loss) == pytest.approx(4, abs=1e-14)
    # 100 tokens of two bits, for a text of 50 bytes and 25 characters
    assert bits_per_byte(100 * loss, 50) == pytest.approx(4, abs=1e-13)
    assert bits_per_character(100 * loss, 25) == pytest.approx(8, abs=1e-13)
    assert bits(torch.tensor(math.log(8.0))).item() == pytest.approx(3, abs=1e-6)


def test_perplexity_too_large_for_a_float_is_infinite():
    assert perplexity(1e4) == math.inf


# -- Extremes -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_huge_logits_stay_exact(device, size):
    # float32: the loss of the less likely class is `size` rounded, 1e-7 of it
    logits = torch.tensor([[size, -size], [size, -size], [size, size - 1]]).to(device)
    targets = torch.tensor([0, 1, 0]).to(device)
    logits.requires_grad_()
    losses = cross_entropy(logits, targets, reduction="none")
    expected = torch.tensor([0.0, 2 * size, math.log1p(math.exp(-1))]).to(device)
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)
    losses.sum().backward()
    torch.testing.assert_close(
        logits.grad, cross_entropy_gradient(logits.detach(), targets)
    )
    z = torch.tensor([size, size, -size, -size, 0.0]).to(device).requires_grad_()
    y = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]).to(device)
    losses = binary_cross_entropy(z, y, reduction="none")
    expected = torch.tensor([0.0, size, size, 0.0, math.log(2)]).to(device)
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)
    losses.sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([0.0, 1, -1, 0, -0.5]).to(device))
    kl = kl_divergence(logits.detach()[:2], -logits.detach()[:2], reduction="none")
    torch.testing.assert_close(kl, torch.full_like(kl, 2 * size))


def test_small_losses_keep_their_digits():
    # −log σ(20) = 2.06e-9: log(1 + e²⁰) − 20 in float32 is 0
    loss = binary_cross_entropy(torch.tensor([20.0]), torch.tensor([1.0]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-20)), rel=1e-6)


def test_half_precision_is_computed_in_single():
    logits = scores(6, 5, dtype=torch.bfloat16)
    loss = cross_entropy(logits, torch.arange(6) % 5)
    assert loss.dtype == torch.float32
    expected = np.mean(oracle_cross_entropy(logits, torch.arange(6) % 5))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_certainty_costs_nothing_if_right_and_everything_if_wrong():
    p = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    right = p.detach().clone()
    losses = binary_cross_entropy_from_probabilities(p, right, reduction="none")
    assert losses.tolist() == [0, 0]
    losses.sum().backward()
    assert p.grad.tolist() == [1, -1]
    by_hand = binary_cross_entropy_from_probabilities_gradient(p.detach(), right)
    assert by_hand.tolist() == [1, -1]
    wrong = binary_cross_entropy_from_probabilities(p, 1 - right, reduction="none")
    assert wrong.tolist() == [math.inf, math.inf]
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    losses = cross_entropy_from_probabilities(
        rows, torch.tensor([0, 1]), reduction="none"
    )
    assert losses.tolist() == [0, math.inf]


def test_without_any_target_sum_and_mean_are_zero_and_so_is_the_gradient(device):
    logits = scores(3, 4, device=device).requires_grad_()
    targets = torch.full((3,), IGNORE).to(device)
    for reduction in ("sum", "mean"):
        loss = cross_entropy(logits, targets, reduction=reduction)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0
        assert (gradient == 0).all()
    assert (cross_entropy_gradient(logits.detach(), targets) == 0).all()
    none = scores(0, 4, device=device), torch.zeros(0, dtype=torch.long).to(device)
    assert cross_entropy(*none).item() == 0
    assert binary_cross_entropy(none[0][:, 0], none[1]).item() == 0


# -- Gradients ------------------------------------------------------------------------


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_gradient_of_cross_entropy_by_hand(device, label_smoothing):
    logits = scores(3, 5, 6, device=device).requires_grad_()
    targets = some_targets(6, 3, 5, device=device)

    def loss(z):
        return cross_entropy(
            z, targets, label_smoothing=label_smoothing, reduction="sum"
        )

    assert gradcheck(loss, logits)
    (automatic,) = torch.autograd.grad(loss(logits), logits)
    by_hand = cross_entropy_gradient(
        logits.detach(), targets, label_smoothing=label_smoothing
    )
    torch.testing.assert_close(by_hand, automatic, **EXACT)
    torch.testing.assert_close(
        by_hand.sum(-1), torch.zeros_like(by_hand[..., 0]), **EXACT
    )


def test_gradient_of_cross_entropy_from_probabilities_by_hand(device):
    logits, targets = scores(4, 6, device=device), some_targets(6, 4, device=device)
    p = logits.softmax(-1).requires_grad_()
    loss = cross_entropy_from_probabilities(p, targets, reduction="sum")
    (automatic,) = torch.autograd.grad(loss, p)
    by_hand = cross_entropy_from_probabilities_gradient(p.detach(), targets)
    torch.testing.assert_close(by_hand, automatic, **EXACT)
    # By the chain rule it is softmax − one-hot: the softmax's Jacobian is diag p − pp'.
    p = p.detach()
    chained = p * (by_hand - (p * by_hand).sum(-1, keepdim=True))
    torch.testing.assert_close(chained, cross_entropy_gradient(logits, targets))


def test_gradients_of_binary_cross_entropy_by_hand(device):
    z = scores(3, 7, device=device).requires_grad_()
    y = torch.rand(3, 7, dtype=torch.float64).to(device)
    y[0] = (y[0] > 0.5).double()

    def loss(z):
        return binary_cross_entropy(z, y, reduction="sum")

    assert gradcheck(loss, z)
    (automatic,) = torch.autograd.grad(loss(z), z)
    by_hand = binary_cross_entropy_gradient(z.detach(), y)
    torch.testing.assert_close(by_hand, automatic, **EXACT)

    p = z.detach().sigmoid().requires_grad_()

    def loss_of_p(p):
        return binary_cross_entropy_from_probabilities(p, y, reduction="sum")

    assert gradcheck(loss_of_p, p)
    (automatic,) = torch.autograd.grad(loss_of_p(p), p)
    from_p = binary_cross_entropy_from_probabilities_gradient(p.detach(), y)
    torch.testing.assert_close(from_p, automatic, **EXACT)
    p = p.detach()
    torch.testing.assert_close(from_p * p * (1 - p), by_hand, **EXACT)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_gradient_of_divergence_by_hand(device, temperature):
    student = scores(4, 5, device=device).requires_grad_()
    teacher = scores(4, 5, device=device)

    def loss(z):
        return kl_divergence(z, teacher, temperature=temperature, reduction="sum")

    assert gradcheck(loss, student)
    (automatic,) = torch.autograd.grad(loss(student), student)
    by_hand = kl_divergence_gradient(student.detach(), teacher, temperature=temperature)
    torch.testing.assert_close(by_hand, automatic, **EXACT)


def test_a_class_that_the_teacher_rules_out_costs_nothing():
    ruled_out, even = torch.tensor([[0.0, -math.inf]]), torch.zeros(1, 2)
    student = even.clone().requires_grad_()
    loss = kl_divergence(student, ruled_out)
    assert loss.item() == pytest.approx(math.log(2))  # a certain one of two, at 50 %
    loss.backward()
    torch.testing.assert_close(student.grad, torch.tensor([[-0.5, 0.5]]))
    student = ruled_out.clone().requires_grad_()
    loss = kl_divergence(student, ruled_out)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.tolist() == [[0, 0]]
    # What the student rules out and the teacher does not is infinitely wrong.
    assert kl_divergence(ruled_out, even).item() == math.inf


def test_no_gradient_flows_to_the_teacher():
    student, teacher = scores(2, 3).requires_grad_(), scores(2, 3).requires_grad_()
    kl_divergence(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


# -- Famous mistakes: each check accepts our loss and rejects every mutant ------------


def check_cross_entropy(loss):
    logits = scores(4, 5, 6, dtype=torch.float32)
    targets = some_targets(6, 4, 5)
    logits[0, 0] = torch.tensor([1e4, -1e4, 0, 0, 0, 0])
    targets[0, 0] = 1
    targets[0, 2] = 0  # a class like the others
    expected = np.mean(oracle_cross_entropy(logits, targets))
    got = loss(logits, targets).item()
    assert got == pytest.approx(expected, rel=1e-5)


def over_all_positions(logits, targets):
    counted = targets != IGNORE
    losses = cross_entropy(logits, targets.where(counted, 0), reduction="none")
    return (losses * counted).mean()


def mask_after_reduction(logits, targets):
    counted = targets != IGNORE
    loss = cross_entropy(logits, targets.where(counted, 0))
    return (loss * counted).sum() / counted.sum()


def class_0_ignored(logits, targets):
    return cross_entropy(
        logits, targets.masked_fill(targets == IGNORE, 0), ignore_index=0
    )


def softmax_before(logits, targets):
    return cross_entropy(logits.softmax(-1), targets)


def log_of_zero(logits, targets):
    counted = targets != IGNORE
    p = logits.softmax(-1)[counted]
    return -p[range(len(p)), targets[counted]].log().mean()


def mean_of_batch_means(logits, targets):
    return torch.stack(
        [cross_entropy(*batch) for batch in zip(logits, targets, strict=True)]
    ).mean()


def in_bits(logits, targets):
    return bits(cross_entropy(logits, targets))


def torch_classes_second(logits, targets):
    return F.cross_entropy(logits.reshape(4, 6, 5), targets)


@pytest.mark.parametrize(
    "mutant",
    [
        over_all_positions,
        mask_after_reduction,
        class_0_ignored,
        softmax_before,
        log_of_zero,
        mean_of_batch_means,
        in_bits,
        torch_classes_second,
    ],
)
def test_mistakes_in_cross_entropy_are_noticed(mutant):
    torch.manual_seed(1)
    check_cross_entropy(cross_entropy)
    torch.manual_seed(1)
    with pytest.raises(AssertionError):
        check_cross_entropy(mutant)


def pooled(batches):
    sums = [cross_entropy(*batch, reduction="sum") for batch in batches]
    return sum(sums) / sum((targets != IGNORE).sum() for _, targets in batches)


def check_pooling(pool):
    """Batches of 1 and of 9 targets: each target weighs the same."""
    batches = [(scores(9, 3), torch.arange(9) % 3) for _ in range(2)]
    batches[0][1][1:] = IGNORE
    every = [loss for batch in batches for loss in oracle_cross_entropy(*batch)]
    assert pool(batches).item() == pytest.approx(np.mean(every), rel=1e-12)


def test_a_mean_of_batch_means_is_noticed():
    check_pooling(pooled)
    with pytest.raises(AssertionError):
        check_pooling(lambda batches: sum(cross_entropy(*b) for b in batches) / 2)


def check_binary(loss):
    z = scores(30, dtype=torch.float32)
    z[0], y = -200.0, (torch.rand(30) < 0.5).float()
    y[0] = 1.0
    p = 1 / (1 + np.exp(-z.double().numpy()))
    by_hand = np.where(y.numpy() == 1, -np.log(p), -np.log1p(-p))
    assert loss(z, y).item() == pytest.approx(by_hand.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(lambda z, y: binary_cross_entropy(z.sigmoid(), y), id="twice"),
        pytest.param(
            lambda z, y: (
                -(y * z.sigmoid().log() + (1 - y) * (1 - z.sigmoid()).log()).mean()
            ),
            id="log 0",
        ),
        pytest.param(
            lambda z, y: F.binary_cross_entropy(z.sigmoid(), y), id="log clipped"
        ),
        pytest.param(lambda z, y: binary_cross_entropy(z, 1 - y), id="swapped"),
    ],
)
def test_mistakes_in_binary_cross_entropy_are_noticed(mutant):
    check_binary(binary_cross_entropy)
    with pytest.raises(AssertionError):
        check_binary(mutant)


def check_divergence(kl):
    """Against a loop, and: times T², the gradient hardly depends on a high T."""
    student, teacher = scores(7, 5).requires_grad_(), scores(7, 5)
    s, t = (softmax(x.detach().numpy() / 3, axis=-1) for x in (student, teacher))
    rows = [
        sum(b * math.log(b / a) for a, b in zip(*row, strict=True))
        for row in zip(s, t, strict=True)
    ]
    got = kl(student, teacher, 3.0)
    assert got.item() == pytest.approx(9 * sum(rows) / len(rows), rel=1e-10)
    slopes = [
        torch.autograd.grad(kl(student, teacher, temperature), student)[0].norm().item()
        for temperature in (50.0, 100.0)
    ]
    assert slopes[0] == pytest.approx(slopes[1], rel=0.1)


def kl_of_torch(student, teacher, temperature, reduction="batchmean", power=2):
    log_s = (student / temperature).log_softmax(-1)
    t = (teacher / temperature).softmax(-1)
    return temperature**power * F.kl_div(log_s, t, reduction=reduction)


@pytest.mark.filterwarnings("ignore:reduction. 'mean'")  # torch warns of this mistake
@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(lambda s, t, T: kl_of_torch(s, t, T, power=0), id="T² missing"),
        pytest.param(lambda s, t, T: kl_of_torch(s, t, T, power=1), id="T¹"),
        pytest.param(lambda s, t, T: kl_of_torch(s, t, T, reduction="mean"), id="mean"),
        pytest.param(lambda s, t, T: kl_of_torch(t, s, T), id="reverse"),
        pytest.param(lambda s, t, T: kl_of_torch(t, t + 0 * s, T), id="with itself"),
        pytest.param(
            lambda s, t, T: (
                T**2
                * F.kl_div(
                    (s / T).softmax(-1), (t / T).softmax(-1), reduction="batchmean"
                )
            ),
            id="probabilities for logarithms",
        ),
    ],
)
def test_mistakes_in_divergence_are_noticed(mutant):
    check_divergence(lambda s, t, T: kl_divergence(s, t, temperature=T))
    check_divergence(kl_of_torch)
    with pytest.raises(AssertionError):
        check_divergence(mutant)


def check_bits_per_byte(per_byte):
    """A text of 1,000 bytes, each one of 256 with the same probability: 8 bits each."""
    loss = cross_entropy(
        torch.zeros(1000, 256), torch.zeros(1000, dtype=torch.long), reduction="sum"
    )
    assert per_byte(loss.item(), 1000) == pytest.approx(8, rel=1e-5)


def test_nats_reported_as_bits_are_noticed():
    check_bits_per_byte(bits_per_byte)
    with pytest.raises(AssertionError):
        check_bits_per_byte(lambda nats, n: nats / n)


def test_perplexity_is_of_the_mean_not_a_mean():
    assert perplexity((1 + 3) / 2) < (perplexity(1.0) + perplexity(3.0)) / 2


# -- Bad input ------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [4, -1, -99])
@pytest.mark.parametrize("loss", [cross_entropy, cross_entropy_gradient])
def test_a_target_that_is_no_class_is_refused(loss, wrong):
    with pytest.raises(ValueError, match=rf"targets must be in 0 … 3.*got {wrong}"):
        loss(scores(2, 4), torch.tensor([1, wrong]))


@pytest.mark.usefixtures("no_runtime_types")
@pytest.mark.parametrize("loss", [cross_entropy, cross_entropy_gradient])
def test_probabilities_are_no_targets(loss):
    # 0.7 would be rounded down to class 0.
    with pytest.raises(ValueError, match=r"numbers of classes, got torch\.float32"):
        loss(scores(2, 4), torch.tensor([0.7, 1.0]))


@pytest.mark.usefixtures("no_runtime_types")
def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one target per row"):
        cross_entropy(scores(2, 4), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="one target per score"):
        binary_cross_entropy(scores(2, 1), torch.zeros(2))
    with pytest.raises(ValueError, match="same shape"):
        kl_divergence(scores(2, 4), scores(2, 1))
    with pytest.raises(ValueError, match="reduction"):
        cross_entropy(scores(1, 4), torch.tensor([0]), reduction="batchmean")


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"probabilities must be in 0 … 1, got -0.5"):
        binary_cross_entropy_from_probabilities(torch.tensor([-0.5]), torch.tensor([1]))
    with pytest.raises(ValueError, match="probabilities must be in 0 … 1, got nan"):
        binary_cross_entropy_from_probabilities(
            torch.tensor([math.nan]), torch.tensor([1])
        )
    with pytest.raises(ValueError, match="sum to 1"):
        cross_entropy_from_probabilities(torch.tensor([[0.5, 0.9]]), torch.tensor([1]))
    with pytest.raises(ValueError, match="targets must be in 0 … 1, got 2"):
        binary_cross_entropy(torch.tensor([0.0]), torch.tensor([2]))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="label_smoothing"):
        cross_entropy(scores(1, 4), torch.tensor([0]), label_smoothing=1.5)
    with pytest.raises(ValueError, match="label_smoothing"):
        cross_entropy_gradient(scores(1, 4), torch.tensor([0]), label_smoothing=-0.1)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="temperature"):
            kl_divergence(scores(1, 4), scores(1, 4), temperature=temperature)
    with pytest.raises(ValueError, match="n_bytes"):
        bits_per_byte(1.0, 0)
    with pytest.raises(ValueError, match="n_characters"):
        bits_per_character(1.0, -1)
