"""What makes a page pleasant to read and to find: links to the glossary at a term's
first use, a description, images that keep their place, a search that knows Chinese."""

import html
import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.search.en import SearchEnglish

GLOSSARY = "glossary"
#: Here a "score" or a "value" is not the term, or every word is one.
WITHOUT_LINKS = {
    *(GLOSSARY, "bibliography", "grading", "how-to-use", "instructors"),
    # A coin's heads, and scores of answers; their own terms are linked by hand.
    *("6-applications/6.1-decoding", "6-applications/6.3-summaries"),
    *("6-applications/6.4-question-answering", "exercises/6-applications"),
}
#: What links elsewhere, is named elsewhere (and would take its link along) or is code.
NOT_IN = (
    nodes.title,
    nodes.caption,
    nodes.rubric,
    nodes.term,
    nodes.reference,
    addnodes.pending_xref,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.citation,
    nodes.image,
)
HAN = re.compile(r"[\u4e00-\u9fff]+")

# -- Glossary ------------------------------------------------------------------------


def read_glossary(env: BuildEnvironment) -> dict[str, tuple[int, str]]:
    """Each term → the number of its entry, and its id on the glossary's page."""
    items = env.get_doctree(GLOSSARY).findall(nodes.definition_list_item)
    return {
        term.astext(): (number, term["ids"][0])
        for number, item in enumerate(items)
        for term in item.findall(nodes.term)
    }


def use_id(number: int, entries: dict[str, tuple[int, str]]) -> str:
    """The id of the place where a page first uses an entry of the glossary."""
    first = next(id_ for n, id_ in entries.values() if n == number)
    return f"use-{first.removeprefix('term-')}"


def finder(terms: list[str]) -> re.Pattern[str]:
    """Finds any of the terms, also many of it or at the start of a sentence."""
    words = []
    for term in sorted(terms, key=len, reverse=True):
        first, rest = term[0], re.escape(term[1:])
        either = f"[{first}{first.upper()}]" if first.islower() else re.escape(first)
        plural = f"{rest[:-1]}(?:y|ies)" if term.endswith("y") else f"{rest}(?:s|es)?"
        words.append(f"(?P<t{terms.index(term)}>{either}{plural})")
    return re.compile(r"(?<![\w-])(?:" + "|".join(words) + r")(?![\w-])")


def unlinked(doctree: nodes.document) -> list[nodes.Text]:
    """The texts of a page that a link can be made in."""

    def free(node: nodes.Node | None) -> bool:
        while node is not None and not isinstance(node, NOT_IN):
            node = node.parent
        return node is None

    return [text for text in doctree.findall(nodes.Text) if free(text.parent)]


def link_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Link the first use of each entry of the glossary on a page.

    The link has an id: the index leads there.
    """
    if app.builder.format != "html" or docname == GLOSSARY:
        return
    entries = read_glossary(app.env)
    page = app.builder.get_relative_uri(docname, GLOSSARY)
    numbers = {id_: number for number, id_ in entries.values()}
    used = set()
    for reference in doctree.findall(nodes.reference):  # made by hand
        _, _, anchor = reference.get("refuri", "").partition("#")
        if anchor in numbers and numbers[anchor] not in used:
            used.add(numbers[anchor])
            reference["ids"].append(use_id(numbers[anchor], entries))
    if docname in WITHOUT_LINKS:
        return
    terms = list(entries)
    pattern = finder(terms)
    for text in unlinked(doctree):
        source, start, parts = text.astext(), 0, []
        for match in pattern.finditer(source):
            number, anchor = entries[terms[int((match.lastgroup or "t0")[1:])]]
            if number in used:
                continue
            used.add(number)
            link = nodes.reference("", "", internal=True, refuri=f"{page}#{anchor}")
            link["ids"].append(use_id(number, entries))
            link += nodes.inline("", match[0], classes=["xref", "std", "std-term"])
            parts += [nodes.Text(source[start : match.start()]), link]
            start = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(source[start:])])


def name_language(app: Sphinx, doctree: nodes.document) -> None:
    """Let a screen reader read the Chinese terms as Chinese."""
    for term in doctree.findall(nodes.term):
        if HAN.search(term.astext()):
            term["classes"].append("language-zh")


def outdated(app: Sphinx, env: BuildEnvironment, added, changed, removed) -> list[str]:
    # A new term concerns the pages that use it, and Sphinx does not know which.
    return sorted(env.found_docs) if GLOSSARY in changed else []


# -- Search --------------------------------------------------------------------------


class Search(SearchEnglish):
    """English, and each two neighbours of Chinese, which has no spaces."""

    def split(self, input: str) -> list[str]:
        words = super().split(input)
        runs = HAN.findall(input)
        return words + [run[i : i + 2] for run in runs for i in range(len(run) - 1)]


# -- The page's head and images --------------------------------------------------------


def describe(doctree: nodes.document) -> str:
    """The first sentences of a page, as a search engine shows them."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        text = text.removeprefix("The question. ")
        inside = isinstance(paragraph.parent, nodes.section | nodes.container)
        if inside and len(text) > 50 and not any(paragraph.findall(nodes.math)):
            return text if len(text) <= 160 else text[:159].rsplit(" ", 1)[0] + "…"
    title = doctree.next_node(nodes.title).astext()
    return f"{title} of the course Compression is Intelligence."


@cache
def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image in CSS pixels."""
    if path.suffix == ".svg":
        tag = re.search(r"<svg\b[^>]*>", path.read_text(encoding="utf-8"))
        assert tag, path
        found = [
            re.search(rf'\b{side}="([\d.]+)(pt|px)?"', tag[0])
            for side in ("width", "height")
        ]
        if not all(found):
            raise ValueError(f"{path.name}: an image needs a width and a height")
        width, height = (
            round(float(match[1]) * (4 / 3 if match[2] == "pt" else 1))
            for match in found
            if match
        )
        return width, height
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def size_images(app: Sphinx, body: str) -> str:
    """Tell the browser how much room an image takes before it is there."""
    sources = {name: uri for uri, name in app.builder.images.items()}

    def sized(match: re.Match[str]) -> str:
        name = Path(html.unescape(match["src"])).name
        if name not in sources or " width=" in match[0]:
            return match[0]
        width, height = size_of(Path(app.srcdir) / sources[name])
        more = f'width="{width}" height="{height}" style="--width: {width}px"'
        return f"<img {more} {match['rest']}"

    return re.sub(r'<img (?P<rest>[^>]*?src="(?P<src>[^"]*)"[^>]*>)', sized, body)


def finish_page(
    app: Sphinx, pagename: str, template: str, context: dict, doctree
) -> None:
    # Sphinx's own two pages have no text.
    text = (
        describe(doctree)
        if doctree
        else "Find a word in the pages of the course Compression is Intelligence."
    )
    context["metatags"] = (
        context.get("metatags", "")
        + f'\n<meta name="description" content="{html.escape(text)}" />'
    )
    if "body" in context:
        body = size_images(app, context["body"])
        # What myst-nb and docutils write in the way of their readers' ears: a name that
        # is not what is written there, and a role that is no longer one.
        body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
        body = body.replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = body


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(Search)
    app.connect("doctree-read", name_language)
    app.connect("doctree-resolved", link_terms)
    app.connect("env-get-outdated", outdated)
    app.connect("html-page-context", finish_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
