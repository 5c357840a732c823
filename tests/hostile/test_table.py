"""The recorded table covers every case, and says of ours what the tests demand."""

import pytest

from lmlib.grading.assignment import ROOT
from lmlib.grading.results.record import STATES, CellResult, Record
from tests.hostile import stock, table
from tests.hostile.cases import CASES, Case

RECORDED = table.RECORDED.read_text()


def test_every_case_is_in_the_table_and_nothing_else():
    assert list(table.rows(RECORDED)) == [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_column_of_ours_is_what_the_case_demands(case):
    *_, ours, state = table.rows(RECORDED)[case.name]
    assert float(ours) == sum(case.points)
    assert state in (STATES if case.state == "*" else (case.state,))


def test_page_gives_the_counts_of_the_table():
    assert table.summary(RECORDED) in (ROOT / "book" / "grading.md").read_text()


def test_front_page_gives_the_number_of_cases():
    words = f"none of the {len(CASES)} hostile submissions"
    assert words in (ROOT / "README.md").read_text()


def result(points, **changes) -> stock.Result:
    nothing = {"stopped": "", "course": [], "elsewhere": [], "survivors": []}
    usual = {"neighbour": stock.NEIGHBOUR_POINTS, "status": 0, "log": "", "seconds": 1}
    return stock.Result(points=points, **nothing | usual | changes)


def test_counts_by_hand():
    found = [
        result([0, 1, 2]),
        result([1, 1, 2]),
        result([0, 1, 0]),
        result(None, neighbour=None, status=1),
        result(None, neighbour=None, status=None, stopped="after 300 s"),
        result([0, 1, 2], neighbour=[1, 1, 2], elsewhere=["/home/x", "/home/usual"]),
        result([0, 1, 2], course=["source/x"], survivors=["sleep"]),
        result([0, 1, 2], elsewhere=["/home/usual", "/home/.cache/x"]),
    ]
    cell = CellResult("test", 3.0, 4.0, "failed")
    record = Record("s", "hostile", "failed tests", cells=(cell,))
    text = table.HEADER
    for number, one in enumerate(found):
        cells = table.row(Case(f"case {number}", ""), one, record, {"/home/usual"})
        text += f"| {' | '.join(cells)} |\n"
    assert [count for _, count in table.counts(text)] == [1, 1, 2, 2, 1, 1, 2, 2]
    assert table.rows(text)["case 1"][1] == "**4**"
    assert "| Stock nbgrader on 8 hostile answers |" in table.summary(text)
