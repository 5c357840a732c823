"""Marks and feedback in the form that Moodle and Canvas take back.

What a platform takes in is what it gave out: the grading worksheet of an assignment in
Moodle, the gradebook's export of Canvas. So the instructor hands us that file, and gets
it back with the marks in their place:

    moodle.csv           every column of the worksheet; Moodle wants "Identifier",
                         "Grade" and "Last modified (grade)", in the user's language
    moodle-feedback.zip  NAME_NUMBER_assignsubmission_file_ASSIGNMENT.html; the part
                         before the file's name is what Moodle tells students by
    canvas.csv           the columns about the student, and that of the assignment

What Moodle reads stands in its mod/assign/feedback/, in offline/importgradeslib.php and
file/importziplib.php; what Canvas reads, in its lib/gradebook_importer.rb, which knows
students by the column ID.
"""

import csv
import html
import io
import re
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmlib.grading.results.record import Record
from lmlib.grading.results.report import file_name, number, replace_file

#: Moodle's column for the grade, as its translations call it.
GRADE = ("grade", "bewertung", "note", "calificación", "成绩", "valutazione", "nota")
_PARTICIPANT = re.compile(r"\D+(\d+)")
_COMMENTS = re.compile("comment|kommentar|coment|评", re.IGNORECASE)
_CANVAS = re.compile(r"(?P<title>.+) \(\d+\)")


@dataclass(frozen=True)
class Sheet:
    """A file that a platform gave out.

    Attributes:
        platform: "Moodle" or "Canvas".
        rows: with the titles, as they are.
        bom, delimiter: how it was written.
    """

    platform: str
    rows: tuple[tuple[str, ...], ...]
    bom: bool
    delimiter: str

    @property
    def titles(self) -> tuple[str, ...]:
        return self.rows[0]


def read_sheet(path: Path) -> Sheet:
    """Read a grading worksheet of Moodle or an export of Canvas's gradebook.

    Raises:
        ValueError: it is neither.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not in UTF-8, as the platform wrote it") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = tuple(tuple(row) for row in reader if any(map(str.strip, row)))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    titles = rows[0] if rows else ()
    width = len(titles)
    rows = tuple((*row, *[""] * (width - len(row))) for row in rows)
    bom = data.startswith(b"\xef\xbb\xbf")
    if "Section" in titles and "ID" in titles:
        return Sheet("Canvas", rows, bom, delimiter)
    participants = [row[0] for row in rows[1:]] if width else []
    if participants and all(map(_PARTICIPANT.fullmatch, participants)):
        if not any(title.strip().casefold() in GRADE for title in titles):
            raise ValueError(
                f"{path} has no column 'Grade' (or {', '.join(GRADE[1:])}); it has "
                f"{', '.join(titles)}"
            )
        return Sheet("Moodle", rows, bom, delimiter)
    raise ValueError(
        f"{path} is neither a grading worksheet of Moodle (its first column says "
        "'Participant 123') nor the export of Canvas's gradebook (with the columns ID "
        "and Section)"
    )


def write_files(
    sheet: Sheet, records: Sequence[Record], folder: Path, assignment: str
) -> list[str]:
    """Write the sheet with the marks in it, and for Moodle the feedback, to `folder`.

    Returns:
        What there is to say: a sentence each.

    Raises:
        ValueError: it is not clear which column is that of the assignment.
    """
    titles = sheet.titles
    if sheet.platform == "Canvas":
        mark = _column_of(assignment, titles)
        columns = [*range(titles.index("Section") + 1), mark]
        most = next((r[mark] for r in sheet.rows if "Points Possible" in r[0]), "")
    else:
        mark = _grade_of(titles)
        columns = list(range(len(titles)))
        most = sheet.rows[1][mark + 1] if mark + 1 < len(titles) else ""
    comments = next((i for i in columns if _COMMENTS.search(titles[i])), None)
    worth = max((record.max_points for record in records), default=0.0)
    full = _as_number(most) or worth
    told = []
    if full != worth and worth:
        told.append(
            f"{sheet.platform} gives {number(full)} points for it and we "
            f"{number(worth)}: marks are scaled"
        )
    by_row = _matched(sheet, records)
    file = io.StringIO()
    writer = csv.writer(file, delimiter=sheet.delimiter)
    writer.writerow([titles[i] for i in columns])
    for place, row in enumerate(sheet.rows[1:], 1):
        cells = [_safe(cell) for cell in row]
        record = by_row.get(place)
        if record is not None and record.has_mark and worth:
            points = record.score * full / worth
            if points > full and sheet.platform == "Moodle":
                told.append(f"Moodle takes no more than {number(full)}: "
                            f"{record.student} has {number(points)}")  # fmt: skip
                points = full
            cells[mark] = number(points)
        if record is not None and record.comments and comments is not None:
            words = "; ".join(f"{name}: {text}" for name, text in record.comments)
            # Moodle takes it for HTML.
            cells[comments] = _safe(html.escape(" ".join(words.split()), quote=False))
        writer.writerow([cells[i] for i in columns])
    name = f"{sheet.platform.lower()}.csv"
    text = ("\ufeff" if sheet.bom else "") + file.getvalue()
    replace_file(folder / name, text.encode("utf-8", "replace"))
    found = {record.student for record in by_row.values()}
    lost = [r.student for r in records if r.has_mark and r.student not in found]
    if lost:
        told.append(f"not in the sheet of {sheet.platform}: {', '.join(lost)}")
    if sheet.platform == "Moodle":
        pages = [
            (f"{_as_part(sheet.rows[place])}_{assignment}.html", page)
            for place, record in sorted(by_row.items())
            if record.state != "missing"
            and (page := folder / "feedback" / file_name(record.student)).is_file()
        ]
        replace_file(folder / "moodle-feedback.zip", _zipped(pages))
        name += " and moodle-feedback.zip"
    return [f"for {sheet.platform}: {name}", *told]


def _grade_of(titles: Sequence[str]) -> int:
    plain = [title.strip().casefold() for title in titles]
    return next(i for i, title in enumerate(plain) if title in GRADE)


def _column_of(assignment: str, titles: Sequence[str]) -> int:
    """Canvas's column of an assignment: by its name, its number, or as the only one."""
    section, _, name = assignment.partition("-")
    found = []
    for i, title in enumerate(titles):
        if match := _CANVAS.fullmatch(title.strip()):
            words = _letters(match["title"])
            numbers = re.findall(r"\d+(?:\.\d+)*", match["title"])
            near = _letters(name) in words or section in numbers
            found.append((i, near, title))
    near_ones = [i for i, near, _ in found if near] or [i for i, _, _ in found]
    if len(near_ones) == 1:
        return near_ones[0]
    raise ValueError(
        f"which column of Canvas's export is {assignment}? It has "
        f"{', '.join(t for _, _, t in found) or 'none'}: leave in that one alone"
    )


def _matched(sheet: Sheet, records: Iterable[Record]) -> dict[int, Record]:
    """The record of each row: by the platform's number, by a login, address or name.

    Students choose their names: nobody gets a row that has another number.
    """
    known: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        if record.platform:
            known[f"number {record.platform}"][record.student] = record
        for text in (record.student, record.email):
            if text:
                known[f"login {text.casefold()}"][record.student] = record
        for text in (record.student, record.name):
            if text:
                known[f"name {_words(text)}"][record.student] = record
    # The columns that say who it is.
    if sheet.platform == "Canvas":
        at, end = sheet.titles.index("ID"), sheet.titles.index("Section")
    else:
        at, end = 0, _grade_of(sheet.titles)
    found: dict[int, Record] = {}
    for place, row in enumerate(sheet.rows[1:], 1):
        match = re.search(r"\d+$", row[at].strip())
        its = match[0] if match else ""
        about = [cell.strip() for cell in row[:end] if cell.strip()]
        keys = [f"number {its}", *(f"login {text.casefold()}" for text in about)]
        keys += [f"name {_words(text)}" for text in about]
        for key in keys:
            candidates = known.get(key, {})
            if len(candidates) == 1:
                (record,) = candidates.values()
                if record.platform in ("", its) or key.startswith("number"):
                    found.setdefault(place, record)
                    break
    # Two rows that have found the same student have found nobody.
    rows: dict[str, list[int]] = defaultdict(list)
    for place, record in found.items():
        rows[record.student].append(place)
    return {p: r for p, r in found.items() if len(rows[r.student]) == 1}


def _letters(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in apart if c.isalnum())


def _words(text: str) -> str:
    """`Doe, Jane` is Jane Doe."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(sorted(words))


def _as_number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _safe(cell: str) -> str:
    """A cell as it was, and never a formula to a spreadsheet."""
    text = cell.strip()
    harmless = text in ("", "-") or _as_number(text) is not None
    return cell if harmless or text[0] not in "=+-@＝＋－＠" else f"'{cell}"


def _as_part(row: Sequence[str]) -> str:
    """The beginning of a file's name, of which Moodle reads the number alone."""
    match = _PARTICIPANT.fullmatch(row[0])
    assert match is not None
    name = re.sub(r"[^\w .-]|_", " ", row[1]).strip(" .~") or "student"
    return f"{name[:80]}_{match[1]}_assignsubmission_file"


def _zipped(pages: Iterable[tuple[str, Path]]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, page in pages:
            archive.writestr(zipfile.ZipInfo(name), page.read_bytes(),
                             zipfile.ZIP_DEFLATED)  # fmt: skip
    return data.getvalue()
