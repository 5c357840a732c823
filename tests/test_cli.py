"""The command line routes, and says what is missing."""

import importlib.util
from pathlib import Path

import pytest

import lmlib
from lmlib import cli
from lmlib.data import load


@pytest.mark.parametrize("command", ["check", "grade"])
def test_a_missing_extra_is_one_line_that_names_it(monkeypatch, capsys, command):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "nbformat" else real(n)
    )
    assert cli.main([command, "nowhere.ipynb"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs nbformat" in line
    assert "pip install '.[grade]'" in line


def test_the_others_need_no_extra(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["generate", "nowhere", "x"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_version_tells_which_lmlib_it_is(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert lmlib.__version__ in told
    assert str(Path(lmlib.__file__).parent) in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--steps", "0"], "--steps must be at least 1, got 0"),
        (["--every", "0"], "--every must be at least 1, got 0"),
        (["--lr", "0"], "--lr must be positive, got 0.0"),
        (["--batch", "0"], "--batch must be at least 1, got 0"),
        (["--vocab", "-1"], "--vocab must be at least 1, got -1"),
        (["--family", "bret"], "--family must be gpt2 for causal, got bret"),
        (["--seed", "-1"], "--seed must not be negative, got -1"),
    ],
)
def test_a_wrong_option_is_named_as_typed_before_anything_is_read(
    capsys, monkeypatch, arguments, told
):
    monkeypatch.setattr(load, "load_documents", None)
    assert cli.main(["pretrain", "causal", *arguments]) == 2
    assert capsys.readouterr().err == f"lmlib: {told}\n"


@pytest.mark.parametrize("command", [["finetune"], ["distill"]])
def test_so_it_is_where_a_model_would_be_read(capsys, command):
    for option, told in (("--steps", "0"), ("--train", "0"), ("--batch", "-3")):
        assert cli.main([*command, "no-such-model", option, told]) == 2
        said = capsys.readouterr().err
        assert said == f"lmlib: {option} must be at least 1, got {told}\n"


def test_what_the_library_finds_later_is_named_as_typed_too(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("".join(f"line {i}\n" for i in range(100)))
    text = ["--text", str(tmp_path / "a.txt"), "--out", str(tmp_path / "out")]
    assert cli.main(["pretrain", "causal", *text, "--vocab", "7"]) == 2
    assert capsys.readouterr().err.startswith("lmlib: --vocab must be at least ")


def test_a_device_that_is_not_there_is_told_with_those_that_are(capsys):
    assert cli.main(["pretrain", "causal", "--device", "cuda:77"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lmlib: --device must be one that this machine has, cpu")
    assert "cpu or cpu" not in said
