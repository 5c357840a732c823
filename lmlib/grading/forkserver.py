"""A process that has imported torch once, and forks a student's process in no time.

It is started with an environment of its own and never sees a test, a secret or a
submission: what it forks can find none in its memory. Examiners connect by a socket
that is handed to it, and ask `spawn FOLDER` (with the end of a control socket) and
`kill SESSION`. When an examiner hangs up, its sessions are killed. What student code
prints goes nowhere: it would show the inputs of hidden tests.
"""

import contextlib
import os
import selectors
import socket
import subprocess
import sys
from pathlib import Path

from lmlib.grading import doctor, sandbox

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "PYTHONHASHSEED": "0",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
}


class Forkserver:
    """Starts the process; `connect` gives an examiner its socket.

    Parameters:
        unsafe: run student code even where nothing confines it.

    Raises:
        RuntimeError: this machine cannot confine student code, and `unsafe` is not set.
    """

    def __init__(self, *, unsafe: bool = False) -> None:
        self.sandbox = doctor.probe()
        if self.sandbox.level == "none" and not unsafe:
            raise RuntimeError(
                "nothing on this machine confines student code; see `lmlib grade "
                "--doctor`, or pass --unsafe if you trust all of it"
            )
        self.connection, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        package = Path(__file__).parents[2]
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    __name__,
                    str(theirs.fileno()),
                    str(int(unsafe)),
                ],
                pass_fds=[theirs.fileno()],
                env={**ENVIRONMENT, "PYTHONPATH": str(package)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
            )
        if self.connection.recv(16) != b"ready":
            raise RuntimeError("the forkserver did not start")

    def connect(self) -> socket.socket:
        """A new connection, for one examiner."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self.connection, [b"client"], [theirs.fileno()])
        return ours

    def close(self) -> None:
        self.connection.close()
        self.process.wait(timeout=30)

    def __enter__(self) -> "Forkserver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def readable() -> tuple[Path, ...]:
    """What Python and torch need to see, and this library, which lies elsewhere."""
    return sandbox.outermost([*sandbox.interpreter_paths(), Path(__file__).parents[1]])


def spawn(
    folder: Path, control: int, level: sandbox.Sandbox, unsafe: bool
) -> sandbox.Confined:
    """A confined process that lives by `student.live` in `folder`."""
    from lmlib.grading import student

    def run() -> None:
        with socket.socket(fileno=control) as connection:
            student.live(connection)

    policy = sandbox.Policy(read=readable(), write=(folder,))
    return sandbox.spawn(run, policy, level, keep_fds=(control,), unsafe=unsafe)


def main() -> None:
    # Warm up: what student code will need is imported before the first fork.
    import matplotlib.pyplot  # noqa: F401
    import torch
    import torch.fx.experimental.symbolic_shapes  # what backward() imports
    from IPython.core.inputtransformer2 import TransformerManager

    from lmlib import attention, positions  # noqa: F401
    from lmlib.grading import checks, student  # noqa: F401

    TransformerManager().transform_cell("x = 1")
    torch.set_num_threads(1)
    torch.softmax(torch.ones(2, 2) @ torch.ones(2, 2), dim=-1)

    level = doctor.probe()
    parent, unsafe = socket.socket(fileno=int(sys.argv[1])), sys.argv[2] == "1"
    selector = selectors.DefaultSelector()
    selector.register(parent, selectors.EVENT_READ)
    sessions: dict[socket.socket, dict[str, sandbox.Confined]] = {}
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
                    folder = Path(os.fsdecode(message[6:]))
                    sessions[connection][name] = spawn(folder, files[0], level, unsafe)
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
    main()
