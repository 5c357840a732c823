"""Records in nbgrader's gradebook: the same as if nbgrader had graded, and safe."""

import csv
import html
import os
import re
import shutil
import sqlite3
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook, InvalidEntry, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.plugins import CsvExportPlugin
from sqlalchemy.exc import SAWarning
from traitlets.config import PyFileConfigLoader

from lmlib.grading import assignment
from lmlib.grading.results import deadlines
from lmlib.grading.results.gradebook import (
    GradebookError,
    GradebookLocked,
    outputs,
    write_records,
)
from lmlib.grading.results.record import CellResult, Record
from tests.grading import sample_class

STUDENTS = ["classic-mistakes", "errors-everywhere", "first-three"]


# -- Side by side with nbgrader -------------------------------------------------------


def result(name, points, full, state, output="") -> CellResult:
    return CellResult(name, float(points), float(full), state, output)


def record_of(student: str, notebook: NotebookNode) -> Record:
    """By hand, from the marks that sample_class has worked out by hand."""
    marks = dict(zip(sample_class.EXERCISES, sample_class.MARKS[student], strict=True))
    cells = [
        result(
            f"test_{name}",
            marks[name],
            full,
            "passed" if marks[name] == full else "failed",
            f"The report of {name}",
        )
        for name, full in zip(sample_class.EXERCISES, sample_class.FULL, strict=True)
    ]
    answers = tuple(
        (cell.id, cell.source) for cell in notebook.cells if utils.is_solution(cell)
    )
    return Record(student, sample_class.ASSIGNMENT, "failed tests", "", tuple(cells),
                  answers=answers)  # fmt: skip


def contents(course) -> dict:
    """All that a gradebook says of each student, but for its random ids."""
    found = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for assigned in gradebook.assignments:
            for submission in assigned.submissions:
                (notebook,) = submission.notebooks
                grades = [grade.to_dict() for grade in notebook.grades]
                comments = [comment.to_dict() for comment in notebook.comments]
                whole = notebook.to_dict()
                for row in (*grades, *comments, whole):
                    del row["id"]
                found[submission.student.id] = {
                    "grades": sorted(grades, key=lambda row: row["name"]),
                    "comments": sorted(comments, key=lambda row: row["name"]),
                    "notebook": whole,
                    "timestamp": submission.timestamp,
                    "penalty": notebook.late_submission_penalty,
                }
    return found


def api(course) -> NbGraderAPI:
    """nbgrader in this process, configured by nbgrader_config.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMLIB_COURSE", str(course))
        patch.setenv("PATH", os.environ["PATH"])
        loader = PyFileConfigLoader("nbgrader_config.py", path=str(assignment.ROOT))
        config = loader.load_config()
    config.LateSubmissionPlugin.penalty_method = "zero"
    return NbGraderAPI(config=config)


def nbgrader(command: str, course, *arguments, **options) -> None:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own, when it adds a row
        # nbgrader calls `alembic` when it makes a gradebook.
        here = str(Path(sys.executable).parent)
        patch.setenv("PATH", os.pathsep.join((here, os.environ["PATH"])))
        done = getattr(api(course), command)(*arguments, **options)
    assert done["success"], done["log"]


def exported(course) -> list[dict[str, str]]:
    """What `nbgrader export` says, run in this process."""
    plugin = CsvExportPlugin(to=str(course / "marks.csv"))
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        plugin.export(gradebook)
    with (course / "marks.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def courses(tmp_path_factory):
    """The same three submissions, graded by nbgrader and written from records."""
    stock = tmp_path_factory.mktemp("class") / "stock"
    ours = stock.with_name("ours")
    notebooks = sample_class.submissions()
    for student in STUDENTS:
        folder = stock / "submitted" / student / sample_class.ASSIGNMENT
        folder.mkdir(parents=True)
        nbformat.write(notebooks[student], folder / f"{sample_class.ASSIGNMENT}.ipynb")
    assignment.write_source(sample_class.SOLUTION, stock / "source")
    name = sample_class.ASSIGNMENT
    nbgrader("generate_assignment", stock, name, force=True, create=True)
    shutil.copytree(stock, ours)
    nbgrader("autograde", stock, name, "*")
    records = [record_of(student, notebooks[student]) for student in STUDENTS]
    assert write_records(ours, records) == []
    return stock, ours


def test_gradebook_and_export_are_those_of_nbgrader(courses):
    stock, ours = courses
    assert contents(stock).keys() == set(STUDENTS)
    assert contents(ours) == contents(stock)
    rows = exported(ours)
    assert rows == exported(stock)
    assert {row["student_id"]: row["score"] for row in rows} == {
        student: str(float(sum(sample_class.MARKS[student]))) for student in STUDENTS
    }


def test_autograded_notebook_differs_from_nbgraders_in_outputs_alone(courses):
    name = sample_class.ASSIGNMENT
    for student in STUDENTS:
        theirs, mine = (
            nbformat.read(c / "autograded" / student / name / f"{name}.ipynb", 4)
            for c in courses
        )
        nbformat.validate(mine)
        assert len(mine.cells) == len(theirs.cells)
        for a, b in zip(mine.cells, theirs.cells, strict=True):
            b.metadata.pop("execution", None)
            assert a.metadata == b.metadata
            assert a.id == b.id
            if not utils.is_grade(a):
                assert a.source == b.source
            else:
                # nbgrader puts the hidden tests back, and then shows them to students.
                assert "HIDDEN" in b.source
                assert "HIDDEN" not in a.source
                assert utils.determine_grade(a) == utils.determine_grade(b)


def test_feedback_is_made_from_it_and_shows_no_hidden_test(courses):
    _, ours = courses
    name, student = sample_class.ASSIGNMENT, "first-three"
    nbgrader("generate_feedback", ours, name, student)
    page = (ours / "feedback" / student / name / f"{name}.html").read_text()
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "(Score: 11.0 / 36.0)" in text
    assert "The report of split_heads" in text
    assert "hidden=True" not in text


# -- Manual grading, and what happens on the second writing ---------------------------

NAME = "small"
SOURCE = [
    ("code", "answer", {"solution": True, "locked": False}, "x = 1"),
    ("code", "test_answer", {"grade": True, "points": 3}, "assert x == 2"),
    ("code", "test_more", {"grade": True, "points": 2}, "assert x == 2"),
    (
        "markdown",
        "essay",
        {"grade": True, "solution": True, "locked": False, "points": 5},
        "Write here.",
    ),
    (
        "markdown",
        "task",
        {"task": True, "points": 1},
        "Draw something.\n=== BEGIN MARK SCHEME ===\n1 point\n=== END MARK SCHEME ===",
    ),
]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    course = tmp_path_factory.mktemp("small") / "course"
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": assignment.KERNEL})
    for kind, name, changes, source in SOURCE:
        new = getattr(nbformat.v4, f"new_{kind}_cell")
        cell = new(source, id=name)
        points = changes.get("points")
        cell.metadata.nbgrader = assignment.nbgrader_metadata(name, "test", None)
        cell.metadata.nbgrader.update(changes, cell_type=kind)
        assert points is None or cell.metadata.nbgrader.points == points
        notebook.cells.append(cell)
    folder = course / "source" / NAME
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    nbgrader("generate_assignment", course, NAME, force=True, create=True)
    return course


@pytest.fixture
def course(released, tmp_path):
    return shutil.copytree(released, tmp_path / "course")


def small(state="graded", score=(3, 2), essay="I think so.", **changes) -> Record:
    cells = tuple(
        result(name, points, full, "passed" if points == full else "failed", "Ran.")
        for name, points, full in zip(
            ("test_answer", "test_more"), score, (3, 2), strict=True
        )
    )
    answers = (("answer", "x = 2"), ("essay", essay))
    record = Record("s01", NAME, state, cells=cells, answers=answers)
    return replace(record, **changes)


def grades(course, student="s01") -> dict:
    return {
        row["name"]: (row["auto_score"], row["manual_score"], row["needs_manual_grade"])
        for row in contents(course)[student]["grades"]
    }


def comments(course) -> dict:
    rows = contents(course)["s01"]["comments"]
    return {row["name"]: (row["auto_comment"], row["manual_comment"]) for row in rows}


def autograded(course, student="s01"):
    return course / "autograded" / student / NAME / f"{NAME}.ipynb"


def by_hand(course, cell, **values):
    """What formgrader does when a person gives points or writes a comment."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        if "manual_comment" in values:
            thing = gradebook.find_comment(cell, NAME, NAME, "s01")
        else:
            thing = gradebook.find_grade(cell, NAME, NAME, "s01")
            thing.needs_manual_grade = False
        for name, value in values.items():
            setattr(thing, name, value)
        gradebook.db.commit()


def test_cells_that_a_person_grades_wait_for_formgrader(course):
    write_records(course, [small()])
    assert grades(course) == {
        "test_answer": (3, None, False),
        "test_more": (2, None, False),
        "essay": (None, None, True),
        "task": (None, None, True),
    }
    write_records(course, [small(essay="YOUR ANSWER HERE")])
    assert grades(course)["essay"] == (0, None, False)
    assert comments(course)["essay"] == ("No response.", None)


def test_late_and_manual_submissions_come_out_as_in_nbgrader(course):
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate="2026-01-01 00:00:00 UTC")
    folder = course / "submitted" / "s01" / NAME
    folder.mkdir(parents=True)
    (folder / "timestamp.txt").write_text("2026-01-02 00:00:00 UTC\n")
    notebook = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", 4)
    notebook.cells[0].source = "x = 2"
    notebook.cells[3].source = "I think so."
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    twin = shutil.copytree(course, course.with_name("twin"))
    nbgrader("autograde", twin, NAME, "s01")
    assert write_records(course, [small()], config=api(course).config) == []
    assert contents(twin)["s01"]["penalty"] == 5
    assert contents(course) == contents(twin)
    # formgrader takes a submission for ungraded if these two differ.
    assert api(course).get_autograded_students(NAME) == {"s01"}
    timestamp = autograded(course).with_name("timestamp.txt").read_text().strip()
    assert utils.parse_utc(timestamp) == contents(twin)["s01"]["timestamp"]


PLUGIN = """
from nbgrader.plugins import LateSubmissionPlugin

class ADay(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.2 * score * total_seconds_late / 86400

c = get_config()
c.AssignLatePenalties.plugin_class = ADay
c.NbGraderAPI.timezone = "Asia/Shanghai"
"""


def test_extensions_and_the_courses_own_plugin_count_as_in_nbgrader(course):
    (course / "nbgrader_config.py").write_text(PLUGIN)
    deadlines.set_due(course, NAME, deadlines.moment("2026-01-01T08:00+08:00"))
    (course / "extensions.csv").write_text(
        "student,assignment,due\n"
        f"s02,{NAME},2026-01-02T00:00Z\n"
        f"s03,{NAME},2025-01-02T00:00Z\n"
        "s01,another,2026-02-01T00:00Z\n"
    )
    notebook = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", 4)
    notebook.cells[0].source = "x = 2"
    notebook.cells[3].source = "I think so."
    students = ("s01", "s02", "s03")
    for student in students:
        folder = course / "submitted" / student / NAME
        folder.mkdir(parents=True)
        (folder / "timestamp.txt").write_text("2026-01-02 12:00:00 UTC\n")
        nbformat.write(notebook, folder / f"{NAME}.ipynb")
    twin = shutil.copytree(course, course.with_name("twin"))
    nbgrader("autograde", twin, NAME, "*")
    found: list[Record] = []
    options = {
        "config": assignment.nbgrader_config(course),
        "extensions": deadlines.read_extensions(course),
    }
    records = [replace(small(), student=student) for student in students]
    assert write_records(course, records, sent=found.append, **options) == []
    assert contents(course) == contents(twin)
    # A day and a half late, half a day, and an extension that ends too soon is none.
    assert [record.penalty for record in found] == pytest.approx([1.5, 0.5, 1.5])
    assert [record.late / 3600 for record in found] == [36, 12, 36]
    assert [record.score for record in found] == pytest.approx([3.5, 4.5, 3.5])
    assert found[1].due == "2026-01-02T08:00:00+08:00"
    assert found[1].handed_in == "2026-01-02T20:00:00+08:00"
    rows = {row["student_id"]: float(row["score"]) for row in exported(course)}
    assert rows == pytest.approx({r.student: r.score for r in found})
    # It survives, and an extension that nbgrader itself has granted does so, too.
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.grant_extension(NAME, "s01", days=2)
    assert write_records(course, records, sent=found.append, **options) == []
    assert [record.penalty for record in found[3:]] == pytest.approx([0, 0.5, 1.5])


def test_no_due_date_is_never_late_and_a_plugin_that_fails_is_told(course):
    (course / "nbgrader_config.py").write_text(PLUGIN.replace("0.2", "(1 / 0)"))
    config = assignment.nbgrader_config(course)
    late = small(handed_in="2026-01-02T12:00:00+00:00")
    found: list[Record] = []
    assert write_records(course, [late], config=config, sent=found.append) == []
    # nbgrader itself fails on an extension of nothing.
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.grant_extension(NAME, "s01", days=1)
    assert write_records(course, [late], config=config, sent=found.append) == []
    assert [(record.due, record.late, record.penalty) for record in found] == [
        ("", 0, 0)
    ] * 2
    deadlines.set_due(course, NAME, deadlines.moment("2026-01-01T00:00Z"))
    before = contents(course)
    other = replace(late, student="s02")
    (problem,) = write_records(course, [other], config=config)
    assert "s02: nbgrader_config.py's plugin for late submissions failed" in problem
    assert "ZeroDivisionError" in problem
    assert contents(course)["s01"] == before["s01"]
    (course / "nbgrader_config.py").write_text("import no_such_module")
    with pytest.raises(ValueError, match="cannot be used: ModuleNotFoundError"):
        assignment.nbgrader_config(course)


def test_writing_twice_changes_nothing(course):
    write_records(course, [small()])
    by_hand(course, "essay", manual_score=4.0)
    by_hand(course, "test_more", manual_score=1.0, extra_credit=0.5)
    by_hand(course, "answer", manual_comment="Well done.")
    before, notebook = contents(course), autograded(course).read_bytes()
    write_records(course, [small(), small()])
    assert contents(course) == before
    assert autograded(course).read_bytes() == notebook
    assert before["s01"]["notebook"]["score"] == 3 + 1 + 0.5 + 4


def test_regrading_replaces_automatic_scores_and_keeps_a_persons(course):
    write_records(course, [small(score=(0, 2))])
    by_hand(course, "essay", manual_score=4.0)
    by_hand(course, "test_more", manual_score=1.0, extra_credit=0.5)
    by_hand(course, "essay", manual_comment="A good start.")
    write_records(course, [small(score=(3, 2))])
    assert grades(course)["test_answer"] == (3, None, False)
    assert grades(course)["test_more"] == (2, 1.0, False)
    assert grades(course)["essay"] == (None, 4.0, False)
    # The person has not seen what has changed since.
    write_records(course, [small(score=(3, 0), essay="On second thoughts, no.")])
    assert grades(course)["test_more"] == (0, 1.0, True)
    assert grades(course)["essay"] == (None, 4.0, True)
    assert comments(course)["essay"] == (None, "A good start.")
    assert contents(course)["s01"]["grades"][2]["extra_credit"] is None
    rows = {row["name"]: row for row in contents(course)["s01"]["grades"]}
    assert rows["test_more"]["extra_credit"] == 0.5


def test_what_is_sent_out_is_what_the_gradebook_has(course):
    found: list[Record] = []
    write_records(course, [small(score=(3, 0))], sent=found.append)
    assert replace(found[0], cells=found[0].cells[:2], needs_person=()) == small(
        score=(3, 0)
    )  # nobody has looked at it
    assert {cell.grade_id: cell.state for cell in found[0].cells[2:]} == {
        "essay": "waiting", "task": "waiting",
    }  # fmt: skip
    assert found[0].needs_person == (
        "essay waits for your points.", "task waits for your points.",
    )  # fmt: skip
    assert (found[0].points, found[0].max_points) == (3, 3 + 2 + 5 + 1)
    by_hand(course, "test_more", manual_score=1.5)
    by_hand(course, "essay", manual_score=4.0)
    by_hand(course, "test_answer", extra_credit=0.5)
    by_hand(course, "task", extra_credit=0.5)  # nbgrader does not count it
    by_hand(course, "essay", manual_comment="A good start.")
    write_records(course, [small(score=(3, 0))], sent=found.append)
    kept = found[1]
    assert {cell.grade_id: (cell.points, cell.automatic) for cell in kept.cells} == {
        "test_answer": (3.5, 3), "test_more": (1.5, 0), "essay": (4, 0),
        "task": (0, None),
    }  # fmt: skip
    assert kept.needs_person == ()
    assert {cell.grade_id: cell.state for cell in kept.cells}["essay"] == "by hand"
    assert kept.comments == (("essay", "A good start."),)
    assert kept.points == contents(course)["s01"]["notebook"]["score"]
    assert (kept.automatic, kept.max_points) == (3, 3 + 2 + 5 + 1)
    write_records(course, [small("malformed", cells=(), answers=())], sent=found.append)
    assert found[2].has_mark
    assert found[2].points == contents(course)["s01"]["notebook"]["score"]


# -- States ---------------------------------------------------------------------------


def test_malformed_is_no_silent_zero(course):
    reason = "The file is not JSON: it ends in the middle <script>alert(1)</script>."
    write_records(course, [small("malformed", cells=(), answers=(), reason=reason)])
    assert {flags for *_, flags in grades(course).values()} == {True}
    assert {auto for auto, *_ in grades(course).values()} == {None}
    assert comments(course)["answer"][0].startswith(
        "This submission could not be graded. The file is not JSON"
    )
    (row,) = api(course).get_submissions(NAME)
    assert row["needs_manual_grade"]
    note = nbformat.read(autograded(course), 4).cells[0]
    assert "malformed: The file is not JSON" in note.source
    assert "<script" not in note.source
    # Handed in anew, and readable this time.
    write_records(course, [small()])
    assert grades(course)["test_answer"] == (3, None, False)
    assert comments(course)["answer"] == (None, None)
    assert nbformat.read(autograded(course), 4).cells[0].id == "answer"


def test_missing_is_no_submission(course):
    missing = Record("s01", NAME, "missing", "No notebook was handed in.")
    write_records(course, [missing])
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_student("s01").score == 0
        with pytest.raises(MissingEntry):
            gradebook.find_submission(NAME, "s01")
    assert api(course).get_submissions(NAME) == []
    write_records(course, [small(), missing])
    assert contents(course) == {}
    assert not autograded(course).exists()


def test_missing_after_a_person_graded_loses_nothing(course):
    write_records(course, [small()])
    by_hand(course, "essay", manual_score=4.0)
    write_records(course, [Record("s01", NAME, "missing", "Withdrawn.")])
    assert grades(course)["essay"] == (None, 4.0, True)
    assert grades(course)["test_answer"] == (None, None, True)


def test_timed_out_and_crashed_cells_are_zero_and_marked_for_the_person(course):
    cells = (
        result("test_answer", 0, 3, "timed out", "It ran for more than 10 s."),
        result("test_more", 2, 2, "passed"),
    )
    record = small("timed out", cells=cells, needs_person=("Looks like a loop.",))
    write_records(course, [record])
    assert grades(course)["test_answer"] == (0, None, True)
    assert grades(course)["test_more"] == (2, None, False)
    write_records(course, [replace(record, needs_person=())])
    assert grades(course)["test_answer"] == (0, None, True)  # as on the class's page
    write_records(course, [replace(record, state="failed tests", needs_person=())])
    assert grades(course)["test_answer"] == (0, None, False)
    assert "Looks like a loop" not in autograded(course).read_text()
    (error,) = [
        output
        for cell in nbformat.read(autograded(course), 4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert error.ename == "timed out"


@pytest.mark.parametrize("points", [0, 0.5, 2, 3])
@pytest.mark.parametrize("state", ["passed", "failed", "timed out", "crashed"])
def test_outputs_say_the_points_in_nbgraders_language(points, state):
    cell = nbformat.v4.new_code_cell()
    cell.metadata.nbgrader = assignment.nbgrader_metadata("t", "test", 3)
    cell.outputs = outputs(result("t", points, 3, state, "0.25\n"))
    assert utils.determine_grade(cell) == (points, 3)


# -- What goes wrong ------------------------------------------------------------------


def test_without_gradebook_or_assignment_it_says_what_to_do(course, tmp_path):
    with pytest.raises(GradebookError, match=r"no gradebook at .* Release"):
        write_records(tmp_path, [small()])
    assert not (tmp_path / "gradebook.db").exists()
    with pytest.raises(GradebookError, match="no assignment 'other'"):
        write_records(course, [replace(small(), assignment="other")])
    shutil.rmtree(course / "release")
    with pytest.raises(GradebookError, match="no released notebook"):
        write_records(course, [small()])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cells": (result("test_new", 0, 1, "failed"),)}, "no test cell"),
        ({"cells": (result("test_answer", 0, 4, "failed"),)}, "4 points"),
        ({"cells": (result("test_answer", 9, 3, "failed"),)}, "9 of 3"),
        ({"cells": (result("test_answer", float("nan"), 3, "x"),)}, "nan of 3"),
        ({"student": "../s01"}, "cannot be the name"),
        ({"student": "s\n01"}, "cannot be the name"),
        ({"student": "<img src=x onerror=1>"}, "cannot be the name"),
    ],
)
def test_one_record_that_does_not_fit_stops_no_other(course, change, says):
    good = replace(small(), student="s02")
    (problem,) = write_records(course, [replace(small(), **change), good])
    assert says in problem
    assert contents(course).keys() == {"s02"}
    assert sorted(p.name for p in (course / "autograded").iterdir()) == ["s02"]


def test_locked_database_is_waited_for(course):
    other = sqlite3.connect(
        course / "gradebook.db", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.6, other.rollback)
    release.start()
    assert write_records(course, [small()], patience=20.0) == []
    release.join()
    assert grades(course)["test_answer"] == (3, None, False)


def test_database_that_stays_locked_is_an_error_and_loses_nothing(course):
    write_records(course, [small(score=(0, 0))])
    before, notebook = contents(course), autograded(course).read_bytes()
    other = sqlite3.connect(course / "gradebook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(GradebookLocked, match="locked for") as caught:
        write_records(course, [small()], patience=0.3)
    assert caught.value.written == ()
    assert time.monotonic() - start < 10
    other.rollback()
    assert contents(course) == before
    assert autograded(course).read_bytes() == notebook
    write_records(course, [small()])
    assert grades(course)["test_answer"] == (3, None, False)


def test_full_disk_is_told_in_a_line_and_loses_nothing(course, monkeypatch):
    real = Gradebook.update_or_create_submission

    def full(self, name, student, **kept):
        if student == "s02":  # as nbgrader passes on what SQLite says
            raise InvalidEntry("(sqlite3.OperationalError) database or disk is full")
        return real(self, name, student, **kept)

    monkeypatch.setattr(Gradebook, "update_or_create_submission", full)
    records = [replace(small(), student=f"s0{i}") for i in (1, 2, 3)]
    with pytest.raises(GradebookError, match=r"no room .* 1 submissions are written"):
        write_records(course, records)
    monkeypatch.undo()
    assert write_records(course, records) == []
    assert set(contents(course)) == {"s01", "s02", "s03"}


def test_hostile_text_reaches_the_notebook_as_text(course):
    evil = "\x1b[31mred\x00\u202e</script>\ud800" + "x" * 1_000_000
    cells = (result("test_answer", 0, 3, "failed", evil),)
    record = small(cells=cells, answers=(("answer", evil),), repairs=(evil,))
    assert write_records(course, [record]) == []
    notebook = nbformat.read(autograded(course), 4)
    nbformat.validate(notebook)
    cell = next(c for c in notebook.cells if c.id == "test_answer")
    assert len(cell.outputs[0].text) < 1000
    assert "not shown" in cell.outputs[0].text
    assert "\x1b" not in cell.outputs[0].text
    assert "</script" not in notebook.cells[0].source


def test_cells_that_a_student_added_are_shown_where_they_were(course):
    answers = (
        ("cell 1", "import math"),
        ("answer", "x = two()"),
        ("text 4", "Why *two*?"),
        ("cell 5", "def two(): return 2"),
        ("essay", "I think so."),
        ("cell 9", "print(x)"),
    )
    assert write_records(course, [small(answers=answers)]) == []
    before = autograded(course).read_bytes()
    cells = nbformat.read(autograded(course), 4).cells
    kinds = {"code": "cell", "markdown": "text"}
    shown = [
        (cell.id, kinds[cell.cell_type], cell.source)
        if cell.id.startswith("added")
        else cell.id
        for cell in cells
    ]
    assert shown == [
        ("added-1", "cell", "import math"),
        "answer",
        ("added-4", "text", "Why *two*?"),
        ("added-5", "cell", "def two(): return 2"),
        "test_answer",
        "test_more",
        "essay",
        ("added-9", "cell", "print(x)"),
        "task",
    ]
    assert write_records(course, [small(answers=answers)]) == []
    assert autograded(course).read_bytes() == before


def test_timestamp_of_a_student_is_read_with_care(course, tmp_path):
    folder = course / "submitted" / "s01" / NAME
    folder.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("2026-01-02 00:00:00 UTC")
    (folder / "timestamp.txt").symlink_to(elsewhere)
    write_records(course, [small()])
    assert contents(course)["s01"]["timestamp"] is None
    (folder / "timestamp.txt").unlink()
    (folder / "timestamp.txt").write_text("yesterday, I swear")
    assert write_records(course, [small()]) == []
    assert contents(course)["s01"]["timestamp"] is None


def test_export_lists_every_state(course):
    records = [
        small(),
        replace(small("malformed", cells=(), answers=()), student="s02"),
        Record("s03", NAME, "missing"),
    ]
    write_records(course, records)
    rows = {row["student_id"]: row["score"] for row in exported(course)}
    assert rows == {"s01": "5.0", "s02": "0.0", "s03": "0.0"}


def test_a_name_is_no_formula_to_a_spreadsheet(course):
    people = {"s01": {"first_name": "=1+1", "last_name": "@SUM(A1)", "email": "+a@b"}}
    assert not write_records(course, [small()], people=people)
    (row,) = [row for row in exported(course) if row["student_id"] == "s01"]
    assert (row["first_name"], row["last_name"]) == ("1+1", "SUM(A1)")
    assert row["email"] == "a@b"
