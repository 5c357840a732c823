"""The list of a class: who should have handed in, and by which names they are known."""

import codecs
import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmlib.grading.submissions.encodings import CALLED, INVISIBLE, is_gbk

MAX_ROSTER = 10 << 20

#: Column names after `plain`, the best first: nbgrader's own, Moodle's, Canvas's, and
#: those of universities' own systems in Chinese, German, French and Spanish.
STUDENT = (
    "studentid", "sisloginid", "username", "login", "student", "idnumber",
    "matriculationnumber", "id", "sisuserid",
    "sid", "netid", "studentnumber", "studentno",
    "学号", "學號", "用户名", "用戶名", "账号", "帳號", "id号",
    "matrikelnummer", "matrikelnr", "matrikel", "benutzername", "anmeldename",
    "kennung", "idnummer",
    "numerodetudiant", "numeroetudiant", "netudiant", "nomdutilisateur", "identifiant",
    "numerodidentification",
    "matricula", "nombredeusuario", "usuario", "numerodeid",
)  # fmt: skip
NAME = (
    "name", "fullname", "studentname",
    "姓名", "名字", "全名", "vollstandigername", "nomcomplet", "nombrecompleto",
    "nom", "nombre",
)  # fmt: skip
GIVEN = (
    "firstname", "givenname", "given", "forename", "firstnames",
    "名", "vorname", "vornamen", "prenom", "nombre", "nombres",
)  # fmt: skip
FAMILY = (
    "lastname", "surname", "familyname", "family",
    "姓", "姓氏", "nachname", "familienname", "nomdefamille", "nom", "apellidos",
    "apellido",
)  # fmt: skip
EMAIL = (
    "email", "emailaddress", "mail",
    "邮箱", "郵箱", "电子邮件", "電子郵件", "电子邮箱", "电子邮件地址", "邮件地址",
    "emailadresse", "adressedecourriel", "courriel", "adresseemail",
    "correo", "correoelectronico", "direcciondecorreo", "direcciondeemail",
)  # fmt: skip
LMS = (
    "lmsuserid", "lmsid", "canvasid", "moodleid", "identifier", "participant", "id",
    "identificador", "iddelenregistrement", "识别码", "識別碼",
)  # fmt: skip
#: GitHub Classroom's classroom_roster.csv: identifier,github_username,github_id,name.
GITHUB = ("githubusername", "githublogin", "github")
#: Of people who hand in one work together: the group's name.
GROUP = (
    "group", "groupname", "team", "submissionteam",
    "群组", "小组", "组", "組", "gruppe", "groupe", "grupo", "gruppo", "groep", "grupp",
    "grup",
)  # fmt: skip
#: What has become of a submission, in Moodle's worksheet.
STATUS = ("status", "statut", "etat", "estado", "estat", "stato", "状态", "狀態")
#: What Moodle's grading worksheet has in its first column, in the language of the
#: course: a word and the number that is in the names of its archive as well
#: (mod/assign/gradingtable.php, col_recordid; the word is `hiddenuser`).
_PARTICIPANT = re.compile(
    r"(?:Participante?|Partecipante|Teilnehmer(?:/in)?|Deelnemer|Deltagare|参与者|参加者)"
    r"\s*(\d+)"
)
#: The row of Canvas's gradebook (lib/gradebook_exporter.rb) below its header, and the
#: student that it makes for the teacher to look through.
_POINTS = "Points Possible"
_TEST_STUDENT = ("studenttest", "teststudent")


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
        known_as: other names that belong to one student only, after `plain`.
        by_number: the learning platform's own number for each student.
        spelled: the names of one student only, with their accents (`_spelled`).
        by_id: ids and e-mail addresses, which students do not choose (`_spelled`).
        shared: names that several have, after `plain`.
        groups: who hands in together, by the group's name (`_spelled`).
        late: how late work came, as Moodle's worksheet has it.
        notes: what had to be guessed or left out, sentences for the instructor.
    """

    students: tuple[str, ...]
    people: dict[str, Person]
    known_as: dict[str, str]
    by_number: dict[str, str]
    spelled: dict[str, str]
    by_id: dict[str, str]
    shared: frozenset[str]
    groups: dict[str, tuple[str, ...]]
    late: dict[str, str]
    notes: tuple[str, ...] = ()

    def numbers_of(self, student: str) -> set[str]:
        return {n for n, who in self.by_number.items() if who == student}

    def find(self, name: str, number: str = "") -> str | None:
        """The student who has this number on the platform, or this name."""
        if number and (student := self.by_number.get(number)) is not None:
            return student
        if name in self.students:
            return name
        exactly = self.spelled.get(_spelled(name))
        return exactly or self.known_as.get(plain(name))

    def with_id(self, text: str) -> str | None:
        """The student who has this id, or this e-mail address."""
        return text if text in self.students else self.by_id.get(_spelled(text))

    def in_group(self, name: str) -> tuple[str, ...]:
        """The students of the group of this name."""
        return self.groups.get(_spelled(name), ())

    def is_shared(self, name: str) -> bool:
        """Whether several students have this name, so that it finds none of them."""
        return self.find(name) is None and plain(name) in self.shared


@dataclass(frozen=True)
class _Columns:
    """Where in a row it stands.

    Attributes:
        key: the student's id, in the first of these that is filled in.
        platform: the learning platform's number.
        others: more names of the student.
        is_canvas: whether it is the gradebook that Canvas exports.
    """

    key: tuple[int, ...]
    platform: int | None
    whole: int | None
    given: int | None
    family: int | None
    mail: int | None
    others: tuple[int, ...]
    group: int | None
    status: int | None
    is_canvas: bool

    def cells(self) -> set[int]:
        found = (*self.key, *self.others, self.platform, self.whole, self.given)
        return {at for at in (*found, self.family, self.mail) if at is not None}


def read_roster(path: Path) -> Roster:
    """The roster in a CSV file; its delimiter and its encoding are found out.

    Raises:
        ValueError: it cannot be read as a roster; the message says which line or
            column is wrong.
    """
    text, notes = _text(path)
    rows = _rows(path, text)
    if not rows:
        raise ValueError(f"The roster {path} is empty.")
    header = [plain(title) for title in rows[0][1]]
    at = _columns(header, rows[1:])
    if at is None:
        raise ValueError(
            f"The roster {path} has no column for the student id. Name it `id`, "
            f"`student_id` or `username`; its columns are {', '.join(rows[0][1])}."
        )
    lines: dict[str, int] = {}
    people: dict[str, Person] = {}
    names: dict[str, set[str]] = defaultdict(set)
    spelled: dict[str, set[str]] = defaultdict(set)
    ids: dict[str, set[str]] = defaultdict(set)
    numbers: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    late: dict[str, str] = {}
    for line, row in rows[1:]:
        cells = [INVISIBLE.sub("", cell).strip() for cell in row]
        cells += [""] * (len(header) - len(row))
        if at.platform is not None and (
            match := _PARTICIPANT.fullmatch(cells[at.platform])
        ):
            cells[at.platform] = match[1]
        filled = {cells[column] for column in at.cells()} - {""}
        if not filled or filled == {_POINTS}:  # no student's
            continue
        forename, surname, fullname, email = (
            "" if column is None else cells[column]
            for column in (at.given, at.family, at.whole, at.mail)
        )
        if at.is_canvas and plain(fullname or surname + forename) in _TEST_STUDENT:
            notes.append(
                f"The roster {path}, line {line}: Canvas's test student is left out."
            )
            continue
        student = next((cells[column] for column in at.key if cells[column]), "")
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
        if not forename + surname:
            forename, surname = _parted(fullname)
        people[student] = Person(*map(_harmless, (forename, surname, email)))
        other = [cells[column] for column in at.others]
        for name in (student, email, *other):
            ids[_spelled(name)].add(student)
        for name in (student, fullname, email, *other):
            for spelling in _spellings(name):
                names[plain(spelling)].add(student)
                spelled[_spelled(spelling)].add(student)
        if at.given is not None and at.family is not None:
            for first, second in (
                (at.given, at.family),
                (at.family, at.given),
            ):
                names[plain(cells[first] + cells[second])].add(student)
                spelled[_spelled(cells[first] + cells[second])].add(student)
        if at.platform is not None:
            numbers[cells[at.platform].rpartition(" ")[2]].add(student)
        if at.group is not None and (group := cells[at.group]):
            groups[_spelled(group)][group].append(student)
        if at.status is not None and (words := _late(cells[at.status])):
            late[student] = words
    if not lines:
        raise ValueError(f"The roster {path} names no student.")
    return Roster(
        tuple(lines),
        people,
        _unique(names),
        _unique(numbers),
        _unique(spelled),
        _unique(ids),
        frozenset(name for name, who in names.items() if len(who) > 1),
        {
            name: tuple(who)
            for name, spellings in groups.items()
            for who in spellings.values()
            if name and len(spellings) == 1
        },
        late,
        tuple(notes),
    )


def _columns(
    header: list[str], rows: Sequence[tuple[int, list[str]]]
) -> _Columns | None:
    """What stands where; None if nothing tells one student from the others."""

    def columns(titles: tuple[str, ...]) -> list[int]:
        return [header.index(title) for title in titles if title in header]

    def column(titles: tuple[str, ...]) -> int | None:
        return next(iter(columns(titles)), None)

    has = set(header).__contains__
    has_name = has("student") or (has("lastname") and has("firstname"))
    is_canvas = has_name and (
        has("sisloginid") or has("sisuserid") or (has("id") and has("section"))
    )
    given, family, mail = column(GIVEN), column(FAMILY), column(EMAIL)
    github = columns(GITHUB)
    keys, platform = columns(STUDENT), column(LMS)
    # Moodle's exports have a column for a number that many sites do not use.
    used = {at for _, row in rows for at, cell in enumerate(row) if cell.strip()}
    if keys and mail in used and not used & set(keys):
        keys = [mail]
    keys = [at for at in keys if at in used] or keys
    first = [row[0].strip() for _, row in rows if row and row[0].strip()]
    is_worksheet = bool(first) and all(map(_PARTICIPANT.fullmatch, first))
    if is_worksheet:  # Moodle's; other columns are there if the site shows them
        platform = 0
        keys = [at for at in keys if at != 0]
        keys = keys or ([] if mail is None else [mail]) + [0]
    elif is_canvas:
        platform = header.index("id") if has("id") else platform
        best = columns(("sisloginid", "sisuserid", "student", "id"))
        keys = best[:1] + [at for at in best[1:] if header[at] != "student"]
    elif not keys and platform is not None and github:
        keys, platform = [platform], None  # GitHub Classroom: whatever was given
    if not keys:
        return None
    exported = is_canvas or is_worksheet
    key = tuple(keys if exported else keys[:1])
    # Where `id` names the students in a file of one's own, it is not the platform's.
    if platform == key[0] and not exported:
        platform = None
    whole = column((*NAME, "student"))  # Canvas has the name there
    if whole is not None and whole in (
        given,
        family,
    ):  # one word for the whole and for a part of a name
        if given is None or family is None or given == family:
            given = family = None
        else:
            whole = column(tuple(t for t in NAME if t not in (*GIVEN, *FAMILY)))
    if whole == key[0] and not is_canvas:
        whole = None
    others = [at for at in keys if at not in (*key[:1], platform, whole)] + github
    about = (column(GROUP), column(STATUS) if is_worksheet else None)
    named = (platform, whole, given, family, mail)
    return _Columns(key, *named, tuple(others), *about, is_canvas)


def _late(status: str) -> str:
    """How late, as the worksheet says it: "2 days 3 hours late", in any language.

    (mod/assign/gradingtable.php, col_status: what there is to say is joined by
    hyphens, and besides this, numbers are only in the date of an extension.)
    """
    for part in status.split(" - ")[1:]:
        if re.search(r"\d", part) and not re.search(r"\d{4}|\d:\d", part):
            return part.strip()
    return ""


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


# -- The file -------------------------------------------------------------------------


def _text(path: Path) -> tuple[str, list[str]]:
    """The text of the file, and what had to be guessed to read it."""
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
    text, guess = _decoded(data)
    if "\0" in text:
        raise ValueError(f"The roster {path} is not a text file. Save it as CSV.")
    if not guess:
        return text, []
    return text, [
        f"The roster {path} does not say how its letters are written; it was read as "
        f"{CALLED[guess]}. If names are wrong, save it as CSV in UTF-8."
    ]


def _decoded(data: bytes) -> tuple[str, str]:
    """The text, and its encoding if that had to be guessed."""
    marks = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for mark, encoding in zip(marks, ("utf-8-sig", "utf-16", "utf-16"), strict=True):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), ""
    zeros = {at % 2 for at, byte in enumerate(data[:4000]) if not byte}
    if len(zeros) == 1 and len(data) % 2 == 0:
        guess = "utf-16-le" if zeros == {1} else "utf-16-be"
        return data.decode(guess, errors="replace"), guess
    texts = {}
    for encoding in ("utf-8", "gb18030", "big5", "cp1252"):
        try:
            texts[encoding] = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":
            return texts["utf-8"], ""
    titles = {*STUDENT, *NAME, *GIVEN, *FAMILY, *EMAIL}
    for encoding, text in texts.items():
        first = map(plain, re.split("[,;\t|]", text.lstrip().partition("\n")[0]))
        if any(title in titles and not title.isascii() for title in first):
            return text, encoding
    if "gb18030" in texts and is_gbk(data):
        return texts["gb18030"], "gb18030"
    if "cp1252" in texts:
        return texts["cp1252"], "cp1252"
    return data.decode("latin-1"), "latin-1"


def _rows(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, with their line numbers."""
    # Excel's own line about the delimiter.
    skipped = 0
    if match := re.match(r'\s*"?sep=(.)"?[ \t,;|]*(?:\r\n|\r|\n|$)', text, re.I):
        delimiter, skipped, text = match[1], 1, text[match.end() :]
    else:
        first = text.lstrip().partition("\n")[0]
        delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [
            (reader.line_num + skipped, row)
            for row in reader
            if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise ValueError(
            f"The roster {path}, line {reader.line_num + skipped}: {error}."
        ) from error


# -- Names ----------------------------------------------------------------------------


def _spellings(text: str) -> set[str]:
    """How platforms write a name: `Doe, Jane` is also janedoe; an email, its owner."""
    found = {text}
    if "@" in text:
        found.add(text.partition("@")[0])
    *others, last = text.replace(",", " ").split() or [""]
    found.add(last + "".join(others))
    return found


def plain(text: str) -> str:
    """Letters and digits alone, without case or accents."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in apart if c.isalnum())


def _spelled(text: str) -> str:
    """Letters and digits alone, without case, but with accents."""
    together = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in together if c.isalnum())
