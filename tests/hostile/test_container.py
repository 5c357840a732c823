"""The throw-away machine lets hostile code do as it likes, and keeps all of it in."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from lmlib.grading.assignment import ROOT
from tests.hostile import container, stock

BESIDE = Path(torch.__file__).parents[1] / "hostile_case.pth"
HOSTILE = """
import os, pathlib, socket, subprocess
pathlib.Path({beside!r}).write_text("import this")
pathlib.Path.home().joinpath("left").write_text("")
tried = {{
    "another user": lambda: os.setuid(0),
    "another's file": lambda: open({secret!r}),
    "another's process": lambda: os.kill({pid}, 0),
    "the way out": lambda: os.listdir("/proc/1/root"),
    "the network": lambda: socket.create_connection(("192.0.2.1", 80), timeout=2),
}}
for what, attempt in tried.items():
    try: attempt()
    except OSError: pass
    else: print("reached", what)
os.kill(1, 9)
subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("done")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What became of a hostile program: how it ran, and what it changed."""
    folder = tmp_path_factory.mktemp("container")
    (folder / "secret").write_text("")
    (folder / "machine").mkdir()
    code = HOSTILE.format(
        beside=str(BESIDE), secret=str(folder / "secret"), pid=os.getpid()
    )

    def inside():
        machine = container.Container(folder / "machine", ROOT / "lmlib")
        command = [sys.executable, "-c", code]
        ran = machine.run(command, container.HOME, stock.environment(), 60)
        found = {"changes": sorted(machine.changes()), **asdict(ran)}
        (folder / "told").write_text(json.dumps(found))

    def outside():
        container.unshare()
        sys.exit(stock.forked(inside))

    stock.forked(outside)
    if not (folder / "told").is_file():
        pytest.skip("overlays and namespaces for ordinary users are not to be had here")
    return json.loads((folder / "told").read_text())


def test_code_is_free_within_and_reaches_nothing_without(told):
    assert (told["status"], told["output"]) == (0, "done\n")


def test_what_it_changed_and_left_is_seen_and_gone(told):
    assert told["changes"] == sorted([str(container.HOME / "left"), str(BESIDE)])
    assert told["survivors"] == ["sleep 1000 "]
    assert not BESIDE.exists()
    assert not container.HOME.exists()
