"""Rules as predictors: they see the past alone, and sum to 1."""

import numpy as np
import pytest

from lmlib.compression.rules import Rule, Rules

TEXT = b"Quite quick, a queen quoted. The queue, quiet; Iraq lost its q. Then, quit."
RULES = [Rule(b"[Qq]", b"u"), Rule(b",", b" "), Rule(b"[a-z]", b"etaoin shr")]


def test_a_rule_speaks_where_its_pattern_stands_before():
    assert Rule(b"ab", b"c").places(b"abcabab").tolist() == [2, 5]
    assert Rule(b"[Qq]u", b"e").places(b"qu Qu quu").tolist() == [2, 5, 8]


@pytest.mark.parametrize("pattern", [b"a(?=b)", b"a(?!b)", b"a$", rb"a\b", rb"a\Z"])
def test_a_pattern_cannot_look_ahead(pattern):
    rule, rng = Rule(pattern, b"b"), np.random.default_rng(0)
    data = bytes(rng.choice(list(b"ab "), 60).tolist())
    for t in range(1, len(data)):
        places = rule.places(data[:t] + b"b").tolist()
        assert places == rule.places(data[:t] + b" ").tolist()


@pytest.mark.parametrize("weighed", [False, True])
def test_every_byte_is_predicted_by_a_distribution(weighed):
    model = Rules(RULES, weighed=weighed).fit(TEXT)
    assert model.tables.sum(axis=1) == pytest.approx(np.ones(4))
    assert (model.tables > 0).all()


def test_bits_are_those_of_the_formula():
    model = Rules(RULES).fit(TEXT)
    cases = sum(TEXT.count(q) for q in (b"q", b"Q"))
    right = sum(TEXT.count(q) for q in (b"qu", b"Qu"))
    c = (right + 0.5) / (cases + 1)
    bits, spoke = model.bits(TEXT), model.speaker(TEXT) == 0
    assert bits[spoke].sum() == pytest.approx(
        -right * np.log2(c) - (cases - right) * np.log2((1 - c) / 255)
    )


def test_the_first_rule_that_holds_speaks():
    rules = Rules([Rule(b"b", b"x"), Rule(b"ab", b"y"), Rule(b"a", b"z")])
    assert rules.speaker(b"abcab").tolist() == [-1, 2, 0, -1, 2]


def test_weighed_rules_share_by_frequency():
    model = Rules(RULES, weighed=True).fit(TEXT)
    table, f = model.tables[2], model.frequencies
    assert table[ord("e")] / table[ord("t")] == pytest.approx(f[ord("e")] / f[ord("t")])


def test_a_rule_costs_its_text():
    assert Rule(b"[Qq]", b"u").n_bits == 40


@pytest.mark.parametrize(
    ("before", "allowed"),
    [(b"a+", b"b"), (b"(", b"b"), (b"a", b""), (b"a", bytes(range(256)))],
)
def test_what_is_no_rule_is_refused(before, allowed):
    with pytest.raises(ValueError, match=r"before|allowed"):
        Rule(before, allowed)
