"""Each page that is run is also a notebook to download, for a machine with `lmlib`.

It has the page's text and code, what it prints from the library, and the records that
it reads; no outputs, which would double the site: whoever runs it gets them.
"""

import ast
import base64
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent
from typing import Any

import nbformat
from course import BOOK
from docutils import nodes
from execution import named, notebook_of
from nbformat import NotebookNode
from sphinx.application import Sphinx

FOLDER = "notebooks"
TOP = """\
*This is a page of the course* Compression is Intelligence *as a notebook. It runs where
the course's `lmlib` is installed. In an environment of your own, with a copy of the
course's repository (the package of that name on the Python index is another one):*

    pip install "the/folder/of/the/repository[book,compress]" jupyterlab

*Outputs are left out: run the cells from the first on. What a page reads from a public
site, it fetches once.*"""
BESIDE = """\
# The recorded results that this page shows, in a folder of their own.
import base64
import os
import tempfile
import zlib
from pathlib import Path

RECORDS = {records}
folder = Path(tempfile.mkdtemp())
(folder / "page").mkdir()
(folder / "_experiments").mkdir()
for name, packed in RECORDS.items():
    (folder / "_experiments" / name).write_bytes(
        zlib.decompress(base64.b85decode(packed))
    )
os.chdir(folder / "page")"""

#: Roles of the site, as plain words: "text <target>" or one alone.
ROLE = re.compile(
    r"\{(?P<role>[a-z:]+)\}`(?:(?P<text>[^`<]*?)\s*<[^`>]*>|(?P<own>[^`]*))`"
)
INCLUDE = re.compile(
    r"^(?P<fence>`{3,})\{literalinclude\} (?P<file>\S+)\n(?P<options>(?::.*\n)*)"
    r"(?P=fence)$",
    re.MULTILINE,
)


def plain(match: re.Match[str]) -> str:
    words = match["text"] or match["own"]
    if match["role"].startswith("cite"):
        return f"[{words}]"
    return f"({words})" if match["role"] == "eq" else words


def included(match: re.Match[str], folder: Path) -> str:
    """The code that a page prints from a file, whole or one object of it."""
    code = (folder / match["file"]).resolve().read_text(encoding="utf-8")
    wanted = re.search(r":pyobject: (\S+)", match["options"])
    lines = re.search(r":lines: (\d+)-(\d+)", match["options"])
    if wanted:
        node: Any = ast.parse(code)
        for name in wanted[1].split("."):
            node = next(n for n in node.body if getattr(n, "name", None) == name)
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        code = "\n".join(code.splitlines()[first - 1 : node.end_lineno])
    elif lines:
        first, last = map(int, lines.groups())
        code = "\n".join(code.splitlines()[first - 1 : last])
    return f"```python\n{dedent(code).strip()}\n```"


def simplified(text: str, folder: Path) -> str:
    """A page's Markdown without what only the site's builder understands."""
    text = INCLUDE.sub(lambda match: included(match, folder), text)
    text = ROLE.sub(plain, text)
    text = re.sub(r"^\([\w.-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\$\$ \([\w.-]+\)$", "$$", text, flags=re.MULTILINE)
    fence = re.compile(
        r"^:{3,}(?:\{[a-z]+\}[ \t]*(.*))?\n(?:^:[a-z]+:.*\n)*", re.MULTILINE
    )
    return fence.sub(lambda m: f"**{m[1]}**\n\n" if m[1] else "\n", text + "\n").strip()


def for_download(
    page: NotebookNode, text: str, folder: Path, records: Iterable[Path]
) -> NotebookNode:
    """The notebook of a page whose source is `text` and lies in `folder`."""
    cells = [nbformat.v4.new_markdown_cell(TOP)]
    packed = {
        path.name: base64.b85encode(zlib.compress(path.read_bytes(), 9)).decode()
        for path in sorted(named(text, records))
    }
    if packed:
        source = BESIDE.replace("{records}", json.dumps(packed, indent=4))
        cells.append(
            nbformat.v4.new_code_cell(source, metadata={"tags": ["hide-input"]})
        )
    for cell in page.cells:
        if cell.cell_type == "code":
            cells.append(nbformat.v4.new_code_cell(cell.source))
        else:
            cells.append(nbformat.v4.new_markdown_cell(simplified(cell.source, folder)))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # the same each time
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def name_of(docname: str) -> str:
    return f"{FOLDER}/{docname.rpartition('/')[2]}.ipynb"


def is_chapter(docname: str) -> bool:
    return bool(re.match(r"[0-9]-", docname))


def write_notebooks(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    target = Path(app.outdir, FOLDER)
    target.mkdir(exist_ok=True)
    written = set()
    records = list((BOOK / "_experiments").glob("*.json"))
    for docname in filter(is_chapter, app.env.found_docs):
        page = notebook_of(app.env, docname)
        if page is None:
            continue
        path = Path(app.env.doc2path(docname))
        text = path.read_text(encoding="utf-8")
        notebook = for_download(page[0], text, path.parent, records)
        new = Path(app.outdir, name_of(docname))
        temporary = new.with_name(f".{new.name}")
        nbformat.write(notebook, temporary)
        temporary.replace(new)
        written.add(new.name)
    for old in target.iterdir():
        if old.name not in written:
            old.unlink()


def offer(app: Sphinx, pagename: str, template: str, context: dict, doctree) -> None:
    """A link to the notebook, first among the page's downloads."""
    if doctree is None or not is_chapter(pagename):
        return
    if not any("cell" in c["classes"] for c in doctree.findall(nodes.container)):
        return
    root = "../" * pagename.count("/")
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            group["buttons"].insert(
                0,
                {
                    "type": "link",
                    "url": f"{root}{name_of(pagename)}",
                    "tooltip": "Download this page as a notebook, without outputs",
                    "text": "notebook",
                    "icon": "fas fa-download",
                    "label": "download-notebook-button",
                },
            )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", offer, priority=600)  # after the theme's buttons
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
