"""Which assignment a file is for."""

import json

import pytest

from lmlib.grading.submissions.archives import Item
from lmlib.grading.submissions.assignments import assignment_of, assignments_in

CELLS = {
    "3.1-attention": frozenset({"given_imports", "softmax", "heads"}),
    "3.2-objectives": frozenset({"given_imports", "mask", "heads"}),
    "3.2-objectives-again": frozenset({"given_imports"}),
}
NAMES = list(CELLS)


def notebook(*grade_ids: str) -> bytes:
    cells = [
        {
            "cell_type": "code",
            "source": "",
            "metadata": {"nbgrader": {"grade_id": name, "schema_version": 3}},
            "outputs": [],
            "execution_count": None,
        }
        for name in grade_ids
    ]
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    ).encode()


def item(path: str, data: bytes = b"", **rest) -> Item:
    return Item(tuple(path.split("/")), lambda: data, **rest)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ann/3.1-attention/3.1-attention.ipynb", "3.1-attention"),
        ("ann_3.2-objectives.ipynb", "3.2-objectives"),
        ("ann_3.2-objectives-again.ipynb", "3.2-objectives-again"),
        ("3.1-attention/ann/3.2-objectives (1).ipynb", "3.2-objectives"),
        ("ann/3.1-attention/report.pdf", "3.1-attention"),
        ("ann/report.pdf", None),
    ],
)
def test_names_tell_the_nearest_and_the_longest_first(path, name):
    assert assignment_of(item(path), NAMES, CELLS.__getitem__) == name


@pytest.mark.parametrize(
    ("grade_ids", "name"),
    [
        (["given_imports", "softmax"], "3.1-attention"),
        (["mask"], "3.2-objectives"),
        (["given_imports", "heads"], None),  # of two
        (["given_imports"], None),
        ([], None),
    ],
)
def test_cells_tell_where_names_do_not(grade_ids, name):
    found = item("ann/Untitled.ipynb", notebook(*grade_ids))
    assert assignment_of(found, NAMES, CELLS.__getitem__) == name


def test_what_cannot_be_read_tells_nothing():
    broken = item("ann/Untitled.ipynb", b"{")
    assert assignment_of(broken, NAMES, CELLS.__getitem__) is None
    link = item("ann/Untitled.ipynb", notebook("mask"), problem="is a link")
    assert assignment_of(link, NAMES, CELLS.__getitem__) is None


def test_several_are_found_in_the_order_of_the_course_and_the_rest_is_named():
    items = [
        item("ann", is_folder=True),
        item("ann/b.ipynb", notebook("mask")),
        item("ann/3.1-attention.ipynb"),
        item("ann/cat.png"),
        item("__MACOSX/cat.png"),
    ]
    found, rest = assignments_in(items, NAMES, CELLS.__getitem__)
    assert found == ["3.1-attention", "3.2-objectives"]
    assert [r.path for r in rest] == ["ann/cat.png"]
