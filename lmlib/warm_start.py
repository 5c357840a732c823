"""`lmlib grade` in a warm process, from which those of students are forked, too.

Torch is imported once, and is in memory once. What waits, and what the processes do not
share, goes on side by side: the one that reads submissions and writes results is forked
first and never imports torch; the sandbox is probed in another; the forkserver parts
before this process takes on the environment, with the course's secret.

    python -m lmlib.warm_start FILE UNSAFE     started by `grade.begin`
"""

import gc
import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def _run(file: int, unsafe: bool) -> int:
    # jsonschema would build a parser of web addresses, in two seconds of ours, and load
    # a library of durations; nothing in the schema of notebooks asks for them, and it
    # does without.
    for checker in ("rfc3987_syntax", "rfc3986_validator", "isoduration"):
        sys.modules[checker] = None  # type: ignore[assignment]

    def arguments() -> list[str]:
        """Take on what was handed over."""
        state = json.loads(os.pread(file, os.fstat(file).st_size, 0))
        os.environ.clear()
        os.environ.update(state["environment"])
        return list(state["arguments"])

    gc.disable()
    from lmlib import cli
    from lmlib.commands import grade
    from lmlib.grading.examination import forkserver
    from lmlib.grading.io_process import IOProcess
    from lmlib.grading.sandbox import doctor

    reader = IOProcess(lambda: grade.class_of(cli.parse(arguments())))
    probed = _apart(doctor.probe)
    from lmlib.exercises import registry  # noqa: F401  # with torch

    reader.begin()
    forkserver.warm_up()
    try:
        server = forkserver.Forkserver(unsafe=unsafe, forked=probed())
    except RuntimeError as error:
        print(f"lmlib: {error}", file=sys.stderr)
        return 2
    with server:
        return cli.main(arguments(), forkserver=server, io_process=reader)


def _apart(function: Callable[[], T]) -> Callable[[], T]:
    """Begin `function` in a fork of this process; the result waits for its value."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            theirs.send(function())
        finally:
            os._exit(0)
    theirs.close()

    def value() -> T:
        try:
            found: T = ours.recv()
        except EOFError:
            raise RuntimeError("a part of the grader has ended") from None
        os.waitpid(pid, 0)
        return found

    return value


if __name__ == "__main__":
    sys.exit(_run(int(sys.argv[1]), sys.argv[2] == "1"))
