"""What this course adds to nbgrader; see nbgrader_config.py."""

import atexit
import functools
import os
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, v4
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from lmlib.grading import assignment
from lmlib.grading.examination import examiner
from lmlib.grading.examination.forkserver import Forkserver
from lmlib.grading.results import deadlines
from lmlib.grading.results.gradebook import outputs
from lmlib.grading.submissions.intake import Submission


class ExecuteConfined(NbGraderPreprocessor):  # type: ignore[misc]  # untyped
    """Grade a submission with the engine of `lmlib grade`, instead of in a kernel.

    Student code runs confined, in a process without the tests; a test cell gets the
    outputs from which nbgrader reads its points. What the tests are comes from the
    gradebook, never from the notebook that was handed in.

    Of what was handed in, only the notebook and its time are kept: no file that came
    along is used, shown or served. Statements hold their pictures as attachments.

    Notebooks that nbgrader itself refuses before this (a cell twice, metadata that does
    not validate, not JSON at all) get no mark; nbgrader goes on with the others, names
    them in its log and exits with an error. They are for `lmlib grade`, whose intake
    mends them or says what is wrong.

    Raises:
        RuntimeError: nothing on this machine confines student code. LMLIB_UNSAFE=1 in
            the environment runs it all the same.
    """

    timeout = Float(30.0, help="Seconds for one cell, and for one test.").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        about = resources["nbgrader"]
        source = source_cells(about["db_url"], about["assignment"], about["notebook"])
        submission = Submission(about["student"], about["assignment"], nb)
        limits = examiner.Limits(self.timeout, self.timeout, 10 * self.timeout)
        # The hidden inputs differ from student to student.
        os.environ["LMLIB_STUDENT"] = about["student"]
        try:
            with forkserver().connect() as client:
                record = examiner.examine_submission(submission, source, client, limits)
        finally:
            del os.environ["LMLIB_STUDENT"]
        # Formgrader would serve what came along, and a link may be to anything.
        for path in Path(resources["metadata"]["path"]).rglob("*"):
            kept = path.suffix == ".ipynb" or path.name == "timestamp.txt"
            if not kept and (path.is_symlink() or not path.is_dir()):
                path.unlink()
        # Before the next preprocessor, which takes points off for being late.
        course = Path(self.config.CourseDirectory.root)
        with Gradebook(about["db_url"]) as gradebook:
            handed_in = gradebook.find_submission(submission.assignment, record.student)
            deadlines.extend(handed_in, deadlines.read_extensions(course))
            gradebook.db.commit()
        # What else is there (widgets, lexers) is read when the pages are made.
        kernel = nb.metadata.get("kernelspec", assignment.KERNEL)
        nb.metadata = NotebookNode(kernelspec=kernel, language_info={"name": "python"})
        results = {result.grade_id: result for result in record.cells}
        for cell in nb.cells:
            if cell.cell_type != "code":
                continue
            cell.outputs, cell.execution_count = [], None
            if utils.is_grade(cell) and not utils.is_solution(cell):
                cell.outputs = outputs(results[cell.metadata.nbgrader.grade_id])
        self.log.info(
            "%s: %g of %g points in %.1f seconds",
            record.student,
            record.points,
            record.max_points,
            record.seconds,
        )
        return nb, resources


def source_cells(db_url: str, assignment: str, notebook: str) -> NotebookNode:
    """The instructor's code cells as `nbgrader generate_assignment` kept them."""
    with Gradebook(db_url) as gradebook:
        found = gradebook.find_notebook(notebook, assignment)
        points = {cell.name: cell.max_score for cell in found.grade_cells}
        solutions = {cell.name for cell in found.solution_cells}
        cells = []
        for kept in found.source_cells:
            if kept.cell_type != "code":
                continue
            cell = v4.new_code_cell(kept.source)
            cell.metadata.nbgrader = NotebookNode(
                grade_id=kept.name,
                grade=kept.name in points,
                solution=kept.name in solutions,
                locked=kept.locked,
                points=points.get(kept.name),
            )
            cells.append(cell)
    return v4.new_notebook(cells=cells)


@functools.cache
def forkserver() -> Forkserver:
    """One for all submissions of this process, started for the first of them."""
    try:
        server = Forkserver(unsafe=os.environ.get("LMLIB_UNSAFE") == "1")
    except RuntimeError as error:
        raise RuntimeError(f"{error}; for nbgrader that is LMLIB_UNSAFE=1") from None
    atexit.register(server.close)
    return server
