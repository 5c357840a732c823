"""A table of the book's pages: words, figures, cells, and the seconds that they ran.

`python book/_ext/pages.py` prints it, of the site as `make book` built it last.
"""

import pickle
import sys
from pathlib import Path

from course import BOOK
from docutils import nodes
from jupyter_cache import get_cache

from lmlib.tables import Table

BUILD = BOOK / "_build"
#: What is looked at and not read as prose.
NOT_PROSE = (nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


def counted(doctree: nodes.document) -> dict[str, int]:
    """Words, figures and cells of a page as Sphinx has read it."""

    def is_prose(node: nodes.Node | None) -> bool:
        while node is not None and not isinstance(node, NOT_PROSE):
            node = node.parent
        return node is None

    texts = (t.astext() for t in doctree.findall(nodes.Text) if is_prose(t.parent))
    boxes = doctree.findall(nodes.container)
    return {
        "words": sum(len(text.split()) for text in texts),
        "figures": len(list(doctree.findall(nodes.figure))),
        "cells": sum("cell" in box["classes"] for box in boxes),
    }


def seconds() -> dict[str, float]:
    """Page → the seconds that its cells took when they were run last."""
    if not (BUILD / ".jupyter_cache").is_dir():
        return {}
    return {
        Path(record.uri).with_suffix("").as_posix().rpartition("/book/")[2]: float(
            record.data["execution_seconds"]
        )
        for record in get_cache(BUILD / ".jupyter_cache").list_cache_records()
        if "execution_seconds" in record.data
    }


def rows() -> list[dict[str, object]]:
    ran, lines = seconds(), []
    total: dict[str, float] = {}
    folder = BUILD / ".doctrees"
    for path in sorted(folder.rglob("*.doctree")):
        page = path.relative_to(folder).with_suffix("").as_posix()
        counts = counted(pickle.loads(path.read_bytes()))  # Sphinx's own, made here
        took = ran.get(page)
        for name, count in {**counts, "seconds": took or 0}.items():
            total[name] = total.get(name, 0) + count
        lines.append(
            {"page": page, **counts, "seconds": "" if took is None else f"{took:.1f}"}
        )
    if lines:
        lines.append({"page": "all", **total, "seconds": f"{total['seconds']:.1f}"})
    return lines


def main() -> int:
    lines = rows()
    if not lines:
        print("Nothing is built yet: make book", file=sys.stderr)
        return 1
    print(Table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
