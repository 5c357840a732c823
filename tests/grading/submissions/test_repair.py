"""Cells that were moved, lost or changed are put into the form of the assignment."""

import copy

import pytest

from tests.grading.submissions.samples import (
    ANSWERS,
    STUBS,
    added,
    answers,
    cell,
    code,
    filled,
    sources,
)


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


def test_what_a_cell_writes_to_a_file_is_no_answer(hand_in):
    written = "%%writefile mine.py\n" + ANSWERS["merge_heads"]
    own = "from mine import merge_heads"
    notebook = filled(ANSWERS | {"merge_heads": own})
    at = notebook["cells"].index(cell(notebook, "merge_heads"))
    notebook["cells"].insert(at, code(written))
    submission = hand_in(notebook)
    assert answers(submission)["merge_heads"] == own
    assert added(submission) == [written]
    assert submission.repairs == ()


@pytest.mark.parametrize(
    "magic", ["%%time\n", "%%time\n%%capture out\n", "\n%%prun -q\n"]
)
def test_answer_below_a_magic_is_put_below_what_stands_in_its_place(hand_in, magic):
    notebook = filled(ANSWERS | {"merge_heads": "helper = 1"})
    notebook["cells"].append(code(magic + ANSWERS["merge_heads"]))
    found = answers(hand_in(notebook))["merge_heads"]
    assert found == "helper = 1\n\n" + ANSWERS["merge_heads"]


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
    cell(notebook, "split_heads")["source"] = 12
    notebook["cells"][1:1] = [None, 7, [], {}, {"source": {"a": 1}}, {"source": [1]}]
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
    ids = ["x", "x", "", 3, None, "ä b", "y" * 99] * 9
    for c, new in zip(notebook["cells"], ids, strict=False):
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
