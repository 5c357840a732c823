"""Duplicates are found by an independent count of shingles, and splits are disjoint."""

import hashlib
import itertools
import random

import numpy as np
import pytest

from lmlib.data.documents import (
    Document,
    Labelled,
    digest,
    near_duplicate_groups,
    select,
    shared,
    split_by_size,
    unique,
)

WORDS = [a + b for a in "bcdfghjklm" for b in "aeiou"]


def some_texts(n, seed=0, words=30):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(n)]


def grams(text, n):
    words = text.split()
    n = min(n, len(words))
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def test_unique_drops_what_differs_in_case_and_punctuation_only():
    texts = ["The cat, sat.", "the cat SAT", "The cat sat down", "...", ""]
    # Fewer than eight words are one shingle, so the third is another.
    assert unique(texts) in ([0, 2], [1, 2])


def test_unique_keeps_the_longer_of_two_that_overlap_whatever_the_order():
    long = some_texts(1, words=60)[0]
    part = " ".join(long.split()[:30])
    other = some_texts(1, seed=5)[0]
    texts = [part, long, other, long.upper()]
    for order in itertools.permutations(range(4)):
        kept = {texts[order[i]] for i in unique([texts[j] for j in order])}
        assert kept in ({long, other}, {long.upper(), other})
    assert len({unique([a, b])[0] for a, b in [(long, part)]}) == 1


@pytest.mark.parametrize(("n", "keeps"), [(53, True), (54, False)])
def test_unique_counts_the_share_of_shingles_seen(n, keeps):
    # 100 words, so 93 shingles of 8; of the first n words, n - 7 are in the longer
    # text: 46 are less than half of them, 47 are more.
    long, tail = some_texts(1, words=300)[0], some_texts(1, seed=2, words=100)[0]
    mixed = " ".join(long.split()[:n] + tail.split()[n:])
    assert long.split()[n] != mixed.split()[n]
    assert unique([mixed, long]) == ([0, 1] if keeps else [1])


def test_shared_agrees_with_sets_of_words():
    texts, others = some_texts(20, words=12), some_texts(60, seed=3, words=12)
    others += [" ".join(t.split()[3:9]) for t in texts[:10]] + [texts[0]]
    pool = set(itertools.chain.from_iterable(grams(t, 3) for t in others))
    expected = [np.mean([g in pool for g in grams(t, 3)]) for t in texts]
    assert shared(texts, others, n_words=3).tolist() == pytest.approx(expected)
    assert shared(["a b"], []).tolist() == [0]
    assert shared([], texts).tolist() == []


def test_chinese_characters_are_words():
    text = "學而時習之不亦說乎有朋自遠方來不亦樂乎"
    assert shared([text], [text[5:]])[0] == pytest.approx((19 - 7 - 5) / (19 - 7))


def test_groups_link_pairs_and_chains():
    a, b, c, d = some_texts(4, words=20)
    ab = " ".join(a.split()[:10] + b.split()[:10])
    groups = near_duplicate_groups([a, c, ab, b, d], overlap=0.4)
    assert groups[0] == groups[2] == groups[3]
    assert len(set(groups.tolist())) == 3


def test_digest_sees_texts_their_borders_and_their_order():
    one, two = Document("ab"), Document("c")
    seen = {
        digest(d) for d in ([one, two], [two, one], [Document("a"), Document("bc")])
    }
    assert len(seen) == 3
    assert digest([one]) == hashlib.sha256(b"2:ab").hexdigest()
    assert digest([Document("ab", "name", "source")]) == digest([one])


def test_splits_have_their_shares_and_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    sizes = {f"k{i}": int(n) for i, n in enumerate(rng.integers(1, 2000, 500))}
    splits = split_by_size(sizes, valid=0.1, test=0.05)
    total = sum(sizes.values())
    for split, share in (("valid", 0.1), ("test", 0.05)):
        part = sum(n for k, n in sizes.items() if splits[k] == split)
        assert share * 0.95 <= part / total <= share
    backwards = dict(reversed(sizes.items()))
    assert split_by_size(backwards, valid=0.1, test=0.05) == splits


def test_no_split_of_three_is_empty():
    assert sorted(split_by_size({"a": 5, "b": 9, "c": 7}).values()) == [
        "test",
        "train",
        "valid",
    ]


def test_select_gives_each_text_once_and_to_one_split():
    texts = some_texts(100)
    documents = [Document(t) for t in [*texts, *texts[:50]]]
    parts = [select(documents, s) for s in ("train", "valid", "test")]
    assert sorted(d.text for part in parts for d in part) == sorted(texts)
    assert select(documents, "all") == documents
    with pytest.raises(ValueError, match="three different documents"):
        select(documents[:2], "train")


def test_what_is_no_split_is_refused(no_runtime_types):
    with pytest.raises(ValueError, match="'dev'"):
        select([Document("a")], "dev")


def test_labels_must_fit():
    with pytest.raises(ValueError, match="labels"):
        Labelled(["a"], np.array([0, 1]), ("x", "y"))
