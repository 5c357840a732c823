"""Who is in the class, and by which names."""

import csv

import pytest

from lmlib.grading.submissions.intake import NOTHING, Submission, collect
from lmlib.grading.submissions.roster import read_roster
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
