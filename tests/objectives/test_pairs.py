"""Stretches of whole sentences, divided and cut as BERT does."""

import numpy as np
import pytest

from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.pairs import (
    Pairs,
    SentencePairs,
    consecutive_pairs,
    document_of,
    pair_starts,
    truncate,
)
from lmlib.objectives.sop import SentenceOrder
from tests.objectives.samples import (
    FIRST,
    SPECIAL,
    corpus,
    is_plausible,
    is_uniform,
)

C = corpus(20)


def pairs_of_lengths(a, b):
    a, b = np.array(a), np.array(b)
    return Pairs(np.full_like(a, 100), 100 + a, np.full_like(a, 300), 300 + b, 0 * a)


def test_a_pair_begins_where_another_sentence_follows():
    starts = set(pair_starts(C).tolist())
    for d in range(20):
        first, end = C.documents[d], C.documents[d + 1]
        for s in range(first, end):
            assert (s in starts) == (s + 1 < end)
            assert document_of(C, np.array([s])) == d


def test_a_stretch_is_as_many_sentences_as_are_asked_for():
    starts = np.repeat(pair_starts(C), 5)
    rng = np.random.default_rng(0)
    wanted = rng.integers(2, 40, size=len(starts))
    pairs = consecutive_pairs(C, starts, wanted, rng)
    assert (pairs.a_stop == pairs.b_start).all()
    assert (pairs.label == 0).all()
    ends = set(C.sentences.tolist())
    for s, n, a, m, e in zip(
        starts, wanted, pairs.a_start, pairs.a_stop, pairs.b_stop, strict=True
    ):
        assert a == C.sentences[s]
        assert {int(m), int(e)} <= ends
        assert a < m < e
        document_end = C.sentences[C.documents[document_of(C, np.array([s]))[0] + 1]]
        last = int(np.flatnonzero(C.sentences == e)[0])
        if e - a < n:
            assert e == document_end, "as much as there is"
        elif last - s > 2:
            assert C.sentences[last - 1] - a < n, "no sentence more than needed"


def test_the_division_is_anywhere_with_the_same_probability():
    c = corpus(1, most_sentences=5, least_sentences=5)
    starts = np.zeros(4000, np.int64)
    pairs = consecutive_pairs(c, starts, np.full(4000, 1000), np.random.default_rng(0))
    _, counts = np.unique(pairs.a_stop, return_counts=True)
    assert len(counts) == 4
    assert is_uniform(counts)


def slowly(a, b, most):
    """Devlin et al.'s truncate_seq_pair: lengths only."""
    while a + b > most:
        if a > b:
            a -= 1
        else:
            b -= 1
    return a, b


def test_cut_lengths_are_those_of_bert():
    a, b = (x.ravel() for x in np.meshgrid(np.arange(1, 30), np.arange(1, 30)))
    for most in range(2, 40):
        cut = truncate(pairs_of_lengths(a, b), most, np.random.default_rng(0))
        for i in range(len(a)):
            got = (cut.a_stop[i] - cut.a_start[i], cut.b_stop[i] - cut.b_start[i])
            assert got == slowly(a[i], b[i], most)
        assert (cut.a_start >= 100).all()
        assert (cut.b_stop <= 300 + b).all()


def test_cuts_come_from_both_ends():
    cut = truncate(
        pairs_of_lengths([60] * 500, [50] * 500), 40, np.random.default_rng(0)
    )
    assert is_plausible((cut.a_start - 100).sum(), 500 * 40, 0.5)
    assert is_plausible((cut.b_start - 300).sum(), 500 * 30, 0.5)
    assert (cut.a_start - 100).var() == pytest.approx(40 / 4, rel=0.3), "each by a toss"


@pytest.mark.parametrize("kind", [NextSentence, SentenceOrder])
def test_rows(kind):
    objective = kind(C, SPECIAL, length=24, batch_size=8)
    n_short = n_rows = 0
    for batch in objective.evaluation_batches():
        for ids, segments, real in zip(
            batch["token_ids"].numpy(),
            batch["segment_ids"].numpy(),
            batch["attention_mask"].numpy(),
            strict=True,
        ):
            end = real.sum()
            assert real[:end].all()
            assert (ids[end:] == SPECIAL.pad).all()
            first, second = np.flatnonzero(ids == SPECIAL.sep)
            assert ids[0] == SPECIAL.cls
            assert second == end - 1
            assert (segments == ((np.arange(24) > first) & real)).all()
            for part in (ids[1:first], ids[first + 1 : second]):
                assert len(part) >= 1
                assert (np.diff(part) == 1).all(), "text in one piece"
                d = document_of_token(part)
                assert (d == d[0]).all(), "from one document"
        n_rows += len(batch["labels"])
    assert n_rows == objective.n_rows == len(pair_starts(C))
    assert n_short <= n_rows


def document_of_token(ids):
    return np.searchsorted(C.document_tokens(), ids - FIRST, side="right") - 1


def test_one_row_in_ten_is_short():
    c = corpus(8, most_sentences=60, least_sentences=50, seed=4)

    def lengths(short):
        o = SentenceOrder(c, SPECIAL, length=64, batch_size=64, short=short)
        batches = [o.batch(step) for step in range(20)]
        return np.concatenate(
            [batch.get("attention_mask").sum(1).numpy() for batch in batches]
        )

    # without short rows only ends of documents leave a row less than nearly full
    rarely = np.mean(lengths(0.0) < 40)
    often = np.mean(lengths(0.1) < 40)
    assert often - rarely == pytest.approx(0.1 * 35 / 60, abs=0.03)
    assert lengths(1.0).min() >= 5
    assert np.mean(lengths(1.0) < 40) > 0.5


def test_each_sentence_that_can_begins_one_pair_in_an_epoch():
    objective = SentenceOrder(C, SPECIAL, length=200, batch_size=1, short=0.0)
    firsts = []
    for step in range(objective.n_rows):
        ids = objective.batch(step)["token_ids"][0].numpy()
        firsts.append(ids[ids >= FIRST].min() - FIRST)
    assert sorted(firsts) == C.sentences[pair_starts(C)].tolist()


def test_what_makes_no_pairs_is_refused():
    single = corpus(4, most_sentences=1)
    with pytest.raises(ValueError, match="no document has two sentences"):
        SentenceOrder(single, SPECIAL, length=16, batch_size=1)
    with pytest.raises(ValueError, match="length must be at least 5"):
        SentenceOrder(C, SPECIAL, length=4, batch_size=1)
    with pytest.raises(ValueError, match="short must be in"):
        SentenceOrder(C, SPECIAL, length=16, batch_size=1, short=2.0)
    with pytest.raises(NotImplementedError):
        SentencePairs(C, SPECIAL, length=16, batch_size=1).batch(0)
