"""The student's process: runs their cells, and answers calls from the examiner.

It holds nothing that is worth stealing: no tests, no secret, no other submission. It
runs confined (see `sandbox`), and whatever it sends is read by `codec` as mere data.

The examiner leads. Requests on the control socket are `run` (a cell), `names` (which of
these are defined), `fork` (serve one test in a copy of this process, on a socket of its
own, which arrives with the request; it ends when the examiner hangs up there), `ended`
(how did that copy end) and `alive`. Within a test they are `get`, `call`, `attribute`,
`item`, `gradient` and `references`.
"""

import ast
import contextlib
import linecache
import os
import re
import select
import signal
import socket
import sys
import traceback
import types
from collections import OrderedDict, defaultdict
from typing import Any

import torch

from lmlib.exercises.checks import references_among
from lmlib.exercises.exercise import built_in_type
from lmlib.exercises.registry import find_exercise
from lmlib.grading.examination import wire
from lmlib.grading.examination.codec import (
    CodecError,
    Decoder,
    Encoder,
    Handle,
    RemoteTensor,
    raw,
)

# Children of this process answer within a test; the number of values that they keep for
# the examiner is bounded so that a test in a loop does not fill the memory.
MAX_KEPT = 100_000


# -- Cells ----------------------------------------------------------------------------


class Notebook:
    """The names that a student's cells define, and the running of cells."""

    def __init__(self) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.names = module.__dict__
        self.names["get_ipython"] = _shell
        self.names["display"] = lambda *values, **options: print(*values)

    def run(self, source: str, name: str, seconds: float) -> tuple[str, ...]:
        """Run a cell; () or what went wrong: the error's type, message and place."""

        def too_long(signum: int, frame: Any) -> None:
            raise TimeoutError(f"this cell ran for more than {seconds:g} seconds")

        file = f"<{name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        signal.signal(signal.SIGALRM, too_long)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            exec(compile(_parse(source, file), file, "exec"), self.names)
        except BaseException as error:  # also SystemExit and KeyboardInterrupt
            return _parts(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return ()


def _parse(source: str, file: str) -> ast.Module:
    """A cell as Python; it may hold IPython's magics and prompts.

    Most cells are Python as they are, and IPython is asked about the others alone: it
    takes longer than most cells do.
    """
    if not re.search(r"^In \[\d+\]:", source, re.MULTILINE):  # would be an annotation
        with contextlib.suppress(SyntaxError):
            return ast.parse(source, file)
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(source), file)


def _shell() -> Any:
    """`get_ipython()`, made when a cell uses a magic, for it is slow to make."""
    from IPython.core.interactiveshell import InteractiveShell

    return InteractiveShell.instance()


def _parts(error: BaseException) -> tuple[str, str, str]:
    """An error's type, its message, and where in the student's own code it arose."""
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<") and "frozen" not in frame.filename:
            name = frame.name.replace("<module>", "the cell")
            where = f" in line {frame.lineno} of {name}"
    if isinstance(error, SyntaxError):
        return type(error).__name__, str(error.msg), f" in line {error.lineno}"
    return type(error).__name__[:80], str(error)[:500], where


# -- Answering within a test ----------------------------------------------------------


class Server:
    """Answers the examiner's requests about a notebook's names, in one test."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.kept: list[Any] = []
        self.numbers: dict[int, int] = {}  # id of a kept value → its number
        self.right = contextlib.ExitStack()  # where references are in place

    def keep(self, value: Any) -> int:
        if id(value) in self.numbers:
            return self.numbers[id(value)]
        if len(self.kept) >= MAX_KEPT:
            raise CodecError(f"more than {MAX_KEPT} values are held in one test")
        self.kept.append(value)
        self.numbers[id(value)] = len(self.kept) - 1
        return len(self.kept) - 1

    def stand_in(self, value: Any) -> Handle | RemoteTensor:
        """What crosses in place of `value`, which stays here."""
        if type(value) in (torch.Tensor, torch.nn.Parameter) and value.requires_grad:
            leaves = () if value.is_leaf else tuple(self._leaves(value))
            return RemoteTensor(self.keep(value), value.detach(), leaves)
        origin = getattr(value, "__module__", None)
        kind = type(value).__name__
        return Handle(self.keep(value), kind, origin if type(origin) is str else "")

    def _leaves(self, tensor: torch.Tensor) -> list[int]:
        """Numbers of the tensors at the far end of `tensor`'s graph."""
        seen, pending, leaves = set(), [tensor.grad_fn], []
        while pending:
            node = pending.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                leaves.append(self.keep(leaf))
            pending += [following for following, _ in node.next_functions]
        return leaves

    def find(self, value: Any) -> Any:
        """What the examiner means by a handle, or by a tensor that it sends."""
        if isinstance(value, Handle):
            return self.kept[value.number]
        leaf = value.data.requires_grad_()
        self.keep(leaf)
        return leaf

    def encode(self, value: Any) -> bytes:
        return Encoder(self.stand_in).encode(value)

    def answer(self, message: bytes) -> bytes:
        decoder = Decoder(self.find)
        try:
            operation, *arguments = decoder.decode(message)
            return self.encode(("value", *getattr(self, f"do_{operation}")(*arguments)))
        except CodecError as error:
            return self.encode(("error", "CodecError", str(error), "", "Exception"))
        except BaseException as error:
            base = built_in_type(error).__name__
            return self.encode(("error", *_parts(error), base))

    def do_get(self, name: str) -> tuple[Any, ...]:
        value = self.names[name]
        if type(value) in (OrderedDict, defaultdict):
            value = dict(value)
        return (value,)

    def do_references(self, exercises: list[str]) -> tuple[Any, ...]:
        """Put right functions in the place of the student's own; [] takes them out."""
        self.right.close()
        right = [find_exercise(name) for name in exercises]
        self.right.enter_context(references_among(self.names, right))
        return ()

    def do_call(self, function: Any, args: list[Any], options: dict[str, Any]) -> Any:
        # For the examiner's tensors that want a gradient: how to ask for it later.
        numbers = [self.numbers.get(id(a), -1) for a in (*args, *options.values())]
        before = [_snapshot(a) for a in args]
        value = function(*args, **options)
        changed = [
            [i, a]
            for i, (a, was) in enumerate(zip(args, before, strict=True))
            if was is not None and _snapshot(a) != was
        ]
        changed = [
            [i, a.detach() if isinstance(a, torch.Tensor) else a] for i, a in changed
        ]
        return value, changed, numbers

    def do_leaf(self, number: int) -> tuple[Any, ...]:
        return (self.kept[number],)

    def do_attribute(self, owner: Any, name: str) -> tuple[Any, ...]:
        return (getattr(owner, name),)

    def do_item(self, owner: Any, key: Any) -> tuple[Any, ...]:
        return (owner[key],)

    def do_gradient(
        self, number: int, gradient: torch.Tensor, inputs: list[int]
    ) -> tuple[Any, ...]:
        of = [self.kept[i] for i in inputs]
        value = self.kept[number]
        above: torch.Tensor | None = gradient
        if not value.is_complex():
            # The same gradients from a number: given `above`, torch loads sympy to
            # compare the shapes, which takes half a second in each test.
            value, above = (value * gradient).sum(), None
        gradients = torch.autograd.grad(
            value, of, above, retain_graph=True, allow_unused=True
        )
        return (list(gradients),)


def _snapshot(value: Any) -> Any:
    """What to compare an argument by, to see whether a call changes it.

    None where there is nothing to see: what Python cannot change, and handles.
    """
    if value is None or type(value) in (bool, int, float, str, bytes):
        return None
    with contextlib.suppress(CodecError):
        if type(value) in (torch.Tensor, torch.nn.Parameter):
            return value.dtype, value.shape, raw(value)
        return Encoder().encode(value)
    return None


def serve(connection: socket.socket, names: dict[str, Any]) -> None:
    """Answer until the examiner hangs up."""
    server = Server(names)
    while True:
        try:
            message = wire.receive(connection)
        except wire.Closed:
            return
        wire.send(connection, server.answer(message))


# -- The process ----------------------------------------------------------------------


def live(control: socket.socket) -> None:
    """Obey the examiner until it hangs up: the life of a student's process."""
    notebook = Notebook()
    copy: Copy | None = None
    dying: list[int] = []
    while True:
        try:
            operation, *arguments = Decoder().decode(wire.receive(control))
        except (wire.Closed, CodecError):
            return
        how = ""
        if copy is not None and operation != "alive":
            if operation == "ended":
                how = copy.end(*arguments)
            else:
                dying.append(copy.kill())  # which takes a while: go on meanwhile
            copy = None
        dying = [pid for pid in dying if _is_left(pid)]
        if operation == "fork":
            (file,) = socket.recv_fds(control, 1, 1)[1]
            try:
                copy = Copy(control, file, notebook)
            except (
                OSError
            ):  # full of children: the last copy's place is about to be free
                for pid in dying:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, 0)
                dying = []
                copy = Copy(control, file, notebook)
            continue
        if operation == "run":
            result: Any = notebook.run(*arguments)
        elif operation == "names":
            result = [name for name in arguments[0] if name in notebook.names]
        else:
            result = how
        wire.send(control, Encoder().encode(result))


def _is_left(pid: int) -> bool:
    """Whether a child has not ended yet; reaps it if it has."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:  # the student's code waits for children, too
        return False


class Copy:
    """A fork of this process that answers on `file`, until the examiner hangs up."""

    def __init__(self, control: socket.socket, file: int, notebook: Notebook) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                control.close()
                with socket.socket(fileno=file) as connection:
                    serve(connection, notebook.names)
                code = 0
            finally:
                os._exit(code)
        os.close(file)

    def kill(self) -> int:
        os.kill(self.pid, signal.SIGKILL)
        return self.pid

    def end(self, patience: float) -> str:
        """See that it has ended, after `patience` seconds by force; in words, how."""
        child = os.pidfd_open(self.pid)
        try:
            if not select.select([child], [], [], patience)[0]:
                os.kill(self.pid, signal.SIGKILL)
        finally:
            os.close(child)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}" if status else ""
