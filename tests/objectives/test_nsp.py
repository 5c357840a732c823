"""Half of the pairs are real, and the others are from other documents."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from torch.nn import functional as F

from lmlib.data.load import load_corpus
from lmlib.objectives.nsp import BLUNT, NextSentence, random_next
from lmlib.objectives.pairs import (
    Pairs,
    consecutive_pairs,
    document_of,
    pair_starts,
    truncate,
)
from lmlib.shipped import shipped
from tests.objectives.samples import (
    FALSE_ALARM,
    SPECIAL,
    Model,
    corpus,
    is_plausible,
    is_uniform,
    vocab_size,
)

C = corpus(15, least_sentences=3)


def our_pairs(starts, wanted, rng):
    pairs = consecutive_pairs(C, starts, wanted, rng)
    return random_next(C, pairs, starts, rng)


def document_at(places):
    return np.searchsorted(C.document_tokens(), places, side="right") - 1


def check_pairs(draw):
    rng = np.random.default_rng(0)
    starts = rng.choice(pair_starts(C), size=60_000)
    wanted = rng.integers(5, 40, size=60_000)
    p = draw(starts, wanted, rng)
    negative = p.label == 1
    assert is_plausible(negative.sum(), len(p.label), 0.5)
    assert ((p.label == 0) | negative).all()
    assert (p.b_start == p.a_stop)[~negative].all(), "label 0: B follows A"
    own, other = document_at(p.a_start), document_at(p.b_start)
    assert (own == document_of(C, starts)).all()
    assert (own != other)[negative].all(), "label 1: from another document"
    chosen = np.bincount(other[negative & (own == 7)], minlength=15)
    assert is_uniform(np.delete(chosen, 7)), "any other document alike"
    for places in (p.a_start, p.a_stop, p.b_start):
        assert np.isin(places, C.sentences).all(), "they begin with a sentence"
    assert (p.b_start < p.b_stop).all()
    assert (document_at(p.b_stop - 1) == other).all()
    length = p.b_stop - p.b_start
    of_a = p.a_stop - p.a_start
    for size in (length, of_a, length + of_a):
        told = mannwhitneyu(size[negative], size[~negative])
        assert told.pvalue > FALSE_ALARM, "no length tells the label"


def test_the_end_of_b_is_blunt_and_nothing_else_is_cut():
    long = corpus(15, least_sentences=15, most_sentences=20)
    rng = np.random.default_rng(0)
    starts = rng.choice(pair_starts(long), size=20_000)
    whole = consecutive_pairs(long, starts, np.full(20_000, 30), rng)
    p = random_next(long, whole, starts, rng)
    follows = whole.b_stop - whole.b_start
    cut = follows - (p.b_stop - p.b_start)
    assert ((cut >= 0) & (cut < BLUNT)).all()
    assert is_uniform(np.bincount(cut[follows >= BLUNT], minlength=BLUNT))
    same = p.label == 0
    assert (p.b_start == whole.b_start)[same].all()
    assert (p.a_start == whole.a_start).all()
    assert (p.a_stop == whole.a_stop).all()


def from_any_document(starts, wanted, rng):
    p = our_pairs(starts, wanted, rng)
    sentence = rng.integers(len(C.sentences) - 1, size=len(starts))
    begin, end = C.sentences[sentence], C.sentences[sentence + 1]
    negative = p.label == 1
    return Pairs(
        p.a_start,
        p.a_stop,
        np.where(negative, begin, p.b_start),
        np.where(negative, end, p.b_stop),
        p.label,
    )


def labels_swapped(starts, wanted, rng):
    p = our_pairs(starts, wanted, rng)
    return Pairs(p.a_start, p.a_stop, p.b_start, p.b_stop, 1 - p.label)


def one_in_three(starts, wanted, rng):
    p, q = our_pairs(starts, wanted, rng), consecutive_pairs(C, starts, wanted, rng)
    keep = rng.random(len(starts)) < 2 / 3
    fields = ("a_start", "a_stop", "b_start", "b_stop", "label")
    return Pairs(*(np.where(keep, getattr(p, f), getattr(q, f)) for f in fields))


def one_sentence_only(starts, wanted, rng):
    p = our_pairs(starts, wanted, rng)
    after = C.sentences[np.searchsorted(C.sentences, p.b_start, side="right")]
    return Pairs(p.a_start, p.a_stop, p.b_start, after, p.label)


def as_long_as_its_document(starts, wanted, rng):
    """The sampling of Google's script: the random B may soon end."""
    p = consecutive_pairs(C, starts, wanted, rng)
    other = rng.integers(14, size=len(starts))
    other += other >= document_of(C, starts)
    first = rng.integers(C.documents[other], C.documents[other + 1])
    b_start, end = C.sentences[first], C.document_tokens()[other + 1]
    b_stop = np.minimum(b_start + p.b_stop - p.b_start, end)
    label = rng.integers(2, size=len(starts))
    b_start = np.where(label == 1, b_start, p.b_start)
    b_stop = np.where(label == 1, b_stop, p.b_stop)
    return Pairs(p.a_start, p.a_stop, b_start, b_stop, label)


def always_the_next_document(starts, wanted, rng):
    p = our_pairs(starts, wanted, rng)
    following = C.document_tokens()[(document_at(p.a_start) + 1) % 15]
    end = C.document_tokens()[(document_at(p.a_start) + 1) % 15 + 1]
    negative = p.label == 1
    return Pairs(
        p.a_start,
        p.a_stop,
        np.where(negative, following, p.b_start),
        np.where(negative, end, p.b_stop),
        p.label,
    )


@pytest.mark.parametrize(
    "mutant",
    [
        from_any_document,
        labels_swapped,
        one_in_three,
        one_sentence_only,
        as_long_as_its_document,
        always_the_next_document,
    ],
)
def test_mistakes_in_pairs_are_noticed(mutant):
    check_pairs(our_pairs)
    with pytest.raises(AssertionError):
        check_pairs(mutant)


def separates(feature, label):
    """The area under the curve: 0.5 if the feature says nothing."""
    one, other = feature[label == 1], feature[label == 0]
    return float(mannwhitneyu(one, other).statistic / (len(one) * len(other)))


@pytest.mark.parametrize("split", ["train", "valid"])
def test_nothing_about_a_rows_form_tells_its_label(split):
    """On the text, and in the rows, that the shipped BERT has learned from."""
    tokenizer = shipped("bert").tokenizer
    text = load_corpus("installed", tokenizer, split)
    objective = NextSentence(text, tokenizer.special, length=128, batch_size=12_000)
    batch = objective.batch(0)
    real, of_b = batch["attention_mask"].bool(), batch["segment_ids"].bool()
    form = {
        "tokens": real.sum(1),
        "padding": (~real).sum(1),
        "tokens of A": (real & ~of_b).sum(1),
        "tokens of B": (real & of_b).sum(1),
        "a full row": real.all(1),
    }
    label = batch["labels"].numpy()
    told = {name: separates(f.int().numpy(), label) for name, f in form.items()}
    # Where A and B begin and end shows in the words.
    rng = np.random.default_rng(0)
    starts = rng.choice(pair_starts(text), size=12_000)
    p = truncate(objective.pairs(starts, np.full(12_000, 125), rng), 125, rng)
    for name in ("a_start", "a_stop", "b_start", "b_stop"):
        at = np.isin(getattr(p, name), text.sentences).astype(int)
        told[f"{name} between sentences"] = separates(at, p.label)
    at = np.isin(p.b_stop, text.document_tokens()).astype(int)
    told["B ends its document"] = separates(at, p.label)
    assert all(0.45 < area < 0.55 for area in told.values()), told


def check_loss(loss, device):
    """The sum over pairs of both labels; a wrong 0 costs as much as a wrong 1."""
    batch_size = 32
    objective = NextSentence(C, SPECIAL, length=32, batch_size=batch_size)
    model = Model(vocab_size(C), "nsp").to(device)
    batch = {k: v.to(device) for k, v in objective.batch(0).items()}
    inputs = (batch["attention_mask"], batch["segment_ids"])
    hidden = model.backbone(batch["token_ids"], *inputs).hidden
    logits = model.heads["nsp"](hidden).detach().cpu().numpy()
    labels = batch["labels"].cpu().numpy()
    assert set(labels) == {0, 1}
    margin = logits[np.arange(batch_size), 1 - labels] - logits[range(32), labels]
    expected = np.log1p(np.exp(margin)).sum()
    assert loss(objective, model, batch).item() == pytest.approx(expected, rel=1e-10)


def class_0_ignored(objective, model, batch):
    hidden = model.backbone(
        batch["token_ids"], batch["attention_mask"], batch["segment_ids"]
    ).hidden
    logits = model.heads["nsp"](hidden)
    return F.cross_entropy(logits, batch["labels"], ignore_index=0, reduction="sum")


def a_mean(objective, model, batch):
    return objective.losses(model, batch)["nsp"] / len(batch["labels"])


@pytest.mark.parametrize("mutant", [class_0_ignored, a_mean])
def test_mistakes_in_the_loss_are_noticed(mutant, device):
    torch.manual_seed(0)
    check_loss(lambda o, m, b: o.losses(m, b)["nsp"], device)
    with pytest.raises(AssertionError):
        check_loss(mutant, device)


def test_one_document_has_no_other():
    alone = corpus(1)
    with pytest.raises(
        ValueError, match="1 documents, but part 'nsp' takes at least 2"
    ):
        NextSentence(alone, SPECIAL, length=32, batch_size=2)
    zero = np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="only one"):
        random_next(
            alone,
            Pairs(zero, zero, zero, zero, zero),
            zero,
            np.random.default_rng(0),
        )
