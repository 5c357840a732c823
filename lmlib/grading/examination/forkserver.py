"""A process that has imported torch once, and forks a student's process in no time.

It begins with an environment of its own and never sees a test, a secret or a
submission: what it forks can find none in its memory. Examiners connect by a socket
that is handed to it, and ask `spawn FOLDER` (with the end of a control socket) and
`kill SESSION`. When an examiner hangs up, its sessions are killed. What student code
prints goes nowhere: it would show the inputs of hidden tests.

`lmlib grade` itself is forked from the same warm process (see `lmlib.warm_start`),
so that torch is in memory once.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn, TypeVar

from lmlib.grading.sandbox import confinement, doctor, syscalls

ENVIRONMENT = {
    # Much of the heap lies in large pages from the start: see `use_large_pages`.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Whatever a cell sets: the copies that are forked for tests have none of the
    # threads and would wait for them forever.
    "OMP_THREAD_LIMIT": "1",
    # The same values without a compiler, which takes longer than a test may.
    "TORCH_COMPILE_DISABLE": "1",
    "MPLBACKEND": "Agg",
    "PYTHONHASHSEED": "0",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
}
KEPT = ("LMLIB_EXERCISES",)  # where a course's own exercises lie
T = TypeVar("T")
COMMAND = (sys.executable, "-P", "-m", "lmlib.grading.examination.forkserver")


class Forkserver:
    """Starts the process; `connect` gives an examiner its socket.

    Parameters:
        unsafe: run student code even where nothing confines it.
        forked: make it a fork of this process, which must be warm and hold nothing
            secret yet, instead of a new one; this machine's sandbox has been probed.

    Raises:
        RuntimeError: this machine cannot confine student code, and `unsafe` is not set.
    """

    def __init__(
        self, *, unsafe: bool = False, forked: confinement.Sandbox | None = None
    ) -> None:
        self.connection, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        with theirs:
            if forked:
                self.sandbox = forked
                self.pid = os.fork()
                if self.pid == 0:
                    _serve_and_exit(theirs.detach())
            else:
                self.pid = _start(theirs)
                self.sandbox = doctor.probe()  # while the other one warms up
        if self.sandbox.level == "none" and not unsafe:
            self.close()
            raise RuntimeError(
                "nothing on this machine confines student code; see `lmlib grade "
                "--doctor`, or pass --unsafe if you trust all of it"
            )
        self.connection.send(f"{self.sandbox.level} {int(unsafe)}".encode())
        if self.connection.recv(16) != b"ready":
            raise RuntimeError("the forkserver did not start")

    def connect(self) -> socket.socket:
        """A new connection, for one examiner."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self.connection, [b"client"], [theirs.fileno()])
        return ours

    def is_alive(self) -> bool:
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0

    def close(self) -> None:
        self.connection.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def __enter__(self) -> "Forkserver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def environment() -> dict[str, str]:
    """Of a process that holds nothing worth stealing."""
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**ENVIRONMENT, **own, "PYTHONPATH": str(Path(__file__).parents[3])}


def _start(connection: socket.socket) -> int:
    """Start a new process that serves on `connection`; its number."""
    connection.set_inheritable(True)
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
    arguments = [*COMMAND, str(connection.fileno())]
    return os.posix_spawn(sys.executable, arguments, environment(), file_actions=quiet)


def warm_up() -> None:
    """Import and use, once, what student code and tests will need.

    Then make the process cheap to fork: what is there now is no longer looked at by the
    garbage collector, which would write to all of it, and lies in large pages.
    """
    # A collection would look at all that has been imported so far, again and again.
    gc.disable()
    import matplotlib.pyplot as plt
    import torch

    from lmlib import attention, positions  # noqa: F401
    from lmlib.exercises import checks  # noqa: F401
    from lmlib.grading.examination import student

    torch.set_num_threads(1)
    student.warm_up()
    layer = torch.nn.Linear(2, 2)
    layer(torch.ones(2, 2)).softmax(dim=-1).sum().backward()
    figure, axes = plt.subplots(layout="constrained")
    axes.plot([0, 1], label="$x$")
    axes.legend()
    plt.close(figure)
    gc.enable()
    gc.collect()
    gc.freeze()
    syscalls.use_large_pages()


def readable() -> tuple[Path, ...]:
    """What Python and torch need to see, and this library, which lies elsewhere."""
    return confinement.outermost(
        [*confinement.interpreter_paths(), Path(__file__).parents[2]]
    )


def spawn(
    folder: Path, control: int, level: confinement.Sandbox, unsafe: bool
) -> confinement.Confined:
    """A confined process that lives by `student.live` in `folder`."""
    from lmlib.grading.examination import student

    def run() -> None:
        with socket.socket(fileno=control) as connection:
            student.live(connection)

    policy = confinement.Policy(read=readable(), write=(folder,))
    return confinement.spawn(run, policy, level, keep_fds=(control,), unsafe=unsafe)


def _serve_and_exit(file: int) -> NoReturn:
    """The life of the forkserver, in a fork of a warm process."""
    code = 1
    try:
        os.chdir("/")
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent tells it to end
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(nothing, standard)
        if sys.platform == "linux":
            syscalls.close_all_but({0, 1, 2, file})
        with socket.socket(fileno=file) as parent:
            serve(parent)
        code = 0
    finally:
        os._exit(code)


def serve(parent: socket.socket) -> None:
    """Serve examiners until `parent` hangs up."""
    level, unsafe = parent.recv(32).decode().split() or ("none", "0")
    selector = selectors.DefaultSelector()
    selector.register(parent, selectors.EVENT_READ)
    sessions: dict[socket.socket, dict[str, confinement.Confined]] = {}
    count = 0
    parent.send(b"ready")
    while True:
        for key, _ in selector.select():
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            message, files, _, _ = socket.recv_fds(connection, 8192, 1)
            if connection is parent:
                if not message:
                    for own in sessions.values():
                        for session in own.values():
                            session.kill()
                    return
                client = socket.socket(fileno=files[0])
                sessions[client] = {}
                selector.register(client, selectors.EVENT_READ)
            elif message.startswith(b"spawn ") and files:
                count += 1
                name = f"session {count}"
                try:
                    sessions[connection][name] = spawn(
                        Path(os.fsdecode(message[6:])),
                        files[0],
                        confinement.Sandbox(level),
                        unsafe == "1",
                    )
                    connection.send(name.encode())
                except OSError as error:
                    connection.send(f"failed: {error}".encode()[:200])
                for file in files:
                    os.close(file)
            elif message.startswith(b"kill "):
                killed = sessions[connection].pop(message[5:].decode(), None)
                if killed is not None:
                    killed.kill()
                with contextlib.suppress(OSError):
                    connection.send(b"killed")
            else:  # the examiner hung up
                selector.unregister(connection)
                for session in sessions.pop(connection).values():
                    session.kill()
                connection.close()


if __name__ == "__main__":
    # Of this file there would be two modules otherwise: this one and the imported one.
    from lmlib.grading.examination import forkserver

    forkserver.warm_up()
    forkserver.serve(socket.socket(fileno=int(sys.argv[1])))
