"""Whose a file is: layouts of platforms, and which of several files counts."""

import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmlib.grading.submissions.intake import NOTHING
from tests.grading.submissions.samples import (
    ANSWERS,
    ASSIGNMENT,
    FLAT,
    MOODLE,
    NAME,
    NBGRADER,
    OTHER,
    WORK,
    all_of,
    answers,
    lay,
    tarred,
    zipped,
)

LAYOUTS = {
    "nbgrader": NBGRADER,
    "flat": FLAT,
    "folders": {"alice/work.ipynb": WORK, f"bob/{NAME}": WORK},
    "moodle": {
        f"alice_1001_{MOODLE}/my work.ipynb": WORK,
        f"bob_1002_{MOODLE}/{NAME}": WORK,
        "bob_1002_assignsubmission_onlinetext_/onlinetext.html": b"<p>hello</p>",
    },
    "moodle-short": {"alice_1001_file/x.ipynb": WORK, "bob_1002_file/y.ipynb": WORK},
    "moodle-flat": {
        f"alice_1001_{MOODLE}{NAME}": WORK,
        f"bob_1002_{MOODLE}x.ipynb": WORK,
    },
    "canvas": {
        f"alice_1001_5001_{NAME}": WORK,
        "bob_LATE_1002_5002_work-1.ipynb": WORK,
    },
    "named": {f"alice_{NAME}": WORK, f"{ASSIGNMENT}-bob.ipynb.txt": WORK},
    "own-archives": {
        "alice.zip": zipped({f"{ASSIGNMENT}/{NAME}": WORK, "__MACOSX/._x.ipynb": b"x"}),
        "bob.tar.xz": tarred({"work.ipynb": WORK}, "w:xz"),
    },
}


FORMS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["folder", *FORMS])
def test_layouts(tmp_path, source, layout, form):
    check_layout(tmp_path, source, layout, form, "")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "top", ["class of 2024/", f"{ASSIGNMENT}/", f"a/{ASSIGNMENT}/"]
)
def test_layouts_inside_other_folders(tmp_path, source, layout, top):
    check_layout(tmp_path, source, layout, "zip", top)


def check_layout(tmp_path, source, layout, form, top):
    files = {top + name: data for name, data in LAYOUTS[layout].items()}
    if form == "folder":
        where = lay(tmp_path / "class", files)
    else:
        where = tmp_path / f"class.{form}"
        mode = "w:" + form.partition(".")[2]
        where.write_bytes(zipped(files) if form == "zip" else tarred(files, mode))
    before = {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}
    found = all_of(where, source)
    assert list(found) == ["alice", "bob"]
    for submission in found.values():
        assert answers(submission) == ANSWERS
        assert not submission.repairs or layout == "own-archives"
        assert submission.path.startswith("class." if form != "folder" else "")
        assert len(submission.digest) == 64
    assert before == {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}


def test_one_student_in_an_archive(tmp_path, source):
    for inside in (f"alice/{ASSIGNMENT}/{NAME}", f"alice/{NAME}", "all/alice.ipynb"):
        where = tmp_path / "class.zip"
        where.write_bytes(zipped({inside: WORK}))
        assert list(all_of(where, source)) == ["alice"]


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        ({"alice.ipynb": OTHER, "alice (1).ipynb": WORK}, "alice (1).ipynb"),
        ({"alice (2).ipynb": WORK, "alice (1).ipynb": OTHER}, "alice (2).ipynb"),
        ({"alice.ipynb": OTHER, "alice-Copy1.ipynb": WORK}, "alice-Copy1.ipynb"),
        (
            {"alice_7_51_x.ipynb": OTHER, "alice_LATE_7_52_x-1.ipynb": WORK},
            "alice_LATE_7_52_x-1.ipynb",
        ),
        ({"alice_7_9_x-2.ipynb": WORK, "alice_7_9_x-1.ipynb": OTHER}, "x-2"),
        ({f"alice/{NAME}": WORK, "alice/x.ipynb": OTHER}, NAME),
        (
            {"alice/a.ipynb": WORK, "alice/a (1).ipynb": b"", "alice/n.ipynb": OTHER},
            "(",
        ),
        ({"alice/b.ipynb": OTHER, "alice/a.ipynb": WORK}, "a.ipynb"),
        ({f"alice/{ASSIGNMENT}/{NAME}": WORK, "alice/x.ipynb": OTHER}, NAME),
        ({"alice/b.ipynb": WORK, "alice/b.zip": b"x", "alice/b.py": b"x"}, None),
    ],
)
def test_of_several_files_one_counts_and_it_is_said(tmp_path, source, files, counts):
    found = all_of(lay(tmp_path / "class", files), source)
    assert list(found) == ["alice"]
    (submission,) = found.values()
    if counts == "(":
        assert "is empty" in submission.reason  # the last one, and it is said
    else:
        assert answers(submission) == ANSWERS
    said = "".join(submission.repairs)
    assert ("More than one file was handed in; `" in said) == (counts is not None)
    assert counts is None or f"{counts}" in said.partition("counts")[0]


def test_two_members_of_one_name_the_later_counts(tmp_path, source):
    where = tmp_path / "class.zip"
    with zipfile.ZipFile(where, "w") as archive:
        archive.writestr("alice.ipynb", OTHER)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("alice.ipynb", WORK)
    (submission,) = all_of(where, source).values()
    assert answers(submission) == ANSWERS


def test_same_name_on_the_platform_but_two_people(tmp_path, source):
    files = {"annlee_11_50_x.ipynb": WORK, "annlee_12_51_x.ipynb": OTHER}
    found = all_of(lay(tmp_path / "class", files), source)
    assert list(found) == ["annlee_11", "annlee_12"]


def test_names_that_cannot_be_file_names(tmp_path, source):
    names = [b"a\xffb", b"-rf", b"a\nb", b"C:x", "é".encode(), "e\u0301".encode()]
    names += [b"=1+2", b"@-+9"]  # formulas to a spreadsheet
    folder = tmp_path / "class"
    folder.mkdir()
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".ipynb")).write_bytes(
            WORK
        )
    found = all_of(folder, source)
    # Those in two Unicode forms are two: neither takes the other's name.
    assert list(found)[:2] == ["1+2", "9"]
    assert list(found)[2:] == ["C_x", "a_b", "a_b-2", "e\u0301", "rf", "\u00e9"]
    for name in ("e\u0301", "\u00e9"):
        assert found[name].path == f"{name}.ipynb"
        assert "the form of its Unicode characters" in found[name].needs_person[0]


# -- When it was handed in ------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_nbgraders_time_is_read(tmp_path, source, form):
    times = {
        "ann": b"2015-02-02 15:58:23.948203 America/Los_Angeles\n",
        "bob": b"2024-05-01 12:00:00 UTC\n",
        "eve": b"soon",
        "kim": b"9" * 99,
        "leo": b"\xff\0 1 99999999999",
    }
    files = {f"{who}/{ASSIGNMENT}/{NAME}": WORK for who in times}
    files |= {f"{who}/{ASSIGNMENT}/timestamp.txt": t for who, t in times.items()}
    where = tmp_path / f"class.{form}"
    if form == "folder":
        lay(where, files)
    else:
        where.write_bytes(zipped(files) if form == "zip" else tarred(files, "w:gz"))
    found = all_of(where, source)
    assert {who: one.timestamp for who, one in found.items()} == {
        "ann": datetime(2015, 2, 2, 23, 58, 23, 948203, UTC),
        "bob": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "eve": None,
        "kim": None,
        "leo": None,
    }


def test_a_time_of_the_students_own_making_is_not_believed(tmp_path, source):
    files = {f"Ann Lee_7_{MOODLE}/{NAME}": WORK}
    for folder in ("", f"{ASSIGNMENT}/"):
        files[f"Ann Lee_7_{MOODLE}/{folder}timestamp.txt"] = b"2001-01-01 00:00 UTC"
    own = {f"bob/{ASSIGNMENT}/{NAME}": WORK, f"bob/{ASSIGNMENT}/timestamp.txt": b"2001"}
    for where in (
        lay(tmp_path / "a", files),
        lay(tmp_path / "b", {"bob.zip": zipped(own)}),
    ):
        (submission,) = all_of(where, source).values()
        assert submission.timestamp is None


def test_canvas_marks_what_is_late(tmp_path, source):
    files = {
        f"ann_1_11_{NAME}": WORK,
        f"bob_LATE_2_12_{NAME}": WORK,
        "eve_3_13_x.ipynb": OTHER,
        "eve_LATE_3_14_x-1.ipynb": WORK,
        f"fay_4_{MOODLE}{NAME}": WORK,
    }
    found = all_of(lay(tmp_path / "class", files), source)
    late = {who: one.late for who, one in found.items()}
    assert late == {"ann": False, "bob": True, "eve": True, "fay": None}


# -- What platforms write -------------------------------------------------------------

ROSTER = "id,name,email,lms_id\njdoe,Jane Doe,j@x,1001\nrick,Rick Poe,r@x,1002\n"


def roster_of(tmp_path, text=ROSTER):
    (tmp_path / "class.csv").write_text(text)
    return tmp_path / "class.csv"


def work_of(found) -> dict[str, str]:
    """Whose work was found where."""
    return {who: one.path for who, one in found.items() if one.path}


def test_canvas_links_and_texts_instead_of_a_file(tmp_path, source):
    files = {
        "doejane_1001_link.html": b"<a href='https://x'>",
        "poerick_LATE_1002_text.html": b"<p>hello</p>",
    }
    found = all_of(lay(tmp_path / "class", files), source, roster_of(tmp_path))
    assert work_of(found) == dict(zip(("jdoe", "rick"), files, strict=True))
    assert [one.late for one in found.values()] == [False, True]
    for one in found.values():
        assert "is not a notebook (.ipynb). Hand in the notebook itself" in one.reason
        assert not one.needs_person


def test_canvas_anonymous(tmp_path, source):
    files = {
        "anon_x7Kq2_5001_a.ipynb": OTHER,
        "anon_x7Kq2_5002_a-1.ipynb": WORK,
        "LATE_anon_Zb3cd_5003_a.ipynb": WORK,
        "anon_12345_5004_a.ipynb": WORK,
        "anon_q9Rst_link.html": b"<a>",
    }
    for roster in (None, roster_of(tmp_path)):
        found = all_of(lay(tmp_path / "class", files), source, roster)
        anonymous = {who: one for who, one in found.items() if one.path}
        assert set(anonymous) == {"x7Kq2", "Zb3cd", "12345", "q9Rst"}
        assert anonymous["x7Kq2"].path == "anon_x7Kq2_5002_a-1.ipynb"
        assert answers(anonymous["x7Kq2"]) == ANSWERS
        assert anonymous["Zb3cd"].late
        assert not any(one.needs_person for one in anonymous.values())


@pytest.mark.parametrize(
    "name",
    [
        # A file called 3_a.ipynb, and people who show a name that looks like it.
        "anon_x7Kq2_1001_3_a.ipynb",
        f"anon_1001_5_666_{MOODLE}a.ipynb",
        "anon_1001_1001_3_a.ipynb",
    ],
)
def test_an_anonymous_file_is_nobody_elses(tmp_path, source, name):
    where = lay(tmp_path / "class", {name: WORK})
    found = all_of(where, source, roster_of(tmp_path))
    assert found["jdoe"].reason == NOTHING
    (other,) = (one for one in found.values() if one.path)
    assert other.needs_person


def test_moodle_groups(tmp_path, source):
    files = {
        f"Team A-Jane Doe_1001_{MOODLE}/x.ipynb": WORK,
        f"Team-B-Rick Poe_1002_{MOODLE}/x.ipynb": WORK,
    }
    where = lay(tmp_path / "class", files)
    whose = dict(zip(("jdoe", "rick"), files, strict=True))
    nameless = "id,lms_id\njdoe,1001\nrick,1002\n"
    numberless = "id,name\njdoe,Jane Doe\nrick,Rick Poe\n"
    for table in (ROSTER, nameless, numberless):
        found = all_of(where, source, roster_of(tmp_path, table))
        assert work_of(found) == whose
        assert not any(one.needs_person for one in found.values())
    # Who shows a hyphen in a class without groups takes nobody's place.
    lay(tmp_path / "class", {f"Lea Te_1003_{MOODLE}/x.ipynb": OTHER})
    found = all_of(where, source, roster_of(tmp_path, numberless))
    assert found["jdoe"].reason == NOTHING


WORKSHEET = (
    "Identifier,Full name,Email address,Status,Group,Grade\n"
    "Participant 1001,Jane Doe,j@x,Submitted for grading - 2 days 3 hours late,Team A,"
    "\n"
    "Participant 1002,Rick Poe,r@x,Submitted for grading,Team A,\n"
    "Participant 1003,Lea Te,l@x,Submitted for grading,Team_B,\n"
    "Participant 1004,Ed Yu,e@x,No submission,Default group,\n"
)
#: One of one's own.
GROUPS = (
    "id,name,group\nj@x,Jane Doe,Team A\nr@x,Rick Poe,Team A\n"
    + "l@x,Lea Te,Team_B\ne@x,Ed Yu,Default group\n"
)
#: Moodle since 4.1. The number of a group may be that of a student.
_FOLDER = MOODLE.rstrip("_")
ONE_A_GROUP = {
    f"Team A_1004_{_FOLDER}/x.ipynb": WORK,
    f"Team B_12_{_FOLDER}/x.ipynb": OTHER,
    f"Default group_{_FOLDER}/x.ipynb": WORK,
}


@pytest.mark.parametrize("table", [WORKSHEET, GROUPS])
@pytest.mark.parametrize("flat", [False, True])
def test_one_folder_a_group_of_moodle(tmp_path, source, table, flat):
    files = {
        name.replace("/x", "_x") if flat else name: work
        for name, work in ONE_A_GROUP.items()
    }
    where = lay(tmp_path / "class", files)
    found = all_of(where, source, roster_of(tmp_path, table))
    assert set(found) == {"j@x", "r@x", "l@x", "e@x"}
    a, b, default = files
    paths = {"j@x": a, "r@x": a, "l@x": b, "e@x": default}
    assert {who: one.path for who, one in found.items()} == paths
    assert found["j@x"].group == found["r@x"].group == "Team A"
    assert found["e@x"].group == "Default group"
    for who, one in found.items():
        late = table == WORKSHEET and who == "j@x"
        assert one.late is (True if late else None)
        assert one.needs_person == (
            ("Moodle's worksheet says of it: 2 days 3 hours late.",) if late else ()
        )
        assert one.platform == ("" if table == GROUPS else BY_NUMBER[who])


BY_NUMBER = {"j@x": "1001", "r@x": "1002", "l@x": "1003", "e@x": "1004"}


@pytest.mark.parametrize("table", [None, ROSTER, "id,name,lms_id\nx,Ed Yu,1004\n"])
def test_a_group_of_nobody_knows_whom_is_said(tmp_path, source, table):
    where = lay(tmp_path / "class", ONE_A_GROUP)
    roster = table and roster_of(tmp_path, table)
    found = {w: s for w, s in all_of(where, source, roster).items() if s.path}
    assert set(found) == {"Team A", "Team B", "Default group"}
    for who, one in found.items():
        if table or who == "Default group":
            (doubt,) = one.needs_person
            assert "has the name of a group" in doubt
            assert "column `group`" in doubt


def test_groups_of_one_name_and_names_of_groups(tmp_path, source):
    # A student who shows a group's name, in a download of students.
    files = {
        f"Team A_666_{MOODLE}/x.ipynb": OTHER,
        f"Jane Doe_1001_{MOODLE}/x.ipynb": WORK,
    }
    roster = roster_of(tmp_path, WORKSHEET)
    found = all_of(lay(tmp_path / "class", files), source, roster)
    assert found["r@x"].reason == NOTHING
    assert answers(found["j@x"]) == ANSWERS
    assert found["Team A"].path.startswith("Team A_666")
    # Two groups of one name: nobody can tell whose is whose.
    files = {f"Team A_{n}_{MOODLE}/x.ipynb": WORK for n in (11, 12)}
    found = all_of(lay(tmp_path / "two", files), source, roster)
    assert found["j@x"].reason == found["r@x"].reason == NOTHING
    assert {w for w, one in found.items() if one.path} == {"Team A_11", "Team A_12"}
    # Two names that are one once Moodle has cleaned them.
    twice = roster_of(tmp_path, WORKSHEET.replace("Team_B", "Team-A"))
    found = all_of(
        lay(tmp_path / "one", {f"Team A_11_{MOODLE}/x.ipynb": WORK}), source, twice
    )
    assert found["j@x"].reason == found["l@x"].reason == NOTHING


@pytest.mark.parametrize("slug", [ASSIGNMENT, "3-1-self-attention", "homework-1"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_github_classroom(tmp_path, source, slug, form):
    files = {}
    for login in ("jdoe", "x-jdoe", "rick-p"):
        files[f"{slug}-{login}/.git/HEAD"] = b"ref: refs/heads/main"
        files[f"{slug}-{login}/.git/x.ipynb"] = OTHER
        files[f"{slug}-{login}/README.md"] = b"# hello"
        files[f"{slug}-{login}/{NAME}"] = WORK
    where = tmp_path / f"class.{form}"
    if form == "folder":
        lay(where, files)
    else:
        top = f"{slug}-submissions/"
        where.write_bytes(zipped({top + name: data for name, data in files.items()}))
    table = "identifier,github_username,github_id,name\njane,jdoe,1,\nr,rick-p,2,\n"
    found = all_of(where, source, roster_of(tmp_path, table))
    assert set(found) == {"jane", "r", "x-jdoe"}
    assert f"{slug}-jdoe/" in found["jane"].path
    assert f"{slug}-rick-p/" in found["r"].path
    assert answers(found["jane"]) == ANSWERS
    if slug != "homework-1":  # nothing else tells where a login begins
        assert list(all_of(where, source)) == ["jdoe", "rick-p", "x-jdoe"]


METADATA = """\
---
submission_567:
  :submitters:
  - :name: Jane Doe
    :sid: S1
    :email: J@x
  :created_at: 2024-05-01 12:00:00.500000000 Z
  :results:
    :output: "submission_9:\\n  :submitters: nobody"
  :history:
  - :created_at: 2020-01-01 12:00:00.000000000 Z
submission_568:
  :submitters:
  - :name: Rick Poe
    :sid: '1001'
    :email: r@x
  - :name: Lea Te
    :sid:
    :email: l@x
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: 2024-05-02 12:00:00.000000000 Z
"""
GRADESCOPE = {
    "submission_metadata.yml": METADATA.encode(),
    "submission_567/x.ipynb": WORK,
    "submission_567/timestamp.txt": b"2001-01-01",
    # A student's own, and not believed.
    "submission_567/submission_metadata.yml": b"submission_568:\n  :submitters: []",
    "submission_568/y.ipynb": WORK,
}


def as_form(where: Path, files: dict[str, bytes], form: str, top: str = "") -> Path:
    files = {top + name: data for name, data in files.items()}
    if form == "folder":
        return lay(where, files)
    where = where.with_suffix(f".{form}")
    where.write_bytes(zipped(files) if form == "zip" else tarred(files, "w:gz"))
    return where


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize("top", ["", "assignment_7_export/"])
def test_gradescope(tmp_path, source, form, top):
    where = as_form(tmp_path / "class", GRADESCOPE, form, top)
    # S1 is known by the e-mail address alone; 1001 is not the number of Canvas.
    found = all_of(where, source, roster_of(tmp_path))
    assert set(work_of(found)) == {"jdoe", "rick", "Lea Te"}
    assert "submission_567/x.ipynb" in found["jdoe"].path
    assert "submission_568/y.ipynb" in found["rick"].path
    assert found["jdoe"].timestamp == datetime(2024, 5, 1, 12, 0, 0, 500_000, UTC)
    assert found["rick"].timestamp == datetime(2024, 5, 2, 12, tzinfo=UTC)
    assert not any(one.needs_person for one in found.values())
    assert set(all_of(where, source)) == {"Jane Doe", "Lea Te", "Rick Poe"}


def test_gradescope_without_its_names(tmp_path, source):
    for name in ("missing", "broken"):
        files = dict(GRADESCOPE)
        del files["submission_metadata.yml"]
        if name == "broken":
            files["submission_metadata.yml"] = b"submission_568:\n  :submitters: ["
        where = as_form(tmp_path / name, files, "zip", "assignment_7_export/")
        found = all_of(where, source, roster_of(tmp_path))
        assert set(work_of(found)) == {"submission_567", "submission_568"}
        for who in work_of(found):
            (doubt,) = found[who].needs_person
            assert "Give the whole export, as it was downloaded." in doubt


def test_a_name_that_is_shown_on_gradescope_makes_nobody_another(tmp_path, source):
    files = dict(GRADESCOPE)
    files["submission_metadata.yml"] = METADATA.replace("Lea Te", "Jane Doe").encode()
    where = as_form(tmp_path / "class", files, "zip")
    found = all_of(where, source, roster_of(tmp_path))
    assert found["jdoe"].path.endswith("567/x.ipynb")
    (other,) = (one for who, one in found.items() if who not in ("jdoe", "rick"))
    assert other.needs_person
    del files["submission_567/x.ipynb"]
    where = as_form(tmp_path / "class", files, "zip")
    found = all_of(where, source, roster_of(tmp_path))
    assert "568" not in found["jdoe"].path


def test_two_who_are_one_on_the_roster_do_not_replace_each_other(tmp_path, source):
    table = "id,name\njdoe,Jane Doe\n"
    files = {"jdoe.ipynb": WORK, "Jane Doe.ipynb": OTHER, "jdoe (1).ipynb": WORK}
    found = all_of(lay(tmp_path / "a", files), source, roster_of(tmp_path, table))
    assert set(found) == {"jdoe", "Jane Doe"}
    assert answers(found["jdoe"]) == ANSWERS
    assert all(one.needs_person for one in found.values())
    table = "id,name\na1,Ann Lee\na2,Ann Lee\n"
    where = lay(tmp_path / "b", {"Ann Lee.ipynb": WORK})
    found = all_of(where, source, roster_of(tmp_path, table))
    assert found["a1"].reason == found["a2"].reason == NOTHING
    assert found["Ann Lee"].needs_person == (
        "Several students of the roster may be `Ann Lee`.",
    )


def test_marks_that_turn_the_text_around_are_not_shown(tmp_path, source):
    name = "ann\u202egpj.ipynb"
    files = {name: WORK, f"bob\u2066/{NAME}": b"{"}
    found = all_of(lay(tmp_path / "class", files), source)
    assert list(found) == ["ann_gpj", "bob_"]
    shown = [one.path + one.reason + "".join(one.repairs) for one in found.values()]
    assert not set("".join(shown)) & {"\u202e", "\u2066"}
