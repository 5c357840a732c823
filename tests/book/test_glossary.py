"""The glossary: short definitions, Chinese beside each term, and pages that use it."""

import re

import pytest

from tests.book.pages import ROOT

SOURCE = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
HAN = re.compile(r"[\u4e00-\u9fff]")


def entries() -> dict[str, tuple[list[str], str]]:
    """The first name of each entry → its other names, and its definition."""
    body = SOURCE.partition(":::{glossary}\n")[2].rpartition(":::")[0]
    found = {}
    for block in re.split(r"\n\n(?=\S)", body.strip()):
        lines = block.splitlines()
        names = [line for line in lines if not line.startswith(" ")]
        found[names[0]] = names[1:], " ".join(lines[len(names) :])
    return found


ENTRIES = entries()


def words(definition: str) -> list[str]:
    text = re.sub(r"\{cite:[pt]\}`[^`]*`", "", definition)
    text = re.sub(r"\{[a-z]+\}`([^`<]*)[^`]*`", r"\1", text)
    return re.findall(r"[\w√−-]+", text)


@pytest.mark.parametrize("term", ENTRIES)
def test_an_entry_is_short_and_has_its_chinese_term(term):
    others, definition = ENTRIES[term]
    assert 3 <= len(words(definition)) <= 40
    assert any(HAN.search(name) or name == term for name in others), "no Chinese term"


def test_each_term_is_linked_from_a_page_of_a_chapter(site):
    linked = set()
    for path in site.glob("[0-9]-*/*.html"):
        html = path.read_text(encoding="utf-8")
        linked |= set(re.findall(r'href="[./]*glossary\.html#(term-[^"]+)"', html))
    page = (site / "glossary.html").read_text(encoding="utf-8")
    groups = re.findall(r"((?:<dt\b(?s:.*?)</dt>\s*)+)<dd", page)
    lost = []
    for group in groups:
        ids = re.findall(r'id="(term-[^"]+)"', group)
        if ids and not linked & set(ids):
            lost.append(ids[0])
    assert len(groups) >= len(ENTRIES) > 50
    assert not lost, f"no page links {', '.join(lost)}"
