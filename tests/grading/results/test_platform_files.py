"""Marks and feedback go back to Moodle and Canvas, in files as these write them."""

import csv
import io
import zipfile
from dataclasses import replace

import pytest

from lmlib.grading.results.platform_files import read_sheet, write_files
from lmlib.grading.results.record import CellResult, Record
from lmlib.grading.results.report import write_feedback

NAME = "3.1-self-attention"

#: As Moodle's mod/assign/gradingtable.php writes it.
WORKSHEET = (
    "\ufeffIdentifier,\"Full name\",\"Email address\",Status,Grade,\"Maximum grade\","
    "\"Grade can be changed\",\"Last modified (submission)\",\"Last modified (grade)\","
    "\"Feedback comments\"\n"
    "\"Participant 1001\",\"Jane Doe\",j@x.org,\"Submitted for grading\",,36.00,Yes,"
    "\"Tuesday, 1 December 2026, 10:00 AM\",-,\n"
    "\"Participant 1002\",\"Rick _Roe_\",r@x.org,\"Submitted for grading\","
    "12.00,36.00,Yes,\"Tuesday, 1 December 2026, 10:00 AM\","
    "\"Wednesday, 2 December 2026, 9:00 AM\",\"Seen.\"\n"
    "\"Participant 1003\",\"=HYPERLINK(\"\"http://x\"\")\",e@x.org,\"No submission\",,"
    "36.00,Yes,-,-,\n"
    "\"Participant 1004\",\"Jane Doe\",j2@x.org,\"No submission\",,36.00,Yes,-,-,\n"
)  # fmt: skip

CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Notes,3.1 Self-attention (77),"
    "3.2 Pre-training (78),Current Score\n"
    ",,,,,,Manual Posting,,\n"
    "    Points Possible,,,,,,72.00,10.00,(read only)\n"
    "\"Doe, Jane\",501,s501,jdoe,\"A, B\",x,,5.00,50.00\n"
    "\"Roe, Rick\",502,s502,rick,A,,3.00,,\n"
    "\"Student, Test\",599,,abc,A,,,,\n"
)  # fmt: skip


def record(student, points, **changes) -> Record:
    cells = (CellResult("test_weighted_sum", float(points), 36.0, "passed"),)
    return replace(Record(student, NAME, "graded", cells=cells), **changes)


def written(path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def files(tmp_path, text, records) -> list[str]:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(text)
    for one in records:
        write_feedback(one, tmp_path)
    return write_files(read_sheet(sheet), records, tmp_path, NAME)


def test_moodles_worksheet_comes_back_with_the_marks(tmp_path):
    records = [
        record("jane", 30, platform="1001", penalty=3.0,
               comments=(("weighted_sum", "a < b,\nbut"),)),
        record("rick", 0, state="malformed", cells=(), name="Rick _Roe_"),
        record("=evil", 36, platform="1003", state="missing"),
        record("guest", 5, platform="77"),
    ]  # fmt: skip
    told = files(tmp_path, WORKSHEET, records)
    assert told == [
        "for Moodle: moodle.csv and moodle-feedback.zip",
        "not in the sheet of Moodle: guest",
    ]
    data = (tmp_path / "moodle.csv").read_bytes()
    assert data.startswith("\ufeffIdentifier,".encode())
    before = list(csv.reader(io.StringIO(WORKSHEET.lstrip("\ufeff"), newline="")))
    rows = written(tmp_path / "moodle.csv")
    assert rows[0] == before[0]
    assert rows[1][4] == "27"  # the penalty is off
    assert rows[1][9] == "weighted_sum: a &lt; b, but"
    assert rows[2] == before[2]  # no mark: what Moodle has stays
    assert rows[3][1] == '\'=HYPERLINK("http://x")'
    assert rows[4] == before[4]  # of the same name, and somebody else
    for new, old in zip(rows, before, strict=True):
        kept = [0, 2, 3, 5, 6, 7, 8]  # "-" is no formula
        assert [new[i] for i in kept] == [old[i] for i in kept]
    with zipfile.ZipFile(tmp_path / "moodle-feedback.zip") as archive:
        assert archive.namelist() == [
            f"Jane Doe_1001_assignsubmission_file_{NAME}.html",
            f"Rick  Roe_1002_assignsubmission_file_{NAME}.html",
        ]
        assert b"27 <small>of 36" in archive.read(archive.namelist()[0])
    # As is_valid_filename_for_import takes it apart.
    for name in archive.namelist():
        _, who, plugin, kind, rest = name.split("_", 4)
        assert (who.isdigit(), plugin, kind) == (True, "assignsubmission", "file")
        assert rest == f"{NAME}.html"


def test_canvas_gets_the_students_columns_and_one_assignment(tmp_path):
    records = [
        record("jdoe", 30, email="jane@x.org"),
        record("Rick Roe", 36, platform="502"),
        record("abc", 0, state="missing"),
    ]
    told = files(tmp_path, CANVAS, records)
    assert told == [
        "for Canvas: canvas.csv",
        "Canvas gives 72 points for it and we 36: marks are scaled",
    ]
    assert written(tmp_path / "canvas.csv") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section",
         "3.1 Self-attention (77)"],
        ["", "", "", "", "", "Manual Posting"],
        ["    Points Possible", "", "", "", "", "72.00"],
        ["Doe, Jane", "501", "s501", "jdoe", "A, B", "60"],
        ["Roe, Rick", "502", "s502", "rick", "A", "72"],
        ["Student, Test", "599", "", "abc", "A", ""],
    ]  # fmt: skip


def test_moodle_in_another_language_and_with_another_maximum(tmp_path):
    text = (
        "ID;Vollständiger Name;E-Mail-Adresse;Status;Bewertung;Beste Bewertung\n"
        "Teilnehmer/in1001;Jane Doe;j@x.org;Abgegeben;;100,00\n"
    )
    told = files(tmp_path, text, [record("jane", 40, email="J@x.org")])
    assert (tmp_path / "moodle.csv").read_text("utf-8").splitlines()[1] == (
        "Teilnehmer/in1001;Jane Doe;j@x.org;Abgegeben;100;100,00"
    )
    assert "Moodle gives 100 points for it and we 36: marks are scaled" in told
    assert "Moodle takes no more than 100: jane has 111.11" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "is neither a grading worksheet of Moodle"),
        ("", "is neither a grading worksheet"),
        (WORKSHEET.replace("Grade,", "Arvosana,"), "has no column 'Grade'"),
        (CANVAS.replace("3.1 Self-attention", "One").replace("3.2 Pre", "Two"),
         r"It has One \(77\), Two-training \(78\)"),
    ],
)  # fmt: skip
def test_other_files_are_told(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        files(tmp_path, text, [record("jdoe", 1)])
