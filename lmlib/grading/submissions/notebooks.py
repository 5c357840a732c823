"""From the bytes that somebody handed in to the cells of a notebook.

Only what grading needs is kept of each cell: its type, its text, its id, nbgrader's
name for it. The rest (outputs, attachments, widgets, whatever is in the metadata) is
left behind, and with it nearly all that could be wrong with a notebook.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat import NotebookNode

from lmlib.grading.submissions.encodings import INVISIBLE

#: Brackets in the file: every pair of them costs at least 56 bytes of memory.
MAX_BRACKETS = 2_000_000
MAX_CELLS = 2_000
#: Characters in a cell; the longest answers are a hundredth of it.
MAX_TEXT = 200_000
SCHEMA = 3  # of nbgrader's cell metadata
AGAIN = "Open it in Jupyter, save it, and hand in that file."
#: For what no Jupyter opens.
ITSELF = "Hand in the notebook itself, the file that ends in .ipynb."


class Malformed(ValueError):
    """Why there is nothing to grade: sentences for the student."""


@dataclass
class Cell:
    """A student's cell.

    Attributes:
        kind: "code", "markdown" or "raw".
        grade_id: nbgrader's name for the cell, None if it has none.
    """

    kind: str
    source: str
    id: str | None = None
    grade_id: str | None = None


def read_cells(data: bytes) -> tuple[list[Cell], list[str]]:
    """The cells of a notebook and what had to be mended to read them.

    Raises:
        Malformed: it is not a notebook, or not one that can be graded.
    """
    repairs: list[str] = []
    notebook = _load(data, repairs)
    raw_cells = _current_cells(notebook, repairs)
    if not raw_cells:
        raise Malformed(f"The notebook has no cells. {AGAIN}")
    if len(raw_cells) > MAX_CELLS:
        raise Malformed(
            f"The notebook has {len(raw_cells):,} cells; at most {MAX_CELLS:,} are "
            "accepted."
        )
    _check_language(notebook, repairs)
    cells, odd, long, schemas = [], [], [], set()
    for number, raw in enumerate(raw_cells, 1):
        if not isinstance(raw, dict):
            odd.append(str(number))
            continue
        nbgrader = _inside(raw, "metadata", "nbgrader")
        cell = _cell(raw, nbgrader)
        if cell is None:
            odd.append(str(number))
            continue
        if len(cell.source) > MAX_TEXT:
            long.append(str(number))
            cell.source = ""
        if nbgrader:
            version = nbgrader.get("schema_version", 0)
            schemas.add(version if isinstance(version, int) else 0)
        cells.append(cell)
    if odd:
        repairs.append(
            f"{_cells(odd)} could not be read as a cell of a notebook, at least not "
            "fully; what could not be read counts as blank."
        )
    if long:
        repairs.append(
            f"{_cells(long)} held more than {MAX_TEXT:,} characters and counts as "
            "blank."
        )
    if any(version < SCHEMA for version in schemas):
        repairs.append(
            "The notebook was made with an older version of nbgrader; it was read as "
            "one of today's."
        )
    if any(version > SCHEMA for version in schemas):
        repairs.append(
            "The notebook was marked by a newer version of nbgrader than is known "
            "here; only the names of its cells were used."
        )
    _replace_what_cannot_be_written(cells, repairs)
    return cells, repairs


def listed(names: Sequence[str], most: int = 12) -> str:
    """`a`, `b` and `c`; names come from the student and are made harmless."""
    harmless = (INVISIBLE.sub("?", re.sub(r"[^ -~¡-퟿]|`", "?", n)) for n in names)
    shown = [f"`{name[:60]}`" for name in harmless]
    if len(shown) > most:
        shown[most - 1 :] = [f"{len(shown) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _cells(numbers: list[str]) -> str:
    return f"Cell {listed(numbers)}".replace("`", "")


# -- JSON -----------------------------------------------------------------------------


def _load(data: bytes, repairs: list[str]) -> dict[str, Any]:
    text = _decode(data, repairs)
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        raise Malformed(
            "The notebook holds too much data to be read. Clear its outputs, save it, "
            "and hand it in again."
        )
    twice: set[str] = set()

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = Counter(key for key, _ in pairs)
            twice.update(name for name, times in names.items() if times > 1)
        return found

    try:
        notebook = json.loads(text, object_pairs_hook=to_dict, parse_int=_int)
    except json.JSONDecodeError as error:
        raise Malformed(_not_json(text, error)) from error
    except RecursionError as error:
        raise Malformed(
            f"The file is nested too deeply to be a notebook. {AGAIN}"
        ) from error
    except (ValueError, MemoryError) as error:
        raise Malformed(f"The file cannot be read as a notebook. {AGAIN}") from error
    if not isinstance(notebook, dict):
        raise Malformed(f"The file is JSON, but not a notebook. {ITSELF}")
    if twice:
        repairs.append(
            f"Parts of the file were there twice under one name ({listed([*twice])}); "
            "the last one counts, as it does in Jupyter."
        )
    return notebook


def _int(digits: str) -> int | float:
    # Python refuses to read integers of more than 4,300 digits.
    return int(digits) if len(digits) < 20 else float(digits)


def _decode(data: bytes, repairs: list[str]) -> str:
    if not data.strip():
        raise Malformed(
            f"The file is empty ({len(data)} bytes). Save the notebook and hand it in "
            "again."
        )
    encoding: str = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        # Every byte is a character of Latin-1, so that this cannot fail.
        text, encoding = data.decode("latin-1"), "Latin-1"
    if encoding not in ("utf-8", "utf-8-sig"):
        repairs.append(
            f"The file was not saved as UTF-8, as notebooks are; it was read as "
            f"{encoding.upper()}. Letters with accents may have suffered."
        )
    return text


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    start = text.lstrip()[:2000].lower()
    if "<<<<<<< " in text and ">>>>>>> " in text:
        return (
            "The file holds the marks of a git merge conflict (<<<<<<<), so that it "
            f"is no notebook any more. Resolve the conflict. {AGAIN}"
        )
    for mark, what in (
        ("<!doctype", "a web page"),
        ("<html", "a web page"),
        ("%pdf", "a PDF"),
        ("pk\x03\x04", "a zip archive"),
    ):
        if start.startswith(mark):
            return f"The file is {what}, not a notebook (.ipynb). {ITSELF}"
    if not start.startswith("{"):
        return f"The file is not a notebook (.ipynb). {ITSELF}"
    if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
        return (
            f"The file breaks off in line {error.lineno}, before the notebook ends. "
            f"Perhaps it was not fully uploaded. {AGAIN}"
        )
    return (
        f"The file is damaged in line {error.lineno}, column {error.colno}, and cannot "
        f"be read as a notebook. {AGAIN}"
    )


# -- Formats --------------------------------------------------------------------------


def _current_cells(notebook: dict[str, Any], repairs: list[str]) -> list[Any]:
    """The cells as nbformat 4 has them, whatever the format of the notebook."""
    version, cells = notebook.get("nbformat"), notebook.get("cells")
    if isinstance(version, bool) or not isinstance(version, int):
        if not isinstance(cells, list):
            raise Malformed(f"The file is JSON, but not a notebook. {ITSELF}")
        repairs.append(
            "The notebook did not say which format it has; it was read as 4."
        )
        version = 4
    if version > 4:
        raise Malformed(
            f"The notebook has format {version}; only formats up to 4 can be read. "
            "Save it in a current Jupyter, and hand in that file."
        )
    if version == 4:
        if not isinstance(cells, list):
            raise Malformed(f"The file is a notebook without cells. {AGAIN}")
        return cells
    try:
        cells = _upgrade(notebook, version)
    except Exception as error:  # nbformat raises what it stumbles over
        raise Malformed(
            f"The notebook has the old format {version} and could not be converted. "
            f"{AGAIN}"
        ) from error
    repairs.append(f"The notebook had the old format {version}; it was converted to 4.")
    return cells


def _upgrade(notebook: dict[str, Any], version: int) -> list[Any]:
    sheets = notebook.get("worksheets") if version > 1 else [notebook]
    if not isinstance(sheets, list):
        raise TypeError("no worksheets")
    old = []
    for sheet in sheets:
        for cell in sheet["cells"]:
            kind = cell.get("cell_type", "code")
            part = "input" if kind == "code" else "text" if version == 1 else "source"
            part = part if version > 1 or kind != "code" else "code"
            nbgrader = _inside(cell, "metadata", "nbgrader")
            kept = {
                "cell_type": kind,
                part: _text(cell.get(part)) or "",
                "metadata": {"nbgrader": nbgrader} if nbgrader else {},
            }
            if kind == "code":
                kept |= {"language": "python", "outputs": [], "collapsed": False}
            if kind == "heading":
                kept["level"] = min(max(int(cell.get("level", 1)), 1), 6)
            old.append(kept)
    if len(old) > MAX_CELLS:
        return old
    metadata = {"name": ""}
    sheet = {"cells": old, "metadata": {}}
    top = {"nbformat": version, "nbformat_minor": 0, "metadata": metadata}
    top |= {"cells": old} if version == 1 else {"worksheets": [sheet]}
    converted = nbformat.convert(nbformat.from_dict(top), 4)
    return list(converted.cells)


def _check_language(notebook: dict[str, Any], repairs: list[str]) -> None:
    kernel = _inside(notebook, "metadata", "kernelspec")
    about = _inside(notebook, "metadata", "language_info")
    language = kernel.get("language") or about.get("name")
    if isinstance(language, str) and "python" not in language.lower():
        name = kernel.get("display_name") or kernel.get("name") or language
        raise Malformed(
            f"The notebook runs in another language than Python: its kernel is "
            f"{listed([str(name)])}. Choose a Python kernel, run it, save it, and hand "
            "it in again."
        )
    if not kernel and notebook.get("nbformat") == 4:
        repairs.append(
            "The notebook did not name its kernel; it was run with Python 3."
        )


# -- Cells ----------------------------------------------------------------------------


def _cell(raw: dict[str, Any], nbgrader: dict[str, Any]) -> Cell | None:
    source = _text(raw.get("source", ""))
    if source is None:
        return None
    kind = raw.get("cell_type")
    if kind not in ("code", "markdown", "raw"):
        code = "outputs" in raw or nbgrader.get("cell_type") == "code"
        kind = "code" if code else "markdown"
    colab = _inside(raw, "metadata").get("id")
    ids = [name for name in (raw.get("id"), colab) if isinstance(name, str)]
    name = nbgrader.get("grade_id")
    return Cell(
        str(kind),
        source.replace("\r\n", "\n").replace("\r", "\n"),
        ids[0] if ids else None,
        name if isinstance(name, str) and name else None,
    )


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return None


def _inside(value: Any, *keys: str) -> dict[str, Any]:
    """The dictionary at the end of a path of keys, empty if it isn't there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict | NotebookNode) else {}


def _replace_what_cannot_be_written(cells: list[Cell], repairs: list[str]) -> None:
    """Half a character (a lone surrogate) is no UTF-8, and Python refuses NUL."""
    changed = False
    for cell in cells:
        clean = re.sub("[\ud800-\udfff\0]", "\ufffd", cell.source)
        changed |= clean != cell.source
        cell.source = clean
    if changed:
        repairs.append(
            "The notebook held characters that do not exist; each became \ufffd."
        )
