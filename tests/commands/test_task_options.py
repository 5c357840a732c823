"""The tasks of the commands."""

import argparse

import pytest

from lmlib.commands.task_options import add_task, task_of
from tests.commands.samples import examples_file


def test_a_file_is_a_task(tmp_path):
    parser = argparse.ArgumentParser()
    add_task(parser, None)
    path = examples_file(tmp_path / "e.jsonl")
    given = parser.parse_args(["--task", path, "--train", "10"])
    given.seed = 0
    task = task_of(given)
    assert task.names == ("bad", "good")
    assert len(task.train) == 10
    given.task = "sentiment"
    with pytest.raises(FileNotFoundError, match="neither packages, nor polarity"):
        task_of(given)
