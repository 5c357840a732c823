"""Sampling from the generator, who is original, and which gradient goes where."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lmlib.losses import IGNORE, binary_cross_entropy
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.objective import at_targets, forward, minimised
from lmlib.objectives.rtd import (
    ReplacedTokens,
    label_bits,
    probability_from_detector,
    replace_tokens,
    replaced_token_loss,
    sample_tokens,
)
from lmlib.objectives.sequences import PackedSequences, real_tokens
from tests.objectives.samples import (
    FIRST,
    SPECIAL,
    Model,
    corpus,
    is_uniform,
    slow_cross_entropy,
    to,
)

# Few different tokens, so that the generator often samples the original.
C = corpus(12)
C = replace(C, tokens=FIRST + C.tokens % 6)
V = FIRST + 6


class PairsWithoutTask(NextSentence):
    """Rows that are padded, so that not all of their tokens are real."""

    def counts(self, batch):
        return {}

    def losses_at(self, heads, hidden, batch):
        return {}


def objective(**options):
    pairs = PairsWithoutTask(C, SPECIAL, length=30, batch_size=8)
    masked = MaskedLM(pairs, vocab_size=V, share=0.3, mask_share=1.0, random_share=0.0)
    return ReplacedTokens(masked, **options)


def model_on(device):
    torch.manual_seed(1)
    return Model(V, "rtd", "generator").to(device)


# -- Sampling -------------------------------------------------------------------------


def test_samples_follow_the_probabilities(device):
    logits = (
        torch.tensor([0.0, 1.0, -1.0, 2.0, -torch.inf]).to(device).expand(20_000, 5)
    )
    uniform = torch.rand(20_000).to(device)
    drawn = sample_tokens(logits, uniform)
    counts = np.bincount(drawn.cpu().numpy(), minlength=5)
    assert counts[4] == 0
    p = logits[0].softmax(0).cpu().double().numpy()[:4]
    expected = p / p.sum() * 20_000
    # chi-squared with 3 degrees of freedom is above 33.4 with probability 2.7e-7
    assert (((counts[:4] - expected) ** 2) / expected).sum() < 33.4


def test_sampling_is_inversion(device):
    logits = torch.log(torch.tensor([[0.5, 0.0, 0.25, 0.25]])).to(device).expand(5, 4)
    largest = 1 - 2**-24  # the largest that numpy's float32 gives
    uniform = torch.tensor([0.0, 0.49, 0.5, 0.8, largest]).to(device)
    assert sample_tokens(logits, uniform).tolist() == [0, 0, 2, 3, 3]
    first_impossible = torch.tensor([[-torch.inf, 0.0, -torch.inf]]).to(device)
    for u in (0.0, largest):
        assert sample_tokens(
            first_impossible, torch.tensor([u]).to(device)
        ).tolist() == [1]


def test_rounding_never_draws_the_impossible(device):
    """The cumulated probabilities of n alike tokens may end below the largest die."""
    die = torch.tensor([1 - 2**-24]).to(device)
    for n in range(1, 200):
        logits = torch.zeros(1, n + 1).to(device)
        logits[0, n] = -torch.inf
        assert sample_tokens(logits, die).item() == n - 1


def test_dice_are_even():
    dice = torch.cat([objective().batch(step)["dice"] for step in range(20)])
    assert dice.min() >= 0
    assert dice.max() < 1
    assert is_uniform(np.histogram(dice.numpy(), bins=20, range=(0, 1))[0])


# -- What is original: one check, ours and the mistakes -------------------------------


def check_labels(replace):
    ids = torch.tensor([[2, 4, 11, 4, 3, 0], [2, 20, 4, 22, 3, 0]])
    targets = torch.full((2, 6), IGNORE)
    targets[0, 1], targets[0, 3], targets[1, 2] = 10, 12, 21
    targets[1, 1] = 20  # a target that was kept
    corrupted, replaced = replace(ids, targets, torch.tensor([10, 99, 98, 21]))
    assert corrupted.tolist() == [[2, 10, 11, 99, 3, 0], [2, 98, 21, 22, 3, 0]]
    assert replaced.tolist() == [
        [False, False, False, True, False, False],
        [False, True, False, False, False, False],
    ]


def all_sampled_are_fake(ids, targets, sampled):
    return replace_tokens(ids, targets, sampled)[0], targets != IGNORE


def compared_with_the_masked_text(ids, targets, sampled):
    corrupted, _ = replace_tokens(ids, targets, sampled)
    return corrupted, corrupted != ids


def originals_are_labelled(ids, targets, sampled):
    corrupted, replaced = replace_tokens(ids, targets, sampled)
    return corrupted, ~replaced


@pytest.mark.parametrize(
    "mutant",
    [all_sampled_are_fake, compared_with_the_masked_text, originals_are_labelled],
)
def test_mistakes_in_labels_are_noticed(mutant):
    check_labels(replace_tokens)
    with pytest.raises(AssertionError):
        check_labels(mutant)


# -- The losses -----------------------------------------------------------------------


def our_losses(objective, model, batch):
    return objective.losses(model, batch)


def check_losses(losses, device):
    """Against a slow way from the parts; gradients of each part in their own model."""
    o, model = objective(), model_on(device)
    batch = to(o.batch(0), device)
    got = losses(o, model, batch)
    small, targets = model.heads["generator"], batch["targets"]
    logits = small.heads["mlm"](forward(small, batch)).detach()
    assert got["mlm"].item() == pytest.approx(slow_cross_entropy(logits, targets))

    corrupted = torch.where(targets != IGNORE, targets, batch["token_ids"])
    original = corrupted.clone()
    for i, t in (targets != IGNORE).nonzero().tolist():
        below, drawn = batch["dice"][i, t].item(), 0
        for p in logits[i, t].softmax(0).tolist():
            below -= p
            if below < 0:
                break
            drawn += 1
        corrupted[i, t] = drawn
    assert (corrupted == original)[targets != IGNORE].any(), "some are sampled right"
    assert (corrupted != original).any()
    hidden = forward(model, {**batch, "token_ids": corrupted})
    z = model.heads["rtd"](hidden).squeeze(-1).detach().cpu().numpy()
    fake = (corrupted != original).cpu().numpy()
    real = batch["attention_mask"].cpu().numpy()
    expected = (np.log1p(np.exp(np.where(fake, -z, z))) * real).sum()
    assert got["rtd"].item() == pytest.approx(expected, rel=1e-6)
    assert minimised(o, got).item() == pytest.approx(
        got["mlm"].item() + 50 * expected, rel=1e-6
    )
    assert o.counts(batch)["rtd"] == real.sum()

    of_generator = list(small.parameters())
    own = [p for n, p in model.named_parameters() if "generator" not in n]
    for part, trained, untouched in (
        ("mlm", of_generator, own),
        ("rtd", own, of_generator),
    ):
        grads = torch.autograd.grad(
            got[part], trained + untouched, retain_graph=True, allow_unused=True
        )
        assert all(g is not None for g in grads[: len(trained)])
        assert all(g is None for g in grads[len(trained) :]), part


def parts(o, model, batch):
    """Labels, hidden states of the discriminator and the generator's loss, as ours."""
    small, targets = model.heads["generator"], batch["targets"]
    at, _ = at_targets(forward(small, batch), targets)
    sampled = sample_tokens(small.heads["mlm"](at), batch["dice"][targets != IGNORE])
    corrupted, replaced = replace_tokens(batch["token_ids"], targets, sampled)
    hidden = forward(model, {**batch, "token_ids": corrupted})
    return replaced, hidden, o.losses(model, batch)["mlm"]


def loss_of(choose):
    def losses(o, model, batch):
        replaced, hidden, mlm = parts(o, model, batch)
        replaced, where = choose(replaced, batch)
        head = model.heads["rtd"]
        return {
            "mlm": mlm,
            "rtd": replaced_token_loss(head, hidden, replaced, where),
        }

    return losses


def sigmoid_twice(o, model, batch):
    replaced, hidden, mlm = parts(o, model, batch)
    real = real_tokens(batch)
    p = model.heads["rtd"](hidden[real]).squeeze(-1).sigmoid()
    return {
        "mlm": mlm,
        "rtd": binary_cross_entropy(p, replaced[real], reduction="sum"),
    }


def weighted_twice(o, model, batch):
    got = o.losses(model, batch)
    return {**got, "rtd": got["rtd"] * o.weights["rtd"]}


def gradient_through_sampling(o, model, batch):
    """Straight-through Gumbel: the discriminator teaches the generator, to help it."""
    got, small = o.losses(model, batch), model.heads["generator"]
    soft = F.gumbel_softmax(small.heads["mlm"](forward(small, batch)), hard=True)
    return {**got, "rtd": got["rtd"] + 0 * soft.sum()}


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(
            loss_of(lambda r, b: (b["targets"] != IGNORE, real_tokens(b))),
            id="equal counted as fake",
        ),
        pytest.param(
            loss_of(lambda r, b: (r, b["targets"] != IGNORE)), id="masked tokens only"
        ),
        pytest.param(
            loss_of(lambda r, b: (r, torch.ones_like(r))), id="padding counted"
        ),
        sigmoid_twice,
        weighted_twice,
        gradient_through_sampling,
    ],
)
def test_mistakes_in_losses_are_noticed(mutant, device):
    check_losses(our_losses, device)
    check_losses(loss_of(lambda r, b: (r, real_tokens(b))), device)
    with pytest.raises(AssertionError):
        check_losses(mutant, device)


def test_the_discriminator_reads_the_samples_and_the_generator_the_masks():
    o, model = objective(), model_on("cpu")
    batch = o.batch(0)
    o.losses(model, batch)
    (generator_saw,) = model.heads["generator"].backbone.seen
    (discriminator_saw,) = model.backbone.seen
    assert torch.equal(generator_saw, batch["token_ids"])
    assert (generator_saw == SPECIAL.mask).any()
    assert not (discriminator_saw == SPECIAL.mask).any()


def test_unpadded_rows_are_real_throughout():
    packed = PackedSequences(C, SPECIAL, length=20, batch_size=3)
    o = ReplacedTokens(MaskedLM(packed, vocab_size=V))
    batch = o.batch(0)
    assert "attention_mask" not in batch
    assert o.counts(batch)["rtd"] == 60


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="weight must not be negative"):
        objective(weight=-1.0)
    with pytest.raises(ValueError, match="head 'rtd' must give one logit"):
        replaced_token_loss(
            torch.nn.Linear(4, 2),
            torch.zeros(1, 3, 4),
            torch.zeros(1, 3, dtype=torch.bool),
            torch.ones(1, 3, dtype=torch.bool),
        )


# -- What the labels can tell ---------------------------------------------------------


def distributions(n, seed=0):
    torch.manual_seed(seed)
    return torch.distributions.Dirichlet(torch.full((5,), 0.5).double()).sample((n,))


def counted(p, g, share, label, n=400_000):
    """P(replaced or masked | token), and the bits told, by drawing places."""
    rng = np.random.default_rng(0)
    true, sampled = rng.choice(5, n, p=p.numpy()), rng.choice(5, n, p=g.numpy())
    masked = rng.random(n) < share
    token = np.where(masked, sampled, true)
    yes = masked if label == "masked" else token != true
    joint = np.zeros((5, 2))
    np.add.at(joint, (token, yes.astype(int)), 1 / n)
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    some = joint > 0
    bits = (joint[some] * np.log2(joint[some] / apart[some])).sum()
    return joint[:, 1] / joint.sum(1), bits


@pytest.mark.parametrize("label", ["replaced", "masked"])
def test_bits_told_are_those_of_drawn_places(label):
    p, g = distributions(1)[0], distributions(1, seed=1)[0]
    _, bits = counted(p, g, 0.3, label)
    assert label_bits(p, g, 0.3, label=label).item() == pytest.approx(bits, abs=3e-3)
    if label == "replaced":
        other = label_bits(p, g, 0.3, label="masked").item()
        assert other != pytest.approx(bits, abs=3e-3)


def test_a_perfect_generator_leaves_nothing_to_tell_who_was_masked():
    p = distributions(20)
    told = label_bits(p, p, 0.15, label="masked")
    assert told == pytest.approx(np.zeros(20), abs=1e-12)
    assert (label_bits(p, p, 0.15) > 1e-4).all(), "a crumb is left: p itself"


def test_a_perfect_detector_is_a_language_model():
    p, g = distributions(1)[0], distributions(1, seed=1)[0]
    detector, _ = counted(p, g, 0.3, "replaced", n=2_000_000)
    implied = probability_from_detector(torch.from_numpy(detector), g, 0.3)
    assert implied.numpy() == pytest.approx(p.numpy(), abs=0.02)
    ends = probability_from_detector(torch.tensor([0.0, 1.0]), torch.ones(2) / 3, 0.15)
    assert ends.tolist() == [1.0, 0.0]


def test_a_share_that_makes_no_sense_is_refused():
    p = distributions(1)
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        label_bits(p, p, 1.0)
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        probability_from_detector(p, p, 0.0)
