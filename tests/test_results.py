"""The recorded results: complete, with spread, and said how they came about."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from lmlib.grading.assignment import ROOT

FOLDER = ROOT / "book" / "_experiments"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))

# The third run kills the process, once.
TOY = """
import os
import signal
from pathlib import Path

from experiment import main

HERE = Path(__file__).parent


def run(seed):
    with (HERE / "ran").open("a") as file:
        print(seed, file=file)
    if seed == 2 and not (HERE / "killed").exists():
        (HERE / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"score": 10 * seed}


def runs():
    for seed in range(5):
        yield {"seed": seed}, lambda seed=seed: run(seed)


main(__file__, runs())
"""


@pytest.fixture
def script_of(monkeypatch):
    """Load an experiment's script by its name."""
    monkeypatch.syspath_prepend(FOLDER)

    def load(name):
        spec = importlib.util.spec_from_file_location("a_script", FOLDER / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_each_script_has_its_record_and_each_record_its_script():
    records = [path.stem for path in FOLDER.glob("*.json")]
    assert sorted(records) == [path.stem for path in SCRIPTS]


@pytest.mark.parametrize("name", [path.name for path in SCRIPTS])
def test_every_run_is_recorded_once_for_each_of_three_seeds(name, script_of):
    record = json.loads((FOLDER / name).with_suffix(".json").read_text())
    assert record["command"].startswith("python book/_experiments/")
    assert record["machine"]
    assert record["date"]
    planned = [what for what, _ in script_of(name).runs()]
    done = [{key: row[key] for key in planned[0]} for row in record["rows"]]
    assert sorted(map(str, done)) == sorted(map(str, planned))
    seeds = {what.get("seed") for what in planned}
    assert seeds == {None} or seeds >= {0, 1, 2}  # None where there is no chance


@pytest.fixture
def toy(tmp_path):
    """Run the toy experiment; return its exit status."""
    script = tmp_path / "9.9-toy.py"
    script.write_text(TOY)
    path = os.pathsep.join([str(FOLDER), str(ROOT)])

    def run(*options):
        command = [sys.executable, str(script), *options]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": path}).returncode

    return run


def rows_of(path):
    return [(row["seed"], row["score"]) for row in json.loads(path.read_text())["rows"]]


def test_a_killed_experiment_goes_on_with_what_is_missing(toy, tmp_path):
    record = tmp_path / "9.9-toy.json"
    assert toy() < 0
    assert rows_of(record) == [(0, 0), (1, 10)]
    assert toy() == 0
    assert rows_of(record) == [(seed, 10 * seed) for seed in range(5)]
    whole = record.stat().st_mtime_ns
    assert toy() == 0
    assert record.stat().st_mtime_ns == whole
    assert (tmp_path / "ran").read_text().split() == ["0", "1", "2", "2", "3", "4"]


def test_several_processes_make_one_record(toy, tmp_path):
    (tmp_path / "killed").touch()
    assert toy("--start", "1/2") == 0
    assert toy("--start", "0/2") == 0
    assert toy("--join", "2") == 0
    record = tmp_path / "9.9-toy.json"
    assert rows_of(record) == [(seed, 10 * seed) for seed in range(5)]
    assert list(tmp_path.glob("*.json")) == [record]


def test_a_run_that_began_with_other_weights_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FOLDER)
    experiment = importlib.import_module("experiment")
    made = []

    def score():
        made.append(1)
        return {"score": len(made)}

    (tmp_path / "toy.py").touch()
    record = tmp_path / "toy.json"
    for weights in ("old", "old", "new"):
        runs = [({"seed": seed, "weights": weights}, score) for seed in range(2)]
        experiment.carry_out(tmp_path / "toy.py", iter(runs), record, 0, 1)
    rows = json.loads(record.read_text())["rows"]
    assert [(r["seed"], r["weights"], r["score"]) for r in rows] == [
        (0, "new", 3),
        (1, "new", 4),
    ]


def test_searching_for_the_name_counts_the_commonest_class_where_there_is_none(
    script_of,
):
    script = script_of("3.3-labels.py")
    Example = script.Example
    names = ("stdlib", "numpy", "torch")
    examples = [
        Example("an array of NumPy", 1),
        Example("numpy or torch", 0),  # two are none: the commonest class is 0
        Example("a file", 0),
        Example("a tensor", 2),
    ]
    assert script.name_found(examples, names) == 3 / 4
