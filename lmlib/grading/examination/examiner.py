"""The examiner's process: runs the tests, and calls what a student wrote from afar.

Locked cells and test cells run here, as they are in the instructor's notebook. A name
that only the student's cells define becomes a `Remote`: calling it sends the arguments
to the student's process and brings the value back, as plain data (see `codec`). Nothing
of the student's is ever imported, unpickled or executed here.
"""

import ast
import builtins
import contextlib
import io
import os
import re
import select
import shutil
import socket
import symtable
import tempfile
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from nbformat import NotebookNode

from lmlib.exercises import checks
from lmlib.exercises.exercise import Exercise
from lmlib.exercises.registry import find_exercise
from lmlib.grading.examination import wire
from lmlib.grading.examination.codec import (
    CodecError,
    Decoder,
    Encoder,
    Handle,
    RemoteTensor,
)
from lmlib.grading.results.record import CellResult, Record

MAX_OUTPUT = 20_000  # characters that a student gets to read of one test
MAX_RESTARTS = 5  # of the student's process, after cells that end it


@dataclass(frozen=True)
class Limits:
    """Seconds for one cell, for one test, and for a whole notebook."""

    cell: float = 30.0
    test: float = 30.0
    notebook: float = 300.0


DEFAULT_LIMITS = Limits()


class SessionLost(BaseException):
    """The student's code ended its process, or did not answer in time.

    No ordinary exception, so that no `except Exception` of a test swallows it.
    """

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


# -- The student's process, from here -------------------------------------------------


class Session:
    """One student's process, asked for from the forkserver."""

    def __init__(self, client: socket.socket, deadline: float) -> None:
        self.client, self.deadline = client, deadline
        self.folder = Path(tempfile.mkdtemp(prefix="submission-"))
        self.control, theirs = socket.socketpair()
        with theirs:
            request = b"spawn " + os.fsencode(self.folder)
            socket.send_fds(client, [request], [theirs.fileno()])
        self.name = client.recv(256)
        if not self.name.startswith(b"session "):
            raise RuntimeError(f"no process for the student: {self.name.decode()}")

    def ask(self, *request: Any, seconds: float) -> Any:
        """Ask the process; the answer.

        Raises:
            SessionLost: it is gone, or does not answer in time.
        """
        until = min(time.monotonic() + seconds, self.deadline)
        try:
            wire.send(self.control, Encoder().encode(list(request)))
            return Decoder().decode(wire.receive(self.control, until))
        except TimeoutError:
            raise SessionLost("timed out", "did not end in time") from None
        except (wire.Closed, CodecError):
            raise SessionLost("crashed", "ended the process") from None

    def is_gone(self) -> bool:
        """Whether the process has ended; to be asked while nothing is asked of it."""
        return bool(select.select([self.control], [], [], 0)[0])

    def close(self) -> None:
        """Kill the process and everything that it started; remove its folder."""
        with contextlib.suppress(OSError):
            self.client.send(b"kill " + self.name)
            self.client.recv(256)
        self.control.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Test:
    """A copy of the student's process that answers during one test.

    `cells` is the code that ran there.
    """

    def __init__(
        self, session: Session, seconds: float, cells: Sequence[str] = ()
    ) -> None:
        self.session, self.cells = session, cells
        self.references: list[str] | None = []  # in place of the student's, throughout
        self.more_references = False  # than these, at the moment
        self.deadline = min(time.monotonic() + seconds, session.deadline)
        self.lost: SessionLost | None = None
        self.leaves: dict[int, torch.Tensor] = {}  # the student's parameters, here
        self.connection, theirs = socket.socketpair()
        with theirs:
            try:
                wire.send(session.control, Encoder().encode(["fork"]))
                socket.send_fds(session.control, [b"f"], [theirs.fileno()])
            except (wire.Closed, OSError):
                raise SessionLost("crashed", "ended the process") from None

    def ask(self, *request: Any) -> tuple[Any, ...]:
        """Ask; the parts of the answer.

        Raises:
            SessionLost: the copy is gone, or the test's time is over.
            Exception: what the student's code raised, as the same built-in type, or
                as one of the same name that derives from the same built-in type.
        """
        if self.lost is not None:
            raise self.lost
        message = Encoder(_for_student).encode(request)
        try:
            wire.send(self.connection, message)
            reply = wire.receive(self.connection, self.deadline)
            answer = Decoder(self._found).decode(reply)
            if type(answer) is not tuple or not answer:
                raise CodecError("no answer")
            if answer[0] == "error":
                _, name, text, where, base = map(str, answer)
                error = _exception(name, text, where, base)
            else:
                return answer[1:]
        except TimeoutError:
            self.lost = SessionLost("timed out", "ran for too long")
            raise self.lost from None
        except (wire.Closed, CodecError) as problem:
            self.lost = SessionLost("crashed", f"ended the process ({problem})")
            raise self.lost from None
        raise error

    def _found(self, value: Any) -> Any:
        if isinstance(value, Handle):
            return Remote(self, value)
        return _Incoming(value)

    def end(self) -> None:
        """Hang up, which ends the copy; if it was lost, find out how.

        Raises:
            SessionLost: the student's process does not do its part.
        """
        self.connection.close()
        if self.lost is None:
            # The copy ends meanwhile. It may have killed the process that it is of.
            self.session.ask("alive", seconds=5.0)
            return
        patience = 0.0 if self.lost.state == "timed out" else 1.0
        how = self.session.ask("ended", patience, seconds=5.0)
        if self.lost.state == "crashed" and type(how) is str and how:
            self.lost.reason = f"ended the process ({how[:60]})"


@dataclass(frozen=True)
class _Incoming:
    """A RemoteTensor that has arrived and is not yet part of a graph here."""

    remote: RemoteTensor


def _for_student(value: Any) -> Handle | RemoteTensor:
    """What crosses to the student in place of a value that is not plain data."""
    if type(value) is Remote:
        return value._handle
    if isinstance(value, torch.Tensor) and value.requires_grad:
        return RemoteTensor(-1, value.detach())
    raise CodecError(
        f"a {type(value).__name__} cannot be handed to the student's process; what can "
        "be: numbers, strings, lists, tuples, dicts, arrays, tensors, and what came "
        "from it"
    )


_BUILTIN_ERRORS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


def _exception(name: str, text: str, where: str, base: str) -> Exception:
    kind = _BUILTIN_ERRORS.get(name)
    if kind is None:
        plain = name if name.isidentifier() and len(name) < 80 else "Exception"
        kind = type(plain, (_BUILTIN_ERRORS.get(base, Exception),), {})
    try:
        error = kind(text)
    except TypeError:  # UnicodeDecodeError and its like take five arguments
        error = type(name, (Exception,), {})(text)
    error.where = where[:200]  # type: ignore[attr-defined]
    return error


# -- What a student's function looks like to a test -----------------------------------


class Remote:
    """Something of the student's: call it, take its attributes and items.

    Everything else that Python would do behind the scenes (comparing, iterating, taking
    the length or the truth) raises TypeError: it would be the student's code that
    answers, in the middle of a test.
    """

    __slots__ = ("_handle", "_test")
    _handle: Handle
    _test: Test
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, test: Test, handle: Handle) -> None:
        object.__setattr__(self, "_test", test)
        object.__setattr__(self, "_handle", handle)

    def _lmlib_origin(self) -> str:
        return self._handle.origin

    def _lmlib_cells(self) -> Sequence[str]:
        return self._test.cells

    @contextlib.contextmanager
    def _lmlib_references(self, exercises: list[str]) -> Iterator[None]:
        test = self._test
        if test.references is None:  # nothing is to be put in place
            yield
            return
        test.more_references = True
        test.ask("references", test.references + exercises)
        yield
        test.ask("references", test.references)
        test.more_references = False

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _call(self._test, self, args, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _settle(self._test, self._test.ask("attribute", self, name)[0], {})

    def __getitem__(self, key: Any) -> Any:
        return _settle(self._test, self._test.ask("item", self, key)[0], {})

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError("a test cannot set attributes of the student's objects")

    def __repr__(self) -> str:
        return f"<the student's {self._handle.kind}>"

    def __eq__(self, other: object) -> bool:
        raise TypeError(_no_operation("compared", self._handle))

    def __bool__(self) -> bool:
        raise TypeError(_no_operation("used as a condition", self._handle))

    def __len__(self) -> int:
        raise TypeError(_no_operation("measured by len()", self._handle))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(_no_operation("iterated over", self._handle))


def _no_operation(what: str, handle: Handle) -> str:
    return f"a {handle.kind} of the student's process cannot be {what} in a test"


def _call(test: Test, function: Remote, args: Any, options: dict[str, Any]) -> Any:
    value, changed, numbers = test.ask("call", function, list(args), options)
    given = (*args, *options.values())
    own = {
        number: tensor
        for number, tensor in zip(numbers, given, strict=True)
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad
    }
    for index, new in changed:
        _write_back(args[index], new)
    return _settle(test, value, own)


def _write_back(old: Any, new: Any) -> None:
    """Let a change that the student's code made to an argument be seen here."""
    if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
        if old.shape == new.shape and old.dtype == new.dtype:
            with torch.no_grad():
                old.copy_(new)
    elif isinstance(old, list) and type(new) is list:
        old[:] = new
    elif isinstance(old, dict) and type(new) is dict:
        old.clear()
        old.update(new)
    elif type(old) is type(new) and getattr(old, "shape", None) == getattr(
        new, "shape", ()
    ):
        old[...] = new


def _settle(test: Test, value: Any, own: dict[int, torch.Tensor]) -> Any:
    """Join arrived tensors to the graph here, wherever they are within `value`."""
    if type(value) is _Incoming:
        return _join(test, value.remote, own)
    if type(value) in (list, tuple):
        return type(value)(_settle(test, v, own) for v in value)
    if type(value) is dict:
        return {k: _settle(test, v, own) for k, v in value.items()}
    return value


def _join(test: Test, remote: RemoteTensor, own: dict[int, torch.Tensor]) -> Any:
    """A tensor here whose gradient is computed there.

    A leaf of the student's (a parameter) becomes a leaf here, one for each, so that
    `loss.backward()` leaves the gradient in `module.weight.grad`.
    """
    leaves = test.leaves
    if not remote.leaves:
        leaf = leaves.get(remote.number)
        if leaf is None or leaf.shape != remote.data.shape:
            leaf = leaves[remote.number] = remote.data.requires_grad_()
        else:
            leaf.data.copy_(remote.data)
        return leaf
    # Parameters that the test has not looked at yet may be looked at after backward().
    inputs = {n: own.get(n, leaves.get(n)) for n in remote.leaves}
    for number in [n for n, tensor in inputs.items() if tensor is None]:
        (arrived,) = test.ask("leaf", number)
        if type(arrived) is not _Incoming or arrived.remote.leaves:
            raise CodecError("no leaf")
        inputs[number] = _join(test, arrived.remote, {})
    return _Graph.apply(test, remote, tuple(inputs), *inputs.values())  # type: ignore[no-untyped-call]


class _Graph(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, test: Test, remote: RemoteTensor, numbers: Any, *inputs: Any
    ) -> Any:
        ctx.test, ctx.number, ctx.numbers = test, remote.number, list(numbers)
        ctx.shapes = [tensor.shape for tensor in inputs]
        return remote.data.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        request = ("gradient", ctx.number, gradient.detach(), ctx.numbers)
        (gradients,) = ctx.test.ask(*request)
        for tensor, shape in zip(gradients, ctx.shapes, strict=True):
            if tensor is not None and tensor.shape != shape:
                raise CodecError("a gradient of another shape")
        return (None, None, None, *gradients)


# -- One submission -------------------------------------------------------------------


@dataclass
class Examination:
    """The state of grading one notebook."""

    source: dict[str, NotebookNode]
    client: socket.socket
    limits: Limits
    deadline: float
    names: dict[str, Any] = field(default_factory=dict)
    ran: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    results: list[CellResult] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)  # that answers may not make
    restarts: int = 0
    session: Session | None = None


def examine_submission(
    submission: Any,
    source: NotebookNode,
    client: socket.socket,
    limits: Limits = DEFAULT_LIMITS,
    given: dict[str, Any] | None = None,
) -> Record:
    """Run a submission's cells and the tests of `source` on them.

    Parameters:
        submission: of `intake`.
        source: the instructor's notebook, hidden tests included.
        client: a connection to the forkserver.
        limits: in seconds.
        given: `given_names(source)`, if it has been made already.
    """
    began = time.monotonic()
    cells = {
        cell.metadata.nbgrader.grade_id: cell
        for cell in source.cells
        if "nbgrader" in cell.metadata
    }
    tests = [name for name, cell in cells.items() if _kind(cell) == "test"]
    base = Record(
        submission.student,
        submission.assignment,
        "graded",
        needs_person=tuple(submission.needs_person),
        platform=submission.platform,
    )
    if submission.notebook is None:
        state = "malformed" if submission.path or submission.digest else "missing"
        return replace(
            base,
            state=state,
            reason=submission.reason,
            cells=not_run(source),
        )
    exam = Examination(cells, client, limits, began + limits.notebook)
    exam.names = dict(given_names(source) if given is None else given)
    done = set()
    try:
        for name, cell in _steps(submission.notebook, cells):
            kind = _kind(cell)
            if kind == "test":
                done.add(name)
                exam.results.append(_run_test(exam, cells[name]))
                continue
            if kind == "given":
                cell = cells[name]
                if _only_looked_at(cell, source, submission.notebook):
                    continue
            _run_there(exam, name, cell.source)
        for name in tests:
            if name not in done:
                exam.results.append(_run_test(exam, cells[name]))
    finally:
        if exam.session is not None:
            exam.session.close()
    by_name = {result.grade_id: result for result in exam.results}
    results = tuple(by_name[name] for name in tests)
    state, reason = _verdict(results)
    return replace(
        base,
        state=state,
        reason=reason,
        cells=results,
        repairs=tuple(submission.repairs),
        needs_person=(*submission.needs_person, *dict.fromkeys(exam.calls)),
        answers=_written(submission.notebook, source),
        seconds=round(time.monotonic() - began, 3),
    )


def _kind(cell: NotebookNode) -> str:
    """ "test", "given" (locked code), "solution", "code" or "text"."""
    if cell.cell_type != "code":
        return "text"
    nbgrader = cell.metadata.get("nbgrader", {})
    if nbgrader.get("grade") and not nbgrader.get("solution"):
        return "test"
    if nbgrader.get("solution"):
        return "solution"
    return "given" if nbgrader.get("locked") else "code"


def _steps(
    notebook: NotebookNode, source: dict[str, NotebookNode]
) -> Iterator[tuple[str, NotebookNode]]:
    """The code cells as the student has them; locked ones that are missing first."""
    present = set()
    named = []
    for number, cell in enumerate(notebook.cells):
        name = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {number + 1}")
        if _kind(cell) in ("test", "given") and name not in source:
            continue  # a locked cell that the assignment does not have
        if _kind(cell) != "text" and name not in present:
            present.add(name)
            named.append((name, cell))
    for name, cell in source.items():
        if _kind(cell) == "given" and name not in present:
            yield name, cell
    yield from named


def _only_looked_at(
    cell: NotebookNode, source: NotebookNode, notebook: NotebookNode
) -> bool:
    """Whether the author says that a cell only draws, and no other one mentions a name
    that it defines, not even in a comment or a string.
    """
    if "picture" not in cell.metadata.get("tags", ()):
        return False
    try:
        names = symtable.symtable(cell.source, "<given>", "exec").get_symbols()
    except SyntaxError:  # IPython's magics
        return False
    others = [c for c in source.cells if _kind(c) in ("test", "given") and c != cell]
    others += [c for c in notebook.cells if _kind(c) in ("solution", "code")]
    words = {word for c in others for word in re.findall(r"\w+", c.source)}
    defined = {n.get_name() for n in names if n.is_assigned() or n.is_imported()}
    return defined.isdisjoint(words)


def _written(
    notebook: NotebookNode, source: NotebookNode
) -> tuple[tuple[str, str], ...]:
    """A student's answers, and the cells that they added, in the notebook's order.

    What they added has a type and a number for its name, which no answer can have.
    """
    given = {cell.source.strip() for cell in source.cells if cell.cell_type != "code"}
    found: dict[str, str] = {}
    for number, cell in enumerate(notebook.cells, 1):
        nbgrader = cell.metadata.get("nbgrader", {})
        text = cell.source.strip()
        if nbgrader.get("solution"):
            found.setdefault(nbgrader["grade_id"], cell.source)
        elif not nbgrader and text and (cell.cell_type == "code" or text not in given):
            kind = "cell" if cell.cell_type == "code" else "text"
            found[f"{kind} {number}"] = cell.source
    return tuple(found.items())


def not_run(source: NotebookNode) -> tuple[CellResult, ...]:
    """The results of a submission whose tests were not run."""
    return tuple(
        CellResult(data.grade_id, 0.0, float(data.points), "not run")
        for cell in source.cells
        if _kind(cell) == "test" and (data := cell.metadata.nbgrader)
    )


def _verdict(results: tuple[CellResult, ...]) -> tuple[str, str]:
    for state in ("crashed", "timed out"):
        names = [r.grade_id.removeprefix("test_") for r in results if r.state == state]
        if names:
            return state, f"In {', '.join(names)}: see there."
    if any(result.points < result.max_points for result in results):
        return "failed tests", ""
    return "graded", ""


def given_names(source: NotebookNode) -> dict[str, Any]:
    """What the locked cells that are no tests define: imports, data, functions.

    A cell that needs the student's code fails here, and does no harm.
    """
    names: dict[str, Any] = {}
    for cell in source.cells:
        if _kind(cell) == "given":
            with (
                contextlib.suppress(Exception),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                exec(compile(cell.source, "<given>", "exec"), names)
    return names


def exercises_of(source: NotebookNode) -> list[Exercise]:
    """Those whose names the tests mention."""
    return exercises_in([cell for cell in source.cells if _kind(cell) == "test"])


def exercises_in(cells: Sequence[NotebookNode]) -> list[Exercise]:
    """Those whose names stand in cells."""
    names = {n for cell in cells for n in re.findall(r'"([\w.]+/\w+)"', cell.source)}
    found = []
    for name in sorted(names):
        with contextlib.suppress(KeyError):
            found.append(find_exercise(name))
    return found


def _run_there(exam: Examination, name: str, source: str) -> None:
    """A cell in the student's process; if it ends that, begin anew without it."""
    try:
        session = _session(exam)
        error = session.ask(
            "run", source, name, exam.limits.cell, seconds=exam.limits.cell + 2
        )
    except SessionLost as lost:
        exam.errors.append(f"The cell {name} {lost.reason}; it was left out.")
        _restart(exam)
        return
    exam.ran.append((name, source))
    if error and error[0] != "NotImplementedError":
        kind, text, where = (str(part)[:500] for part in error)
        exam.errors.append(f"The cell {name} stopped with {kind}{where}: {text}")


def _session(exam: Examination) -> Session:
    if exam.session is not None and exam.session.is_gone():
        _restart(exam)
    if exam.session is None:
        if exam.restarts > MAX_RESTARTS or time.monotonic() > exam.deadline:
            raise SessionLost("crashed", "was not run: others ended the process before")
        exam.session = Session(exam.client, exam.deadline)
        for name, source in list(exam.ran):
            try:
                exam.session.ask(
                    "run", source, name, exam.limits.cell, seconds=exam.limits.cell + 2
                )
            except SessionLost:
                exam.ran.remove((name, source))
                _restart(exam)
                return _session(exam)
    return exam.session


def _restart(exam: Examination) -> None:
    if exam.session is not None:
        exam.session.close()
        exam.session = None
    exam.restarts += 1


def _run_test(exam: Examination, cell: NotebookNode) -> CellResult:
    """A test cell; once more if it hung or ended for the sake of helpers.

    A right function is put in the place of helpers that hang. And if a right function
    is what made it hang, what the answer earned with the student's own counts.
    """
    result, with_more = _tried(exam, cell)
    if result.state not in ("timed out", "crashed"):
        return result
    if with_more:
        again, _ = _tried(exam, cell, None)
        told = ""
    elif lost := _lost_helpers(exam, cell):
        again, _ = _tried(exam, cell, lost)
        names = ", ".join(f"`{name.split('/')[1]}`" for name in lost)
        told = (
            f"With a right function in place of your {names}, which did not return:\n"
        )
    else:
        return result
    if again.points <= result.points:
        return result
    seconds = round(result.seconds + again.seconds, 3)
    return replace(again, output=told + again.output, seconds=seconds)


def _lost_helpers(exam: Examination, cell: NotebookNode) -> list[str]:
    """What the cell's exercise builds on, where the student's own hangs or ends."""
    lost = {r.grade_id for r in exam.results if r.state in ("timed out", "crashed")}
    return [
        name
        for exercise in exercises_in([cell])
        for name in exercise.helpers
        if f"test_{name.split('/')[1]}" in lost
    ]


def _tried(
    exam: Examination, cell: NotebookNode, references: Sequence[str] | None = ()
) -> tuple[CellResult, bool]:
    """A test cell, here, with the student's names as Remotes.

    Parameters:
        references: exercises whose right functions stand in place of the student's;
            None: and none are to be put there.

    Returns:
        The result; whether the copy was lost when `check` had put more there.
    """
    began = time.monotonic()
    data = cell.metadata.nbgrader
    reports: list[checks.Report] = []
    printed = io.StringIO()
    before, exam.errors = exam.errors, []
    points, state, told = 0.0, "failed", ""
    test = None
    try:
        session = _session(exam)
        test = Test(session, exam.limits.test, [source for _, source in exam.ran])
        test.references = None if references is None else list(references)
        if references:
            test.ask("references", test.references)
        names = {**exam.names, **_student_names(session, test, cell.source, exam.names)}
        with (
            checks.listening(reports.append),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            points = _score(cell.source, names, float(data.points))
        state = "passed" if points == float(data.points) else "failed"
    except SessionLost as lost:
        points, state, told = 0.0, lost.state, f"Your code {lost.reason}."
    except _TestFailed as failed:
        points, told = 0.0, str(failed)
    finally:
        if test is not None:
            try:
                test.end()
            except SessionLost:
                _restart(exam)
    if test is not None and test.lost is not None and state in ("crashed", "timed out"):
        told = f"Your code {test.lost.reason}."
    parts = [*before, printed.getvalue().strip(), told]
    output = "\n".join(part for part in parts if part)
    if len(output) > MAX_OUTPUT:
        output = output[:MAX_OUTPUT] + "\n… (cut off)"
    exam.calls += [
        f"`{report.exercise.short_name}` uses {report.calls}: no points for it."
        for report in reports
        if report.calls
    ]
    found = {
        result.misconception.name
        for report in reports
        for result in report.results
        if result.misconception is not None
    }
    result = CellResult(
        grade_id=data.grade_id,
        points=points,
        max_points=float(data.points),
        state=state,
        output=output,
        seconds=round(time.monotonic() - began, 3),
        misconceptions=tuple(sorted(found)),
    )
    return result, bool(test and test.lost and test.more_references)


class _TestFailed(Exception):
    pass


def _score(source: str, names: dict[str, Any], points: float) -> float:
    """Run a test cell; its points as nbgrader counts them.

    All of them if it ends without an error, or the last value if that is a number.

    Raises:
        _TestFailed: an error, told without the words of a hidden test.
    """
    hidden, inside = set(), False
    for number, text in enumerate(source.splitlines(), 1):
        inside = inside or "BEGIN HIDDEN TESTS" in text
        if inside:
            hidden.add(number)
        inside = inside and "END HIDDEN TESTS" not in text
    tree = ast.parse(source)
    last = (
        tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    )
    value: Any = None
    try:
        exec(compile(tree, "<test>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<test>", "eval"), names)
    except Exception as error:
        line = 0
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == "<test>":
                line = frame.tb_lineno
            frame = frame.tb_next
        if line in hidden:
            raise _TestFailed("A hidden test failed.") from None
        where = getattr(error, "where", "")
        raise _TestFailed(f"{type(error).__name__}{where}: {error}"[:2000]) from None
    if isinstance(value, int | float) and type(value) is not bool:
        return min(float(value), points) if value > 0 else 0.0
    return points


def _student_names(
    session: Session, test: Test, source: str, known: dict[str, Any]
) -> dict[str, Any]:
    """What the test needs and only the student's cells define."""
    wanted = {
        name
        for code in _codes(compile(source, "<test>", "exec"))
        for name in code.co_names
        if name not in known and not hasattr(builtins, name)
    }
    found = {}
    for name in sorted(wanted):
        with contextlib.suppress(KeyError):
            found[name] = _settle(test, test.ask("get", name)[0], {})
    return found


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
