"""Who is in the class, and by which names."""

import csv
import unicodedata

import pytest

from lmlib.grading.submissions.intake import NOTHING, Submission, collect
from lmlib.grading.submissions.roster import Person, read_roster
from tests.grading.submissions.samples import (
    ANSWERS,
    ASSIGNMENT,
    MOODLE,
    NAME,
    OTHER,
    WORK,
    all_of,
    answers,
    lay,
    zipped,
)

PLAIN = """id,name,email,lms_id
jdoe,Jane Doe,jane.doe@uni.example,1001
mmus,"Müller, Max",max@uni.example,1002
late,Lea Te,lea@uni.example,1003
"""


@pytest.mark.parametrize(
    "file",
    [
        "jdoe.ipynb",
        "JDOE.ipynb",
        "jdoe (3).ipynb",
        "jdoe-2.ipynb",
        "Jane Doe.ipynb",
        "Doe_Jane.ipynb",
        "jane.doe@uni.example.ipynb",
        "jane.doe.ipynb",
        f"jdoe_{NAME}",
        f"Jane Doe_1001_{MOODLE}/x.ipynb",
        f"Doe_Jane_1001_{MOODLE}x.ipynb",
        "doejane_1001_77_x.ipynb",
        "doejane_LATE_1001_77_x-1.ipynb",
        "anon_1001_77_x.ipynb",
        f"jdoe/{ASSIGNMENT}/{NAME}",
    ],
)
def test_roster_knows_students_by_many_names(tmp_path, source, file):
    (tmp_path / "class.csv").write_text(PLAIN)
    folder = lay(tmp_path / "class", {file: WORK})
    found = all_of(folder, source, tmp_path / "class.csv")
    assert list(found) == ["jdoe", "late", "mmus"]
    assert answers(found["jdoe"]) == ANSWERS
    assert found["jdoe"].repairs == ()
    assert found["mmus"] == Submission("mmus", ASSIGNMENT, None, NOTHING)


def test_unknown_students_are_kept_and_it_is_said(tmp_path, source):
    (tmp_path / "class.csv").write_text(PLAIN)
    folder = lay(tmp_path / "class", {"nobody.ipynb": WORK, "jdoe.ipynb": WORK})
    found = all_of(folder, source, tmp_path / "class.csv")
    assert list(found) == ["jdoe", "late", "mmus", "nobody"]
    assert found["nobody"].repairs == (
        "The name `nobody` is not on the list of the class; the work was graded under "
        "it all the same.",
    )


def test_a_name_that_two_students_have_is_nobodys(tmp_path, source):
    (tmp_path / "class.csv").write_text("id,name\na1,Ann Lee\na2,Ann Lee\n")
    folder = lay(tmp_path / "class", {"Ann Lee.ipynb": WORK, "a2.ipynb": WORK})
    found = all_of(folder, source, tmp_path / "class.csv")
    assert {s: found[s].reason for s in found} == {
        "Ann Lee": "", "a1": NOTHING, "a2": "",
    }  # fmt: skip


NEIGHBOUR = "id,name,lms_id\nneighbour,Neighbour,10\nmallory,Mallory,666\n"


@pytest.mark.parametrize(
    ("hostile", "honest"),
    [
        # The name that a student shows.
        (
            f"Neighbour_10_{MOODLE}_666_{MOODLE}/x.ipynb",
            f"Neighbour_10_{MOODLE}/x.ipynb",
        ),
        (f"Neighbour_10_assignsubmission_666_{MOODLE}/x.ipynb", None),
        (f"Neighbour_10_file_666_{MOODLE}/x.ipynb", None),
        ("Neighbour_10_file_666_file/x.ipynb", "Neighbour_10_file/x.ipynb"),
        (f"Neighbour_10_{MOODLE}_666_{MOODLE}x.ipynb", f"Neighbour_10_{MOODLE}x.ipynb"),
        ("neighbour_10_9__666_70_x.ipynb", "neighbour_10_50_x.ipynb"),
        (f"Neighbour_666_{MOODLE}/x.ipynb", f"Neighbour_10_{MOODLE}/x.ipynb"),
        (f"Neighbour (2)_666_{MOODLE}/x.ipynb", f"Neighbour_10_{MOODLE}/x.ipynb"),
        (f"neighbour-2_666_{MOODLE}/x.ipynb", f"Neighbour_10_{MOODLE}/x.ipynb"),
        ("neighbour_LATE_666_70_x.ipynb", "neighbour_10_50_x.ipynb"),
        # The name of a file.
        (f"Mallory_666_{MOODLE}x_10_{MOODLE}y.ipynb", f"Neighbour_10_{MOODLE}x.ipynb"),
        (f"mallory_666_70_x_10_{MOODLE}y.ipynb", "neighbour_10_50_x.ipynb"),
        ("mallory_666_70_10_99_y.ipynb", "neighbour_10_50_x.ipynb"),
        (f"Mallory_666_{MOODLE}/Neighbour_10_{MOODLE}x.ipynb", None),
    ],
)
@pytest.mark.parametrize("roster", ["", NEIGHBOUR, NEIGHBOUR.partition("mallory")[0]])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_nobody_is_taken_for_another_by_a_name(
    tmp_path, source, hostile, honest, roster, form
):
    files = {honest or f"Neighbour_10_{MOODLE}/x.ipynb": WORK, hostile: OTHER}
    path = tmp_path / "class.csv"
    path.write_text(roster)
    if form == "folder":
        where = lay(tmp_path / "class", files)
    else:
        where = tmp_path / "class.zip"
        where.write_bytes(zipped(files))
    found = all_of(where, source, path if roster else None)
    theirs = [s for s in found.values() if s.path.endswith(hostile)]
    (other,) = theirs
    assert other.student not in ("neighbour", "Neighbour")
    work = [s for s in found.values() if s.notebook and s not in theirs]
    assert [answers(s) for s in work] == [ANSWERS]
    if roster:
        assert work[0].student == "neighbour"
    if "Neighbour_666" in hostile and "mallory" not in roster:
        assert other.needs_person


def test_two_numbers_for_one_name_of_the_roster_are_told_apart(tmp_path, source):
    (tmp_path / "class.csv").write_text("id,name\nneighbour,Neighbour\n")
    files = {f"Neighbour_{n}_{MOODLE}/x.ipynb": WORK for n in (10, 666)}
    found = all_of(lay(tmp_path / "class", files), source, tmp_path / "class.csv")
    assert list(found) == ["Neighbour_10", "Neighbour_666", "neighbour"]
    assert found["neighbour"].reason == NOTHING
    assert all(found[f"Neighbour_{n}"].needs_person for n in (10, 666))


def test_unicode_forms_do_not_change_places(tmp_path, source):
    names = ("Zo\u00eb", "Zoe\u0308")
    (tmp_path / "class.csv").write_text(f"id\n{names[0]}\n", encoding="utf-8")
    work = {f"{n}/{NAME}": data for n, data in zip(names, (WORK, OTHER), strict=True)}
    folder = lay(tmp_path / "class", work)
    for roster in (None, tmp_path / "class.csv"):
        found = all_of(folder, source, roster)
        assert set(found) == set(names)
        assert answers(found[names[0]]) == ANSWERS
        assert answers(found[names[1]]) != ANSWERS
    for name in names:
        alone = lay(tmp_path / name, {f"{name}/{NAME}": WORK})
        assert list(all_of(alone, source)) == [name]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    "titles", ["id", "student_id", "Username", "Student ID", "SIS Login ID"]
)
def test_rosters_of_many_kinds(tmp_path, delimiter, encoding, titles):
    path = tmp_path / "class.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(
            [[titles, "Surname", "First name"], [], ["m1", "Müller", "Jo"]]
        )
    roster = read_roster(path)
    assert roster.students == ("m1",)
    assert roster.find("mullerjo") is None or encoding  # spelled without its accent
    assert roster.find("Jo Müller") == roster.find("müllerjo") == "m1"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"id\n", "names no student"),
        (b"colour,size\nred,3\n", "no column for the student id.*colour, size"),
        (b"id,name\n,Jane\n", "line 2: the student id is empty"),
        (b"id\na\nb\n\na\n", "lines 2 and 5: the student id a is there twice"),
        (b"id\n../x\n", "line 2: '../x' cannot be a student id"),
        (b"id\n-rf\n", "cannot be a student id"),
        (b"id\na\0b\n", "is not a text file"),
        (b"PK\x03\x04\0\0", "is not a text file"),
        (b'id\n"' + b"a" * 200_000, "field larger than field limit"),
    ],
)
def test_roster_troubles_are_told_to_the_instructor(tmp_path, source, data, said):
    path = tmp_path / "class.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said):
        collect(lay(tmp_path / "class", {}), ASSIGNMENT, source, path)


def test_roster_that_is_not_there(tmp_path, source):
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(ValueError, match="is not a file"):
            collect(tmp_path, ASSIGNMENT, source, path)


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("id,name,email", "j,Jane M. Doe,j@x", ("Jane M.", "Doe", "j@x")),
        ("id,name", 'j,"Doe, Jane"', ("Jane", "Doe", "")),
        ("id,name", "j,王小明", ("", "王小明", "")),
        ("Username;First name;Surname;Email address", "j;J;D;@", ("J", "D", "@")),
        ("Student,SIS Login ID", '"Doe, Jane",j', ("Jane", "Doe", "")),  # Canvas
        ("student", "j", ("", "", "")),
        # nbgrader's export knows no quotes, and its pages believe what they show.
        ("id,Surname", 'j,"Doe, <b>""X"', ("", "Doe b X", "")),
    ],
)
def test_roster_tells_names_and_mail(tmp_path, header, row, expected):
    (tmp_path / "class.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    person = read_roster(tmp_path / "class.csv").people["j"]
    assert (person.first_name, person.last_name, person.email) == expected


# -- What platforms and spreadsheets write --------------------------------------------

CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,3.1 (77)
,,,,,Manual Posting
    Points Possible,,,,,36
"Doe, Jane",1001,S01,jdoe,A,12

"Poe, Rick",1002,S02,rick,A,N/A
,,,,,
"Student, Test",1003,,ab01f2,A,
"""


def read(tmp_path, data: str | bytes, encoding: str = "utf-8"):
    path = tmp_path / "class.csv"
    path.write_bytes(data.encode(encoding) if isinstance(data, str) else data)
    return read_roster(path)


def without(table: str, *columns: int) -> str:
    rows = list(csv.reader(table.splitlines()))
    kept = [[c for i, c in enumerate(row) if i not in columns] for row in rows]
    return "\n".join(",".join(f'"{c}"' if "," in c else c for c in r) for r in kept)


@pytest.mark.parametrize(
    ("columns", "students"),
    [
        ((), ("jdoe", "rick")),
        ((2,), ("jdoe", "rick")),
        ((3,), ("S01", "S02")),
        ((2, 3), ("Doe, Jane", "Poe, Rick")),
    ],
)
def test_gradebook_of_canvas(tmp_path, columns, students):
    roster = read(tmp_path, without(CANVAS, *columns))
    assert roster.students == students
    assert roster.by_number == dict(zip(("1001", "1002"), students, strict=True))
    assert roster.people[students[0]] == Person("Jane", "Doe", "")
    for name in ("doejane", "Jane Doe", students[0]):
        assert roster.find(name) == students[0]
    (note,) = roster.notes
    assert note.endswith("line 8: Canvas's test student is left out.")


def test_a_student_without_a_login_is_found_by_another_number(tmp_path):
    roster = read(tmp_path, CANVAS.replace("S02,rick", ",").replace("S01,jdoe", "S01,"))
    assert roster.students == ("S01", "1002")


def test_grading_worksheet_of_moodle(tmp_path):
    table = "Identifier,Full name,{}Email address,Status\n" + "".join(
        f"Participant {number},{name},{{}}{mail},No submission\n"
        for number, name, mail in [(1001, "Jane Doe", "j@x.org"), (1002, "Li", "l@x")]
    )
    roster = read(tmp_path, table.format("", "", ""))
    assert roster.students == ("j@x.org", "l@x")
    assert roster.by_number == {"1001": "j@x.org", "1002": "l@x"}
    assert roster.find("Jane Doe") == roster.find("anybody", "1001") == "j@x.org"
    shown = table.format("Username,", "jdoe,", "li,")
    assert read(tmp_path, shown).by_number == {"1001": "jdoe", "1002": "li"}
    blind = "ID;Status\nTeilnehmer/in1001;x\nTeilnehmer/in1002;y\n"
    assert read(tmp_path, blind).by_number == {"1001": "1001", "1002": "1002"}


@pytest.mark.parametrize(
    ("status", "late"),
    [
        ("Submitted for grading", None),
        ("No submission", None),
        ("Submitted for grading - 2 days 3 hours late", "2 days 3 hours late"),
        ("Submitted for grading - 45 secs late - Graded", "45 secs late"),
        ("Zur Bewertung abgegeben - 1 Stunde zu spät - Gesperrt", "1 Stunde zu spät"),
        ("已提交 - 2天 3小时 迟交", "2天 3小时 迟交"),
        (
            "Submitted - Extension granted until: Friday, 5 December 2025, 11:59 PM",
            None,
        ),
        ("Submitted - 延期至: 2025年12月5日 星期五 23:59", None),
    ],
)
def test_worksheet_of_moodle_says_who_is_late(tmp_path, status, late):
    table = f"Identifier,Email address,Status\nParticipant 7,a@x,{status!r}\n"
    roster = read(tmp_path, table.replace("'", '"'))
    assert roster.late.get("a@x") == late
    # In a roster of one's own, that column says something else.
    own = f"id,status\n7,{status!r}\n".replace("'", '"')
    assert read(tmp_path, own).late == {}


def test_roster_of_github_classroom(tmp_path):
    roster = read(
        tmp_path,
        "identifier,github_username,github_id,name\n"
        "s01,janey-d,5001,Jane Doe\ns02,,,Rick Poe\n",
    )
    assert roster.students == ("s01", "s02")
    assert roster.find("janey-d") == roster.find("Jane Doe") == "s01"


@pytest.mark.parametrize(
    ("table", "person"),
    [
        ("学号,姓名,邮箱\n7,王小明,w@x\n", ("", "王小明", "w@x")),
        ("學號,姓,名\n7,王,小明\n", ("小明", "王", "")),
        ("Matrikelnummer;Nachname;Vorname\n7;Groß;Jo\n", ("Jo", "Groß", "")),
        ("ID-Nummer;Vollständiger Name;E-Mail-Adresse\n7;Jo Groß;@\n", None),
        ("Numéro d'étudiant;Nom;Prénom\n7;Roux;Zoë\n", ("Zoë", "Roux", "")),
        ("Identifiant;Nom\n7;Zoë Roux\n", ("Zoë", "Roux", "")),
        ("Matrícula;Nombre;Apellidos\n7;Ana;Gil Ruiz\n", ("Ana", "Gil Ruiz", "")),
        ("Usuario,Nombre,Correo electrónico\n7,Ana Gil,@\n", ("Ana", "Gil", "@")),
    ],
)
@pytest.mark.parametrize("first", ["", "sep=;\r\n", '"sep=;"\n', "\n"])
def test_headers_in_other_languages_and_excels_line(tmp_path, table, person, first):
    if first.strip():
        table = first + table.replace(",", ";")
    roster = read(tmp_path, first + table if not first.strip() else table)
    assert roster.students == ("7",)
    found = roster.people["7"]
    expected = person or ("Jo", "Groß", "@")
    assert (found.first_name, found.last_name, found.email) == expected


def test_lines_are_counted_from_the_top(tmp_path):
    with pytest.raises(ValueError, match="line 3: the student id is empty"):
        read(tmp_path, "sep=;\nid;name\n;Jane\n")


@pytest.mark.parametrize(
    ("table", "encoding", "guess"),
    [
        ("id,name\n7,王小明\n8,李喆\n", "gbk", "GBK"),
        ("学号,姓名\n7,王小明\n8,李喆\n", "gbk", "GBK"),
        ("學號,姓名\n7,王小明\n8,李華\n", "big5", "Big5"),
        ("id,name\r\n7,王小明\r\n8,李喆\r\n", "utf-16-le", "UTF-16"),
        ("学号\t姓名\n7\t王小明\n8\t李喆\n", "utf-16-be", "UTF-16"),
        ("id,name\n7,王小明\n8,李喆\n", "utf-16", None),
        ("id,name\n7,王小明\n8,李喆\n", "utf-8-sig", None),
        ("id,name\n7,王小明\n8,李喆\n", "utf-8", None),
        ("id;name\n7;Jürgen Groß\n8;Æsa Sjöö\n", "cp1252", "Windows-1252"),
        ("id;name\n7;Jurgen\n8;Asa\n", "ascii", None),
    ],
)
def test_an_encoding_that_was_guessed_is_said(tmp_path, table, encoding, guess):
    roster = read(tmp_path, table, encoding)
    assert roster.students == ("7", "8")
    names = [line.replace(";", ",").replace("\t", ",") for line in table.splitlines()]
    for student, line in zip(("7", "8"), names[1:], strict=True):
        assert roster.find(line.partition(",")[2]) == student
    assert len(roster.notes) == (guess is not None)
    assert not guess or f"was read as {guess}" in roster.notes[0]


def test_an_accent_tells_two_apart(tmp_path):
    roster = read(tmp_path, "id,name\na,Max Muller\nb,Max Müller\nc,Ann\nd,ann\n")
    # As a Mac writes it, too.
    for name in ("Max Müller", unicodedata.normalize("NFD", "Max Müller")):
        assert roster.find(name) == "b"
    assert roster.find("Max Muller") == "a"
    assert roster.find("ann") is None
    assert roster.is_shared("ann")
    assert not roster.is_shared("Max Muller")
    assert not roster.is_shared("Bob")


@pytest.mark.parametrize(
    ("table", "students"),
    [
        ("First Name,Last Name,SID,Email\nJane,Doe,S1,j@x\n", ("S1",)),  # Gradescope
        ("First name,Surname,ID number,Email address\nJane,Doe,,j@x\n", ("j@x",)),
        ("ID number,Username,Name\n,jdoe,Jane Doe\n", ("jdoe",)),
        ("id,name\n\u200ejdoe\u202c,Jane \u202eDoe\n", ("jdoe",)),
    ],
)
def test_columns_that_are_not_used_and_marks_that_nobody_sees(
    tmp_path, table, students
):
    roster = read(tmp_path, table)
    assert roster.students == students
    assert (roster.people[students[0]].first_name, roster.find("Jane Doe")) == (
        "Jane",
        students[0],
    )
