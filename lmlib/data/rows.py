"""Rows of named fields from a file: lines of JSON, CSV, or TSV."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmlib.data.files import read_text

#: What may separate the fields, by the end of a file's name. Spreadsheets write a
#: semicolon where the comma is the decimal point.
_SEPARATORS = {".csv": ",;\t", ".tsv": "\t", ".tab": "\t"}
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """The fields of a row by name, and where it begins: "reviews.csv, line 7"."""

    place: str
    fields: dict[str, Any]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """The rows of a file; one without `columns`, the names of fields, is an error.

    What ends in .csv, .tsv or .tab is a table, whose first line names the columns;
    case and white space around the names don't count. A CSV may have semicolons or tabs
    for its commas. Quotation marks in a TSV are taken for letters if the file makes no
    sense otherwise. Every other file has a JSON object on each line. Blank rows are
    left out.

    Raises:
        ValueError: the file is not UTF-8 or UTF-16; a row is none, or lacks a column;
            the message says the line.
    """
    text = read_text(path)
    separators = _SEPARATORS.get(path.suffix.lower())
    make = _objects(path, text) if separators is None else _table(path, text, columns)
    rows = []
    for row in make:
        for name in columns:
            if name not in row.fields:
                raise ValueError(f'{row.place}: there is no "{name}"')
        for name, value in row.fields.items():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, str) and (half := _HALF.search(part)):
                    raise ValueError(
                        f'{row.place}: "{name}" holds half a character, '
                        f"\\u{ord(half[0]):04x}, which is no text"
                    )
        rows.append(row)
    return rows


# -- JSON -----------------------------------------------------------------------------


def _objects(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines, which also cuts at U+2028: JSON may have that inside of a string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise ValueError(
                f"{place}: expected a JSON object, got {line[:60]!r} (tables are known "
                f"by their names: {', '.join(_SEPARATORS)})"
            )
        yield Row(place, fields)


# -- Tables ---------------------------------------------------------------------------


def _table(path: Path, text: str, columns: Sequence[str]) -> list[Row]:
    first = 1
    separators = _SEPARATORS[path.suffix.lower()]
    if told := re.match(r"(?i)sep=([,;\t])\r?\n", text):  # a spreadsheet's own mark
        text, first, separators = text[told.end() :], 2, told[1]
    header = text.partition("\n")[0]
    # The one that gives the columns, else the one that gives most: for the error.
    separator = max(
        separators, key=lambda s: (_has(header, s, columns), header.count(s))
    )
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        try:
            return list(
                _records(path, text, first, separator, csv.QUOTE_MINIMAL, columns)
            )
        except ValueError:
            if separator != "\t":
                raise
        return list(_records(path, text, first, separator, csv.QUOTE_NONE, columns))
    finally:
        csv.field_size_limit(limit)


def _has(header: str, separator: str, columns: Sequence[str]) -> bool:
    names = {_plain(name.strip().strip('"')) for name in header.split(separator)}
    return {_plain(name) for name in columns} <= names


def _plain(name: str) -> str:
    return name.strip().casefold()


def _records(
    path: Path,
    text: str,
    first: int,
    separator: str,
    quoting: int,
    columns: Sequence[str],
) -> Iterator[Row]:
    """The rows of a table by the names in its first one, `columns` spelled as given."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=quoting,  # type: ignore[arg-type]
        strict=True,
    )
    spelled = {_plain(name): name for name in columns}
    names: list[str] = []
    while True:
        place = f"{path}, line {first + reader.line_num}"
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            ended = "unexpected end" in str(error)
            told = "a quotation mark is not closed" if ended else str(error)
            raise ValueError(f"{place}: {told}") from None
        # An empty line; in a table of one column, "" is a field.
        if not values or (len(names) != 1 and not any(v.strip() for v in values)):
            continue
        if not names:
            names = [spelled.get(_plain(name), name.strip()) for name in values]
            for name in columns:
                if names.count(name) != 1:
                    number = "no" if name not in names else "more than one"
                    raise ValueError(
                        f'{place}: there is {number} column "{name}" in '
                        f"{', '.join(names)[:200]} (--columns says which to take)"
                    )
        elif len(values) != len(names):
            raise ValueError(
                f"{place}: expected {len(names)} fields, as there are columns, got "
                f"{len(values)}"
            )
        else:
            yield Row(place, dict(zip(names, values, strict=True)))
