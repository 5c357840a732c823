"""The chain rule in every order, and Bayes' rule by counting."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lmlib.objectives.any_order import (
    bits_by_share,
    probability_as_seen,
    random_order_bits,
)
from lmlib.objectives.mlm import mask_tokens
from lmlib.objectives.sequences import PackedSequences
from tests.objectives.samples import (
    FIRST,
    SPECIAL,
    Model,
    corpus,
    is_plausible,
    vocab_size,
)

C = corpus(20)
V = vocab_size(C)


def rows(**options):
    return PackedSequences(C, SPECIAL, length=34, batch_size=4, **options)


# -- random_order_bits ----------------------------------------------------------------


def true_losses(joint):
    """nats[m - 1]: −log P(xᵢ | those that are not hidden), over all ways to hide m."""
    n = joint.ndim
    nats = []
    for m in range(1, n + 1):
        total = []
        for hidden in itertools.combinations(range(n), m):
            seen = joint.sum(axis=hidden, keepdims=True)
            for i in hidden:
                others = tuple(j for j in hidden if j != i)
                with_i = joint.sum(axis=others, keepdims=True)
                total.append(-(joint * np.log(with_i / seen)).sum())
        nats.append(float(np.mean(total)))
    return nats


def test_with_the_true_probabilities_a_random_order_costs_the_entropy():
    joint = np.random.default_rng(0).dirichlet(np.ones(24)).reshape(2, 3, 4)
    entropy = -(joint * np.log2(joint)).sum()
    nats = true_losses(joint)
    assert math.isclose(random_order_bits(nats), entropy, rel_tol=1e-12)
    # Told from all others, the same text seems to cost less than it can.
    assert len(nats) * nats[0] / math.log(2) < entropy


def test_two_coins_that_agree_cost_one_bit():
    assert math.isclose(random_order_bits([0.0, math.log(2)]), 1.0)


def test_no_curve_is_refused():
    with pytest.raises(ValueError, match="got none"):
        random_order_bits([])


# -- bits_by_share --------------------------------------------------------------------


class Told(nn.Module):
    """Is certain of what it sees and knows nothing of what shows [MASK]."""

    def __init__(self):
        super().__init__()
        self.shown = []
        self.weight = nn.Parameter(torch.zeros(1))
        self.heads = {"mlm": lambda hidden: hidden}

    def backbone(self, token_ids, attention_mask=None):
        self.shown.append(token_ids)
        logits = 50.0 * nn.functional.one_hot(token_ids, V)
        logits[token_ids == SPECIAL.mask] = 0.0
        return SimpleNamespace(hidden=logits + self.weight)


def test_all_that_is_hidden_shows_mask_and_costs_what_it_does():
    shares = [0.01, 0.15, 0.5, 1.0]
    found = bits_by_share(Told(), rows(), shares, vocab_size=V, batches=3)
    assert found == pytest.approx([math.log2(V)] * 4)


def test_so_many_tokens_are_hidden_and_the_rows_are_the_same():
    model = Told()
    bits_by_share(model, rows(), [0.25, 1.0], vocab_size=V, batches=2)
    for step in range(2):
        text = rows().batch(step)["token_ids"]
        seen = model.shown[step] != SPECIAL.mask
        assert (model.shown[step] == text)[seen].all()
    first, whole = model.shown[0], model.shown[2]
    assert ((first == SPECIAL.mask) <= (whole == SPECIAL.mask)).all()
    kept = first != SPECIAL.mask
    assert (whole[kept] == first[kept])[first[kept] < FIRST].all()
    maskable = (whole == SPECIAL.mask).sum(1)
    assert ((first == SPECIAL.mask).sum(1) == (0.25 * maskable).round()).all()


def test_seeds_hide_other_tokens():
    torch.manual_seed(0)
    model = Model(V, "mlm").eval()
    one, same, other = (
        bits_by_share(model, rows(), [0.3], vocab_size=V, batches=2, seed=seed)
        for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other


# -- probability_as_seen --------------------------------------------------------------


@pytest.mark.parametrize(("kept", "random"), [(0.1, 0.1), (0.05, 0.4), (0.0, 0.3)])
def test_it_is_what_counting_gives(kept, random):
    """Of a million tokens, drawn by the context and corrupted by `mask_tokens`."""
    rng = np.random.default_rng(0)
    context = np.array([0.6, 0.3, 0.09, 0.01])
    text = rng.choice(4, size=(1000, 1000), p=context)
    shown, _ = mask_tokens(
        text,
        np.ones_like(text, bool),
        99,
        np.arange(4),
        rng,
        mask_share=1 - kept - random,
        random_share=random,
    )
    right = probability_as_seen(torch.tensor(context), 4, kept=kept, random=random)
    for token, p in enumerate(right.tolist()):
        originals = text[shown == token]
        assert is_plausible((originals == token).sum(), len(originals), p)


def test_half_is_passed_near_a_blind_guess():
    at = probability_as_seen(torch.tensor([1 / 4000]), 4000).item()
    assert math.isclose(at, 0.5, abs_tol=1e-3)


@pytest.mark.parametrize(
    ("q", "shares", "words"),
    [
        (1.5, {}, "q must be in 0 … 1"),
        (0.5, {"kept": 0.0, "random": 0.0}, "add to more than 0"),
        (0.5, {"kept": -0.1, "random": 0.3}, "must not be negative"),
        (0.5, {"kept": 0.6, "random": 0.5}, "at most 1"),
    ],
)
def test_what_is_no_probability_is_refused(q, shares, words):
    with pytest.raises(ValueError, match=words):
        probability_as_seen(torch.tensor([q]), 10, **shares)
