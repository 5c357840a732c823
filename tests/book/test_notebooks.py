"""Each page that is run can be downloaded as a notebook, and such a notebook runs."""

import json
import re

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Page

from tests.book.pages import ROOT


@pytest.fixture(scope="module")
def notebooks(site):
    paths = sorted((site / "notebooks").glob("*.ipynb"))
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


def test_every_page_that_is_run_is_a_notebook(notebooks):
    pages = (ROOT / "book").glob("[0-9]-*/*.md")
    run = {page.stem for page in pages if "{code-cell}" in page.read_text()}
    assert set(notebooks) == run


def test_a_notebook_says_how_it_runs_and_has_nothing_of_the_site_alone(notebooks):
    for name, notebook in notebooks.items():
        nbformat.validate(notebook)
        assert "lmlib" in notebook.cells[0].source
        assert "pip install" in notebook.cells[0].source
        text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        assert not re.findall(r"\{[a-z:]+\}`|\{literalinclude\}|^:::", text), name
        assert not any(cell.get("outputs") for cell in notebook.cells)


def test_the_code_of_a_page_is_that_of_its_notebook(notebooks):
    page = (ROOT / "book/5-compressor/c-capstone.md").read_text()
    cells = re.findall(r"^```\{code-cell\}.*\n((?s:.*?))^```$", page, re.MULTILINE)
    # Without the options of a cell, which stand before its code.
    wanted = [re.sub(r"^(:.*\n|---\n(?s:.*?)---\n)\n*", "", cell) for cell in cells]
    found = [c.source for c in notebooks["c-capstone"].cells if c.cell_type == "code"]
    assert [cell.strip() for cell in wanted] == [source.strip() for source in found[1:]]


def test_a_notebook_runs_in_an_empty_folder(notebooks, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where lmlib is
    notebook = notebooks["c-capstone"]
    folder = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(notebook, kernel_name="python3", resources=folder).execute()
    record = json.loads((ROOT / "book/_experiments/5-capstone.json").read_text())
    said = [o.get("text", "") for c in done.cells for o in c.get("outputs", [])]
    assert record["date"] in "".join(said)


def test_a_page_offers_its_notebook(site, page: Page):
    page.goto((site / "5-compressor/c-capstone.html").as_uri())
    address = page.locator("a[href$='.ipynb']").first.evaluate("(a) => a.href")
    assert address == (site / "notebooks/c-capstone.ipynb").as_uri()
