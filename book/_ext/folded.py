"""Sections that are folded until a reader opens them.

A heading that is marked so becomes the line that is clicked:

    (q-first-loss)=
    {.folded}
    ### My first loss is 8.3. Is that bad?

All below it, code cells included, is in the fold. (A dropdown cannot hold cells: only
those at the top level of a page are run.) The section keeps its anchor, its place in
the table of contents and its entry in the search; `course.js` opens it for whoever
comes by a link.
"""

from docutils import nodes
from sphinx.application import Sphinx


def fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if app.builder.format != "html":
        return
    for section in list(doctree.findall(nodes.section)):
        if "folded" in section["classes"]:
            title, *rest = section
            begin = nodes.raw("", "<details><summary>", format="html")
            middle = nodes.raw("", "</summary>", format="html")
            end = nodes.raw("", "</details>", format="html")
            section[:] = [begin, title, middle, *rest, end]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
