"""A recorded result says when the code that made it has changed, and only then."""

import importlib
import json

import pytest

from tests.book.pages import ROOT

SCRIPT = '''"""An experiment."""
from experiment import SEEDS, main

import lib.shapes as shapes
from lib import area


def runs():
    return [area(shapes.SQUARE, seed) for seed in SEEDS]


main(runs())
'''
FILES = {
    "book/_experiments/9.9-toy.py": SCRIPT,
    "book/_experiments/experiment.py": "SEEDS = (0, 1)\n\n\n"
    "def main(runs):\n    write(runs)\n\n\n"
    "def write(runs):\n    pass\n",
    "lib/__init__.py": "from lib.measures import area\n",
    "lib/measures.py": "def area(side, seed):\n    return power(side)\n\n\n"
    "def power(x):\n    return x**2\n\n\ndef unused():\n    return 0\n\n\n"
    "def start():\n    return 8\n",
    "lib/shapes.py": "from lib.measures import start\n\nSQUARE = 3\nOTHER = 4\n"
    "for _ in range(start()):\n    pass\n",
}


@pytest.fixture
def provenance(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    return importlib.import_module("provenance")


@pytest.fixture
def toy(tmp_path, provenance):
    """Change a file of a small project; which of its files have other code then?"""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = next(iter(FILES))
    made = provenance.code_of(provenance.Path(script), tmp_path)

    def edit(name, old, new):
        path = tmp_path / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        provenance.parsed.cache_clear()  # the clock may not have moved on
        found = provenance.changed({"code": {script: made}}, tmp_path)
        path.write_text(text)
        provenance.parsed.cache_clear()
        return found

    return edit


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("lib/measures.py", "x**2", "x**3"),  # through a name that __init__ passes on
        ("lib/shapes.py", "SQUARE = 3", "SQUARE = 5"),
        ("lib/shapes.py", "OTHER = 4", "import os\nos.umask(0)"),  # is run on import
        ("lib/measures.py", "return 8", "return 9"),  # and this by what is run
        ("book/_experiments/experiment.py", "(0, 1)", "(0, 1, 2)"),
        ("book/_experiments/9.9-toy.py", "in SEEDS", "in (7,)"),
    ],
)
def test_a_change_of_what_is_used_is_seen(toy, name, old, new):
    assert name in toy(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("lib/measures.py", "return 0", "return 1"),
        ("lib/shapes.py", "OTHER = 4", "OTHER = 5"),
        ("lib/measures.py", "def area", "# How large.\ndef area"),
        ("book/_experiments/9.9-toy.py", "An experiment", "The experiment"),
        ("book/_experiments/experiment.py", "pass", "print(runs)"),  # it only writes
    ],
)
def test_a_change_of_anything_else_is_not(toy, name, old, new):
    assert toy(name, old, new) == []


def test_a_record_is_as_old_as_its_oldest_row(provenance):
    script = ROOT / "book/_experiments/5.2-ablation.py"
    name = "book/_experiments/5.2-ablation.py"
    new = provenance.code_to_record(script, [])
    assert provenance.changed(new) == []
    old = {"code": {name: new["code"][name] | {"lmlib/data/cache.py": "older"}}}
    again = provenance.code_to_record(script, [old])
    assert provenance.changed(again) == ["lmlib/data/cache.py"]
    assert provenance.code_to_record(script, [old, {}]) == {}


def test_what_a_page_says_of_a_record(provenance, monkeypatch):
    note_on = importlib.import_module("records").note_on
    made = {"experiment": "9.9-toy", "date": "2026-01-02"}
    assert "without a note" in note_on(made)
    script = "book/_experiments/5.2-ablation.py"
    code = provenance.code_of(provenance.Path(script))
    assert note_on(made | {"code": {script: code}}) == ""
    older = dict.fromkeys(code, "older")
    note = note_on(made | {"code": {script: older}})
    assert "2026-01-02" in note
    assert f"and {len(code) - 3} more" in note


@pytest.mark.parametrize(
    "record", sorted((ROOT / "book" / "_experiments").glob("*.json")), ids=str
)
def test_a_record_that_names_its_code_names_its_script(provenance, record):
    found = json.loads(record.read_text())
    if "code" in found:  # one that does not say it is told so on its page
        assert list(found["code"]) == [f"book/_experiments/{record.stem}.py"]
