"""exercises/ is what solutions/ makes it, and holds no answer."""

import contextlib
import io
import re

import nbformat
import pytest

from lmlib.exercises.registry import EXERCISES, SECTIONS
from lmlib.grading import assignment
from lmlib.grading.examination import examiner
from lmlib.grading.submissions.repair import Assignment
from tests.grading import sample_class


@pytest.mark.parametrize("solution", assignment.solutions(), ids=lambda path: path.stem)
def test_exercises_are_in_sync_with_solutions(solution, tmp_path):
    made = assignment.release(solution, tmp_path / "exercises", tmp_path / "course")
    committed = assignment.ROOT / "exercises" / solution.stem / made.name
    assert made.read_text() == committed.read_text(), "run `make exercises` and commit"


def test_every_assignment_is_released_and_nothing_else():
    names = {path.stem for path in assignment.solutions()}
    found = assignment.ROOT.glob("exercises/**/*")
    files = {
        p.relative_to(assignment.ROOT / "exercises")
        for p in found
        if p.is_file() and ".ipynb_checkpoints" not in p.parts  # somebody looked
    }
    assert {str(path) for path in files} == {f"{n}/{n}.ipynb" for n in names}
    assert names == set(SECTIONS)


@pytest.mark.parametrize("solution", assignment.solutions(), ids=lambda path: path.stem)
def test_student_notebook_holds_no_answer_and_no_hidden_test(solution):
    path = assignment.ROOT / "exercises" / solution.stem / f"{solution.stem}.ipynb"
    text = path.read_text()
    for mark in ("BEGIN SOLUTION", "BEGIN HIDDEN", "hidden=True", "END "):
        assert mark not in text
    student = nbformat.read(path, as_version=4)
    ours = {cell.id: cell for cell in assignment.read_source(solution).cells}
    for cell in student.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            answer = re.search(
                r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", ours[cell.id].source, re.S
            )
            for line in answer[1].splitlines():
                # A line such as `)` or `answers = {` is no answer.
                opens = re.fullmatch(r"\w+ = [\[{(]", line.strip()) is not None
                has_words = re.search(r"\w", line) is not None and not opens
                assert not has_words or line.strip() not in cell.source
        assert not cell.get("outputs")


def test_every_exercise_is_in_its_assignment_with_its_points():
    for solution in assignment.solutions():
        notebook = assignment.read_source(solution)
        points = {
            cell.id.removeprefix("test_"): cell.metadata.nbgrader.points
            for cell in notebook.cells
            if cell.id.startswith("test_") and not examiner.is_contest(cell)
        }
        section = solution.stem.split("-")[0]
        expected = {
            e.short_name: e.points
            for e in EXERCISES.values()
            if e.name.startswith(f"{section}/")
        }
        assert points == expected


def run(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Run the code cells in order; what each printed or raised, by its id."""
    namespace: dict = {}
    output = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id == "given_plot":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(cell.source, namespace)
            except Exception as error:
                print(type(error).__name__)
        output[cell.id] = printed.getvalue()
    return output


def test_student_notebook_as_it_comes_says_what_is_to_be_done():
    output = run(sample_class.fill({}))
    tests = {name: text for name, text in output.items() if name.startswith("test_")}
    assert len(tests) == len(sample_class.EXERCISES)
    for text in tests.values():
        assert re.fullmatch(r"3\.1/\w+: 0 of \d points\. Not written yet\.\n", text), (
            text
        )


@pytest.mark.parametrize("solution", assignment.solutions(), ids=lambda path: path.stem)
def test_solution_notebook_is_right_in_visible_and_hidden_tests(solution):
    output = run(assignment.read_source(solution))
    for exercise in SECTIONS[solution.stem].EXERCISES:
        text = output[f"test_{exercise.short_name}"]
        full = f"{exercise.points} of {exercise.points} points"
        assert text.count(full) == 2, text


def test_a_picture_is_a_locked_cell_with_a_tag(tmp_path):
    path = tmp_path / "3.1-self-attention.py"
    path.write_text('# %% picture="plot"\nx = 1\n\n# %% given="data"\ny = 1')
    picture, given = assignment.read_source(path).cells
    assert picture.metadata.tags == ["picture"]
    assert "tags" not in given.metadata
    for cell, name in ((picture, "given_plot"), (given, "given_data")):
        assert cell.metadata.nbgrader.grade_id == name
        assert cell.metadata.nbgrader.locked
        assert not cell.metadata.nbgrader.solution


# -- Mistakes of authors --------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('# %% solution="weighted_sum"\nx = 1', "no exercise and test"),
        ('# %% solution="weighted_smu"\nx = 1', "weighted_sum"),
        ('# %% test="weighted_sum" solution="weighted_sum"\nx = 1', "one role only"),
        (
            '# %% given="plot"\nx = 1\n\n# %% given="plot"\ny = 1',
            "two cells are named given_plot",
        ),
    ],
)
def test_mistakes_in_the_source_are_told(tmp_path, source, words):
    path = tmp_path / "3.1-self-attention.py"
    path.write_text(source)
    with pytest.raises((ValueError, KeyError), match=words):
        assignment.read_source(path)


def test_failure_of_nbgrader_is_told_with_its_log(tmp_path):
    with pytest.raises(RuntimeError, match="no-such-assignment"):
        assignment.nbgrader(
            "generate_assignment", "no-such-assignment", course=tmp_path
        )


def test_the_course_may_lie_in_a_folder_with_brackets(tmp_path):
    course = tmp_path / "ML [2024]*" / "course"
    course.mkdir(parents=True)
    assignment.enter(sample_class.SOLUTION, course)
    name = sample_class.ASSIGNMENT
    assert (course / "release" / name / f"{name}.ipynb").is_file()
    assert (course / "gradebook.db").is_file()
    assert not (course / "release" / name).is_symlink()


BY_HAND = """
# %% [markdown]
# Why are the scores divided by √d? (3 points)

# %% [markdown] by_hand="why" points=3
# Their variance would be d.

# %% by_hand="code" points=2
width = 64
"""


def test_an_answer_that_a_person_grades(tmp_path):
    path = tmp_path / "3.1-essay.py"
    path.write_text(BY_HAND)
    cells = {cell.id: cell for cell in assignment.read_source(path).cells}
    for name, points in (("why", 3), ("code", 2)):
        about = cells[name].metadata.nbgrader
        assert (about.grade, about.solution, about.locked) == (True, True, False)
        assert about.points == points
    assert "variance" in cells["why"].source
    handed_out = Assignment(assignment.read_source(path)).parts
    assert handed_out["why"].released == "YOUR ANSWER HERE"
    assert "64" not in handed_out["code"].released
    path.write_text(BY_HAND.replace(" points=2", ""))
    with pytest.raises(ValueError, match="by_hand='code' needs points="):
        assignment.read_source(path)
