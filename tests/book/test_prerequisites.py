"""The map of prerequisites: no circle, every page on it, and drawn as it is written."""

import importlib
import xml.etree.ElementTree as ET

import pytest

from tests.book.pages import ROOT


@pytest.fixture
def prerequisites(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    return importlib.import_module("prerequisites")


def test_the_map_has_no_circle_and_every_page(prerequisites):
    sections = prerequisites.read_map()
    needs = {name: section["needs"] for name, section in sections.items()}
    order = prerequisites.order_of(needs)
    assert sorted(order) == sorted(needs)
    for name in needs:
        assert all(order.index(other) < order.index(name) for other in needs[name])
    pages = prerequisites.pages_of((ROOT / "book" / "_toc.yml").read_text())
    written = {
        f"{p.parent.name}/{p.stem}" for p in (ROOT / "book").glob("[0-9]-*/*.md")
    }
    assert set(pages.values()) == written
    assert set(pages) <= set(needs), "a page that book/prerequisites.yml lacks"
    assert all(section["gives"] for section in sections.values())


def test_circles_and_unknown_sections_are_found(prerequisites):
    with pytest.raises(ValueError, match="a circle: 1 → 2 → 1"):
        prerequisites.order_of({"1": ["2"], "2": ["1"]})
    with pytest.raises(ValueError, match="1 needs 3, which is not on the map"):
        prerequisites.order_of({"1": ["3"]})


def test_what_has_no_page_is_left_out_and_its_needs_are_passed_on(prerequisites):
    needs = {"1": [], "2": ["1"], "3": ["2"], "4": ["3", "1"]}
    assert prerequisites.there(needs, dict.fromkeys("134", "")) == {
        "1": [],
        "3": ["1"],
        "4": ["3", "1"],
    }


def test_the_drawing_has_each_section_once_and_below_what_it_needs(prerequisites):
    needs = {"1": [], "2": ["1"], "3": ["1"], "4": ["2"], "5": ["1", "4"]}
    svg = ET.fromstring(
        prerequisites.drawn(needs, {name: f"{name}.html" for name in needs})
    )
    boxes = {
        link.get("href")[0]: (float(link[0].get("x")), float(link[0].get("y")))
        for link in svg.iter("a")
    }
    assert set(boxes) == set(needs)
    assert len(set(boxes.values())) == len(needs)
    for name, others in needs.items():
        assert all(boxes[other][1] < boxes[name][1] for other in others)
    (arrows,) = svg.iter("g")
    assert len(arrows) == 4  # that 5 needs 1, its way through 4 says
    apart = {x for x, _ in boxes.values()}
    assert len(apart) > 1
