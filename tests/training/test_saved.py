"""What is kept comes back with the same answers."""

import pytest
import torch

from lmlib.models import hub
from lmlib.training.finetune import finetune, forward, initialise, inputs
from lmlib.training.pretrain import make_model
from lmlib.training.saved import load, save
from lmlib.training.settings import Settings
from lmlib.training.tasks import task_data
from tests.training.samples import SIZE, TOKENIZER, sentences

CASES = [
    ("mlm", "bert", "classification"),
    ("mlm", "roberta", "classification"),
    ("mlm", "albert", "classification"),
    ("causal", "gpt2", "classification"),
]


@pytest.mark.parametrize(("recipe", "family", "kind"), CASES)
def test_a_tuned_model_comes_back(tmp_path, recipe, family, kind):
    source = make_model(recipe, TOKENIZER.special, TOKENIZER.size, SIZE, family)
    task = task_data(kind, sentences(20), ("bad", "good"))
    model = initialise(source, task).eval()
    made = {"task": {"kind": kind, "names": task.names}}
    save(model, TOKENIZER, tmp_path, made, family=family)
    kept = load(tmp_path)
    assert kept.family == family
    assert kept.made["task"]["names"] == ["bad", "good"]
    batch = inputs(task.valid, task, kept.tokenizer, kept.model, length=24)
    with torch.no_grad():
        expected, got = (forward(m, batch)[0] for m in (model, kept.model))
    assert torch.equal(got, expected)
    hub.load(tmp_path)  # the backbone is for everybody
    files = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert "head.safetensors" in files
    assert set(files.values()) == {files["config.json"]}  # as readable as all else


def test_what_lora_learned_is_kept_in_plain_matrices(tmp_path):
    source = make_model("mlm", TOKENIZER.special, TOKENIZER.size, SIZE)
    task = task_data("classification", sentences(20), ("bad", "good"))
    tuned = finetune(
        source, task, TOKENIZER, Settings(steps=4, lr=0.1), method="lora", length=24
    )
    made = {"task": {"kind": task.kind, "names": task.names}}
    save(tuned.model, TOKENIZER, tmp_path, made)
    kept = load(tmp_path)
    batch = inputs(task.valid, task, kept.tokenizer, kept.model, length=24)
    begun = kept.model.backbone.blocks[0].attention.qkv.weight
    with torch.no_grad():
        expected, got = (forward(m.eval(), batch)[0] for m in (tuned.model, kept.model))
        assert torch.equal(got, expected)
        assert not torch.equal(begun, source.backbone.blocks[0].attention.qkv.weight)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_compiled_model_is_kept_as_what_it_is(family, tmp_path):
    recipe = "mlm" if family == "bert" else "causal"
    source = make_model(recipe, TOKENIZER.special, TOKENIZER.size, SIZE, family)
    task = task_data("classification", sentences(20), ("bad", "good"))
    model = initialise(source, task)
    made = {"task": {"kind": task.kind, "names": task.names}}
    save(model, TOKENIZER, tmp_path / "plain", made, family=family)
    whole = torch.compile(model)
    save(whole, TOKENIZER, tmp_path / "whole", made, family=family)
    model.backbone = torch.compile(model.backbone)
    model.heads["task"] = torch.compile(model.heads["task"])
    save(model, TOKENIZER, tmp_path / "parts", made, family=family)
    for name in ("model.safetensors", "head.safetensors", "config.json"):
        expected = (tmp_path / "plain" / name).read_bytes()
        assert (tmp_path / "whole" / name).read_bytes() == expected
        assert (tmp_path / "parts" / name).read_bytes() == expected


def test_loras_matrices_are_merged_before_a_model_is_kept(tmp_path):
    source = make_model("mlm", TOKENIZER.special, TOKENIZER.size, SIZE)
    task = task_data("classification", sentences(20), ("bad", "good"))
    model = initialise(source, task, method="lora")
    with pytest.raises(ValueError, match="merge them first"):
        save(model, TOKENIZER, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_another_family_is_refused(tmp_path):
    source = make_model("rtd", TOKENIZER.special, TOKENIZER.size, SIZE)
    with pytest.raises(ValueError, match="family must be one of bert"):
        save(source, TOKENIZER, tmp_path, family="t5")
