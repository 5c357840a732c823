"""A class of made-up submissions, graded by nbgrader itself: `make grade`.

Every submission is the student's notebook with some cells filled in. The marks that
each must get are written down in `MARKS`, worked out by hand from the points of the
parts; tests/test_grading.py compares.
"""

import csv
import inspect
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from lmlib.exercises.registry import SECTIONS, find_exercise
from lmlib.exercises.self_attention import other_solutions
from lmlib.grading import assignment

ASSIGNMENT = "3.1-self-attention"
EXERCISES = [exercise.short_name for exercise in SECTIONS[ASSIGNMENT].EXERCISES]
SOLUTION = assignment.ROOT / "solutions" / ASSIGNMENT / f"{ASSIGNMENT}.py"
STUDENT_NOTEBOOK = assignment.ROOT / "exercises" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"

Answers = dict[str, str]


# -- Filling in -----------------------------------------------------------------------


def fill(answers: Answers) -> NotebookNode:
    """The student's notebook with the cells of `answers` replaced."""
    notebook = nbformat.read(STUDENT_NOTEBOOK, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    for name, source in answers.items():
        cells[name].source = source
    return notebook


def solution() -> Answers:
    source = assignment.read_source(SOLUTION)
    return {cell.id: cell.source for cell in source.cells if cell.id in EXERCISES}


def source_of(function: Callable, name: str) -> str:
    """The text of `function`, renamed to what the exercise asks for."""
    text = textwrap.dedent(inspect.getsource(function))
    return re.sub(rf"\bdef {function.__name__}\b", f"def {name}", text, count=1)


def written_as(style: Callable) -> Answers:
    """All answers of one of the styles in the section's other_solutions.py."""
    answers = vars(style())
    return {
        name: source_of(answers[name], name)
        if callable(answers[name])
        else f"{name} = {answers[name]!r}"
        for name in EXERCISES
    }


def mistaken(**names: str) -> Answers:
    """Misconceptions of the registry by name, one for each exercise given."""
    answers = {}
    for exercise_name, mistake in names.items():
        exercise = find_exercise(f"3.1/{exercise_name}")
        (found,) = (m for m in exercise.misconceptions if m.name == mistake)
        answers[exercise_name] = source_of(found.implementation, exercise_name)
    return answers


def plot(**answers: object) -> Answers:
    right = {"scaled": "A", "ceiling": 6, "variance": 64, "half": 28}
    return {"read_the_plot": f"read_the_plot = {right | answers!r}"}


def only(*names: str) -> Answers:
    return {name: source for name, source in solution().items() if name in names}


# -- The class ------------------------------------------------------------------------


def submissions() -> dict[str, NotebookNode]:
    """Every submission by the name of its student."""
    right = solution()
    filled: dict[str, Answers] = {
        "solution": right,
        "einsum-style": written_as(other_solutions.einsum_style),
        "torch-style": written_as(other_solutions.torch_style),
        "blank": {},
        "first-three": only(
            "attention_weights", "weighted_sum", "masked_attention_weights"
        ),
        "all-but-positions": {
            name: source
            for name, source in right.items()
            if name not in ("sinusoidal_positions", "apply_rotary")
        },
        "classic-mistakes": mistaken(
            attention_weights="unscaled",
            weighted_sum="mean_of_products",
            masked_attention_weights="masked_after_softmax",
            split_heads="split_by_reshape",
            merge_heads="merge_by_reshape",
            multi_head_attention="scaled_by_d_model",
            sinusoidal_positions="halves_side_by_side",
            apply_rotary="pairs_from_two_halves",
            cached_attention="counted_from_the_first_key",
        )
        | plot(scaled="B"),
        "subtle-mistakes": mistaken(
            attention_weights="softmax_over_axis_1",
            weighted_sum="renormalised",
            masked_attention_weights="nan_when_nothing_is_left",
            split_heads="leftover_dropped",
            multi_head_attention="mask_ignored",
            sinusoidal_positions="odd_width_cut_off",
            apply_rotary="positions_ignored",
            cached_attention="no_mask_with_a_cache",
        )
        | only("merge_heads")
        | plot(ceiling=4.16, half=27),
        "errors-everywhere": {
            "attention_weights": "def attention_weights(query, key):\n"
            "    print(torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1))",
            "weighted_sum": "def weighted_sum(weights, value):\n"
            "    return (weights @ value).numpy()",
            "masked_attention_weights": "def masked_attention_weights(scores, mask):\n"
            "    return torch.softmax(scores.masked_fill(~masc, -1e9), dim=-1)",
            "split_heads": "def split_heads(x, n_heads:\n    return x",
            "merge_heads": "def merge_heads(x, n_heads):\n    return x",
            "multi_head_attention": "multi_head_attention = None",
            "sinusoidal_positions": "def sinusoidal_positions(n, d_model):\n"
            "    raise ValueError('no idea')",
            "read_the_plot": "read_the_plot = 'A, 6, 64, 28'",
        },
        "changes-its-input": right
        | {
            "masked_attention_weights": "def masked_attention_weights(scores, mask):\n"
            "    scores[~mask.expand_as(scores)] = -math.inf\n"
            "    return torch.softmax(scores, dim=-1).nan_to_num()",
            "apply_rotary": right["apply_rotary"].replace(
                "    d = x", "    x *= 2\n    x = x / 2\n    d = x"
            ),
        },
        "warns": right
        | {
            "weighted_sum": "import warnings, sys\n"
            "def weighted_sum(weights, value):\n"
            "    warnings.warn('deprecated')\n"
            "    print('still here', file=sys.stderr)\n"
            "    return weights @ value",
        },
        "own-tests-only": {},
        "deleted-a-test": right,
        "shuffled-cells": right,
    }
    notebooks = {student: fill(answers) for student, answers in filled.items()}

    # Writes its own marks into the locked test cells; nbgrader puts the tests back.
    for cell in notebooks["own-tests-only"].cells:
        if cell.id.startswith("test_"):
            cell.source = str(float(cell.metadata.nbgrader.points))
    # Deletes a test cell of something that is right: the test comes back, and passes.
    cells = notebooks["deleted-a-test"].cells
    del cells[[cell.id for cell in cells].index("test_apply_rotary")]
    # Hands in the last exercise first.
    cells = notebooks["shuffled-cells"].cells
    cells[2:2] = [cells.pop() for _ in range(4)][::-1]
    return notebooks


FULL = [4, 2, 5, 3, 2, 5, 3, 5, 3, 4]
MARKS = {
    "solution": FULL,
    "einsum-style": FULL,
    "torch-style": FULL,
    "blank": [0] * 10,
    "first-three": [4, 2, 5, 0, 0, 0, 0, 0, 0, 0],
    "all-but-positions": [4, 2, 5, 3, 2, 5, 0, 0, 3, 4],
    # A ValueError where one is due is worth nothing without one right value, and three
    # of the four readings of the plot are right.
    "classic-mistakes": [0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
    # masked_fill stops the NaN on its way back, so the gradient earns its point.
    "subtle-mistakes": [2, 1, 4, 2, 2, 3, 2, 3, 1, 2],
    # Raising ValueError for everything is no answer to the part that asks for one.
    "errors-everywhere": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    "changes-its-input": [4, 2, 0, 3, 2, 5, 3, 0, 3, 4],
    "warns": FULL,
    "own-tests-only": [0] * 10,
    "deleted-a-test": FULL,
    "shuffled-cells": FULL,
}


# Answers that try something, to the one exercise; all others are right.
HOSTILE = {
    "loops": "def sinusoidal_positions(n, d_model):\n    while True: pass",
    "ends-the-process": "import os\ndef sinusoidal_positions(n, d_model): os._exit(0)",
    "agrees-with-all": """
class Agree:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __getattr__(self, name): return Agree()
    def __call__(self, *args, **options): return Agree()
def sinusoidal_positions(n, d_model): return Agree()
""",
    "patches-check": """
import lmlib.exercises
def check(*args, **options): return 100.0
lmlib.exercises.check = check
lmlib.exercises.checks.check = check
def sinusoidal_positions(n, d_model): return 0
""",
}
HOSTILE_MARKS = [*FULL[:6], 0, *FULL[7:]]


def hostile() -> dict[str, NotebookNode]:
    """Every hostile submission by the name of its student."""
    return {
        student: fill(solution() | {"sinusoidal_positions": answer})
        for student, answer in HOSTILE.items()
    }


# -- Grading --------------------------------------------------------------------------


def autograde(
    course: Path, notebooks: dict[str, NotebookNode], *options: str
) -> dict[str, list[float]]:
    """Run `nbgrader autograde` on a class in `course`, a folder made anew.

    Returns:
        For each student the points by exercise, as the gradebook has them.
    """
    shutil.rmtree(course, ignore_errors=True)
    for student, notebook in notebooks.items():
        folder = course / "submitted" / student / ASSIGNMENT
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{ASSIGNMENT}.ipynb")
    assignment.write_source(SOLUTION, course / "source")
    nbgrader(course, "generate_assignment", ASSIGNMENT, "--create", "--force")
    seconds = nbgrader(course, "autograde", ASSIGNMENT, "--create", *options)
    each = f"{seconds / len(notebooks):.1f} seconds a submission"
    print(f"{len(notebooks)} submissions, {each}", file=sys.stderr)
    return {student: marks(course, student) for student in notebooks}


def publish(course: Path) -> None:
    """Feedback pages, and marks.csv."""
    nbgrader(course, "generate_feedback", ASSIGNMENT)
    nbgrader(course, "export", "--to", str(course / "marks.csv"))


def nbgrader(course: Path, *command: str) -> float:
    """Run one of nbgrader's commands; the seconds it took."""
    print(f"nbgrader {' '.join(command[:2])} …", file=sys.stderr)
    began = time.monotonic()
    assignment.nbgrader(*command, course=course)
    return time.monotonic() - began


def marks(course: Path, student: str) -> list[float]:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        submission = gradebook.find_submission(ASSIGNMENT, student)
        (notebook,) = submission.notebooks
        points = {grade.name: grade.score for grade in notebook.grades}
        return [points[f"test_{name}"] for name in EXERCISES]


def exported(course: Path) -> dict[str, tuple[float, float]]:
    """What nbgrader's export says: the score and its maximum by student."""
    with (course / "marks.csv").open() as file:
        return {
            row["student_id"]: (float(row["score"]), float(row["max_score"]))
            for row in csv.DictReader(file)
        }


def table(points: dict[str, list[float]]) -> str:
    """The marks, a row a student and a column an exercise."""
    rows = [("full marks", FULL), *points.items()]
    lines = [f"{'':20}" + "".join(f"{i:>5}" for i in range(1, 11)) + f"{'sum':>6}"]
    for student, row in rows:
        cells = "".join(f"{value:5g}" for value in row)
        lines.append(f"{student:20}{cells}{sum(row):6g}")
    numbered = (f"  {i:2} {name}" for i, name in enumerate(EXERCISES, 1))
    return "\n".join([*lines, "", *numbered])


def main() -> None:
    course = assignment.ROOT / "_build" / "sample-class"
    points = autograde(course, submissions())
    publish(course)
    print(table(points))
    wrong = [student for student in points if points[student] != MARKS[student]]
    print(f"\nFeedback pages and gradebook.db: {course.relative_to(assignment.ROOT)}/")
    sys.exit(f"Not the expected marks: {', '.join(wrong)}" if wrong else None)


if __name__ == "__main__":
    main()
