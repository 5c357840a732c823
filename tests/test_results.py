"""The recorded results: complete, with spread, and said how they came about."""

import importlib.util
import json

import pytest

from lmlib.grading.assignment import ROOT

FOLDER = ROOT / "book" / "_experiments"


def experiments():
    spec = importlib.util.spec_from_file_location("experiments", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUN = experiments()


@pytest.mark.parametrize("name", ["curves", "labels", "distillation"])
def test_every_run_is_recorded_once_for_each_of_three_seeds(name):
    record = json.loads((FOLDER / f"{name}.json").read_text())
    assert record["command"] == f"python book/_experiments/run.py {name}"
    assert record["machine"]
    assert record["date"]
    planned = [what for what, _ in getattr(RUN, name)()]
    done = [{key: row[key] for key in planned[0]} for row in record["rows"]]
    assert sorted(map(str, done)) == sorted(map(str, planned))
    assert {what["seed"] for what in planned} == {0, 1, 2}


def test_a_stopped_experiment_goes_on_with_what_is_missing(tmp_path):
    made = []

    def runs():
        for i in range(4):
            yield {"seed": i}, lambda i=i: made.append(i) or {"score": 10 * i}

    path = tmp_path / "toy.json"
    for first in (1, 0):
        RUN.carry_out("toy", runs(), path, first, 2)
    RUN.carry_out("toy", runs(), path, 0, 1)
    assert made == [1, 3, 0, 2]
    rows = json.loads(path.read_text())["rows"]
    assert [(row["seed"], row["score"]) for row in rows] == [
        (1, 10),
        (3, 30),
        (0, 0),
        (2, 20),
    ]


def test_searching_for_the_name_counts_the_commonest_class_where_there_is_none():
    Example = RUN.Example
    names = ("stdlib", "numpy", "torch")
    examples = [
        Example("an array of NumPy", 1),
        Example("numpy or torch", 0),  # two are none: the commonest class is 0
        Example("a file", 0),
        Example("a tensor", 2),
    ]
    assert RUN.name_found(examples, names) == 3 / 4
