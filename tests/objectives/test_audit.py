"""The features of an audit, against scikit-learn and by hand."""

import itertools

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from lmlib.data.corpus import Corpus
from lmlib.objectives.audit import (
    as_it_comes,
    best_threshold,
    inverse_document_frequency,
    overlap,
    same_document,
)
from lmlib.objectives.nsp import random_next
from lmlib.objectives.pairs import Pairs, consecutive_pairs, document_of, pair_starts
from tests.objectives.samples import corpus


def words(n_documents=9, seed=0):
    """A corpus in which tokens come again, 0 … 29."""
    made = corpus(n_documents, seed=seed, least_sentences=3)
    tokens = np.random.default_rng(seed).integers(0, 30, size=len(made.tokens))
    return Corpus(
        tokens.astype(np.int32),
        made.sentences,
        made.documents,
        made.word_starts,
        made.n_bytes,
    )


def test_overlap_is_the_cosine_of_scikit_learn():
    text = words()
    rng = np.random.default_rng(0)
    starts = pair_starts(text)
    pairs = consecutive_pairs(text, starts, np.full(len(starts), 30), rng)
    pairs = random_next(text, pairs, starts, rng)
    ends = text.document_tokens()

    def said(start, stop):
        return " ".join(f"t{token}" for token in text.tokens[start:stop])

    model = TfidfVectorizer(
        binary=True, smooth_idf=False, norm=None, token_pattern=r"t\d+"
    ).fit([said(a, b) for a, b in itertools.pairwise(ends)])
    model.idf_ = model.idf_ - 1  # scikit-learn adds 1 to every idf
    ours = inverse_document_frequency(text, 40)
    for word, column in model.vocabulary_.items():
        assert ours[int(word[1:])] == pytest.approx(model.idf_[column])
    assert (ours[30:] == 0).all()
    a, b = (
        model.transform([said(*at) for at in zip(start, stop, strict=True)])
        for start, stop in (
            (pairs.a_start, pairs.a_stop),
            (pairs.b_start, pairs.b_stop),
        )
    )
    expected = np.diag(cosine_similarity(a, b))
    assert overlap(text, pairs, ours) == pytest.approx(expected, abs=1e-9)


def test_overlap_does_not_know_the_order():
    text, rng = words(), np.random.default_rng(0)
    starts = pair_starts(text)
    p = consecutive_pairs(text, starts, np.full(len(starts), 30), rng)
    swapped = Pairs(p.b_start, p.b_stop, p.a_start, p.a_stop, p.label)
    idf = inverse_document_frequency(text, 30)
    assert (overlap(text, p, idf) == overlap(text, swapped, idf)).all()


def test_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 8, 20):
        for _ in range(40):
            scores = rng.integers(0, 6, size=n) / 4  # with ties
            labels = rng.integers(2, size=n)
            distinct = np.unique(scores)
            tried = [-np.inf, *distinct, *(distinct + 0.1), np.inf]
            best = max(np.mean((scores < t) == labels) for t in tried)
            t, accuracy = best_threshold(scores, labels)
            assert accuracy == pytest.approx(best)
            assert np.mean((scores < t) == labels) == pytest.approx(accuracy)


def test_best_threshold_says_what_is_missing():
    with pytest.raises(ValueError, match="2 scores, 1 labels"):
        best_threshold(np.ones(2), np.ones(1, np.int64))
    with pytest.raises(ValueError, match="0 scores"):
        best_threshold(np.ones(0), np.ones(0, np.int64))


def test_a_b_that_comes_as_it_is_may_soon_end():
    text = corpus(40, least_sentences=3)
    rng = np.random.default_rng(0)
    starts = rng.choice(pair_starts(text), size=4000)
    wanted = np.full(4000, 40)
    pairs = consecutive_pairs(text, starts, wanted, rng)
    p = as_it_comes(text, pairs, starts, wanted, rng)
    random = p.label == 1
    assert 0.45 < random.mean() < 0.55
    assert (p.b_start == pairs.b_start)[~random].all()
    assert (p.b_stop == pairs.b_stop)[~random].all()
    ends = text.document_tokens()
    other = np.searchsorted(ends, p.b_start, side="right") - 1
    assert (other != document_of(text, starts))[random].all()
    assert np.isin(p.b_start, text.sentences).all()
    assert np.isin(p.b_stop, text.sentences).all(), "whole sentences"
    assert (p.b_stop <= ends[other + 1]).all(), "of that document"
    full = p.b_stop - p.b_start + p.a_stop - p.a_start >= wanted
    assert (full | (p.b_stop == ends[other + 1]))[random].all(), "as many as there are"
    # any sentence, the last one of a document too
    assert len(np.unique(p.b_start[random])) > 0.95 * (len(text.sentences) - 1)


def test_same_document_is_far_off_in_the_own_document():
    text = corpus(12, least_sentences=30, most_sentences=60)
    rng = np.random.default_rng(0)
    starts = pair_starts(text)
    pairs = consecutive_pairs(text, starts, np.full(len(starts), 20), rng)
    p, found = same_document(text, pairs, starts, rng, gap=50)
    length = pairs.b_stop - pairs.b_start
    assert (p.b_stop - p.b_start == length).all()
    ends, own = text.document_tokens(), document_of(text, starts)
    assert (p.label == found).all()
    assert (p.b_start[~found] == pairs.b_start[~found]).all()
    after = p.b_start - pairs.b_stop >= 50
    before = pairs.a_start - p.b_stop >= 50
    assert (after | before)[found].all()
    assert after[found].any()
    assert before[found].any()
    assert np.isin(p.b_start, text.sentences).all()
    assert (p.b_start >= ends[own]).all()
    assert (p.b_stop <= ends[own + 1])[found].all()
    for i, d in enumerate(own):  # and none is overlooked
        at = text.sentences[text.documents[d] : text.documents[d + 1]]
        stop = at + length[i]
        far = (at >= pairs.b_stop[i] + 50) | (stop <= pairs.a_start[i] - 50)
        assert found[i] == (far & (stop <= ends[d + 1])).any()
