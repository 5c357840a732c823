"""Each hostile case gets exactly its mark, harms nobody, and leaves nothing behind."""

import shutil
import time
from pathlib import Path

import nbformat
import pytest

from lmlib.grading import batch, examiner
from lmlib.grading.intake import Submission
from tests.hostile.cases import CASES, RIGHT

LIMITS = examiner.Limits(cell=2.0, test=4.0, notebook=60.0)
MEAN = "def mean(x): return x.sum() / x.numel()"
WEIGHTED_SUM = "def weighted_sum(weights, value): return weights @ value"
ANSWERS = ("answer0", "answer1", "answer2")
TESTS = (
    "assert double(2) == 4\n"
    "assert torch.equal(double(torch.ones(2)), torch.full((2,), 2.0))\n"
    "### BEGIN HIDDEN TESTS\n"
    "assert double(21) == 42\n"
    "### END HIDDEN TESTS",
    "assert torch.allclose(mean(torch.tensor([1.0, 5.0])), torch.tensor(3.0))",
    "check('3.1/weighted_sum', weighted_sum)\n"
    "### BEGIN HIDDEN TESTS\n"
    "check('3.1/weighted_sum', weighted_sum, hidden=True)\n"
    "### END HIDDEN TESTS",
)


def notebook(*answers: str) -> nbformat.NotebookNode:
    def cell(source, name, **flags):
        made = nbformat.v4.new_code_cell(source, id=name)
        defaults = {"grade": False, "solution": False, "locked": True}
        made.metadata.nbgrader = nbformat.NotebookNode(
            {"grade_id": name, "schema_version": 3, **defaults, **flags}
        )
        return made

    cells = [cell("import torch\nfrom lmlib.grading import check", "given")]
    for i, (answer, test, points) in enumerate(
        zip(answers, TESTS, (1, 1, 2), strict=True)
    ):
        cells.append(cell(answer, f"answer{i}", solution=True, locked=False))
        cells.append(cell(test, f"test{i}", grade=True, points=points))
    return nbformat.v4.new_notebook(cells=cells)


def submission(name: str, code: str) -> Submission:
    return Submission(
        student=name,
        assignment="hostile",
        notebook=notebook(code, MEAN, WEIGHTED_SUM),
        digest=name,
    )


def processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").glob("[0-9]*")}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All cases and an honest neighbour after every tenth, in one run of the grader."""
    folder = tmp_path_factory.mktemp("hostile")
    scratch = folder / "tmp"
    scratch.mkdir()
    decoy = folder / "decoy"
    decoy.mkdir()
    (decoy / "solution.py").write_text("print('read')")
    before, used = processes(), shutil.disk_usage("/").used
    class_ = []
    for number, case in enumerate(CASES):
        class_.append(submission(case.name, case.code.replace("DECOY", str(decoy))))
        if number % 10 == 9:
            class_.append(submission(f"honest {number}", RIGHT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMLIB_COURSE_SECRET", "the-secret")
        patch.setattr("tempfile.tempdir", str(scratch))
        records = batch.grade(
            class_,
            notebook(RIGHT, MEAN, WEIGHTED_SUM),
            folder / "records",
            jobs=2,
            limits=LIMITS,
        )
    time.sleep(0.2)
    left = {
        "processes": sorted(_names(processes() - before)),
        "files": sorted(str(p) for p in scratch.iterdir()),
        "decoy": (decoy / "solution.py").exists(),
        "bytes": shutil.disk_usage("/").used - used,
    }
    return {record.student: record for record in records}, left


def _names(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"lmlib.grading.forkserver" in command:
            found.add(f"{pid} {command!r}")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_gets_exactly_its_mark(graded, case):
    record = graded[0][case.name]
    points = tuple(cell.points for cell in record.cells)
    assert points == case.points, record.to_json()
    assert case.state in ("*", record.state), record.to_json()
    assert case.says in record.cells[0].output, record.cells[0].output


def test_neighbours_get_all_their_points(graded):
    honest = [r for name, r in graded[0].items() if name.startswith("honest")]
    assert len(honest) >= 8
    for record in honest:
        assert (record.state, record.points) == ("graded", 4), record.to_json()


def test_no_process_and_no_file_is_left(graded):
    assert graded[1]["processes"] == []
    assert graded[1]["files"] == []
    assert graded[1]["decoy"]
    assert graded[1]["bytes"] < 64 << 20


def test_there_are_at_least_eighty_cases_with_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 80
