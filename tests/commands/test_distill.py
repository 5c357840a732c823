"""`lmlib distill`, as a person types it."""

import json

import pytest

from lmlib.cli import main
from lmlib.training.saved import load
from tests.commands.samples import (
    SHORT,
    examples_file,
    finetuned,
    pretrained,
    tune,
)

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
    # Of the teacher's scores none is taken for the student's.
    assert {"test", "valid", "method"} & load(teacher).made.keys()
    assert not {"test", "valid", "method"} & student.made.keys()
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


def test_a_model_that_generates_is_a_teacher_on_its_task(tmp_path):
    teacher, out = finetuned(tmp_path, "causal", "generation"), tmp_path / "student"
    task = ["--task", str(tmp_path / "generation.jsonl"), "--kind", "generation"]
    arguments = ["distill", str(teacher), *task, "--out", str(out), *SHORTER]
    assert main(arguments) == 0
    assert load(out).made["task"]["kind"] == "generation"
    assert main(["evaluate", str(out), *task]) == 0


def test_of_several_heads_the_one_that_is_taught_remains(tmp_path):
    teacher, out = pretrained(tmp_path, "mlm+nsp"), tmp_path / "student"
    arguments = ["distill", str(teacher), "--text", str(tmp_path / "text")]
    assert main([*arguments, "--out", str(out), *SHORTER]) == 0
    assert set(load(teacher).model.heads) == {"mlm", "nsp"}
    assert set(load(out).model.heads) == {"mlm"}


def test_goes_on_with_the_same_teacher_and_examples_alone(tmp_path, capsys):
    model = pretrained(tmp_path)
    out, task = tmp_path / "student", tmp_path / "classification.jsonl"
    examples_file(task)
    for name, lr in (("a", "0.1"), ("b", "0.2")):
        assert tune(model, task, tmp_path / name, "--lr", lr) == 0
    arguments = ["--task", str(task), "--out", str(out), *SHORTER]
    assert main(["distill", str(tmp_path / "a"), *arguments]) == 0
    capsys.readouterr()
    assert main(["distill", str(tmp_path / "b"), *arguments, "--resume"]) == 2
    assert "configuration.teacher: " in capsys.readouterr().err
    arguments += ["--train", "20", "--resume"]
    assert main(["distill", str(tmp_path / "a"), *arguments]) == 2
    assert "configuration.examples: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--layers", "0"], "1 … 2 layers, got 0"),
        (["--soft", "-1"], "--soft must not be negative, got -1.0"),
        (["--hidden", "-1"], "--hidden must not be negative, got -1.0"),
        (["--task", "packages"], "is not fine-tuned, and learns from --text"),
    ],
)
def test_odd_values_are_told(tmp_path, capsys, option, words):
    teacher = pretrained(tmp_path)
    arguments = ["distill", str(teacher), "--text", str(tmp_path / "text")]
    assert main([*arguments, "--out", str(tmp_path / "x"), *SHORTER, *option]) == 2
    assert words in capsys.readouterr().err
