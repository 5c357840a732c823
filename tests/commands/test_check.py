"""`lmlib check` reads what `lmlib grade` reads, and says what it mended."""

import json

import nbformat
import pytest

from lmlib.cli import main
from tests.grading import sample_class

POINTS = "6 of 36 points in the visible tests"


@pytest.fixture(scope="module")
def notebook():
    answers = sample_class.only("weighted_sum", "attention_weights")
    return json.loads(nbformat.writes(sample_class.fill(answers)))


def bare(notebook):
    for cell in notebook["cells"]:
        del cell["metadata"]


def bare_and_nameless(notebook):
    bare(notebook)
    for cell in notebook["cells"]:
        del cell["id"]
    del notebook["metadata"], notebook["nbformat"], notebook["nbformat_minor"]


def half(notebook):
    for cell in notebook["cells"]:
        if nbgrader := cell["metadata"].get("nbgrader"):
            nbgrader.pop("points", None)
            nbgrader["grade"] = "yes" if nbgrader["grade"] else False


@pytest.mark.parametrize(
    ("change", "encoding", "said"),
    [
        (None, "utf-16", "was read as UTF-16"),
        (bare, "utf-8-sig", ""),
        (bare_and_nameless, "utf-16-le", "did not say which format it has"),
        (half, "utf-8", ""),
    ],
)
def test_a_notebook_is_read_as_grade_reads_it(
    tmp_path, capsys, notebook, change, encoding, said
):
    changed = json.loads(json.dumps(notebook))
    if change:
        change(changed)
    path = tmp_path / f"{sample_class.ASSIGNMENT}.ipynb"
    data = json.dumps(changed, ensure_ascii=False).encode(encoding)
    path.write_bytes(data)
    status = main(["check", str(path)])
    told = capsys.readouterr().out
    assert POINTS in told
    assert status == 1
    assert said in told
    assert said or told.startswith("3.1/")  # nothing was mended, and nothing is said
    assert path.read_bytes() == data
