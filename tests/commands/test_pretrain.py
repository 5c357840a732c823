"""`lmlib pretrain`, as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmlib.cli import main
from lmlib.training import loop
from lmlib.training.checkpoints import read_history
from lmlib.training.saved import load
from tests.commands.samples import SHORT, TINY, pretrained, text_folder
from tests.training.test_parallel import torchrun


@pytest.mark.parametrize("recipe", ["causal", "mlm+nsp", "rtd"])
def test_leaves_a_model_a_record_and_a_history(tmp_path, capsys, recipe):
    out = pretrained(tmp_path, recipe)
    said = capsys.readouterr().out
    assert "tokens to learn from" in said
    assert "bits per target, held out" in said
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("config.json", "lmlib.json", "model.safetensors", "tokenizer.json"),
        "training",
    }
    made = json.loads((out / "lmlib.json").read_text())
    assert made["recipe"] == recipe
    assert made["steps"] == 6
    steps = [line for line in read_history(out / "training") if "losses" in line]
    assert len(steps) == 6
    load(out)


def test_goes_on_only_with_resume_and_the_same_settings(tmp_path, capsys):
    out = pretrained(tmp_path, "mlm")
    weights = (out / "model.safetensors").read_bytes()
    arguments = ["pretrain", "mlm", "--text", str(tmp_path / "text"), "--out", str(out)]
    arguments += ["--tokenizer", "bytes", *TINY, *SHORT]
    assert main(arguments) == 2
    assert "resume it, or choose another folder" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == 0
    assert (out / "model.safetensors").read_bytes() == weights
    assert main([*arguments, "--resume", "--lr", "1"]) == 2
    assert "settings.lr: 0.002, now 1.0" in capsys.readouterr().err
    # Further: six more steps, and a model that is at least as good.
    made = json.loads((out / "lmlib.json").read_text())
    assert main([*arguments, "--resume", "--steps", "12", "--every", "3"]) == 0
    longer = json.loads((out / "lmlib.json").read_text())
    assert (made["steps"], longer["steps"]) == (6, 12)
    assert longer["scores"]["loss"] < made["scores"]["loss"]


def test_two_processes_have_the_losses_of_one(tmp_path):
    one, two = pretrained(tmp_path, "mlm+nsp"), tmp_path / "two"
    arguments = ["pretrain", "mlm+nsp", "--text", tmp_path / "text", "--out", two]
    arguments += ["--tokenizer", "bytes", *TINY, *SHORT]
    result = torchrun("lmlib.cli", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("the model is in") == 1
    lines = [read_history(out / "training") for out in (one, two)]
    for expected, line in zip(*lines, strict=True):
        assert line["step"] == expected["step"]
        for kind in expected.keys() & {"losses", "validation"}:
            # Sums in another order, and in bfloat16 where there are units for it.
            assert line[kind] == pytest.approx(expected[kind], rel=2e-3)
    assert load(two).made["recipe"] == "mlm+nsp"


def test_makes_a_tokenizer(tmp_path):
    text = text_folder(tmp_path / "text")
    arguments = ["pretrain", "mlm", "--text", text, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--vocab", "120", *TINY, *SHORT]) == 0
    assert load(tmp_path / "out").tokenizer.size <= 120


def test_one_file_is_enough(tmp_path):
    text = "".join(f"This is line {i} of a file.\n" for i in range(400))
    (tmp_path / "one.txt").write_text(text)
    arguments = ["pretrain", "causal", "--text", str(tmp_path / "one.txt")]
    arguments += ["--out", str(tmp_path / "out"), "--tokenizer", "bytes"]
    assert main([*arguments, *TINY, *SHORT]) == 0
    assert load(tmp_path / "out").made["steps"] == 6


def test_mistakes_are_told_in_a_line(tmp_path, capsys):
    assert main(["pretrain", "causal", "--text", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
    assert main(["pretrain", "causal", "--family", "pangu"]) == 2
    assert "PanGu" in capsys.readouterr().err


def test_quiet_says_nothing_but_what_is_wrong(tmp_path, capsys, monkeypatch):
    seen = []
    bar = loop._bar
    monkeypatch.setattr(loop, "_bar", lambda *a: seen.append(a[2]) or bar(*a))
    text, out = text_folder(tmp_path / "text"), str(tmp_path / "out")
    command = ["pretrain", "mlm", "--text", text, "--tokenizer", "bytes", "--quiet"]
    assert main([*command, *TINY, *SHORT, "--out", out]) == 0
    assert capsys.readouterr() == ("", "")
    assert seen == [False]  # no bar, on a terminal either
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert main([*command, *TINY, *SHORT, "--out", out]) == 2
    assert capsys.readouterr().err.startswith("lmlib: ")


def test_characters_for_which_the_vocabulary_has_no_room_name_the_option(
    tmp_path, capsys
):
    text = tmp_path / "chinese.txt"
    characters = [chr(0x4E00 + i) for i in range(5000)]
    lines = ("".join(characters[i : i + 20]) for i in range(0, 5000, 20))
    text.write_text("。\n".join(lines), encoding="utf-8")
    assert main(["pretrain", "mlm", "--text", str(text), "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "lmlib: --vocab must be at least 4506, for 4501 characters, 0 of them inside "
        "words; got 4096"
    )


def test_help_teaches_and_comes_at_once(capsys):
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    said = capsys.readouterr().out
    for word in ("examples:", "ELECTRA", "history.jsonl", "--device", "--resume"):
        assert word in said
    program = (
        "import sys; from lmlib.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'transformers', 'tokenizers', 'sklearn', 'lmlib.transformer'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "80"},
    )
    assert result.stdout.splitlines()[-1] == "[]"
    for command in ("pretrain", "finetune", "predict", "distill", "generate"):
        assert command in result.stdout
