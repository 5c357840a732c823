"""An entry of the contest: its source as it is run and weighed, and how it is run.

`compress` and `decompress` run in different processes: fresh interpreters with other
seeds of `hash`, in sandboxes and rooms of their own, of which nothing is left when they
end. All texts are compressed before the first is decompressed, in another order. What
crosses from one to the other is one string of bytes, which is counted.

Processor time is measured from here, by the kernel. Seconds are those of a reference
machine: see `pace`.
"""

import ast
import lzma
import math
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lmlib.grading.contest import child
from lmlib.grading.contest.room import Room, room
from lmlib.grading.results.text import one_line
from lmlib.grading.sandbox import confinement, syscalls

if sys.platform == "linux":
    import resource

CHILD = Path(child.__file__)
_FLAGS = ("-S", "-s", "-B", "-P", "-OO", "-c")
_MAPPED = 64 << 20  # bytes of address space of an interpreter that has imported numpy


@dataclass(frozen=True)
class Limits:
    """Of one direction on one text: seconds of processor time, bytes of memory, bytes
    that may come out; and bytes of the source as it is run."""

    seconds: float = 30.0
    memory: int = 1 << 30
    output: int = 1 << 17
    source: int = 1 << 16


@dataclass(frozen=True)
class Text:
    """What is to be compressed.

    Attributes:
        hidden: nothing is told of what a process says about it.
        most: bytes that its archive may have, where there is a bound.
    """

    name: str
    data: bytes
    hidden: bool = False
    most: int | None = None


@dataclass(frozen=True)
class Run:
    """One text, there and back.

    Attributes:
        size: of the text.
        archive: bytes of it, if there is one.
        problem: what went wrong, in one sentence; "" if the text came back.
        seconds: of processor time, there and back.
    """

    name: str
    size: int
    archive: int | None = None
    problem: str = ""
    seconds: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Outcome:
    """An entry on a set of texts.

    Attributes:
        program: what its source weighs; 0 if it cannot be run.
        problem: of the source as a whole.
    """

    program: int
    runs: tuple[Run, ...] = ()
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Whether every text came back."""
        return not self.problem and not any(run.problem for run in self.runs)

    @property
    def size(self) -> int:
        return sum(run.size for run in self.runs)

    @property
    def total(self) -> int | None:
        """Archives and program; None unless every text came back."""
        archives = [run.archive for run in self.runs if run.archive is not None]
        return sum(archives) + self.program if self.whole and self.runs else None

    @property
    def seconds(self) -> float:
        return sum((sum(run.seconds) for run in self.runs), 0.0)


# -- The source -----------------------------------------------------------------------


class _Stripped(ast.NodeTransformer):
    """Statements that are a constant do nothing: docstrings, and texts in their way."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if (
            hasattr(node, "body")
            and node.body == []
            and not isinstance(node, ast.Module)
        ):
            node.body = [ast.Pass()]
        if isinstance(node, ast.Try) and not (node.handlers or node.finalbody):
            node.finalbody = [ast.Pass()]
        return node


def canonical(source: str, longest: int = Limits.source) -> str:
    """The source without comments, docstrings and layout: what is run and weighed.

    Raises:
        ValueError: it is no Python, or longer than `longest` bytes.
    """
    if len(source) > 8 * longest:
        raise ValueError(f"the source may have {longest:,} bytes, and has far more")
    try:
        tree = _Stripped().visit(ast.parse(source))
        text = ast.unparse(ast.fix_missing_locations(tree))
        size = len(text.encode())
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise ValueError(f"the source is no Python{where}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("the source is nested too deep") from None
    except ValueError as error:  # half of a character, an integer of 5,000 digits
        raise ValueError(f"the source cannot be written anew: {error}") from None
    if size > longest:
        raise ValueError(
            f"without its comments the source has {size:,} bytes; {longest:,} are the "
            "most"
        )
    return text


def weigh(source: str) -> int:
    """The bytes of a program: its canonical source as `xz -9e` makes it, no headers.

    Raises:
        ValueError: as `canonical`.
    """
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    data = canonical(source).encode()
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters))


# -- One process ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    value: bytes = b""
    problem: str = ""
    seconds: float = 0.0


def _process_seconds() -> float:
    """Of all children that have ended and were waited for, and of theirs."""
    if sys.platform != "linux":
        return 0.0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(
    source: str,
    direction: str,
    text: Text,
    data: bytes,
    limits: Limits,
    sandbox: confinement.Sandbox,
    place: Room,
    hash_seed: int,
    pace: float,
) -> _Answer:
    """One direction, in a process of its own."""
    ours, theirs = socket.socketpair()
    words = [str(place.interpreter), *_FLAGS]
    words += [CHILD.read_text(encoding="utf-8"), str(theirs.fileno()), direction]
    words.append(str(limits.memory + _MAPPED))
    environment = place.environment(hash_seed)

    def enter() -> None:
        os.set_inheritable(theirs.fileno(), True)
        with suppress(OSError):  # of root's sandbox alone: root's Python is only root's
            syscalls.keep_over_exec(syscalls.CAP_DAC_READ_SEARCH)
        os.execve(words[0], words, environment)

    place.read_through()
    seconds = limits.seconds * pace
    before = _process_seconds()
    with ours, tempfile.TemporaryDirectory(prefix="entry-") as folder:
        policy = confinement.Policy(
            read=(place.folder, *place.libraries),
            write=(Path(folder),),
            memory_bytes=limits.memory + _MAPPED,
            processes=1,
            file_bytes=0,
            disk_bytes=1 << 20,
            cpu_seconds=math.ceil(seconds),
        )
        with theirs:
            confined = confinement.spawn(
                enter, policy, sandbox, (theirs.fileno(),), unsafe=True
            )
        answer, problem = b"", ""
        until = time.monotonic() + 4 * seconds + 10
        try:
            head = len(source.encode()).to_bytes(8, "little") + source.encode()
            ours.settimeout(until - time.monotonic())
            with suppress(ConnectionError):
                ours.sendall(head + data)
                ours.shutdown(socket.SHUT_WR)
            answer = _received(ours, limits.output + 1, until)
        except TimeoutError:
            problem = "did not end in time"
        except ConnectionError:
            problem = "ended its process"
        if problem or len(answer) > limits.output + 1:
            ended = confined.kill()
        else:
            ended = confined.wait(max(until - time.monotonic(), 1.0)) or confined.kill()
    used = (_process_seconds() - before) / pace
    reasons = {
        "memory": f"took more than {limits.memory >> 20:,} MiB of memory",
        "processor time": f"took more than {limits.seconds:g} s",
    }
    if ended.reason in reasons or used > limits.seconds:
        problem = reasons.get(ended.reason, reasons["processor time"])
    elif not problem and len(answer) > limits.output + 1:
        problem = f"gave more than {limits.output:,} bytes"
    elif not problem and not answer:
        problem = "ended its process"
    elif not problem and answer[:1] == b"e":
        said = one_line(answer[1:].decode(errors="replace"), 300)
        problem = "raised an error" if text.hidden else f"raised {said}"
    elif not problem and answer[:1] != b"v":
        problem = "ended its process"
    return _Answer(
        b"" if problem else answer[1:],
        problem and f"{direction} {problem}",
        round(used, 3),
    )


def _received(connection: socket.socket, most: int, until: float) -> bytes:
    """What comes until the other side hangs up, or a little more than `most`."""
    parts, size = [], 0
    while size <= most:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(1 << 16)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


# -- One entry ------------------------------------------------------------------------


def run_entry(
    source: str,
    texts: Sequence[Text],
    limits: Limits,
    sandbox: confinement.Sandbox,
    *,
    pace: float = 1.0,
) -> Outcome:
    """Compress all `texts`, then decompress all, each in a process of its own.

    Parameters:
        source: of the entry: functions `compress` and `decompress`.
        sandbox: as `doctor.probe` found it; at level "none" it runs under limits alone.
        pace: how much slower this machine is than the reference machine.
    """
    try:
        program = weigh(source)
        text_of_it = canonical(source, limits.source)
    except ValueError as error:
        return Outcome(0, problem=str(error))
    place = room()
    archives: dict[int, bytes] = {}
    runs = {}

    def answer(direction: str, number: int, data: bytes, seed: int) -> _Answer:
        text = texts[number]
        shared = (limits, sandbox, place, seed, pace)
        return _run(text_of_it, direction, text, data, *shared)

    for number, text in enumerate(texts):
        there = answer("compress", number, text.data, 1 + number)
        runs[number] = Run(
            text.name,
            len(text.data),
            None if there.problem else len(there.value),
            there.problem,
            (there.seconds, 0.0),
        )
        if not there.problem:
            archives[number] = there.value
            if text.most is not None and len(there.value) > text.most:
                said = f"the archive has {len(there.value):,} bytes, not {text.most:,}"
                runs[number] = replace(runs[number], problem=said)
    order = list(archives)
    random.SystemRandom().shuffle(order)
    for number in order:
        back = answer("decompress", number, archives[number], 1001 + number)
        problem = runs[number].problem or back.problem
        problem = problem or _difference(texts[number], back.value)
        seconds = (runs[number].seconds[0], back.seconds)
        runs[number] = replace(runs[number], problem=problem, seconds=seconds)
    return Outcome(program, tuple(runs[number] for number in range(len(texts))))


def archive_of(
    source: str, data: bytes, limits: Limits, sandbox: confinement.Sandbox
) -> bytes:
    """What the entry makes of `data`; b"" if it makes nothing of it."""
    with suppress(ValueError):
        text = canonical(source, limits.source)
        shared = (limits, sandbox, room(), 1, 1.0)
        return _run(text, "compress", Text("", data), data, *shared).value
    return b""


def _difference(text: Text, got: bytes) -> str:
    """What a text that did not come back may tell; of a hidden one, only that."""
    want = text.data
    if got == want:
        return ""
    if text.hidden:
        return "decompress gave another text"
    if got == want.replace(b"\r\n", b"\n"):
        return "decompress gave the text without its carriage returns (see: CRLF lost)"
    same = next(
        (i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b),
        min(len(got), len(want)),
    )
    sign = (
        "last few bytes wrong" if same >= len(want) - 8 else "wrong from one place on"
    )
    return (
        f"decompress gave another text: {len(got):,} bytes of {len(want):,}, right up "
        f"to byte {same:,} (see: {sign})"
    )


# -- The machine ----------------------------------------------------------------------

REFERENCE = 0.45  # seconds of `_loop` on the reference machine


def _loop() -> int:
    """What a mixer does: products, shifts, tables; a fixed number of times."""
    table, x, total = list(range(4096)), 1, 0
    for i in range(2_000_000):
        x = (x * 69069 + i) & 0xFFFFFFFF
        total += table[x >> 20] * (x & 255) >> 4
        table[i & 4095] = x & 1023
    return total


def pace(times: int = 3) -> float:
    """How much slower this machine is than the reference machine; the best of some."""
    found = []
    for _ in range(times):
        began = time.process_time()
        _loop()
        found.append(time.process_time() - began)
    return min(found) / REFERENCE
