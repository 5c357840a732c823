"""Rows, and the order in which they come."""

import numpy as np
import pytest

from lmlib.objectives.sequences import (
    PackedSequences,
    in_batches,
    segment_rows,
    separated,
    shuffled_rows,
)
from tests.objectives.samples import FIRST, SPECIAL, corpus, is_uniform


@pytest.mark.parametrize(("batch_size", "n_rows"), [(4, 12), (5, 12), (30, 7), (1, 1)])
def test_each_row_comes_once_in_an_epoch(batch_size, n_rows):
    n_steps = 5 * n_rows // batch_size + 1
    rows = np.concatenate(
        [shuffled_rows(step, batch_size, n_rows, 3) for step in range(n_steps)]
    )
    epochs = rows[: len(rows) // n_rows * n_rows].reshape(-1, n_rows)
    assert len(epochs) >= 4
    assert (np.sort(epochs) == np.arange(n_rows)).all()
    if n_rows > 5:
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs), "other orders"
        other = np.concatenate(
            [shuffled_rows(s, batch_size, n_rows, 4) for s in (0, 1)]
        )
        assert (other != rows[: len(other)]).any(), "another seed"


def test_all_orders_are_equally_likely():
    firsts = [shuffled_rows(0, 1, 6, seed)[0] for seed in range(1200)]
    assert is_uniform(np.bincount(firsts, minlength=6))


def test_in_order_the_last_batch_may_be_smaller():
    assert [rows.tolist() for rows in in_batches(5, 2)] == [[0, 1], [2, 3], [4]]


def test_documents_are_separated():
    c = corpus(3)
    tokens, words = separated(c, SPECIAL.sep)
    ends = c.document_tokens()
    expected = []
    for d in range(3):
        expected += [*c.tokens[ends[d] : ends[d + 1]].tolist(), SPECIAL.sep]
    assert tokens.tolist() == expected[:-1]
    assert words[tokens == SPECIAL.sep].all()
    assert (words[tokens != SPECIAL.sep] == c.word_starts).all()


def test_packed_rows_hold_each_token_once():
    c = corpus(20)
    packed = PackedSequences(c, SPECIAL, length=17, batch_size=4)
    batches = list(packed.evaluation_batches())
    rows = np.concatenate([batch["token_ids"].numpy() for batch in batches])
    assert (rows[:, 0] == SPECIAL.cls).all()
    assert (rows[:-1, -1] == SPECIAL.sep).all()
    assert "attention_mask" not in batches[0], "nothing is padded there"
    last = rows[-1]
    real = batches[-1]["attention_mask"].numpy()[-1]
    assert (last[real.sum() :] == SPECIAL.pad).all()
    assert last[real.sum() - 1] == SPECIAL.sep
    text = rows[rows >= FIRST]
    assert text.tolist() == c.tokens.tolist()
    words = np.concatenate([batch["word_starts"].numpy() for batch in batches])
    assert (words[rows >= FIRST] == c.word_starts).all()
    assert words[rows < FIRST].all()
    steps = packed.n_rows  # four epochs of as many rows, four to a step
    seen = np.concatenate([packed.batch(s)["token_ids"].numpy() for s in range(steps)])
    counts = np.bincount(seen[seen >= FIRST], minlength=FIRST + len(c.tokens))[FIRST:]
    assert (counts == 4).all()


def test_segments_make_a_row():
    tokens = np.arange(100, 120)
    words = np.zeros(20, bool)
    a = np.array([0, 5]), np.array([3, 6])
    b = np.array([10, 12]), np.array([12, 16])
    batch = segment_rows(tokens, words, [a, b], SPECIAL, 9)
    cls, sep = SPECIAL.cls, SPECIAL.sep
    assert batch["token_ids"].tolist() == [
        [cls, 100, 101, 102, sep, 110, 111, sep, SPECIAL.pad],
        [cls, 105, sep, 112, 113, 114, 115, sep, SPECIAL.pad],
    ]
    assert batch["segment_ids"].tolist() == [
        [0, 0, 0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 1, 1, 1, 1, 1, 0],
    ]
    assert batch["attention_mask"].int().sum(1).tolist() == [8, 8]
    with pytest.raises(ValueError, match="exceeds 7"):
        segment_rows(tokens, words, [a, b], SPECIAL, 7)


def test_what_makes_no_rows_is_refused():
    c = corpus(2)
    with pytest.raises(ValueError, match="length must be at least 3"):
        PackedSequences(c, SPECIAL, length=2, batch_size=1)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        PackedSequences(c, SPECIAL, length=8, batch_size=0)
    with pytest.raises(ValueError, match="step must not be negative"):
        shuffled_rows(-1, 1, 1, 0)
    with pytest.raises(ValueError, match="must be positive"):
        shuffled_rows(0, 1, 0, 0)
