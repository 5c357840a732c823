"""One name leads from a chapter to its module, its assignment, and its tests."""

import re

import pytest

from lmlib.exercises.registry import SECTIONS
from lmlib.grading.assignment import ROOT

CORE = sorted(
    path.relative_to(ROOT / "lmlib").with_suffix("")
    for path in (ROOT / "lmlib").rglob("*.py")
    if path.name not in ("__init__.py", "cli.py", "warm_start.py")
    and not {"exercises", "grading", "commands"} & set(path.parts)
)
# Modules whose chapter is still to be written. One that gets a page leaves this list.
AWAIT_A_PAGE = {
    "data/batching",
    "data/cache",
    "data/corpus",
    "data/files",
    "data/public",
    "data/rows",
    "data/sentences",
    "models/heads",
    "models/layouts",
    "training/checkpoints",
    "training/distill",
    "training/muon",
    "training/optimizers",
    "training/parallel",
    "training/predict",
    "training/progress",
    "training/seeds",
}
PAGES = {p: p.read_text() for p in (ROOT / "book").glob("[0-9]-*/*.md")}


@pytest.mark.parametrize("section", SECTIONS)
def test_section_has_page_assignment_and_exercises(section):
    assert list((ROOT / "book").glob(f"[0-9]-*/{section}.md"))
    assert (ROOT / "solutions" / section / f"{section}.py").is_file()
    assert (ROOT / "exercises" / section / f"{section}.ipynb").is_file()
    number, _, name = section.partition("-")
    assert SECTIONS[section].__name__.endswith("." + name.replace("-", "_"))
    assert all(e.name.startswith(f"{number}/") for e in SECTIONS[section].EXERCISES)


def test_every_assignment_is_registered():
    assert {path.parent.name for path in ROOT.glob("solutions/*/*.py")} == set(SECTIONS)


@pytest.mark.parametrize("module", CORE, ids=str)
def test_module_has_tests_and_a_page(module):
    assert (ROOT / "tests" / module.parent / f"test_{module.name}.py").is_file()
    *packages, name = ("lmlib", *module.parts)
    package = re.escape(".".join(packages))
    use = re.compile(rf"\b{package}\.{name}\b|\bfrom {package} import .*\b{name}\b")
    users = [path for path, text in PAGES.items() if use.search(text)]
    if str(module) in AWAIT_A_PAGE:
        assert not users, f"lmlib/{module}.py has a page: take it off AWAIT_A_PAGE"
    else:
        assert users, f"no page under book/ uses lmlib/{module}.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_is_in_the_table_of_contents(page):
    toc = (ROOT / "book" / "_toc.yml").read_text()
    assert f"{page.parent.name}/{page.stem}" in toc


@pytest.mark.parametrize("section", SECTIONS)
def test_page_points_to_its_exercises(section):
    (page,) = (path for path in PAGES if path.stem == section)
    assert f"exercises/{section}" in PAGES[page]
