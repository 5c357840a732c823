"""Quantized models as files: exact, no longer than they should be, never damaged."""

import json

import pytest
import torch

from lmlib.compression.quantize import (
    Quantized,
    code_entropy,
    quantize,
    quantize_model,
)
from lmlib.compression.stored import load_quantized, save_quantized
from lmlib.shipped import FOLDER, shipped
from tests.compression.test_quantize import model_of, values


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one.half().float(), other)
    return (
        (one.bits, one.axis) == (other.bits, other.axis)
        and torch.equal(one.codes, other.codes)
        and torch.equal(one.scale, other.scale)
        and torch.equal(one.zero_point, other.zero_point)
    )


@pytest.mark.parametrize("entropy_coded", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_round_trip(tmp_path, bits, axis, symmetric, entropy_coded):
    state = {
        "w": quantize(values(7, 9) + 3, bits, axis=axis, symmetric=symmetric),
        "one": quantize(values(1, 1), bits, axis=axis, symmetric=symmetric),
        "same": quantize(torch.zeros(3, 4), bits, axis=axis, symmetric=symmetric),
        "bias": values(5),
    }
    path = tmp_path / "model.safetensors"
    size = save_quantized(path, state, entropy_coded=entropy_coded, also={"a": [1]})
    found, also = load_quantized(path)
    assert size == path.stat().st_size
    assert also == {"a": [1]}
    assert found.keys() == state.keys()
    assert all(same(state[name], found[name]) for name in state)


def test_a_uniform_step(tmp_path):
    state = {"w": quantize(values(300), None, step=0.01)}
    save_quantized(tmp_path / "w", state)
    found, _ = load_quantized(tmp_path / "w")
    assert same(state["w"], found["w"])
    with pytest.raises(ValueError, match="it must be entropy coded"):
        save_quantized(tmp_path / "x", state, entropy_coded=False)
    assert not (tmp_path / "x").exists()


def test_size_is_the_entropy(tmp_path):
    codes = quantize(values(100, 200), 8)
    wanted = codes.codes.numel() * code_entropy(codes.codes) / 8
    size = save_quantized(tmp_path / "w", {"w": codes})
    assert wanted < size < 1.002 * wanted + 2 * 255 + 600  # a table, and the header
    packed = save_quantized(tmp_path / "w", {"w": codes}, entropy_coded=False)
    assert 20_000 < packed < 20_600


def test_targets_for_the_shipped_model(tmp_path):
    """int8 in 22 % of the bytes of float32, int4 with a scale for each row in 13 %."""
    model = shipped("gpt").model
    n_bytes = 4 * sum(p.numel() for p in model.parameters())
    for bits, axis, most in ((8, None, 0.22), (4, 0, 0.13)):
        state = quantize_model(model, bits, axis=axis)
        codes = [v for v in state.values() if isinstance(v, Quantized)]
        # The sizes by entropy; `test_size_is_the_entropy` shows that a file has them.
        size = sum(v.codes.numel() * code_entropy(v.codes) / 8 for v in codes)
        size += sum(2 * v.scale.numel() + 2 * 2**bits + 200 for v in codes)
        size += sum(
            2 * v.numel() for v in state.values() if isinstance(v, torch.Tensor)
        )
        assert size < most * n_bytes


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "model.safetensors"
    save_quantized(path, quantize_model(model_of(0), 4))
    return path


def test_every_damage_is_noticed(written):
    content = written.read_bytes()
    for place in range(0, len(content), 997):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        written.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged|no quantized model"):
            load_quantized(written)
    written.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="damaged"):
        load_quantized(written)


def test_foreign_files(tmp_path, written):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_quantized(tmp_path / "none")
    with pytest.raises(ValueError, match="no quantized model"):
        load_quantized(FOLDER / "gpt" / "model.safetensors")
    (tmp_path / "text").write_text(json.dumps({}))
    with pytest.raises(ValueError, match="damaged"):
        load_quantized(tmp_path / "text")
