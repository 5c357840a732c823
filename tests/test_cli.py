"""The command line routes, and says what is missing."""

import importlib.util
import io
import os
import shutil
import subprocess
import sys
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


# -- Completion -----------------------------------------------------------------------


def completion(capsys, shell):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--completion", shell])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pre"], {"predict", "pretrain"}),
        (["pretrain", "--pat"], {"--patience"}),
        (["pretrain", "m"], {"mlm", "mlm+nsp", "mlm+sop"}),
        (["generate", "--tok"], {"--tokens"}),
        (["finetune", "--method", "f"], {"full", "frozen"}),
        (["predict", "model", "--file", "some"], {"some-file"}),
        (["check", "some"], {"some-file"}),
    ],
)
def test_bash_completes_commands_options_choices_and_files(
    capsys, tmp_path, words, found
):
    (tmp_path / "some-file").touch()
    typed = ["lmlib", *words]
    script = (
        f"{completion(capsys, 'bash')}\n"
        f"COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(words)}\n"
        "name=$(complete -p lmlib | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        f"$name lmlib {typed[-1]} {typed[-2]} 2> /dev/null\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert set(done.stdout.split()) == found, done.stderr


def test_zsh_has_a_script_too(capsys):
    script = completion(capsys, "zsh")
    assert script.startswith("#compdef lmlib")
    assert all(f"    {name}:'" in script for name in ("predict", "grade"))
    if zsh := shutil.which("zsh"):
        subprocess.run([zsh, "-n"], input=script, text=True, check=True)


def test_without_shtab_completion_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--completion", "bash"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install '.[completion]'" in line


# -- What goes wrong ------------------------------------------------------------------


def test_a_mistake_of_our_own_is_a_line_too_and_a_traceback_on_demand(
    capsys, monkeypatch
):
    monkeypatch.setattr(cli.generate, "run", lambda given: None.nothing)
    assert cli.main(["generate", "x", "y"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lmlib: a mistake of lmlib's own, AttributeError: ")
    monkeypatch.setenv("LMLIB_TRACEBACK", "1")
    with pytest.raises(AttributeError):
        cli.main(["generate", "x", "y"])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("x: can't allocate memory: you tried 9 bytes"), "not enough mem"),
        (RuntimeError("wrong\nException raised from f at x.cpp:3"), "lmlib: wrong\n"),
        (FileNotFoundError(2, "No such file", "caf\udce9"), "caf\\udce9: No such file"),
        (KeyError("no such name"), "lmlib: no such name\n"),
        (FloatingPointError(), "lmlib: FloatingPointError\n"),
    ],
)
def test_errors_are_told_in_words(capsys, monkeypatch, error, told):
    def run(given):
        raise error

    monkeypatch.setattr(cli.generate, "run", run)
    assert cli.main(["generate", "x", "y"]) == 2
    (line,) = capsys.readouterr().err.splitlines(keepends=True)
    assert told in line


def test_a_name_that_is_no_text_can_be_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    monkeypatch.setattr(cli.generate, "run", lambda given: print("猫 caf\udce9") or 0)
    assert cli.main(["generate", "x", "y"]) == 0
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == b"\\u732b caf\\udce9\n"


def test_a_reader_that_has_enough_is_no_error():
    program = (
        "from lmlib import cli; import sys\n"
        "write = lambda given: [print('x' * 999) for _ in range(9999)] and 0\n"
        "cli.generate.run = write\n"
        "sys.exit(cli.main(['generate', 'x', 'y']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(lmlib.__file__).parents[1])},
    ) as running:
        running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141
