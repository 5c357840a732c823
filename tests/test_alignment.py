"""IBM model 1 against rounds of EM that were derived by hand."""

import math
from fractions import Fraction

import pytest

from lmlib.alignment import NULL, align, alignment_error, ibm1, word_by_word
from lmlib.data.toy_translation import Pair

HOUSE = [
    (("das", "Haus"), ("the", "house")),
    (("das", "Buch"), ("the", "book")),
    (("ein", "Buch"), ("a", "book")),
]


def test_two_rounds_are_those_by_hand():
    """Round 1 shares each word equally. Das: the ½ + ½, house ½, book ½, of 2."""
    first = ibm1(HOUSE, 1)
    assert first["das"] == pytest.approx({"the": 1 / 2, "house": 1 / 4, "book": 1 / 4})
    assert first["Haus"] == pytest.approx({"the": 1 / 2, "house": 1 / 2})
    # Round 2. In "das Haus" the: ½ : ½, house: ¼ : ½; in "das Buch" the: ½ : ¼,
    # book: ¼ : ½. So das has ½ + ⅔ of the, ⅓ of house, ⅓ of book.
    shares = {"the": Fraction(7, 6), "house": Fraction(1, 3), "book": Fraction(1, 3)}
    total = sum(shares.values())
    second = ibm1(HOUSE, 2)
    expected = {word: float(share / total) for word, share in shares.items()}
    assert second["das"] == pytest.approx(expected)
    assert expected["the"] == pytest.approx(7 / 11)
    # Haus has ½ of the and ⅔ of house; ein, alone with Buch, ½ of a … ⅔ and ⅓ of book.
    assert second["Haus"] == pytest.approx({"the": 3 / 7, "house": 4 / 7})
    assert second["ein"] == pytest.approx({"a": 4 / 7, "book": 3 / 7})


def log_likelihood(table, pairs):
    return sum(
        math.log(sum(table[e].get(f, 0.0) for e in source) / len(source))
        for source, target in pairs
        for f in target
    )


def test_no_round_lowers_the_likelihood_and_it_finds_the_words():
    likelihoods = [log_likelihood(ibm1(HOUSE, n), HOUSE) for n in (1, 2, 3, 10, 50)]
    assert likelihoods == sorted(likelihoods)
    assert likelihoods[-1] > likelihoods[0] + 0.5
    table = ibm1(HOUSE, 50)
    assert all(sum(row.values()) == pytest.approx(1) for row in table.values())
    assert table["das"]["the"] > 0.99
    assert table["Buch"]["book"] > 0.99


def test_a_word_twice_counts_twice():
    table = ibm1([(["a", "a"], ["x", "y"]), (["b"], ["y", "y", "x"])], 1)
    assert table == {"a": {"x": 0.5, "y": 0.5}, "b": {"y": 2 / 3, "x": 1 / 3}}


def test_null_takes_what_comes_from_nowhere():
    pairs = [
        ([NULL, "two", "books"], ["两", "本", "书"]),
        ([NULL, "two", "maps"], ["两", "张", "图"]),
        ([NULL, "books"], ["书", "了"]),
        ([NULL, "maps"], ["图", "了"]),
        ([NULL], ["了"]),
    ]
    table = ibm1(pairs, 20)
    assert align(table, pairs[2][0], ["书", "了", "？"]) == [1, 0, 0]
    assert word_by_word(table, ["two", "maps", "chairs"]) == ["两", "图"]


def test_leaves_out_what_comes_more_often_from_null():
    table = {NULL: {"了": 0.5}, "did": {"了": 0.4, "书": 0.1}, "book": {"书": 1.0}}
    assert word_by_word(table, ["did", "book"]) == ["书"]
    assert word_by_word({"did": table["did"]}, ["did"]) == ["了"]
    assert word_by_word({**table, "did": {"了": 0.6}}, ["did"]) == ["了"]


def test_the_error_is_of_words_with_a_link():
    pairs = [
        Pair(("the", "book"), ("书", "了"), frozenset({(1, 0)})),
        Pair(("in", "it"), ("在", "它", "里"), frozenset({(0, 0), (1, 1), (0, 2)})),
    ]
    assert alignment_error(pairs, [[1, 0], [0, 1, 0]]) == 0
    assert alignment_error(pairs, [[0, 1], [0, 1, 1]]) == 2 / 4


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match="rounds must be positive, got 0"):
        ibm1(HOUSE, 0)
    with pytest.raises(ValueError, match="empty source beside a target"):
        ibm1([([], ["x"])], 1)
    with pytest.raises(ValueError, match="no Chinese word has a link"):
        alignment_error([Pair(("the",), ("了",), frozenset())], [[0]])
    with pytest.raises(ValueError, match="a place for each Chinese word"):
        alignment_error([Pair(("a",), ("一",), frozenset({(0, 0)}))], [[]])
