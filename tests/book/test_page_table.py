"""The table of the book's pages: words, figures, cells, seconds."""

import importlib
import re

import pytest
from docutils import nodes

from tests.book.pages import ROOT


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    return importlib.import_module("pages")


def test_code_and_formulas_are_no_words(pages):
    cell = nodes.container("", nodes.literal_block("", "a = 1 + 2"), classes=["cell"])
    text = nodes.paragraph("", "Four words are here ", nodes.math("", "x + y"))
    page = nodes.section("", text, cell, nodes.figure("", nodes.image()))
    assert pages.counted(page) == {"words": 4, "figures": 1, "cells": 1}


def test_the_table_has_every_page(site, pages, capsys):
    assert pages.main() == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    toc = (ROOT / "book" / "_toc.yml").read_text()
    named = re.findall(r"(?:file|root): (\S+)", toc)
    assert set(found) == {*named, "all"}
    for page in named:
        source = (site / f"{page}.html").read_text(encoding="utf-8")
        words, figures, cells, *seconds = found[page]
        assert int(words) > 0
        assert int(figures) == source.count("<figure"), page
        is_run = "{code-cell}" in source_of(page)
        assert bool(seconds) == (is_run and not page.startswith("exercises/"))
        assert (int(cells) > 0) == (is_run or page.startswith("exercises/"))
    assert sum(int(found[page][0]) for page in named) == int(found["all"][0])


def source_of(page: str) -> str:
    path = ROOT / "book" / f"{page}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_without_a_site_it_says_what_to_do(pages, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "BUILD", tmp_path)
    assert pages.main() == 1
    assert "make book" in capsys.readouterr().err
