"""The index: every term, its Chinese, and the places in the pages that use it."""

import re
import sys
from pathlib import Path

import pytest

from tests.book.pages import ROOT
from tests.book.test_glossary import ENTRIES, HAN

sys.path.insert(0, str(ROOT / "book" / "_ext"))
import term_index


@pytest.fixture(scope="module")
def lines(site: Path) -> dict[str, tuple[str, str]]:
    """Term → what stands beside it, and the HTML of its places."""
    html = (site / "term-index.html").read_text(encoding="utf-8")
    found = re.findall(r"<dt[^>]*>(.*?)</dt><dd>(.*?)</dd>", html)
    names = [re.sub(r"<[^>]+>", "", term.partition(" <span")[0]) for term, _ in found]
    assert len(names) == len(set(names))
    return dict(zip(names, found, strict=True))


def test_every_term_is_there_in_order_with_its_chinese(lines):
    for name, (others, _) in ENTRIES.items():
        chinese = [other for other in others if HAN.search(other)]
        spans = re.findall(r'<span lang="zh">(.*?)</span>', lines[name][0])
        assert spans == chinese
        for other in set(others) - set(chinese) - {name}:
            assert re.search(rf">{re.escape(name)}</a>", lines[other][1])
    keys = [(term_index.letter_of(name), name.casefold()) for name in lines]
    assert keys == sorted(keys)


def test_places_are_the_pages_that_link_the_term(site: Path, lines):
    """Both ways: each place is a link to the glossary, and each link a place."""
    glossary = (site / "glossary.html").read_text(encoding="utf-8")
    linked: dict[str, set[str]] = {}
    for path in site.rglob("*.html"):
        page = path.relative_to(site).as_posix()
        if page.startswith(("_", "exercises/")) or page in ("glossary.html",):
            continue
        html = path.read_text(encoding="utf-8")
        for tag in re.findall(r'<a [^>]*href="[./]*glossary\.html#term-[^>]*>', html):
            if place := re.search(r'id="(use-[^"]+)"', tag):
                linked.setdefault(f"{page}#{place[1]}", set()).add(tag)
    assert max(map(len, linked.values())) == 1
    places = [place for _, html in lines.values() for place in html.split(", ")]
    found = re.findall(r'href="([^"]+#use-[^"]+)"', " ".join(places))
    assert len(found) == len(set(found))
    assert set(found) == set(linked)
    assert len(found) > 300
    for name in ENTRIES:
        (target,) = re.findall(r'href="glossary\.html#([^"]+)"', lines[name][0])
        assert f'id="{target}"' in glossary
        assert lines[name][1].count("<strong>") >= 1, name


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("3.1.2 Multi-head attention", "3.1.2"),
        ("9 Questions and answers", "9"),
        ("Notation", "Notation"),
        ("How to use this course", "How to use this course"),
    ],
)
def test_a_page_is_called_by_its_number(title, label):
    assert term_index.label_of(title) == label


def test_a_term_stands_under_its_plain_letter():
    assert [term_index.letter_of(t) for t in ("n-gram", "√d", "Éta", "学")] == [
        *("N", "D", "E"),
        "#",
    ]
