"""Which promises the sandbox keeps on this machine: found by attacking it."""

import mmap
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if sys.platform == "linux":
    import fcntl
    import resource

from lmlib.grading.sandbox.confinement import (
    Guarantee,
    Policy,
    Sandbox,
    interpreter_paths,
    spawn,
)


@dataclass(frozen=True)
class Promise:
    """What a guarantee is called, what it means, and how each level keeps it."""

    name: str
    meaning: str
    namespaces: str
    landlock: str


PROMISES = (
    Promise(
        "network",
        "no connection to any computer, this one included",
        "its network has no cable, and making a socket is refused",
        "making a socket is refused",
    ),
    Promise(
        "files",
        "no reading of solutions, the gradebook, other students or your home folder",
        "they are not there",
        "opening them is refused; that they exist, and their size, can be seen",
    ),
    Promise(
        "system",
        "no writing to Python, its packages or anything else that it may read",
        "it is mounted read-only",
        "opening it for writing is refused, and so is changing its permissions",
    ),
    Promise(
        "memory",
        "one submission cannot use up the machine's memory",
        "each process has a limit; all together are watched, ten times a second",
        "each process has a limit; all together are watched, ten times a second",
    ),
    Promise(
        "kernel memory",
        "one submission cannot fill the memory of the kernel by sockets, pipes, locks",
        "few files may be open, larger buffers and pages kept by a pipe are refused, "
        "no lock of a range of bytes is kept; the buffers of sockets can still take "
        "half a GiB in all, which counts nowhere",
        "few files may be open, larger buffers and pages kept by a pipe are refused, "
        "no lock of a range of bytes is kept; the buffers of sockets can still take "
        "half a GiB in all, which counts nowhere",
    ),
    Promise(
        "processes",
        "one submission cannot fill the machine with processes",
        "the kernel counts them for each submission",
        "the kernel counts them for each submission if you are root, else together "
        "with all that you run",
    ),
    Promise(
        "disk",
        "one submission cannot fill the disk",
        "each file has a limit, and the folder lies in memory, with a size of its own",
        "each file has a limit; the whole folder is watched, ten times a second",
    ),
    Promise(
        "programs",
        "no stopping, reading or slowing down of your programs or of the grader",
        "they are not there",
        "signals, tracing and changes to their limits are refused",
    ),
    Promise(
        "limits",
        "no way to raise a limit again",
        "the kernel refuses",
        "the kernel refuses",
    ),
    Promise(
        "survivors",
        "when its time is up, everything that it started ends, whatever it ignores",
        "with the first process of its namespace all others end",
        "one signal reaches all that is in it (before Linux 6.12: a search, repeated "
        "until nothing is left)",
    ),
)

_REMEDY = (
    "needs Linux 6.2 or newer, or a kernel that lets you make user namespaces "
    "(Ubuntu 24.04: sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
)
_ELSEWHERE = "needs Linux: grade in the course's container, or a Linux virtual machine"
_TRIAL_BYTES = 64 << 20


def _refused(attack: Callable[[], object]) -> bool:
    try:
        attack()
    except (OSError, ValueError):
        return True
    return False


def _attacks(
    secret: Path, readable: Path, port: int, caller: int
) -> dict[str, Callable[[], bool]]:
    """For each promise, an attack on it from within; True if it was beaten off."""

    def fork_too_often() -> None:
        for _ in range(12):  # the limit is 8
            if os.fork() == 0:
                time.sleep(10)
                os._exit(0)

    def fill_disk() -> None:
        with Path("large").open("wb") as file:
            for _ in range(3):
                file.write(bytes(1 << 20))

    def raise_limit() -> None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (2 * hard, 2 * hard))

    def connect() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass

    def outlive() -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(10)
            os._exit(0)

    def touch_other_programs() -> bool:
        # As seen from a namespace of its own, the caller's number may be anybody's.
        hidden = os.getppid() == 1 or _refused(lambda: os.kill(caller, 0))
        environment = Path(f"/proc/{os.getppid()}/environ")
        return hidden and _refused(environment.read_bytes)

    def no_lock_is_kept() -> bool:
        with Path("locked").open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            if (child := os.fork()) == 0:
                fails = _refused(
                    lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
                )
                os._exit(int(fails))
            return os.waitpid(child, 0)[1] == 0

    def enlarge_pipe() -> None:
        fcntl.fcntl(os.pipe()[1], fcntl.F_SETPIPE_SZ, 1 << 17)

    def enlarge_socket() -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)

    def pipe_keeps_pages() -> None:
        os.splice(os.open("/dev/zero", os.O_RDONLY), os.pipe()[1], 1)

    def open_many() -> None:
        kept: list[int] = []
        try:
            kept += (os.dup(0) for _ in range(100))
        finally:
            for fd in kept:
                os.close(fd)

    by_the_kernel = (enlarge_pipe, enlarge_socket, pipe_keeps_pages, open_many)

    return {
        "network": lambda: _refused(connect),
        "files": lambda: _refused(secret.read_bytes),
        "system": lambda: _refused((readable / "new").touch),
        "memory": lambda: _refused(lambda: mmap.mmap(-1, 2 * _TRIAL_BYTES)),
        "kernel memory": lambda: (
            all(map(_refused, by_the_kernel)) and no_lock_is_kept()
        ),
        "disk": lambda: _refused(fill_disk),
        "programs": touch_other_programs,
        "limits": lambda: _refused(raise_limit),
        "survivors": lambda: not _refused(outlive),
        "processes": lambda: _refused(fork_too_often),
    }


def _trial(level: str) -> set[str]:
    """The promises that are kept at a level; empty if it cannot be entered."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        secret, readable, home = (Path(scratch, n) for n in ("secret", "read", "home"))
        secret.write_text("secret", encoding="ascii")
        readable.mkdir()
        home.mkdir()
        # Unless the sandbox forbids it, anybody may.
        for folder in (Path(scratch), readable):
            folder.chmod(0o777)
        port, caller = listener.getsockname()[1], os.getpid()
        attacks = _attacks(secret, readable, port, caller)
        reader, writer = os.pipe()

        def attack_all() -> None:
            for name, attack in attacks.items():
                if attack():
                    os.write(writer, f"{name}\n".encode())

        policy = Policy(
            read=(*interpreter_paths(), readable),
            write=(home,),
            memory_bytes=_TRIAL_BYTES,
            processes=8,
            file_bytes=2 << 20,
        )
        kept = b""
        with os.fdopen(reader, "rb") as answers:
            try:
                confined = spawn(attack_all, policy, Sandbox(level), (writer,))
            except OSError:
                return set()
            finally:
                os.close(writer)
            if confined.wait(5.0) is None:
                confined.kill()
            # Whoever is still alive in there holds the other end of this pipe.
            os.set_blocking(reader, False)
            while chunk := answers.read():
                kept += chunk
            survived = chunk is None
        return set(kept.decode().split("\n")) - ({"survivors"} if survived else set())


def probe(levels: Sequence[str] = ("namespaces", "landlock")) -> Sandbox:
    """The best level whose every promise this machine keeps, by trying it.

    Forks, and should run where few threads are. "none" if there is no such level.
    """
    names = {promise.name for promise in PROMISES}
    remedy = _REMEDY if sys.platform == "linux" else _ELSEWHERE
    broken = names
    if sys.platform == "linux":
        for level in levels:
            broken = names - _trial(level)
            if not broken:
                break
    if broken:
        level = "none"
    guarantees = []
    for promise in PROMISES:
        holds = level != "none"
        how = getattr(promise, level) if holds else "nothing does it here"
        guarantees.append(Guarantee(promise.name, holds, how, "" if holds else remedy))
    return Sandbox(level, tuple(guarantees))


def doctor(sandbox: Sandbox | None = None) -> str:
    """What protects you here from the code that you grade, in plain words."""
    sandbox = sandbox or probe()
    meanings = {promise.name: promise.meaning for promise in PROMISES}
    first = {
        "namespaces": "Each submission runs in a closed room of its own (namespaces).",
        "landlock": "Each submission runs among your files, with its hands tied "
        "(Landlock).",
        "none": "Nothing here protects you from the code in a submission. Grading is "
        "refused unless you insist.",
    }
    lines = [first[sandbox.level], ""]
    for guarantee in sandbox.guarantees:
        mark = "holds" if guarantee.holds else "DOES NOT HOLD"
        lines.append(f"{guarantee.name}: {mark}. It means: {meanings[guarantee.name]}.")
        lines.append(f"    How: {guarantee.how}.")
    remedies = {g.remedy for g in sandbox.guarantees if g.remedy}
    lines += [f"What to do: {remedy}." for remedy in sorted(remedies)]
    return "\n".join(lines)
