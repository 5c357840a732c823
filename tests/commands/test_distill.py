"""`lmlib distill`, as a person types it."""

import json

import pytest

from lmlib.cli import main
from lmlib.training.keep import load
from tests.commands.samples import SHORT, finetuned, pretrained

SHORTER = [*SHORT, "--length", "24"]


@pytest.mark.parametrize("recipe", ["mlm", "causal"])
def test_of_a_pretrained_model_on_text(tmp_path, capsys, recipe):
    teacher, out = pretrained(tmp_path, recipe), tmp_path / "student"
    before = (teacher / "model.safetensors").read_bytes()
    arguments = ["distill", str(teacher), "--text", str(tmp_path / "text")]
    arguments += ["--out", str(out), "--hidden", "1", "--attention", "1", *SHORTER]
    assert main(arguments) == 0
    assert "the student, of 1 layers, is in" in capsys.readouterr().out
    assert load(out).model.config.n_layers == 1
    assert (teacher / "model.safetensors").read_bytes() == before
    line = json.loads((out / "training/history.jsonl").read_text().splitlines()[0])
    assert set(line["losses"]) == {"labels", "soft", "cosine", "hidden", "attention"}


def test_of_a_tuned_model_on_its_task(tmp_path, capsys):
    teacher, out = finetuned(tmp_path), tmp_path / "student"
    arguments = ["distill", str(teacher), "--out", str(out), *SHORTER]
    assert main(arguments) == 2
    assert "give the --task" in capsys.readouterr().err
    task = str(tmp_path / "classification.jsonl")
    assert main([*arguments, "--task", task]) == 0
    assert "accuracy" in capsys.readouterr().out
    student = load(out)
    assert student.model.backbone.config.n_layers == 1
    assert student.made["task"]["names"] == ["bad", "good"]
    other = tmp_path / "other.jsonl"
    other.write_text(
        (tmp_path / "classification.jsonl").read_text().replace("bad", "b")
    )
    assert main([*arguments, "--task", str(other), "--resume"]) == 2
    assert "b, good, the model in" in capsys.readouterr().err


def test_a_t5_is_refused(tmp_path, capsys):
    teacher = pretrained(tmp_path, "span")
    assert main(["distill", str(teacher), "--out", str(tmp_path / "x")]) == 2
    assert "T5 cannot be distilled" in capsys.readouterr().err
