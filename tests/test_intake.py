"""Every way to hand in, honest, careless or hostile, ends as one Submission."""

import copy
import hashlib
import json
import re

import nbformat
import pytest

from lmlib.grading import assignment
from lmlib.grading.intake import NOTHING, STUMBLED, Submission, collect
from tests import sample_class

ASSIGNMENT = sample_class.ASSIGNMENT
NAME = f"{ASSIGNMENT}.ipynb"
ANSWERS = {
    name: re.sub(r" *###.*\n?", "", text).rstrip()
    for name, text in sample_class.solution().items()
}
RELEASED = nbformat.read(sample_class.STUDENT_NOTEBOOK, as_version=4)
STUBS = {c.id: c.source for c in RELEASED.cells if c.id in sample_class.EXERCISES}


@pytest.fixture(scope="session")
def source():
    return assignment.read_source(sample_class.SOLUTION)


@pytest.fixture(autouse=True)
def _nothing_is_written(tmp_path):
    """No test leaves a file that it did not make before `collect` ran."""
    yield
    wrong = [p for p in tmp_path.rglob("*") if p.name in ("evil.ipynb", "evil")]
    assert not wrong


def filled(answers=ANSWERS) -> dict:
    """The whole solution in the student's notebook, as plain JSON."""
    return json.loads(nbformat.writes(sample_class.fill(answers)))


def cell(notebook: dict, name: str) -> dict:
    return next(
        c
        for c in notebook["cells"]
        if c["metadata"].get("nbgrader", {}).get("grade_id") == name
    )


def code(text: str, **metadata) -> dict:
    new = {"cell_type": "code", "id": "x" + str(abs(hash(text)))[:9], "source": text}
    return new | {"metadata": metadata, "outputs": [], "execution_count": None}


def as_bytes(notebook: dict) -> bytes:
    return json.dumps(notebook).encode()


@pytest.fixture
def hand_in(tmp_path, source):
    """Hands in some bytes as alice, and gives what comes of them."""

    def hand_in(data: bytes | dict, name: str = "alice.ipynb") -> Submission:
        folder = tmp_path / "class"
        folder.mkdir(exist_ok=True)
        data = as_bytes(data) if isinstance(data, dict) else data
        (folder / name).write_bytes(data)
        (submission,) = collect(folder, ASSIGNMENT, source)
        assert submission.student == "alice"
        assert_plain(submission)
        return submission

    return hand_in


def assert_plain(submission: Submission) -> None:
    """What holds of every submission."""
    assert (submission.notebook is None) == bool(submission.reason)
    assert submission.reason != STUMBLED
    if submission.notebook is not None:
        nbformat.validate(submission.notebook)
        text = nbformat.writes(submission.notebook)
        text.encode()  # no lone surrogates
        assert "hidden=True" not in text
        assert "BEGIN" not in text
    for sentence in (*submission.repairs, submission.reason):
        sentence.encode()
        assert len(sentence) < 1000
        assert sentence == "" or sentence == NOTHING or sentence.endswith(".")


def answers(submission: Submission) -> dict[str, str]:
    assert submission.notebook is not None, submission.reason
    return {
        c.metadata.nbgrader.grade_id: c.source
        for c in submission.notebook.cells
        if c.metadata.get("nbgrader", {}).get("solution")
    }


def added(submission: Submission) -> list[str]:
    return [
        c.source for c in submission.notebook.cells if "nbgrader" not in c.metadata
    ][1:]  # the first is the introduction


def sources(submission: Submission) -> list[str]:
    return [c.source for c in submission.notebook.cells]


def test_an_honest_notebook_needs_no_repair(hand_in, source):
    submission = hand_in(filled())
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    # Cell for cell the released notebook but for the answers.
    expected = [ANSWERS.get(c.id, c.source) for c in RELEASED.cells]
    assert sources(submission) == expected
    assert submission.path == "alice.ipynb"
    data = as_bytes(filled())
    assert submission.digest == hashlib.sha256(data).hexdigest()


# -- Cells ----------------------------------------------------------------------------


def stripped(notebook: dict, ids: bool = False) -> dict:
    """Without nbgrader's metadata, and without ids unless they are to stay."""
    for c in notebook["cells"]:
        c["metadata"] = {}
        if not ids:
            del c["id"]
    if not ids:
        notebook["nbformat_minor"] = 4
    return notebook


def test_duplicated_cell_the_last_one_written_in_counts(hand_in):
    notebook = filled()
    at = notebook["cells"].index(cell(notebook, "weighted_sum"))
    late = copy.deepcopy(notebook["cells"][at])
    late |= {"id": "late", "source": "def weighted_sum(weights, value):\n    return 1"}
    stub = late | {"id": "stub", "source": STUBS["weighted_sum"]}
    notebook["cells"][at + 1 : at + 1] = [late, stub]
    submission = hand_in(notebook)
    assert answers(submission)["weighted_sum"] == late["source"]
    # The first one still runs, before; the empty one, which would undo both, does not.
    assert added(submission) == [ANSWERS["weighted_sum"]]
    (said,) = submission.repairs
    assert said == (
        "The cell `weighted_sum` was there more than once; the last one that you wrote "
        "in counts, and the others were run as ordinary cells."
    )


def test_deleted_answer_is_blank_and_said(hand_in):
    notebook = filled()
    notebook["cells"].remove(cell(notebook, "split_heads"))
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS | {"split_heads": ""}
    assert submission.repairs == (
        "The cell `split_heads` was not in the notebook, so there is no answer to "
        "grade.",
    )


def test_deleted_test_is_put_back(hand_in):
    notebook = filled()
    notebook["cells"].remove(cell(notebook, "test_split_heads"))
    submission = hand_in(notebook)
    assert sources(submission) == sources(hand_in(filled()))
    assert submission.repairs == (
        "Locked cells were missing and were put back: `test_split_heads`.",
    )


def test_edited_locked_cells_are_the_assignments(hand_in):
    notebook = filled()
    cell(notebook, "test_split_heads")["source"] = "3"
    cell(notebook, "given_imports")["source"] = ["import os\n", "os._exit(0)"]
    submission = hand_in(notebook)
    assert sources(submission) == sources(hand_in(filled()))
    assert submission.repairs == (
        "Changes to locked cells do not count; `given_imports` and `test_split_heads` "
        "were taken from the assignment.",
    )


@pytest.mark.parametrize("new", ["weighted_sums", "", 7, None, ["x"], "test_apply"])
def test_renamed_answer_is_found_by_its_id(hand_in, new):
    notebook = filled()
    cell(notebook, "weighted_sum")["metadata"]["nbgrader"]["grade_id"] = new
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The cell `weighted_sum` had lost the name that nbgrader gives it, and was "
        "recognised by its id.",
    )


def test_answer_renamed_to_a_test_is_found(hand_in):
    notebook = filled()
    meta = cell(notebook, "weighted_sum")["metadata"]["nbgrader"]
    meta["grade_id"] = "test_split_heads"
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert "`weighted_sum` did not hold its answer" in submission.repairs[0]


@pytest.mark.parametrize("kind", ["markdown", "raw", "banana", None])
def test_retyped_answer_is_read_as_code(hand_in, kind):
    notebook = filled()
    changed = cell(notebook, "merge_heads")
    changed["cell_type"] = kind
    del changed["outputs"], changed["execution_count"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    kinds = {c.cell_type for c in submission.notebook.cells if c.id == "merge_heads"}
    assert kinds == {"code"}
    if kind in ("markdown", "raw"):
        assert submission.repairs == (
            "The cell `merge_heads` had been turned into another type of cell; it was "
            "read all the same.",
        )


@pytest.mark.parametrize("same_metadata", [True, False])
def test_answer_split_in_two_is_joined(hand_in, same_metadata):
    notebook = filled()
    first = cell(notebook, "merge_heads")
    lines = ANSWERS["merge_heads"].splitlines(keepends=True)
    second = copy.deepcopy(first) if same_metadata else code("")
    first["source"] = lines[:-1]
    second |= {"source": lines[-1:], "id": "second"}
    notebook["cells"].insert(notebook["cells"].index(first) + 1, second)
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert added(submission) == []
    assert submission.repairs == (
        "The cell `merge_heads` had been split in the middle of its code and was "
        "joined again.",
    )


def test_answer_split_between_functions_keeps_both(hand_in):
    notebook = filled()
    first = cell(notebook, "merge_heads")
    second = copy.deepcopy(first) | {"id": "second", "source": "def helper(): pass"}
    notebook["cells"].insert(notebook["cells"].index(first) + 1, second)
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert added(submission) == ["def helper(): pass"]


def test_answer_in_an_added_cell(hand_in):
    notebook = filled(ANSWERS | {"merge_heads": STUBS["merge_heads"]})
    notebook["cells"].append(code(ANSWERS["merge_heads"]))
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The cell `merge_heads` did not hold its answer, which was found in another "
        "cell and put there.",
    )


def test_all_answers_in_the_last_cell(hand_in):
    notebook = filled({})
    together = "\n\n".join(ANSWERS.values())
    cell(notebook, "read_the_plot")["source"] = together
    found = answers(hand_in(notebook))
    assert set(found.values()) == {together}


def test_two_answers_swapped(hand_in):
    notebook = filled()
    one, two = cell(notebook, "merge_heads"), cell(notebook, "split_heads")
    one["source"], two["source"] = two["source"], one["source"]
    submission = hand_in(notebook)
    for name in ("merge_heads", "split_heads"):
        assert ANSWERS[name] in answers(submission)[name]
    assert len(submission.repairs) == 2


def test_answer_in_a_test_cell(hand_in):
    notebook = filled({"weighted_sum": ""})
    cell(notebook, "test_weighted_sum")["source"] = ANSWERS["weighted_sum"]
    submission = hand_in(notebook)
    assert answers(submission)["weighted_sum"] == ANSWERS["weighted_sum"]


def test_untouched_answers_are_the_stubs(hand_in):
    submission = hand_in(filled({}))
    assert answers(submission) == STUBS
    assert submission.repairs == ()


def test_other_order_is_put_right(hand_in):
    notebook = filled()
    notebook["cells"].reverse()
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The cells were in another order; they were run in the order of the "
        "assignment.",
    )


def test_added_cells_stay_where_they_were(hand_in):
    notebook = filled()
    helper, note = code("helper = 1"), code("# a note") | {"cell_type": "markdown"}
    del note["outputs"], note["execution_count"]
    at = notebook["cells"].index(cell(notebook, "split_heads"))
    notebook["cells"][at:at] = [helper, note]
    submission = hand_in(notebook)
    texts = sources(submission)
    assert texts[at : at + 3] == ["helper = 1", "# a note", ANSWERS["split_heads"]]
    assert submission.repairs == ()


def test_metadata_gone_but_ids_there(hand_in):
    submission = hand_in(stripped(filled(), ids=True))
    assert answers(submission) == ANSWERS
    (said,) = submission.repairs
    assert said.startswith("The cells `attention_weights`, `weighted_sum`, ")
    assert said.endswith("each was recognised by its id.")


def test_metadata_and_ids_gone(hand_in):
    submission = hand_in(stripped(filled()))
    assert answers(submission) == ANSWERS
    assert added(submission) == []
    assert submission.repairs[0].endswith("recognised by the names that it defines.")


def test_colab_moves_the_id_into_the_metadata(hand_in):
    notebook = stripped(filled(), ids=True)
    for c in notebook["cells"]:
        c["metadata"] = {"id": c.pop("id"), "colab": {"base_uri": "https://x"}}
    notebook |= {"nbformat_minor": 0}
    notebook["metadata"] = {
        "colab": {"provenance": []},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"x": {"state": 1}}},
    }
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert "widgets" not in submission.notebook.metadata


def test_answer_without_a_name_is_found_by_its_place(hand_in):
    notebook = stripped(filled())
    changed = next(
        c for c in notebook["cells"] if "".join(c["source"]) == ANSWERS["merge_heads"]
    )
    changed["source"] = "merge_head = lambda x: x"
    submission = hand_in(notebook)
    assert answers(submission)["merge_heads"] == "merge_head = lambda x: x"
    assert submission.repairs[1] == (
        "The cell `merge_heads` had lost the name that nbgrader gives it, and was "
        "recognised by its place."
    )


def test_another_assignment_is_malformed(hand_in):
    notebook = filled() | {"cells": [code("print(1)"), code("x = 2")]}
    submission = hand_in(notebook)
    assert submission.reason == (
        "None of the answer cells of this assignment is in the notebook. It may be "
        "the notebook of another assignment."
    )


def test_cells_that_are_no_cells(hand_in):
    notebook = filled()
    notebook["cells"][1:1] = [None, 7, [], {}, {"source": {"a": 1}}, {"source": [1]}]
    cell(notebook, "split_heads")["source"] = 12
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS | {"split_heads": ""}
    assert "Cell 2, 3, 4, 6, 7 and " in submission.repairs[0]


@pytest.mark.parametrize("metadata", [None, 3, [], "x", {"nbgrader": 3}])
def test_metadata_of_the_wrong_type(hand_in, metadata):
    notebook = filled()
    for c in notebook["cells"]:
        c["metadata"] = metadata
    notebook["metadata"] = metadata
    assert answers(hand_in(notebook)) == ANSWERS


def test_ids_of_any_kind(hand_in):
    notebook = filled()
    for c, new in zip(notebook["cells"], ["x", "x", "", 3, None, "ä b", "y" * 99] * 9):
        c["id"] = new
    assert hand_in(notebook).repairs == ()


def test_very_long_cell_is_blank_and_said(hand_in):
    notebook = filled()
    cell(notebook, "split_heads")["source"] = "x" * 1_000_000
    submission = hand_in(notebook)
    assert answers(submission)["split_heads"] == ""
    assert "held more than 200,000 characters" in submission.repairs[0]


def test_too_many_cells(hand_in):
    notebook = filled()
    notebook["cells"] += [code("1")] * 5000
    assert "5,034 cells; at most 2,000" in hand_in(notebook).reason
    notebook["cells"] = notebook["cells"][:2000]
    assert answers(hand_in(notebook)) == ANSWERS


# -- Formats --------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, 6, 99, "x", None])
def test_every_minor_version_of_format_4(hand_in, minor):
    notebook = filled() | {"nbformat_minor": minor}
    if minor in range(5):
        for c in notebook["cells"]:
            del c["id"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    assert (submission.notebook.nbformat, submission.notebook.nbformat_minor) == (4, 5)


@pytest.mark.parametrize("version", [2, 3])
def test_old_formats_are_converted(hand_in, version):
    notebook = sample_class.fill(ANSWERS)
    for c in notebook.cells:
        if c.cell_type == "code":
            c.outputs = [nbformat.v4.new_output("stream", text="hello")]
    old = nbformat.convert(notebook, 3)
    if version == 2:  # which differs in what it does not have
        old.nbformat = 2
    submission = hand_in(json.dumps(old).encode())
    assert answers(submission) == ANSWERS
    assert submission.repairs[-1] == (
        f"The notebook had the old format {version}; it was converted to 4."
    )


@pytest.mark.parametrize("version", [1, 2, 3, 0, -1, 5, 10**30, True, "4", None, 4.5])
@pytest.mark.parametrize("body", ["cells", "worksheets"])
def test_any_version_over_any_body_is_a_submission(hand_in, version, body):
    notebook = filled() | {"nbformat": version}
    notebook[body] = notebook.pop("cells")
    submission = hand_in(notebook)
    if version == 5:
        assert "format 5; only formats up to 4" in submission.reason


@pytest.mark.parametrize("version", [None, 0, 1, 2, 3, 99, "three"])
def test_nbgrader_schemas(hand_in, version):
    notebook = filled()
    for c in notebook["cells"]:
        if nbgrader := c["metadata"].get("nbgrader"):
            nbgrader["schema_version"] = version
            if version is None:
                del nbgrader["schema_version"], nbgrader["task"]
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    said = "".join(submission.repairs)
    assert ("older version of nbgrader" in said) == (version not in (3, 99))
    assert ("newer version of nbgrader" in said) == (version == 99)
    metadata = [c.metadata.get("nbgrader") for c in submission.notebook.cells]
    assert {m["schema_version"] for m in metadata if m} == {3}


def test_no_kernelspec(hand_in):
    submission = hand_in(filled() | {"metadata": {}})
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "The notebook did not name its kernel; Python 3 was used.",
    )
    assert submission.notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
        {
            "kernelspec": {"name": "ir", "display_name": "R"},
            "language_info": {"name": "R"},
        },
    ],
)
def test_another_language(hand_in, metadata):
    reason = hand_in(filled() | {"metadata": metadata}).reason
    assert reason.startswith("The notebook runs in another language than Python: its")
    assert "kernel is `R`" in reason


def test_large_outputs_attachments_and_widgets_are_dropped(hand_in):
    notebook = filled()
    png = {"output_type": "display_data", "data": {"image/png": "A" * (19 << 20)}}
    cell(notebook, "given_plot")["outputs"] = [png]
    notebook["cells"][0]["attachments"] = {"a.png": {"image/png": "AAAA"}}
    notebook["metadata"]["widgets"] = {"a": ["b"] * 1000}
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    assert len(nbformat.writes(submission.notebook)) < 60_000


# -- JSON -----------------------------------------------------------------------------

TEXT = json.dumps(filled(), ensure_ascii=False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b" \n\n", "The file is empty (3 bytes)"),
        (b"\0" * 100, "not a notebook"),
        (b"[]", "is JSON, but not a notebook"),
        (b"{}", "is JSON, but not a notebook"),
        (b"3", "is JSON, but not a notebook"),
        (b'{"nbformat": 4}', "is a notebook without cells"),
        (b'{"nbformat": 4, "cells": {}}', "is a notebook without cells"),
        (b'{"nbformat": 4, "cells": []}', "has no cells"),
        (b"print('hello')", "is not a notebook (.ipynb)"),
        (b"<!DOCTYPE html><html>", "is a web page, not a notebook"),
        (b"%PDF-1.7 ...", "is a PDF, not a notebook"),
        (b"PK\x03\x04 ...", "is a zip archive, not a notebook"),
        (b"\x7fELF\x02\x01\x01", "is not a notebook"),
        (TEXT.encode()[:-200], "breaks off in line 1"),
        (TEXT.encode()[:5000], "breaks off in line 1"),
        (TEXT.encode() + b"}", "is damaged in line 1, column"),
        (TEXT.replace(",", ",,", 1).encode(), "is damaged in line 1, column"),
        (b"{\n<<<<<<< HEAD\n=======\n>>>>>>> x", "marks of a git merge conflict"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 50_000 + b"]" * 50_000, "nested too deeply"),
        (b"[" + b"{}," * 3_000_000 + b"{}]", "holds too much data"),
    ],
)
def test_not_a_notebook(hand_in, data, said):
    submission = hand_in(data)
    assert submission.notebook is None
    assert said in submission.reason


def test_deep_nesting_in_places_that_do_not_matter(hand_in):
    for depth in (100, 500, 900, 100_000):
        deep = b"[" * depth + b"]" * depth
        data = as_bytes(filled())[:-1] + b', "extra": ' + deep + b"}"
        submission = hand_in(data)
        assert submission.reason or answers(submission) == ANSWERS
        data = as_bytes(filled()).replace(b'"metadata": {}', b'"metadata": ' + deep, 1)
        submission = hand_in(data)
        assert submission.reason or answers(submission) == ANSWERS


@pytest.mark.parametrize("value", ["1" * 100_000, "-1e999", "NaN", "-Infinity"])
def test_odd_numbers(hand_in, value):
    notebook = filled()
    for c in notebook["cells"]:
        c["metadata"].get("nbgrader", {})["points"] = "HERE"
    notebook["nbformat_minor"] = "HERE"
    data = json.dumps(notebook).replace('"HERE"', value).encode()
    assert answers(hand_in(data)) == ANSWERS
    hand_in(TEXT.replace('"nbformat": 4', f'"nbformat": {value}').encode())


def test_duplicate_keys(hand_in):
    data = TEXT.replace("{", '{"cells": [], "a": 1, ', 1).encode()
    submission = hand_in(data)
    assert answers(submission) == ANSWERS
    assert submission.repairs == (
        "Parts of the file were there twice under one name (`cells`); the last one "
        "counts, as it does in Jupyter.",
    )


def test_lone_surrogates_and_nul(hand_in):
    notebook = filled()
    cell(notebook, "merge_heads")["source"] += "  # \ud800 \0 \udfff"
    submission = hand_in(notebook)
    expected = ANSWERS["merge_heads"] + "  # \ufffd \ufffd \ufffd"
    assert answers(submission)["merge_heads"] == expected
    assert "characters that do not exist" in submission.repairs[0]
    notebook = filled()
    cell(notebook, "merge_heads")["metadata"]["nbgrader"]["grade_id"] = "\ud800"
    notebook["\ud800"] = 1
    assert answers(hand_in(notebook)) == ANSWERS


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("utf-32", "UTF-32"),
        ("latin-1", "LATIN-1"),
    ],
)
def test_encodings(hand_in, encoding, name):
    notebook = filled()
    cell(notebook, "merge_heads")["source"] += "  # naïve"
    text = json.dumps(notebook, ensure_ascii=False)
    data = text.encode(encoding, errors="replace")
    submission = hand_in(data)
    assert answers(submission)["merge_heads"].endswith("# naïve")
    said = "".join(submission.repairs)
    assert (f"it was read as {name}." in said) if name else said == ""


def test_line_ends_of_windows(hand_in):
    notebook = filled()
    for c in notebook["cells"]:
        c["source"] = "".join(c["source"]).replace("\n", "\r\n")
    submission = hand_in(notebook)
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
