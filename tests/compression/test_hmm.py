"""Hidden states against a sum over all paths, and learning against its promise."""

from itertools import pairwise, product

import numpy as np
import pytest

from lmlib.compression.hmm import HMM, random_hmm

RNG = np.random.default_rng(0)


def by_all_paths(model, text):
    """−log₂ of the probability of a text, as it is defined."""
    total = 0.0
    for path in product(range(len(model.initial)), repeat=len(text)):
        p = model.initial[path[0]] * model.emission[path[0], text[0]]
        for t in range(1, len(text)):
            p *= (
                model.transition[path[t - 1], path[t]]
                * model.emission[path[t], text[t]]
            )
        total += p
    return -np.log2(total)


def test_bits_are_those_of_all_paths_together():
    model = random_hmm(3, 5, RNG)
    texts = RNG.integers(0, 5, (4, 6))
    assert model.bits(texts) == pytest.approx([by_all_paths(model, t) for t in texts])


def test_long_texts_have_finite_bits():
    model = random_hmm(2, 27, RNG)
    assert np.isfinite(model.bits(RNG.integers(0, 27, (1, 3000)))).all()


def test_predictions_sum_to_1():
    model = random_hmm(3, 4, RNG)
    every = np.array(list(product(range(4), repeat=4)))
    assert np.exp2(-model.bits(every)).sum() == pytest.approx(1)


def test_learning_never_makes_the_text_less_probable():
    texts = RNG.integers(0, 2, (5, 40)).cumsum(axis=1) % 4
    model = random_hmm(3, 4, RNG)
    costs = [model.bits(texts).sum()]
    for _ in range(20):
        model = model.learn(texts, pseudo=0.0)
        costs.append(model.bits(texts).sum())
    assert (np.diff(costs) <= 1e-9).all()
    assert costs[-1] < 0.95 * costs[0]


def test_one_round_counts_states_by_their_likelihood():
    """Against the expected counts, from the probabilities of all paths."""
    model, texts = random_hmm(2, 3, RNG), RNG.integers(0, 3, (3, 5))
    first, moves, emitted = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 3))
    for text in texts:
        weights = {}
        for path in product(range(2), repeat=5):
            p = model.initial[path[0]] * model.emission[path[0], text[0]]
            for a, b, s in zip(path, path[1:], text[1:], strict=False):
                p *= model.transition[a, b] * model.emission[b, s]
            weights[path] = p
        for path, p in weights.items():
            share = p / sum(weights.values())
            first[path[0]] += share
            for a, b in pairwise(path):
                moves[a, b] += share
            for state, symbol in zip(path, text, strict=True):
                emitted[state, symbol] += share
    learned = model.learn(texts, pseudo=0.0)
    for found, expected in (
        (learned.initial, first),
        (learned.transition, moves),
        (learned.emission, emitted),
    ):
        assert found == pytest.approx(expected / expected.sum(axis=-1, keepdims=True))


def test_what_never_came_can_come_after_learning():
    learned = random_hmm(2, 3, RNG).learn(np.zeros((1, 9), dtype=np.int64))
    assert np.isfinite(learned.bits(np.array([[1, 2]]))).all()
    certain = HMM(np.ones(1), np.ones((1, 1)), np.array([[1.0, 0.0]]))
    assert certain.bits(np.zeros((1, 7), dtype=np.int64)) == 0.0


def test_what_cannot_be_costs_infinitely_many_bits_and_teaches_nothing():
    turns = HMM(np.array([0.5, 0.5]), np.eye(2)[::-1], np.eye(2, 3))
    texts = np.array([[0, 1, 0], [0, 0, 1], [1, 2, 0]])
    assert turns.bits(texts).tolist() == [1.0, np.inf, np.inf]
    with pytest.raises(ValueError, match="cannot have written"):
        turns.learn(texts)


def test_pseudo_is_added_to_each_count():
    turns = HMM(np.array([0.5, 0.5]), np.eye(2)[::-1], np.eye(2, 3))
    learned = turns.learn(np.array([[0, 1, 0]]), pseudo=0.5)
    assert learned.initial == pytest.approx(np.array([1.5, 0.5]) / 2)
    assert learned.transition == pytest.approx(np.array([[0.5, 1.5], [1.5, 0.5]]) / 2)
    assert learned.emission[0] == pytest.approx(np.array([2.5, 0.5, 0.5]) / 3.5)
    assert learned.emission[1] == pytest.approx(np.array([0.5, 1.5, 0.5]) / 2.5)
