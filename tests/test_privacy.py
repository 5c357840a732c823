"""lmlib.privacy against values by hand, each text alone, and integrals on a grid."""

import copy
import math

import pytest
import torch
from scipy.stats import norm
from torch import nn

from lmlib.models.scoring import text_bits
from lmlib.privacy import canaries, code_bits, epsilon, exposure, noisy_gradient
from lmlib.shipped import shipped


def test_exposure_by_hand():
    costs = torch.tensor([3.0, 1.0, 2.0, 9.0, 5.0])
    assert exposure(costs, 1) == pytest.approx(math.log2(5))  # the cheapest
    assert exposure(costs, 0) == pytest.approx(math.log2(5 / 3))
    assert exposure(costs, 3) == 0  # the dearest
    # What costs as much is not before it: all equal are all first.
    assert exposure(torch.ones(7), 4) == pytest.approx(math.log2(7))


@pytest.mark.parametrize(("n", "index"), [(0, 0), (3, 3), (3, -1)])
def test_exposure_of_no_secret(n, index):
    with pytest.raises(ValueError, match=f"one of {n} secrets, got {index}"):
        exposure(torch.zeros(n), index)


def test_without_memory_exposure_is_geometric():
    generator = torch.Generator().manual_seed(0)
    found = torch.tensor(
        [exposure(torch.rand(256, generator=generator), i % 256) for i in range(4000)]
    )
    assert found.mean() == pytest.approx(math.log2(math.e), abs=0.1)
    assert (found >= 5).double().mean() == pytest.approx(1 / 32, abs=0.01)


def test_canaries_are_drawn_alike_and_apart():
    some = canaries(64, seed=1)
    assert some == canaries(64, seed=1) != canaries(64, seed=2)
    assert len({c.prompt for c in some}) == 64
    assert {len(c.code) for c in some} == {4}
    assert some[0].text == some[0].prompt + some[0].code + "."
    codes = [int(c.code) for c in canaries(4000, digits=1)]
    assert (min(codes), max(codes)) == (0, 9)
    assert torch.bincount(torch.tensor(codes)).min() > 300


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "1 or more, got 0 and 4"),
        ({"n": 1, "digits": 0}, "1 or more, got 1 and 0"),
        ({"n": 1, "template": "The code is "}, "place for {name}"),
        ({"n": 10**5}, "at most 4900 names, got 100000"),
    ],
)
def test_canaries_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        canaries(**options)


@pytest.mark.parametrize("digits", [1, 3])
def test_code_bits_are_those_of_each_code_alone(digits):
    kept = shipped("gpt")
    codes = [f"{c:0{digits}d}" for c in range(10**digits)][::7]
    prompt = canaries(1)[0].prompt
    got = code_bits(kept.model, kept.tokenizer, prompt, codes)
    whole = text_bits(kept.model, kept.tokenizer, [("", prompt + c) for c in codes])
    # The blank before a code is a part of its first token.
    (stem,) = text_bits(kept.model, kept.tokenizer, [("", prompt.rstrip())])
    expected = torch.stack([w.sum() for w in whole]) - stem.sum()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)


def test_code_bits_of_equal_codes_and_of_a_beginning():
    kept = shipped("gpt")
    got = code_bits(kept.model, kept.tokenizer, "is ", ["407", "4071", "407"])
    assert got[0] == got[2]
    alone = code_bits(kept.model, kept.tokenizer, "is ", ["407", "9"])[0]
    torch.testing.assert_close(got[0], alone, rtol=1e-4, atol=1e-4)
    one = code_bits(kept.model, kept.tokenizer, "is ", ["x"])
    assert one.shape == (1,)
    assert one > 0


def test_code_bits_of_nothing():
    kept = shipped("gpt")
    with pytest.raises(ValueError, match="codes must not be empty"):
        code_bits(kept.model, kept.tokenizer, "is", [])
    with pytest.raises(ValueError, match="must add a token"):
        code_bits(kept.model, kept.tokenizer, "", ["", "4"])


# -- DP-SGD ---------------------------------------------------------------------------


CLIP = 9.0  # between the lengths of the examples' gradients


def a_model_and_examples():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    return model, torch.randn(6, 5)


def losses(model, x):
    return ((model(row) - 2).square().sum() for row in x)


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_no_example_counts_for_more_than_clip():
    model, x = a_model_and_examples()
    noisy_gradient(model, losses(model, x), clip=CLIP, noise=0.0)
    got = gradient(model)
    expected, lengths = torch.zeros_like(got), []
    for row in x:
        other = copy.deepcopy(model)
        other.zero_grad()
        next(losses(other, row[None])).backward()
        g = gradient(other)
        lengths.append(float(g.norm()))
        expected += g * min(1, CLIP / lengths[-1])
    assert min(lengths) < CLIP < max(lengths)  # both kinds are there
    torch.testing.assert_close(got, expected / len(x))


def test_noise_is_that_of_the_sum():
    model, x = a_model_and_examples()
    noisy_gradient(model, losses(model, x), clip=CLIP, noise=0.0)
    plain, drawn = gradient(model), []
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        noisy_gradient(
            model, losses(model, x), clip=CLIP, noise=2.0, generator=generator
        )
        drawn.append(gradient(model) - plain)
    spread = torch.stack(drawn)
    assert float(spread.std()) == pytest.approx(2.0 * CLIP / len(x), rel=0.03)
    assert abs(float(spread.mean())) < 0.15


@pytest.mark.parametrize(("clip", "noise"), [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0)])
def test_noise_that_cannot_be(clip, noise):
    model, x = a_model_and_examples()
    with pytest.raises(ValueError, match="clip must be above 0"):
        noisy_gradient(model, losses(model, x), clip=clip, noise=noise)
    with pytest.raises(ValueError, match="losses must not be empty"):
        noisy_gradient(model, [], clip=1.0, noise=1.0)


@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0])
def test_epsilon_is_where_the_densities_leave_delta(noise):
    """δ(ε) = ∫ (p − e^ε q)₊ for two normals at distance 1, summed on a grid."""
    e = epsilon(noise, delta=1e-3)
    x = torch.linspace(-12 * noise, 12 * noise + 1, 400_001, dtype=torch.float64)
    p = torch.from_numpy(norm.pdf(x, 1, noise))
    q = torch.from_numpy(norm.pdf(x, 0, noise))
    delta = torch.trapezoid((p - math.exp(e) * q).clamp(min=0), x)
    assert float(delta) == pytest.approx(1e-3, rel=1e-3)


def test_epsilon_of_much_noise_and_of_none():
    assert epsilon(1e6) == 0
    for noise, delta in ((0.0, 1e-5), (-1.0, 1e-5), (1.0, 0.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match="noise must be above 0"):
            epsilon(noise, delta=delta)
