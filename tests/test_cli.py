"""The command line routes, and says what is missing."""

import importlib.util

import pytest

from lmlib import cli


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
