"""`lmlib finetune`, as a person types it."""

import json

import pytest

from lmlib.cli import main
from tests.commands.samples import SHORT, examples_file, finetuned, pretrained, tune


@pytest.mark.parametrize("recipe", ["mlm", "causal"])
def test_leaves_a_model_with_its_head_and_scores(tmp_path, capsys, recipe):
    out = finetuned(tmp_path, recipe, "classification", "--method", "lora")
    said = capsys.readouterr().out
    assert "on the test set:" in said
    assert "matthews" in said
    made = json.loads((out / "lmlib.json").read_text())
    assert made["task"]["names"] == ["bad", "good"]
    assert set(made["test"]) == {"loss", "accuracy", "macro_f1", "matthews"}
    assert (out / "head.safetensors").exists()


def test_a_tuned_model_is_no_start(tmp_path, capsys):
    out = finetuned(tmp_path)
    task = str(tmp_path / "classification.jsonl")
    assert main(["finetune", str(out), "--task", task, *SHORT]) == 2
    assert "fine-tuned already" in capsys.readouterr().err


def test_a_length_is_that_of_the_model_at_most(tmp_path):
    model = pretrained(tmp_path)
    task = examples_file(tmp_path / "e.jsonl")
    assert tune(model, task, tmp_path / "out", "--length", "128") == 0
    made = json.loads((tmp_path / "out" / "lmlib.json").read_text())
    assert made["task"]["length"] == 24


def test_mistakes_are_told_in_a_line(tmp_path, capsys):
    examples_file(tmp_path / "e.jsonl")
    assert main(["finetune", str(tmp_path / "none")]) == 2
    assert "config.json does not exist" in capsys.readouterr().err
