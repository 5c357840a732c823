"""Two processes against one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lmlib.training import parallel
from lmlib.training.checkpoints import read_history
from tests.training.toys import run

ROOT = Path(__file__).parents[2]


def torchrun(*arguments, processes=2):
    """Run a module under torchrun with gloo processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    one = run(tmp_path / "one", dropout=0.0)
    result = torchrun("tests.training.toys", tmp_path / "two", 0.0)
    assert result.returncode == 0, result.stderr
    two = read_history(tmp_path / "two")
    assert len(two) == len(one.history)
    for expected, line in zip(one.history, two, strict=True):
        assert line["step"] == expected["step"]
        if "losses" in line:
            # Sums in another order: 1e-7 at first, which twelve steps amplify.
            np.testing.assert_allclose(
                [line["gradient"], *line["losses"].values()],
                [expected["gradient"], *expected["losses"].values()],
                rtol=1e-4,
            )
        else:
            np.testing.assert_allclose(
                list(line["validation"].values()),
                list(expected["validation"].values()),
                rtol=1e-4,
            )
    names = sorted(p.name for p in (tmp_path / "two").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "one").iterdir())


@pytest.mark.parametrize(("n", "parts"), [(6, 1), (6, 4), (7, 7), (32, 3)])
def test_rows_are_all_there_once(n, parts):
    batch = {"x": torch.arange(n), "y": torch.arange(2 * n).reshape(n, 2)}
    pieces = [parallel.rows(batch, i, parts) for i in range(parts)]
    for name in batch:
        assert torch.equal(torch.cat([p[name] for p in pieces]), batch[name])
    sizes = [len(p["x"]) for p in pieces]
    assert max(sizes) - min(sizes) <= 1


def test_too_few_rows_is_an_error():
    with pytest.raises(ValueError, match="2 rows cannot be divided among 3"):
        parallel.rows({"x": torch.arange(2)}, 0, 3)


def test_a_device_that_is_not_there_is_told():
    missing = "cuda" if not torch.cuda.is_available() else "cuda:99"
    for name in (missing, "meta", "gpu"):
        with (
            pytest.raises(ValueError, match=rf"device must be .*; got {name} \("),
            parallel.processes(name),
        ):
            pass


def test_one_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with parallel.processes("cpu") as device:
        assert device == torch.device("cpu")
        assert (parallel.rank(), parallel.world_size()) == (0, 1)
        assert parallel.from_first("x") == "x"
        assert parallel.total(torch.tensor(3.0)) == 3
