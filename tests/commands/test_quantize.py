"""`lmlib quantize` and `lmlib prune`, as a person types them."""

import re

import pytest
import torch
from safetensors.torch import load_file

from lmlib.cli import main
from lmlib.compression.quantize import quantize_model, restore
from lmlib.shipped import FOLDER
from lmlib.training.saved import load
from tests.commands.samples import finetuned, pretrained

GPT = str(FOLDER / "gpt")


@pytest.mark.parametrize("recipe", ["causal", "mlm", "span"])
@pytest.mark.parametrize("more", [(), ("--rows",), ("--plain", "--bits", "3")])
def test_what_is_read_is_what_was_rounded(tmp_path, recipe, more):
    model, out = pretrained(tmp_path, recipe), tmp_path / "out"
    assert main(["quantize", str(model), "--out", str(out), *more]) == 0
    assert not (out / "model.safetensors").exists()
    found, wanted = load(out).model, load(model).model
    bits = 3 if "--bits" in more else 8
    state = quantize_model(wanted, bits, axis=0 if "--rows" in more else None)
    restore(
        wanted,
        {
            n: v.half().float() if isinstance(v, torch.Tensor) else v
            for n, v in state.items()
        },
    )
    others = dict(found.named_parameters())
    assert others.keys() == dict(wanted.named_parameters()).keys()
    for name, parameter in wanted.named_parameters():
        assert torch.equal(others[name], parameter)


def test_a_tuned_model_keeps_its_head(tmp_path, capsys):
    model, out = finetuned(tmp_path), tmp_path / "out"
    assert main(["quantize", str(model), "--out", str(out)]) == 0
    found, wanted = load(out).model, load(model).model
    for name, parameter in wanted.heads.named_parameters():
        assert torch.equal(dict(found.heads.named_parameters())[name], parameter)
    capsys.readouterr()
    task = str(tmp_path / "classification.jsonl")
    assert main(["evaluate", str(out), "--task", task]) == 0
    assert "accuracy" in capsys.readouterr().out


def test_the_file_is_as_small_as_it_says(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["quantize", GPT, "--bits", "4", "--plain", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    (size,) = re.findall(r": ([\d,]+) bytes, 4", said)
    n_bytes = int(size.replace(",", ""))
    assert n_bytes == (out / "quantized.safetensors").stat().st_size
    assert n_bytes < 0.135 * (FOLDER / "gpt" / "model.safetensors").stat().st_size
    assert main(["generate", str(out), "The", "--tokens", "3"]) == 0


@pytest.mark.parametrize(
    ("more", "share"),
    [
        (["--sparsity", "0.3"], 0.3),
        (["--pattern", "1:4"], 0.75),
        (["--sparsity", "0.6", "--together"], 0.6),
    ],
)
def test_pruned(tmp_path, capsys, more, share):
    out = tmp_path / "out"
    assert main(["prune", GPT, "--out", str(out), *more]) == 0
    assert f"{share:.1%} of 1," in capsys.readouterr().out
    before, after = (load_file(f / "model.safetensors") for f in (FOLDER / "gpt", out))
    zeros = sum(int((w == 0).sum()) for w in after.values() if w.ndim > 1)
    n = sum(w.numel() for w in after.values() if w.ndim > 1)
    assert zeros / n == pytest.approx(share, abs=0.001)
    for name, w in after.items():
        assert torch.equal(w[w != 0], before[name][w != 0])
    if "--pattern" not in more and "--together" not in more:
        for name, w in after.items():
            if w.ndim > 1:  # what went is less than what stayed
                assert before[name][w == 0].abs().max() <= w[w != 0].abs().min()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quantize", GPT, "--bits", "1"], "--bits must be in 2 … 8, got 1"),
        (["quantize", GPT, "--out", GPT], "--out must be another folder than MODEL"),
        (["quantize", "/nowhere"], "/nowhere/config.json does not exist"),
        (["prune", GPT, "--out", GPT], "--out must be another folder than MODEL"),
        (["prune", GPT, "--sparsity", "2"], "--sparsity must be in 0 … 1, got 2.0"),
        (["prune", GPT, "--sparsity", "nan"], "--sparsity must be in 0 … 1, got nan"),
        (["prune", GPT, "--pattern", "2"], "--pattern must be N:M, such as 2:4"),
        (["prune", GPT, "--pattern", "5:4"], "n must be in 0 … m, got n = 5, m = 4"),
        (["prune", GPT, "--pattern", "1:7"], "last axis must be a multiple of 7"),
        (["prune", GPT, "--pattern", "2:4", "--together"], "--together must be left"),
    ],
)
def test_what_cannot_be_done(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_damaged_file_is_refused(tmp_path, capsys):
    model, out = pretrained(tmp_path, "causal"), tmp_path / "out"
    assert main(["quantize", str(model), "--out", str(out)]) == 0
    path = out / "quantized.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 2
    assert "is damaged: its checksum is another" in capsys.readouterr().err


def test_another_model_in_the_same_folder(tmp_path):
    model, out = pretrained(tmp_path, "causal"), tmp_path / "out"
    assert main(["quantize", str(model), "--bits", "2", "--out", str(out)]) == 0
    assert main(["prune", str(model), "--sparsity", "0", "--out", str(out)]) == 0
    found, wanted = (dict(load(f).model.named_parameters()) for f in (out, model))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
