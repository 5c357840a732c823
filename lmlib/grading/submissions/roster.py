"""The list of a class: who should have handed in, and by which names they are known."""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

MAX_ROSTER = 10 << 20

#: Column names after `_plain`, the best first: nbgrader's own, Moodle's, Canvas's.
STUDENT = (
    "studentid", "sisloginid", "username", "login", "student", "idnumber",
    "matriculationnumber", "id",
)  # fmt: skip
NAME = ("name", "fullname", "studentname")
GIVEN = ("firstname", "givenname", "given", "forename", "firstnames")
FAMILY = ("lastname", "surname", "familyname", "family")
EMAIL = ("email", "emailaddress", "mail")
LMS = ("lmsuserid", "lmsid", "canvasid", "moodleid", "identifier", "participant", "id")


@dataclass(frozen=True)
class Person:
    """What a roster says of a student, in the gradebook's words; "" if it does not."""

    first_name: str = ""
    last_name: str = ""
    email: str = ""


@dataclass(frozen=True)
class Roster:
    """The students of a class.

    Attributes:
        students: their ids in the order of the file.
        people: who they are, by id.
        known_as: other names that belong to one student only, after `_plain`.
        by_number: the learning platform's own number for each student.
    """

    students: tuple[str, ...]
    people: dict[str, Person]
    known_as: dict[str, str]
    by_number: dict[str, str]

    def numbers_of(self, student: str) -> set[str]:
        return {n for n, who in self.by_number.items() if who == student}

    def find(self, name: str, number: str = "") -> str | None:
        """The student who has this number on the platform, or this name."""
        if number and (student := self.by_number.get(number)) is not None:
            return student
        if name in self.students:
            return name
        return self.known_as.get(_plain(name))


def read_roster(path: Path) -> Roster:
    """The roster in a CSV file; its delimiter and its encoding are found out.

    Raises:
        ValueError: it cannot be read as a roster; the message says which line or
            column is wrong.
    """
    rows = _rows(path)
    if not rows:
        raise ValueError(f"The roster {path} is empty.")
    header = [_plain(title) for title in rows[0][1]]

    def column(titles: tuple[str, ...]) -> int | None:
        return next((header.index(t) for t in titles if t in header), None)

    key = column(STUDENT)
    if key is None:
        raise ValueError(
            f"The roster {path} has no column for the student id. Name it `id`, "
            f"`student_id` or `username`; its columns are {', '.join(rows[0][1])}."
        )
    others = [c for c in (column(NAME), column(EMAIL)) if c is not None]
    given, family, platform = column(GIVEN), column(FAMILY), column(LMS)
    whole = column((*NAME, "student"))  # Canvas has the name there
    whole = whole if whole != key else None
    mail = column(EMAIL)
    lines: dict[str, int] = {}
    people: dict[str, Person] = {}
    names: dict[str, set[str]] = defaultdict(set)
    numbers: dict[str, set[str]] = defaultdict(set)
    for line, row in rows[1:]:
        cells = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
        student = cells[key]
        if not student:
            raise ValueError(
                f"The roster {path}, line {line}: the student id is empty."
            )
        if re.search(r"[/\\\x00-\x1f\ud800-\udfff]", student) or student[0] in ".-":
            raise ValueError(
                f"The roster {path}, line {line}: {student!r} cannot be a student id, "
                "because folders are named by it."
            )
        if student in lines:
            raise ValueError(
                f"The roster {path}, lines {lines[student]} and {line}: the student id "
                f"{student} is there twice."
            )
        lines[student] = line
        forename, surname, fullname, email = (
            "" if at is None else cells[at] for at in (given, family, whole, mail)
        )
        if not forename + surname:
            forename, surname = _parted(fullname)
        people[student] = Person(*map(_harmless, (forename, surname, email)))
        for text in (student, *(cells[c] for c in others)):
            for name in _spellings(text):
                names[name].add(student)
        if given is not None and family is not None:
            for first, second in ((given, family), (family, given)):
                names[_plain(cells[first] + cells[second])].add(student)
        # Where `id` names the students, it is not the platform's number.
        if platform is not None and platform != key:
            # Moodle's grading sheet has `Participant 12345`.
            number = cells[platform].rpartition(" ")[2]
            numbers[number].add(student)
    if not lines:
        raise ValueError(f"The roster {path} names no student.")
    return Roster(tuple(lines), people, _unique(names), _unique(numbers))


def _parted(name: str) -> tuple[str, str]:
    """First and last name, of `Jane Doe` or of `Doe, Jane`."""
    if "," in name:
        last, _, first = name.partition(",")
    else:
        first, _, last = name.strip().rpartition(" ")
    return first, last


def _harmless(text: str) -> str:
    """Without what would leave its place in nbgrader's pages and in its export.

    People choose the name by which a platform knows them.
    """
    return " ".join(re.sub(r'[,<>"\x00-\x1f\ud800-\udfff]', " ", text).split())


def _unique(names: dict[str, set[str]]) -> dict[str, str]:
    """Only those names that one student has."""
    return {
        name: next(iter(students))
        for name, students in names.items()
        if name and len(students) == 1
    }


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, with their line numbers."""
    try:
        if not path.is_file():
            raise ValueError(f"The roster {path} is not a file.")
        if path.stat().st_size > MAX_ROSTER:
            raise ValueError(
                f"The roster {path} is too large to be a list of students."
            )
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"The roster {path} cannot be read: {error}.") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise ValueError(f"The roster {path} is not a text file. Save it as CSV.")
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise ValueError(
            f"The roster {path}, line {reader.line_num}: {error}."
        ) from error


def _spellings(text: str) -> set[str]:
    """How platforms write a name: `Doe, Jane` is also janedoe; an email, its owner."""
    found = {_plain(text)}
    if "@" in text:
        found.add(_plain(text.partition("@")[0]))
    *others, last = text.replace(",", " ").split() or [""]
    found.add(_plain(last + "".join(others)))
    return found


def _plain(text: str) -> str:
    """Letters and digits alone, without case or accents."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in apart if c.isalnum())
