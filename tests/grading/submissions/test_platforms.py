"""Whose a file is: layouts of platforms, and which of several files counts."""

import os
import zipfile
from pathlib import Path

import pytest

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
