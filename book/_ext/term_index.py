"""The book's index: each term of the glossary, and the pages that use it.

`{term-index}` on a page becomes an alphabetical list, with the Chinese term beside the
English one. A page counts where reading.py links the term, or an author has, and the
link leads to that place. Exercises use terms and explain none: they are left out. The
pages that use a term most often are found by its Chinese in the search.
"""

import unicodedata
from collections import Counter
from html import escape
from itertools import groupby

from docutils import nodes
from reading import (
    GLOSSARY,
    HAN,
    WITHOUT_LINKS,
    finder,
    read_glossary,
    unlinked,
    use_id,
)
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

PAGE = "term-index"

Uses = dict[int, dict[str, int]]  # number of an entry → page → how often


class term_index(nodes.General, nodes.Element):
    """Where the list will be."""


class TermIndex(SphinxDirective):
    """The list. It is written when all pages have been read."""

    def run(self) -> list[nodes.Node]:
        return [term_index()]


# -- Which page uses what -------------------------------------------------------------


def uses_of(env: BuildEnvironment) -> Uses:
    """How often each page uses each entry of the glossary, in the book's order."""
    entries = read_glossary(env)
    terms = list(entries)
    by_name = {term.lower(): number for term, (number, _) in entries.items()}
    pattern = finder(terms)
    found: Uses = {number: {} for number, _ in entries.values()}
    for page in in_order(env):
        if page in (GLOSSARY, PAGE) or page.startswith("exercises/"):
            continue
        doctree, counts = env.get_doctree(page), Counter[int]()
        for link in doctree.findall(addnodes.pending_xref):
            name = " ".join(link["reftarget"].lower().split())
            if link["reftype"] == "term" and name in by_name:  # else Sphinx warns
                counts[by_name[name]] += 1
        if page not in WITHOUT_LINKS:
            for text in unlinked(doctree):
                for match in pattern.finditer(text.astext()):
                    term = terms[int((match.lastgroup or "t0")[1:])]
                    counts[entries[term][0]] += 1
        for number, count in counts.items():
            found[number][page] = count
    return found


def in_order(env: BuildEnvironment) -> list[str]:
    """The pages as the table of contents has them."""
    order: list[str] = []

    def visit(page: str) -> None:
        order.append(page)
        for child in env.toctree_includes.get(page, []):
            visit(child)

    visit(env.config.root_doc)
    return order


def most(pages: dict[str, int]) -> list[str]:
    """The pages that use a term most often: one, or several alike."""
    return [page for page, count in pages.items() if count == max(pages.values())]


def chinese_of(env: BuildEnvironment, uses: Uses) -> dict[str, list[str]]:
    """Page → the Chinese for the terms that no page uses more often."""
    found: dict[str, list[str]] = {}
    for term, (number, _) in read_glossary(env).items():
        for page in most(uses[number]) if HAN.search(term) else ():
            found.setdefault(page, []).append(term)
    return found


def note_uses(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the index anew where its contents are others than before, and the pages
    that another Chinese term is to find."""
    if PAGE not in env.found_docs:
        return []
    before = getattr(env, "term_uses", None), getattr(env, "chinese_terms", {})
    uses = uses_of(env)
    chinese = chinese_of(env, uses)
    env.term_uses, env.chinese_terms = uses, chinese  # type: ignore[attr-defined]
    pages = {*chinese, *before[1]}
    changed = [page for page in pages if chinese.get(page) != before[1].get(page)]
    return [*changed, PAGE] if uses != before[0] else changed


# -- The list ------------------------------------------------------------------------


def label_of(title: str) -> str:
    """What a page is called in the index: its number, where it has one."""
    number, _, rest = title.partition(" ")
    return number if rest and number[0].isdigit() else title


def letter_of(term: str) -> str:
    plain = unicodedata.normalize("NFKD", term)
    first = next((c for c in plain if c.isalnum()), "#").upper()
    return first if first.isascii() and first.isalpha() else "#"


def written(app: Sphinx, page: str, uses: Uses) -> str:
    env = app.env
    entries = read_glossary(env)
    names: dict[int, list[str]] = {}
    for term, (number, _) in entries.items():
        names.setdefault(number, []).append(term)

    def link(target: str, anchor: str, text: str) -> str:
        uri = app.builder.get_relative_uri(page, target)
        return f'<a href="{escape(uri)}#{escape(anchor)}">{escape(text)}</a>'

    lines = []
    for number, (name, *others) in names.items():
        chinese = [other for other in others if HAN.search(other)]
        pages = uses.get(number, {})
        places, main = [], most(pages)
        for target in pages:
            label = label_of(env.titles[target].astext())
            place = link(target, use_id(number, entries), label)
            places.append(f"<strong>{place}</strong>" if target in main else place)
        term = link(GLOSSARY, entries[name][1], name)
        beside = "".join(f' <span lang="zh">{escape(c)}</span>' for c in chinese)
        term = f'<dt id="index-{number}">{term}{beside}</dt>'
        lines.append((name, f"{term}<dd>{', '.join(places)}</dd>"))
        for other in others:
            if other not in chinese:
                see = f'see <a href="#index-{number}">{escape(name)}</a>'
                lines.append((other, f"<dt>{escape(other)}</dt><dd>{see}</dd>"))
    lines.sort(key=lambda line: (letter_of(line[0]), line[0].casefold()))
    parts, letters = [], []
    for letter, group in groupby(lines, key=lambda line: letter_of(line[0])):
        letters.append(f'<a href="#index-{letter}">{letter}</a>')
        items = "".join(text for _, text in group)
        parts.append(f'<h2 id="index-{letter}">{letter}</h2><dl>{items}</dl>')
    return (
        f'<div class="term-index"><p class="term-letters">{" ".join(letters)}</p>'
        f"{''.join(parts)}</div>"
    )


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if terms := getattr(app.env, "chinese_terms", {}).get(docname):
        # The search finds a page by its keywords too.
        doctree += nodes.meta(name="keywords", content=", ".join(terms))
    for place in list(doctree.findall(term_index)):
        html = written(app, docname, getattr(app.env, "term_uses", {}))
        place.replace_self(nodes.raw("", html, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(term_index)
    app.add_directive(PAGE, TermIndex)
    app.connect("env-updated", note_uses)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
