"""The right answers of section 8 against other ways to the same numbers."""

import math

import pytest
import torch
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from lmlib.exercises.trends import building, measuring, reading


def test_exposure_of_a_code_never_seen_has_the_law_that_the_questions_ask_for():
    found = [
        measuring.reference_exposure(torch.arange(2000).double(), i)
        for i in range(2000)
    ]
    answers = reading.reference_answers()
    assert sum(found) / 2000 == pytest.approx(answers["unseen"], abs=0.01)
    share = sum(bits >= 5 for bits in found) / 2000
    assert 1 / share == pytest.approx(answers["chance"], rel=0.05)


def test_overconfidence_is_the_slope_of_the_loss_in_inverse_temperature():
    logits = torch.randn(40, 7).double()
    targets = torch.randint(7, (40,))
    beta = torch.ones((), dtype=torch.float64, requires_grad=True)
    torch.nn.functional.cross_entropy(beta * logits, targets).backward()
    got = measuring.reference_overconfidence(logits, targets)
    assert got == pytest.approx(float(beta.grad) / math.log(2))


def test_good_turing_is_what_leaving_one_out_finds():
    draws = torch.randint(30, (40,)).tolist()
    new = sum(x not in draws[:i] + draws[i + 1 :] for i, x in enumerate(draws))
    counts = torch.bincount(torch.tensor(draws), minlength=30).tolist()
    assert measuring.reference_good_turing(counts) == new / 40


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_balance_of_each_layer_is_that_of_transformers(top_k):
    layers = tuple(torch.randn(9, 5) for _ in range(3))
    theirs = [load_balancing_loss_func((layer,), 5, top_k) for layer in layers]
    got = building.reference_balance(layers, top_k)
    assert got == pytest.approx(float(sum(theirs)) / 3, rel=1e-5)
    joined = float(load_balancing_loss_func(layers, 5, top_k))
    assert building.layers_joined(layers, top_k) == pytest.approx(joined, rel=1e-5)


def test_collapse_of_two_layers_looks_balanced_when_they_are_joined():
    layers = (torch.tensor([[50.0, 0.0]] * 4), torch.tensor([[0.0, 50.0]] * 4))
    assert building.layers_joined(layers, 1) == pytest.approx(1)
    assert building.reference_balance(layers, 1) == pytest.approx(2)


def test_a_conversation_comes_back_from_its_numbers():
    markers = {name: f"<|{name}|>" for name in building._NAMES}
    said = [("system", "<|end|>"), ("user", " Ā压<|system|>\n"), ("user", "")]
    begin, *ids = building.reference_chat(said, markers)
    assert begin == 260
    found = []
    while ids:
        end = ids.index(259)
        text = bytes(ids[1:end]).decode()
        found.append((("system", "user", "assistant")[ids[0] - 256], text))
        ids = ids[end + 1 :]
    assert found == said


def test_a_training_that_was_reported_takes_about_the_hours_that_were():
    """Llama 3.1 405B, as its model card is quoted: 30.84 million hours of H100s."""
    hours, _ = building.reference_cost(405e9, 405e9, 15.6e12, 989e12, 0.4, 1.0)
    assert 0.8 < hours / 30.84e6 < 1
