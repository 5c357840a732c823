"""Where a page shows a recorded result whose code has changed since, it says so.

A note and no warning: a build that failed on each change of the library would demand
hours of computing for every one of them, or records that claim nothing.
"""

import json
import re
from pathlib import Path

from course import BOOK
from docutils import nodes
from execution import named
from provenance import changed
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

SHOWN = 3  # names of files; `python book/_ext/provenance.py` has all


def note_on(record: dict) -> str:
    """What there is to say about the age of a record; "" if its code is today's."""
    when = f"{record['experiment']}: recorded on {record['date']}"
    if "code" not in record:
        return f"{when}, without a note which code made it."
    files = changed(record)
    if not files:
        return ""
    names = ", ".join(files[:SHOWN])
    if len(files) > SHOWN:
        names += f" and {len(files) - SHOWN} more"
    return (
        f"{when}. Code that it uses has changed since ({names}); nobody has tried "
        "whether the numbers would be others now."
    )


def notes_of(env: BuildEnvironment) -> dict[str, dict[str, str]]:
    """Page → file of a record that it names → the note on it."""
    files = [*(BOOK / "_experiments").glob("*.json"), *BOOK.glob("*.json")]
    texts = {path: json.loads(path.read_text(encoding="utf-8")) for path in files}
    notes = {
        path: note_on(record)
        for path, record in texts.items()
        if isinstance(record, dict) and {"experiment", "date"} <= record.keys()
    }
    pages = {name: Path(env.doc2path(name)) for name in env.found_docs}
    return {
        # The pattern of f"{name}.json" fits every record: its own name must be there.
        name: {
            file.stem: notes[file]
            for file in sorted(named(text, notes))
            if file.stem in text
        }
        for name, path in pages.items()
        if path.suffix == ".md" and (text := path.read_text(encoding="utf-8"))
    }


def outdated(app: Sphinx, env: BuildEnvironment, added, changed, removed) -> list[str]:
    """The pages whose notes are others than when they were read."""
    old: dict[str, dict[str, str]] = getattr(env, "record_notes", {})
    env.record_notes = notes_of(env)  # type: ignore[attr-defined]
    return [n for n, notes in env.record_notes.items() if notes != old.get(n, {})]


def add_notes(app: Sphinx, doctree: nodes.document) -> None:
    """Put each note below the first cell that names its record, else at the end."""
    notes = getattr(app.env, "record_notes", {}).get(app.env.docname, {})
    for record, note in notes.items():
        if not note:
            continue
        # Names of files as code, in which no word is a term of the glossary.
        parts = [
            nodes.literal("", part) if part.endswith(".py") else nodes.Text(part)
            for part in re.split(r"([\w./-]+\.py)", note)
        ]
        paragraph = nodes.paragraph("", "", *parts, classes=["stale"])
        cells = [
            cell
            for cell in doctree.findall(nodes.container)
            if "cell" in cell["classes"] and record in cell.astext()
        ]
        if cells:
            cells[0].parent.insert(cells[0].parent.index(cells[0]) + 1, paragraph)
        else:
            sections = list(doctree.findall(nodes.section))
            (sections[-1] if sections else doctree).append(paragraph)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-read", add_notes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
