"""Both segments are from the same place; half of the pairs are swapped."""

import numpy as np
import pytest

from lmlib.objectives.nsp import random_next
from lmlib.objectives.pairs import Pairs, consecutive_pairs, pair_starts
from lmlib.objectives.sop import SentenceOrder, random_order
from tests.objectives.samples import FIRST, SPECIAL, corpus, is_plausible

C = corpus(15, least_sentences=3)


def our_pairs(starts, wanted, rng):
    return random_order(consecutive_pairs(C, starts, wanted, rng), rng)


def check_pairs(draw):
    rng = np.random.default_rng(0)
    starts = rng.choice(pair_starts(C), size=4000)
    wanted = rng.integers(5, 40, size=4000)
    p = draw(starts, wanted, rng)
    swapped = p.label == 1
    assert is_plausible(swapped.sum(), 4000, 0.5)
    assert ((p.label == 0) | swapped).all()
    assert (p.a_stop == p.b_start)[~swapped].all(), "label 0: B follows A"
    assert (p.b_stop == p.a_start)[swapped].all(), "label 1: A follows B"
    assert (np.minimum(p.a_start, p.b_start) == C.sentences[starts]).all()


def negatives_from_other_documents(starts, wanted, rng):
    return random_next(C, consecutive_pairs(C, starts, wanted, rng), starts, rng)


def never_swapped(starts, wanted, rng):
    p = consecutive_pairs(C, starts, wanted, rng)
    label = rng.integers(2, size=len(starts))
    return Pairs(p.a_start, p.a_stop, p.b_start, p.b_stop, label)


def labels_swapped(starts, wanted, rng):
    p = our_pairs(starts, wanted, rng)
    return Pairs(p.a_start, p.a_stop, p.b_start, p.b_stop, 1 - p.label)


@pytest.mark.parametrize(
    "mutant", [negatives_from_other_documents, never_swapped, labels_swapped]
)
def test_mistakes_in_pairs_are_noticed(mutant):
    check_pairs(our_pairs)
    with pytest.raises(AssertionError):
        check_pairs(mutant)


def test_a_batch_says_which_rows_are_swapped():
    # tokens are numbered through, so that the order can be seen in them
    batch = SentenceOrder(C, SPECIAL, length=40, batch_size=64).batch(0)
    assert set(batch["labels"].tolist()) == {0, 1}
    for ids, label in zip(batch["token_ids"].numpy(), batch["labels"], strict=True):
        first, second = np.flatnonzero(ids == SPECIAL.sep)
        assert ids[1] >= FIRST
        assert (ids[1] > ids[first + 1]) == bool(label)
        assert second > first + 1


def test_one_document_is_enough():
    one = corpus(1, least_sentences=5)
    batch = SentenceOrder(one, SPECIAL, length=40, batch_size=4).batch(0)
    assert batch["labels"].shape == (4,)
