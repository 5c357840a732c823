"""Quantization against torch's own kernels, hand-made codes, and the square law."""

import math

import gguf
import numpy as np
import pytest
import torch

from lmlib.compression.quantize import (
    affine_parameters,
    code_entropy,
    quantize,
    quantize_model,
    restore,
)
from lmlib.models.gpt import GPT, gpt_config

# torch's own kernels are deprecated, and still what we compare with.
pytestmark = pytest.mark.filterwarnings("ignore:torch.quantize_per")


def values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_symmetric_codes_are_those_of_torch(bits, axis):
    x = values(5, 7) * torch.tensor([1e-3, 1, 30, 1e3, 0.0])[:, None]
    found = quantize(x, bits, axis=axis)
    most = 2 ** (bits - 1) - 1
    if axis is None:
        one = found.scale.item()
        wanted = torch.quantize_per_tensor(x, one, 0, torch.qint8).int_repr()
    else:
        zeros = torch.zeros_like(found.scale, dtype=torch.int64)
        wanted = torch.quantize_per_channel(
            x, found.scale, zeros, axis % 2, torch.qint8
        ).int_repr()
    assert torch.equal(found.codes, wanted.clamp(-most, most).to(torch.int16))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shift", [-9.0, -0.3, 0.0, 2.0])
def test_affine_codes_are_those_of_torch(bits, shift):
    x = values(6, 5) + shift
    found = quantize(x, bits, axis=0, symmetric=False)
    wanted = torch.quantize_per_channel(
        x, found.scale, found.zero_point.long(), 0, torch.quint8
    ).int_repr()
    assert torch.equal(found.codes, wanted.clamp(0, 2**bits - 1).to(torch.int16))


def test_scales_are_those_of_torch_observers():
    """torch.ao takes 255 steps for 8 bits, and 127.5 for symmetric codes, not 127."""
    x = values(64, 3)
    observer = torch.ao.quantization.PerChannelMinMaxObserver(
        ch_axis=0, dtype=torch.quint8, qscheme=torch.per_channel_affine
    )
    observer(x)
    scale, zero_point = observer.calculate_qparams()
    found = quantize(x, 8, axis=0, symmetric=False)
    # Ours are rounded up to a float16: by one part in 1024 at most.
    assert bool((found.scale >= scale * (1 - 1e-6)).all())
    assert torch.allclose(found.scale, scale, rtol=2**-10)
    assert (found.zero_point - zero_point).abs().max() <= 1
    symmetric = torch.ao.quantization.MinMaxObserver(
        dtype=torch.qint8, qscheme=torch.per_tensor_symmetric
    )
    symmetric(x)
    theirs = symmetric.calculate_qparams()[0].item() * 127.5 / 127
    assert quantize(x, 8).scale.item() == pytest.approx(theirs, rel=2**-10)


def test_codes_are_those_of_gguf_but_for_the_scale_that_is_stored():
    """Q8_0 is a row of 32 with a float16 scale. It rounds with the scale before that
    was made a float16, and stores the nearest one; ours is the next one above."""
    x = values(8, 256)
    blocks = gguf.quants.quantize(x.numpy(), gguf.GGMLQuantizationType.Q8_0)
    scale, codes = np.split(blocks.reshape(-1, 34), [2], axis=1)
    found = quantize(x.reshape(-1, 32), 8, axis=0)
    theirs = torch.from_numpy(np.ascontiguousarray(scale).view(np.float16).ravel())
    assert torch.allclose(found.scale, theirs.float(), rtol=2**-10)
    apart = (found.codes - torch.from_numpy(codes.view(np.int8))).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 0.05
    back = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)
    error = (found.dequantize().reshape(x.shape) - x).square().mean()
    assert error <= 1.01 * (torch.from_numpy(back) - x).square().mean()


def test_by_hand():
    found = quantize(torch.tensor([-7.0, -2.6, 0.0, 3.4, 3.6]), 4)
    assert found.codes.tolist() == [-7, -3, 0, 3, 4]
    assert found.dequantize().tolist() == [-7, -3, 0, 3, 4]
    scale, zero = affine_parameters(torch.tensor(-1.0), torch.tensor(2.75), 4)
    assert (scale.item(), zero.item()) == (0.25, 4)
    # The range is stretched to hold 0 …
    scale, zero = affine_parameters(torch.tensor(1.0), torch.tensor(3.75), 4)
    assert (scale.item(), zero.item()) == (0.25, 0)
    scale, zero = affine_parameters(torch.tensor(-3.75), torch.tensor(-1.0), 4)
    assert (scale.item(), zero.item()) == (0.25, 15)
    # … and 0 alone has scale 1.
    scale, zero = affine_parameters(torch.tensor(0.0), torch.tensor(0.0), 4)
    assert (scale.item(), zero.item()) == (1.0, 0)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("symmetric", [True, False])
def test_no_error_is_more_than_half_a_step(bits, symmetric):
    x = values(40, 50, seed=bits) * 10.0 ** values(40, 1).clamp(-3, 3)
    found = quantize(x, bits, axis=0, symmetric=symmetric)
    error = (found.dequantize() - x).abs()
    assert bool((error <= 0.5001 * found.scale[:, None]).all())
    zero = quantize(torch.where(x < 0, x, 0.0), bits, symmetric=symmetric)
    assert bool((zero.dequantize()[x >= 0] == 0).all())  # 0 is exact


def test_a_uniform_step():
    x = values(1000)
    found = quantize(x, None, step=0.25)
    assert torch.equal(found.dequantize(), (4 * x).round() / 4)
    # Gaussian codes: ½·log₂(2πe) − log₂ Δ bits (a bound at fine steps).
    fine = quantize(values(200_000), None, step=0.0625)
    entropy = 0.5 * math.log2(2 * math.pi * math.e) + 4
    assert code_entropy(fine.codes) == pytest.approx(entropy, abs=0.01)


def test_entropy_by_hand():
    assert code_entropy(torch.tensor([3, 3, 3])) == 0
    assert code_entropy(torch.tensor([0, 0, 1, 2])) == 1.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bits": 1}, "bits must be in 2 … 8, got 1"),
        ({"bits": 9}, "bits must be in 2 … 8, got 9"),
        ({"bits": None, "step": 0.0}, "step must be positive"),
        ({"bits": 8, "step": 1.0}, "step must be positive"),
        ({"bits": None, "step": 1e-6}, "step must be larger"),
    ],
)
def test_wrong_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        quantize(values(9), **given)


@pytest.mark.parametrize("x", [[], [1.0, math.nan], [math.inf]])
def test_what_cannot_be_rounded(x):
    with pytest.raises(ValueError, match="x must have finite values"):
        quantize(torch.tensor(x), 4)


def test_low_above_high():
    with pytest.raises(ValueError, match="low must be at most high"):
        affine_parameters(torch.tensor(1.0), torch.tensor(0.0), 4)


def model_of(seed):
    torch.manual_seed(seed)
    config = gpt_config(32, 2, 2, vocab_size=50, max_len=16)
    return GPT(config).eval()


def test_a_model_comes_back():
    model, other = model_of(0), model_of(1)
    state = quantize_model(model, 8)
    restore(other, state)
    ids = torch.arange(16)[None]
    assert (other(ids) - model(ids)).abs().max() < 0.05 * model(ids).abs().max()
    # The table that embeds tokens and predicts them is one.
    assert len([name for name in state if "token" in name or "lm" in name]) == 1
    assert other.heads["lm"].embedding is other.backbone.embeddings.token
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            assert torch.equal(dict(other.named_parameters())[name], parameter)


def test_another_model_is_refused():
    state = quantize_model(model_of(0), 4)
    with pytest.raises(ValueError, match="must have shape"):
        restore(GPT(gpt_config(16, 2, 2, vocab_size=50, max_len=16)), state)
    with pytest.raises(ValueError, match="must have the model's names"):
        restore(GPT(gpt_config(32, 1, 2, vocab_size=50, max_len=16)), state)


def test_error_is_the_square_of_the_step():
    """Errors are uniform on a step: variance Δ²/12."""
    x = values(100_000)
    for bits in (5, 6, 8):
        found = quantize(x, bits)
        error = (found.dequantize() - x).square().mean()
        assert error == pytest.approx(found.scale.item() ** 2 / 12, rel=0.02)
