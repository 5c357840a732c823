"""Options become settings, and help says defaults."""

import argparse
import re
import shlex
from pathlib import Path

import pytest
import torch

from lmlib.cli import main
from lmlib.commands import (
    distill,
    evaluate,
    finetune,
    generate,
    options,
    predict,
    pretrain,
)
from lmlib.training import loop
from lmlib.training.checkpoints import read_history
from lmlib.training.settings import Settings
from tests.commands import samples
from tests.commands.samples import SHORT, TINY, examples_file, text_folder


def test_options_become_settings():
    parser = argparse.ArgumentParser(formatter_class=options.Teaching)
    options.add_training(parser, steps=100, lr=0.5, batch=8, every=10)
    given = parser.parse_args(["--optimizer", "muon", "--seed", "3", "--patience", "2"])
    assert options.settings_of(given) == Settings(
        steps=100,
        lr=0.5,
        optimizer="muon",
        warmup=5,
        validate_every=10,
        patience=2,
        seed=3,
    )
    said = parser.format_help()
    assert "(default: 100)" in said
    assert "None" not in said


@pytest.mark.parametrize(
    ("environment", "width", "expected"),
    [
        ({}, 128, 1),
        ({}, options.SMALL, 3),
        ({"OMP_NUM_THREADS": "3"}, 128, 3),
        ({"OMP_NUM_THREADS": "3", "LMLIB_THREADS": "2"}, 128, 2),
        ({"LMLIB_THREADS": "2"}, 1024, 2),
    ],
)
def test_a_small_model_has_one_thread(monkeypatch, environment, width, expected):
    for name in ("OMP_NUM_THREADS", "LMLIB_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with options.threads(width) as n:
            assert n == torch.get_num_threads() == expected
        assert torch.get_num_threads() == 3  # as it was
    finally:
        torch.set_num_threads(before)
    several = f"cpu, {expected} thread" + ("s" if expected > 1 else "")
    assert options.place(torch.device("cpu"), expected) == several


@pytest.mark.parametrize("value", ["0", "two", "", "-1", "99999"])
def test_threads_are_a_number(monkeypatch, value):
    monkeypatch.setenv("LMLIB_THREADS", value)
    with pytest.raises(ValueError, match="LMLIB_THREADS must be 1 to 1024, got"):
        options.threads(16).__enter__()


COMMANDS = {
    "pretrain": pretrain,
    "finetune": finetune,
    "predict": predict,
    "distill": distill,
    "evaluate": evaluate,
    "generate": generate,
}
README = (Path(__file__).parents[2] / "README.md").read_text()
TYPED = [c.TEXT.partition("examples:")[2] for c in COMMANDS.values()]
EXAMPLES = re.findall(
    rf"(?:\blmlib|-m lmlib\.cli) ((?:{'|'.join(COMMANDS)}) .+)",
    "\n".join([*TYPED, README]),
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_help_and_readme_can_be_typed(monkeypatch, example):
    # After two spaces or a # comes a remark.
    words = shlex.split(re.split(r"   |  #", example)[0], comments=True)
    if "--help" in words:
        with pytest.raises(SystemExit, match="0"):
            main(words)
        return
    seen = []
    for module in COMMANDS.values():
        monkeypatch.setattr(module, "run", lambda given: bool(seen.append(given)))
    assert main(words) == 0
    assert len(seen) == 1


def test_there_are_examples_of_every_command():
    assert {example.split()[0] for example in EXAMPLES} == set(COMMANDS)


# -- Stopped, and resumed -------------------------------------------------------------


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return samples.pretrained(tmp_path_factory.mktemp("teacher"))


@pytest.mark.parametrize("what", ["mlm+nsp", "rtd", "finetune", "distill"])
def test_an_interrupted_command_goes_on_to_the_same_bits(
    tmp_path, capsys, monkeypatch, teacher, what
):
    text, whole, stopped = tmp_path / "text", tmp_path / "whole", tmp_path / "stopped"
    text_folder(text)
    if what == "finetune":
        task = examples_file(tmp_path / "e.jsonl")
        command = ["finetune", str(teacher), "--task", task, "--method", "lora"]
        command += ["--length", "24"]
    elif what == "distill":
        command = ["distill", str(teacher), "--text", str(text), "--hidden", "1"]
        command += ["--attention", "1", "--length", "24"]
    else:
        command = ["pretrain", what, "--text", str(text), "--tokenizer", "bytes"]
        command += [*TINY, "--dropout", "0.2", "--optimizer", "muon"]
    assert main([*command, *SHORT, "--out", str(whole)]) == 0
    rate, steps = loop.set_learning_rate, []

    def interrupted(optimizers, share):
        steps.append(share)
        if len(steps) == 5:  # after the checkpoint of step 3
            raise KeyboardInterrupt
        rate(optimizers, share)

    monkeypatch.setattr(loop, "set_learning_rate", interrupted)
    assert main([*command, *SHORT, "--out", str(stopped)]) == 130
    assert "interrupted: --resume goes on" in capsys.readouterr().err
    assert main([*command, *SHORT, "--out", str(stopped), "--resume"]) == 0
    assert len(steps) == 5 + 3
    expected, got = (
        [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        for lines in map(read_history, (whole / "training", stopped / "training"))
    )
    assert got == expected
    files = list(whole.glob("*.safetensors"))
    assert files
    for path in files:
        assert (stopped / path.name).read_bytes() == path.read_bytes()
