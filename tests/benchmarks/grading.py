"""Submissions a minute: stock nbgrader against `lmlib grade`, side by side.

    python -m tests.benchmarks.grading [NUMBER]

Grades the same honest submissions with nbgrader's own autograde and with this engine,
one job and two, in one run, and prints ratios and the memory that the grader and its
jobs take (PSS: shared pages are counted once).
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil

from lmlib.grading import assignment, batch
from lmlib.grading.intake import Submission
from tests import sample_class

HONEST = ["solution", "einsum-style", "torch-style", "first-three", "subtle-mistakes"]
STOCK = """
c = get_config()
c.CourseDirectory.root = {root!r}
c.CourseDirectory.db_url = 'sqlite:///{root}/gradebook.db'
c.Execute.timeout = 60
"""


def peak_memory(work: Callable[[], object]) -> float:
    """Run `work`; the most memory in MiB that this process and its children took."""
    me, most, over = psutil.Process(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.05):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except (psutil.Error, OSError):
                    continue
            most = max(most, total / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    work()
    over.set()
    thread.join()
    return most


def stock(notebooks: list[nbformat.NotebookNode], root: Path) -> float:
    """Seconds that `nbgrader autograde` takes, as nbgrader comes."""
    for number, notebook in enumerate(notebooks):
        folder = root / "submitted" / f"s{number:03}" / sample_class.ASSIGNMENT
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{sample_class.ASSIGNMENT}.ipynb")
    assignment.enter(sample_class.SOLUTION, root)
    (root / "nbgrader_config.py").write_text(STOCK.format(root=str(root)))
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    command = [sys.executable, "-m", "nbgrader", "autograde", sample_class.ASSIGNMENT]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--create"],
        cwd=root,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(assignment.ROOT)},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def ours(notebooks: list[nbformat.NotebookNode], records: Path, jobs: int) -> float:
    source = assignment.read_source(sample_class.SOLUTION)
    submissions = [
        Submission(f"s{i:03}", sample_class.ASSIGNMENT, notebook, digest=str(i))
        for i, notebook in enumerate(notebooks)
    ]
    began = time.perf_counter()
    done = batch.grade(submissions, source, records, jobs=jobs)
    seconds = time.perf_counter() - began
    for i, record in enumerate(done):
        expected = sample_class.MARKS[HONEST[i % len(HONEST)]]
        assert [cell.points for cell in record.cells] == expected, record.student
    return seconds


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    made = sample_class.submissions()
    notebooks = [made[HONEST[i % len(HONEST)]] for i in range(number)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        base = stock(notebooks, root / "stock")
        rows = [("nbgrader autograde", base, 0.0)]
        for jobs in (1, 2):
            seconds = ours(notebooks, root / f"timed {jobs}", jobs)
            memory = peak_memory(
                lambda jobs=jobs: ours(notebooks, root / f"weighed {jobs}", jobs)
            )
            rows.append((f"lmlib grade, jobs = {jobs}", seconds, memory))
    print(f"{number} submissions on {os.cpu_count()} cores")
    print(f"{'':24}{'seconds':>9}{'a minute':>10}{'ratio':>8}{'MiB':>8}")
    for name, seconds, memory in rows:
        weight = f"{memory:8.0f}" if memory else f"{'':>8}"
        print(
            f"{name:24}{seconds:9.1f}{60 * number / seconds:10.0f}"
            f"{base / seconds:8.1f}{weight}"
        )


if __name__ == "__main__":
    main()
