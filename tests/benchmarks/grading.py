"""Submissions a minute: stock nbgrader against `lmlib grade`, side by side.

    python -m tests.benchmarks.grading [NUMBER]
    python -m tests.benchmarks.grading --many NUMBER

The first grades the same honest submissions with `nbgrader autograde` as nbgrader comes
and with `lmlib grade`, one job and two, as commands are typed, from start to end. Ours
writes the feedback pages and the report of the class in that time, too. Ratios, and
the memory that the command and all its children take (PSS: shared pages count once).

The second grades a large class, and prints what the memory does.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil

from lmlib.grading import assignment
from tests.grading import sample_class

HONEST = ["solution", "einsum-style", "torch-style", "first-three", "subtle-mistakes"]
STOCK = """
c = get_config()
c.CourseDirectory.root = {root!r}
c.CourseDirectory.db_url = 'sqlite:///{root}/gradebook.db'
c.Execute.timeout = 60
"""


def run(command: list[str], cwd: Path, while_running: Callable[[int], object]) -> float:
    """Run a command; the seconds it took. `while_running` gets its process number."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(assignment.ROOT),
        "LMLIB_COURSE_SECRET": "of the benchmark",
    }
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            while_running(process.pid)
        seconds = time.perf_counter() - began
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{log.read().decode()[-3000:]}")
    return seconds


def wait(pid: int) -> None:
    time.sleep(0.01)


class Scales:
    """Weighs a command and its children, twenty times a second."""

    def __init__(self) -> None:
        self.weights: list[tuple[float, float]] = []  # seconds, MiB

    def weigh(self, pid: int) -> None:
        total = 0
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except (psutil.Error, OSError):
                    continue
        except psutil.Error:
            return
        self.weights.append((time.perf_counter(), total / 2**20))
        time.sleep(0.05)

    def most(self, first: float = 0.0, last: float = float("inf")) -> float:
        return max((w for t, w in self.weights if first <= t <= last), default=0.0)


def stock(notebooks: list[nbformat.NotebookNode], root: Path) -> float:
    """Seconds that `nbgrader autograde` takes, as nbgrader comes."""
    for number, notebook in enumerate(notebooks):
        folder = root / "submitted" / f"s{number:04}" / sample_class.ASSIGNMENT
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{sample_class.ASSIGNMENT}.ipynb")
    assignment.enter(sample_class.SOLUTION, root)
    (root / "nbgrader_config.py").write_text(STOCK.format(root=str(root)))
    command = [sys.executable, "-m", "nbgrader", "autograde", sample_class.ASSIGNMENT]
    return run([*command, "--create"], root, wait)


def ours(
    notebooks: list[nbformat.NotebookNode],
    root: Path,
    jobs: int,
    while_running: Callable[[int], object] = wait,
) -> float:
    """Seconds that `lmlib grade` takes; the marks must be right."""
    handed_in, course = root / "handed in", root / "course"
    handed_in.mkdir(parents=True)
    for number, notebook in enumerate(notebooks):
        nbformat.write(notebook, handed_in / f"s{number:04}.ipynb")
    assignment.enter(sample_class.SOLUTION, course)
    command = [sys.executable, "-m", "lmlib.cli", "grade", str(handed_in)]
    command += ["--course", str(course), "--jobs", str(jobs)]
    seconds = run(command, root, while_running)
    records = course / "graded" / sample_class.ASSIGNMENT / "records"
    for number in range(len(notebooks)):
        record = json.loads((records / f"s{number:04}.json").read_text())
        expected = sample_class.MARKS[HONEST[number % len(HONEST)]]
        assert [cell["points"] for cell in record["cells"]] == expected, record
    shutil.rmtree(root)
    return seconds


def compare(notebooks: list[nbformat.NotebookNode], root: Path) -> None:
    number = len(notebooks)
    base = stock(notebooks, root / "stock")
    rows = [("nbgrader autograde", base, 0.0)]
    for jobs in (1, 2):
        seconds = ours(notebooks, root / "timed", jobs)
        scales = Scales()
        ours(notebooks, root / "weighed", jobs, scales.weigh)
        rows.append((f"lmlib grade --jobs {jobs}", seconds, scales.most()))
    print(f"{number} submissions on {os.cpu_count()} cores")
    print(f"{'':24}{'seconds':>9}{'a minute':>10}{'ratio':>8}{'MiB':>8}")
    for name, seconds, memory in rows:
        weight = f"{memory:8.0f}" if memory else f"{'':>8}"
        print(
            f"{name:24}{seconds:9.1f}{60 * number / seconds:10.1f}"
            f"{base / seconds:8.1f}{weight}"
        )


def many(notebooks: list[nbformat.NotebookNode], root: Path) -> None:
    scales = Scales()
    seconds = ours(notebooks, root / "many", 2, scales.weigh)
    rate = 60 * len(notebooks) / seconds
    print(f"{len(notebooks)} submissions, 2 jobs: {seconds:.0f} s, {rate:.0f} a minute")
    print("the most memory in each tenth of the run, in MiB:")
    begin, end = scales.weights[0][0], scales.weights[-1][0]
    edges = [begin + (end - begin) * i / 10 for i in range(11)]
    print("  ".join(f"{scales.most(*edges[i : i + 2]):.0f}" for i in range(10)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=30)
    parser.add_argument("--many", action="store_true")
    given = parser.parse_args()
    made = sample_class.submissions()
    notebooks = [made[HONEST[i % len(HONEST)]] for i in range(given.number)]
    with tempfile.TemporaryDirectory() as folder:
        (many if given.many else compare)(notebooks, Path(folder))


if __name__ == "__main__":
    main()
