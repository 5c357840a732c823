"""The plans of the course name what is there, and all that they name."""

import importlib
from types import SimpleNamespace

import pytest

from lmlib.exercises.registry import EXERCISES
from tests.book.pages import ROOT


@pytest.fixture
def plans(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book")
    return importlib.import_module("plans")


def task(name, minutes):
    return SimpleNamespace(
        name=name, short_name=name.partition("/")[2], minutes=minutes
    )


TASKS = [task("3.1/a", 10), task("3.1/b", 20), task("6/x", 40), task("8/y", 5)]


@pytest.mark.parametrize(
    ("wanted", "minutes", "words"),
    [
        ("3.1", (30, 30), "3.1"),
        ("3.1/b", (20, 20), "3.1: b"),
        ("3.1/ -b", (10, 10), "3.1 without b"),
        ("3.1/ ?", (10, 20), "one task of 3.1"),
        ("6 | 8", (5, 40), "6 or 8"),
        ("6 | 9", (40, 40), "6"),
        ("9", None, ""),
        ("9/z", None, ""),
        ("9/ ?", None, ""),
    ],
)
def test_minutes_are_those_of_the_tasks_that_are_there(plans, wanted, minutes, words):
    assert plans.minutes_of(wanted, TASKS) == minutes
    assert plans.said(wanted, TASKS) == words


def test_a_task_that_its_assignment_lacks_is_an_error(plans):
    with pytest.raises(ValueError, match=r"3\.1 has no task c"):
        plans.minutes_of("3.1/a c", TASKS)


def test_pages_and_tasks_come_in_when_they_are_there(plans):
    plan = [plans.Week("3.1 6", "words", ["3.1/a", "6"])]
    (row,) = plans.rows_of(plan, ["3.1"], TASKS[:2])
    assert (row["pages"], row["at home"], row["minutes"]) == ("3.1", "3.1: a", "10")
    (row,) = plans.rows_of(plan, ["3.1", "6"], TASKS)
    assert (row["pages"], row["at home"], row["minutes"]) == (
        "3.1, 6",
        "3.1: a; 6",
        "50",
    )
    (row,) = plans.rows_of(plan, [], [])
    assert row["in the meetings"] == "to come"
    assert (row["pages"], row["at home"], row["minutes"]) == ("–", "–", "–")


@pytest.mark.parametrize(("name", "weeks"), [("TEN", 10), ("FIVE", 5)])
def test_the_plans_name_pages_of_the_book_and_no_task_twice(plans, name, weeks):
    plan = getattr(plans, name)
    assert len(plan) == weeks
    rows = plans.rows_of(plan)  # raises where a task is not there
    shown = {page for row in rows for page in row["pages"].split(", ")} - {"–"}
    assert shown <= {"capstone", *plans.the_pages()}
    assert len(shown) > 8
    given = [
        found.name
        for week in plan
        for wanted in week.home
        if "?" not in wanted and "|" not in wanted and wanted != plans.CONTEST
        for found in plans.tasks_of(wanted, EXERCISES.values())
    ]
    assert len(given) == len(set(given)) > 10
