"""The student's process: runs their cells, and answers calls from the examiner.

It holds nothing that is worth stealing: no tests, no secret, no other submission. It
runs confined (see `sandbox`), and whatever it sends is read by `codec` as mere data.

The examiner leads. Requests on the control socket are `run` (a cell), `names` (which of
these are defined), `fork` (serve one test in a copy of this process, on a socket of its
own, which arrives with the request; it ends when the examiner hangs up there), `ended`
(how did that copy end) and `alive`. Within a test they are `get`, `call`, `attribute`,
`item`, `gradient` and `references`.
"""

import atexit
import contextlib
import io
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
import types
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.page import as_hook, display_page
from matplotlib_inline.config import InlineBackend
from traitlets.config import Config

from lmlib.exercises.checks import module_of, references_among
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


class Shell(InteractiveShell):
    """IPython, of which Jupyter's kernel is a subclass too, with nobody watching.

    `error` is the first that a cell raised or had shown: `%%time` and `%run` show the
    errors of what they run and go on.
    """

    error: BaseException | None = None

    def __init__(self, **options: Any) -> None:
        config = Config(HistoryManager={"enabled": False})
        super().__init__(config=config, **options)  # type: ignore[no-untyped-call]
        # What a page would show beside the text is not drawn.
        self.display_formatter = DisplayFormatter(active_types=["text/plain"])
        # As Jupyter's kernel has them.
        self.set_hook("show_in_pager", as_hook(display_page), 90)  # type: ignore[no-untyped-call]
        self.extension_manager.load_extension("storemagic")  # type: ignore[union-attr]
        self.configurables.append(InlineBackend.instance(parent=self))  # type: ignore[arg-type]

    #: Without a terminal, which the sandbox lacks.
    system = InteractiveShell.system_raw

    def enable_gui(self, gui: Any = None) -> None:
        """There is no screen."""

    def enable_matplotlib(self, gui: Any = None) -> Any:
        """Nobody looks: one backend, which is always there, will do."""
        return super().enable_matplotlib("inline")  # type: ignore[no-untyped-call]

    def run(self, source: str) -> None:
        self.error = None
        self.run_cell(source, store_history=True)  # type: ignore[no-untyped-call]

    def showtraceback(self, exc_tuple: Any = None, *_: Any, **__: Any) -> None:
        self.error = self.error or (exc_tuple or sys.exc_info())[1]

    def showsyntaxerror(self, *_: Any, **__: Any) -> None:
        self.showtraceback()


def warm_up() -> None:
    """Run a cell, once, for the sake of all that IPython loads when it is wanted."""
    main = sys.modules["__main__"]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        shell = Shell(user_module=types.ModuleType("__main__"), ipython_dir=folder)
        shell.run("%%time\n1")
    atexit.unregister(shell.atexit_operations)
    sys.modules["__main__"] = main


class Notebook:
    """The names that a student's cells define, and the running of cells."""

    def __init__(self) -> None:
        self.shell = Shell.instance(user_module=types.ModuleType("__main__"))
        self.names: dict[str, Any] = self.shell.user_ns
        sys.path.insert(0, "")  # as in Jupyter: what a cell writes can be imported

    def run(self, source: str, name: str, seconds: float) -> tuple[str, ...]:
        """Run a cell; () or what went wrong: the error's type, message and place."""

        def too_long(signum: int, frame: Any) -> None:
            raise TimeoutError(f"this cell ran for more than {seconds:g} seconds")

        with contextlib.suppress(OSError):  # what a cell has just written is seen
            sys.path_importer_cache.pop(str(Path.cwd()), None)
        signal.signal(signal.SIGALRM, too_long)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            self.shell.run(source)
        except BaseException as error:  # also SystemExit and KeyboardInterrupt
            return _parts(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return () if self.shell.error is None else _parts(self.shell.error)


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

    def stand_in(self, value: Any) -> Any:
        """What crosses in place of `value`, which stays here unless it is plain data
        of another type: a Counter is a dict, a named tuple a tuple.
        """
        for kind, plain in _PLAIN.items():
            if issubclass(type(value), kind):
                return plain(value)
        if type(value) in (torch.Tensor, torch.nn.Parameter) and value.requires_grad:
            leaves = () if value.is_leaf else tuple(self._leaves(value))
            return RemoteTensor(self.keep(value), value.detach(), leaves)
        return Handle(self.keep(value), type(value).__name__, module_of(value))

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
        return (self.names[name],)

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


#: How subclasses of these become plain data; their own methods are not asked.
_PLAIN: dict[type, Callable[[Any], Any]] = {
    dict: lambda value: dict(dict.items(value)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    np.longdouble: float,
    Fraction: float,
    Decimal: float,
}


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


def _put_settings_back() -> None:
    """Torch as it comes, which is how the tests know it, whatever a cell has set."""
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_float32_matmul_precision("highest")
    torch.set_grad_enabled(True)


class Copy:
    """A fork of this process that answers on `file`, until the examiner hangs up."""

    def __init__(self, control: socket.socket, file: int, notebook: Notebook) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                control.close()
                _put_settings_back()
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
