"""A throw-away machine in which hostile code may run unconfined.

Stock nbgrader gives student code all that the instructor may do. To see what comes of
it without harm, `Container` is process 1 of new namespaces (users, mounts, processes,
network, IPC): it sees no other process, has no network but a loopback of its own, and
of the disk only Python, its packages, this library and an empty home. All of these may
be written to, for each lies under an overlay in memory; what was changed is in
`changes`, and goes with the process.

Needs Linux 6.6 (overlays on tmpfs for ordinary users) and user namespaces. The kernel
does not bound the memory of all processes together, so `run` watches it.
"""

import fcntl
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lmlib.grading.sandbox import syscalls
from lmlib.grading.sandbox.confinement import (
    interpreter_paths,
    outermost,
)

HOME = Path("/home/instructor")
ACCOUNTS = {
    "passwd": f"instructor:x:1000:1000:instructor:{HOME}:/bin/sh\n",
    "group": "instructor:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n",
}
ADDRESS_SPACE = 8 << 30  # of each process
MEMORY, PROCESSES = 4 << 30, 250  # of all together
NAMESPACES = 0x00020000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
RECURSIVE, PRIVATE, BIND, DETACH = 1 << 14, 1 << 18, 1 << 12, 2


@dataclass(frozen=True)
class Ran:
    """How a command ended: its status; what had to stop it; what it said and left."""

    status: int | None
    stopped: str
    output: str
    survivors: list[str]


def unshare() -> None:
    """Leave this machine; the next fork is process 1 of another.

    Raises:
        OSError: it is not allowed here.
    """
    user, group = os.geteuid(), os.getegid()
    syscalls.call("unshare", NAMESPACES)
    Path("/proc/self/setgroups").write_text("deny")
    # An ordinary number within: no program gets root's powers back by being started.
    Path("/proc/self/uid_map").write_text(f"1000 {user} 1")
    Path("/proc/self/gid_map").write_text(f"1000 {group} 1")


def mount(kind: str, at: Path, options: str = "", flags: int = 0) -> None:
    at.mkdir(parents=True, exist_ok=True)
    name = kind.encode()
    syscalls.call("mount", name, bytes(at), name, flags, options.encode())


def bind(path: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.mkdir(exist_ok=True) if path.is_dir() else at.touch()
    syscalls.call("mount", bytes(path), bytes(at), b"", BIND | RECURSIVE, b"")


class Container:
    """The inside of the namespaces. Must be made by their process 1.

    Parameters:
        folder: empty; becomes a file system in memory.
        packages: what is to be seen besides Python.
    """

    def __init__(self, folder: Path, packages: Path) -> None:
        assert os.getpid() == 1
        syscalls.call("mount", b"none", b"/", b"", RECURSIVE | PRIVATE, b"")
        mount("tmpfs", folder, "size=2g")
        self.folder, self.root = folder, folder / "root"
        mount("tmpfs", self.root, "size=1g")
        self.overlays: dict[Path, Path] = {}
        shown = outermost([*interpreter_paths(), packages])
        for number, path in enumerate(shown):
            if not path.is_dir():
                bind(path, self.inside(path))
                continue
            upper, work = folder / f"upper{number}", folder / f"work{number}"
            upper.mkdir()
            work.mkdir()
            layers = f"lowerdir={path.resolve()},upperdir={upper},workdir={work}"
            mount("overlay", self.inside(path), f"{layers},userxattr")
            self.overlays[path] = upper
        for name in ("null", "zero", "full", "random", "urandom"):
            bind(Path("/dev", name), self.inside(Path("/dev", name)))
        mount("proc", self.inside(Path("/proc")))
        for path in (HOME, Path("/tmp"), Path("/dev/shm"), Path("/etc")):
            self.inside(path).mkdir(parents=True, exist_ok=True)
        for name, text in ACCOUNTS.items():
            self.inside(Path("/etc", name)).write_text(text)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            SIOCSIFFLAGS, up = 0x8914, 1 | 64
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", up))

    def inside(self, path: Path) -> Path:
        """Where something of the throw-away machine lies for us."""
        return self.root / path.relative_to("/")

    def changes(self) -> set[str]:
        """The files of the throw-away machine that it did not begin with."""
        places = [(upper, path) for path, upper in self.overlays.items()]
        places += [(self.inside(path), path) for path in (HOME, Path("/tmp"))]
        found = set()
        for place, path in places:
            for folder, folders, files in os.walk(place):
                below = Path(folder)
                folders[:] = [f for f in folders if not (below / f).is_mount()]
                found |= {str(path / (below / f).relative_to(place)) for f in files}
        return found

    def run(
        self,
        command: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        seconds: float,
    ) -> Ran:
        """Run a command as an ordinary user would, then end all that it has left."""
        log = self.folder / "log"
        with log.open("wb") as file:
            pid = os.fork()
            if pid == 0:
                self._become(command, cwd, environment, file.fileno())
        deadline, status, stopped = time.monotonic() + seconds, None, ""
        while status is None and not stopped:
            time.sleep(0.2)
            status = self._reap(pid)
            if time.monotonic() > deadline:
                stopped = f"after {seconds:g} s"
            elif self._memory() > MEMORY:
                stopped = "at the limit of memory"
            elif len(self._others()) > PROCESSES:
                stopped = "at the limit of processes"
        time.sleep(1.0)  # for what is about to end by itself
        self._reap(pid)
        survivors = [] if stopped else [self._command(p) for p in self._others()]
        while self._others():
            os.kill(-1, signal.SIGKILL)  # this machine's processes alone
            time.sleep(0.05)
            self._reap(pid)
        output = log.read_bytes().decode(errors="replace")
        return Ran(status, stopped, output, survivors)

    def _reap(self, wanted: int) -> int | None:
        """Process 1 is the parent of all orphans; the status of one that it wants."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == wanted:
                found = os.waitstatus_to_exitcode(status)

    def _others(self) -> list[int]:
        """All processes of this machine but ourselves and those that have ended."""
        found = []
        for path in self.inside(Path("/proc")).glob("[0-9]*"):
            with suppress(OSError):
                if (
                    path.name != "1"
                    and "\nState:\tZ" not in (path / "status").read_text()
                ):
                    found.append(int(path.name))
        return found

    def _memory(self) -> int:
        """Bytes that the processes have to themselves; what they share counts once."""
        total = 0
        for pid in self._others():
            with suppress(OSError, IndexError):
                rollup = self.inside(Path(f"/proc/{pid}/smaps_rollup")).read_text()
                total += int(rollup.split("Pss_Anon:")[1].split()[0]) << 10
        return total

    def _command(self, pid: int) -> str:
        with suppress(OSError):
            words = self.inside(Path(f"/proc/{pid}/cmdline")).read_bytes().split(b"\0")
            return b" ".join(words).decode(errors="replace")[:200]
        return "?"

    def _become(
        self,
        command: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        output: int,
    ) -> None:
        try:
            os.setsid()
            syscalls.call("unshare", 0x00020000)
            os.chdir(self.root)
            syscalls.call("pivot_root", b".", b".")
            syscalls.call("umount2", b".", DETACH)
            os.chdir(cwd)
            syscalls.set_capabilities()
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            Path("/proc/self/oom_score_adj").write_text("1000")
            nothing = os.open("/dev/null", os.O_RDONLY)
            for source, target in ((nothing, 0), (output, 1), (output, 2)):
                os.dup2(source, target)
            syscalls.close_all_but({0, 1, 2})
            os.execve(command[0], list(command), dict(environment))
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(127)
