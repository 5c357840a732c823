"""The sandbox in which a student's code runs: what the kernel here can promise, kept.

A confined process is a fork of the caller, so whatever the caller has imported is there
at once, and so is whatever the caller's memory holds: start it with a clean environment
and let it read nothing that a student must not know. It has one thread.

    caller ── [outer] ── supervisor ── the function
               (1)        (2)        (3)

(1) Only at level "namespaces": stays outside, for process 1 must be a child. (2) Ends
and reaps everything (`supervisor`). (3) Steps into the sandbox (`_enter`), then runs
the function. At level "namespaces" the sandbox is a view of the machine without the
rest (`namespaces`). At both levels Landlock, seccomp and limits hold.
"""

import errno
import os
import select
import signal
import socket
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lmlib.grading.sandbox import landlock, namespaces, seccomp, supervisor, syscalls

if sys.platform == "linux":
    import resource

LEVELS = ("namespaces", "landlock", "none")


@dataclass(frozen=True)
class Policy:
    """What a confined process may do.

    Attributes:
        read: readable and executable; see `interpreter_paths`.
        write: private, fresh and empty; the first is the working folder, HOME and
            TMPDIR. At level "namespaces" they lie in memory: what is written there is
            gone with the sandbox, and never reaches the disk. Run by root at level
            "landlock", the folders are given to the sandbox's own user.
        memory_bytes: of each process, beyond what the caller has (the kernel refuses
            more), and of all together (watched ten times a second).
        processes: processes and threads together.
        open_files: of each process. All that these hold together in the buffers of
            sockets is 32 × 62 × 0.24 MiB, half a GiB, and no limit counts it. A memory
            cgroup does (tried: Linux 6.18, 54 of 55 MiB), but few machines let one be
            made, and it would lower the sum of all from 2.75 to 2.25 GiB alone.
        file_bytes: the largest file.
        disk_bytes: each folder of `write`.
        cpu_seconds: of each process.
    """

    read: tuple[Path, ...]
    write: tuple[Path, ...]
    memory_bytes: int = 2 << 30
    processes: int = 32
    open_files: int = 64
    file_bytes: int = 64 << 20
    disk_bytes: int = 256 << 20
    cpu_seconds: int = 120
    network: bool = False


@dataclass(frozen=True)
class Guarantee:
    """One promise: whether it holds here, by what, and what to do if not."""

    name: str
    holds: bool
    how: str
    remedy: str = ""


@dataclass(frozen=True)
class Sandbox:
    """What this machine offers; made by `probe`, in `lmlib.grading.sandbox.doctor`."""

    level: str
    guarantees: tuple[Guarantee, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a confined process ended.

    Attributes:
        status: its exit code; minus the signal's number if a signal ended it.
        reason: "" of itself, "killed" by the caller, "memory", "disk",
            "processor time"; "survivors" if something could not be ended, which a
            person should look at.
    """

    status: int
    reason: str


class Confined:
    """A running sandbox. `pid` is that of its outermost process, our child."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self._report = report
        self._ended: Ended | None = None

    def _message(self, timeout: float | None) -> str | None:
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        if not poll.poll(None if timeout is None else 1000 * timeout):
            return None
        try:
            return self._report.recv(4096).decode(errors="replace")
        except ConnectionResetError:
            return ""

    def _finish(self, ended: Ended) -> Ended:
        self._ended = ended
        self._report.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        return ended

    def wait(self, timeout: float | None = None) -> Ended | None:
        """Wait until nothing of the sandbox is left; None if that takes too long."""
        if self._ended:
            return self._ended
        message = self._message(timeout)
        if message is None:
            return None
        if not message.startswith("ended "):  # the supervisor was killed from outside
            return self.kill()
        _, status, reason = message.split(" ", 2)
        return self._finish(Ended(int(status), reason))

    def kill(self) -> Ended:
        """End everything that was started in the sandbox; leaves no zombie."""
        if self._ended:
            return self._ended
        with suppress(OSError):
            self._report.shutdown(socket.SHUT_WR)
        message = self._message(10.0)
        if message is not None and message.startswith("ended "):
            _, status, reason = message.split(" ", 2)
            return self._finish(Ended(int(status), reason))
        # The supervisor does not answer. Process 1 of a namespace takes all along.
        for pid in (*supervisor.descendants(self.pid), self.pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return self._finish(Ended(-signal.SIGKILL, "killed"))


def interpreter_paths() -> tuple[Path, ...]:
    """What Python, its installed packages and their libraries must be able to read.

    A package that is installed in editable mode lies elsewhere; so does what a
    PYTHONPATH names. Such folders may hold solutions: name them yourself.
    """
    paths = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()]
    paths += ["/usr", "/lib", "/lib64", "/bin", "/nix/store", "/etc/ld.so.cache"]
    paths += ["/etc/localtime", "/etc/fonts"]
    return outermost(Path(path) for path in paths)


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths that exist, absolute, without those that lie beneath another."""
    known = {path.absolute() for path in paths if path.exists()}
    return tuple(sorted(path for path in known if known.isdisjoint(path.parents)))


def spawn(
    function: Callable[[], object],
    policy: Policy,
    sandbox: Sandbox,
    keep_fds: Sequence[int] = (),
    unsafe: bool = False,
) -> Confined:
    """Fork, and run `function` confined. Its exit code is 0, or 1 if it raises.

    Args:
        keep_fds: open files to hand over, such as one end of a pair of *stream*
            sockets. All others are closed; standard input and output are /dev/null.
        unsafe: run it even at level "none", under limits alone.

    Raises:
        OSError: the sandbox cannot be had as promised; `function` has not run.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only Linux has what this sandbox is made of")
    if sandbox.level == "none" and not unsafe:
        raise PermissionError(errno.EPERM, "there is no sandbox on this machine")
    for fd in keep_fds:
        _refuse_datagrams(fd)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        _outer(function, policy, sandbox.level, theirs, set(keep_fds))
    theirs.close()
    confined = Confined(pid, ours)
    message = confined._message(30.0)
    if message != "entered":
        confined.kill()
        raise OSError(errno.EPERM, message or "the sandbox could not be entered")
    return confined


def _refuse_datagrams(fd: int) -> None:
    """From a datagram socket one could send to any Unix socket of the machine."""
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        with socket.socket(fileno=os.dup(fd)) as kept:
            if kept.type != socket.SOCK_STREAM:
                raise ValueError("a socket that is handed over must be a stream")


def _outer(
    function: Callable[[], object],
    policy: Policy,
    level: str,
    report: socket.socket,
    keep: set[int],
) -> NoReturn:
    """(1) and (2): from the fork to the supervisor's watch."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        syscalls.close_all_but({0, 1, 2, report.fileno(), *keep})
        user = _sandbox_user()
        confined = False
        if level == "namespaces":
            namespaces.unshare(policy.network)
            if child := os.fork():
                syscalls.close_all_but(set())
                os.waitpid(child, 0)
                os._exit(0)
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            namespaces.build_root(policy.read, policy.write, user, policy.disk_bytes)
            confined = os.getpid() == 1
        else:
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
            if level == "landlock":
                confined = _confine_own_signals()
        # From here on nobody but root can look into the supervisor, or stop it.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        for number in signal.valid_signals() - {
            signal.SIGKILL,
            signal.SIGSTOP,
            signal.SIGCHLD,
        }:
            signal.signal(number, signal.SIG_IGN)
        held = supervisor.private_memory({os.getpid()}, sys.maxsize)
        if child := os.fork():
            syscalls.close_all_but({report.fileno()})
            folders = () if level == "namespaces" else policy.write
            limit = policy.memory_bytes + held
            totals = supervisor.Totals(limit, policy.disk_bytes, folders)
            supervisor.supervise(child, report, totals, confined)
        _enter(policy, level, user, {report.fileno(), *keep})
        report.send(b"entered")
        report.close()
    except BaseException as error:
        with suppress(OSError):
            report.send(f"{type(error).__name__}: {error}".encode()[:4000])
        os._exit(2)
    status = 1
    try:
        function()
        status = 0
    finally:
        os._exit(status)


def _sandbox_user() -> int:
    """Whom the student's code runs as: ourselves, or, if we are root, nobody else.

    A user of its own is what makes the kernel count and limit its processes.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    ids = int(Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2])
    return 1 << 30 | os.getpid() if ids > 1 << 31 else 61_184 + os.getpid() % 4_000


def _confine_own_signals() -> bool:
    """Make sure that the supervisor's `kill(-1)` cannot reach out, by trying it."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    with suppress(OSError):
        landlock.confine_signals()
        try:
            os.kill(os.getppid(), 0)  # the caller, who is waiting for us
        except PermissionError:
            return True
    return False


def _enter(policy: Policy, level: str, user: int, keep: set[int]) -> None:
    """(3): into the sandbox, for good.

    Raises:
        OSError: a part of it cannot be had.
    """
    os.setsid()  # a signal to its own group is not for the supervisor
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError says it better
    nothing = os.open("/dev/null", os.O_RDWR)
    for fd in {0, 1, 2} - keep:
        os.dup2(nothing, fd)
    syscalls.close_all_but({0, 1, 2, *keep})

    home = os.fspath(policy.write[0])
    os.environ.update(HOME=home, TMPDIR=home, USER="student", LOGNAME="student")
    tempfile.tempdir = None
    if level != "namespaces" and os.geteuid() == 0:
        for folder in policy.write:
            os.chown(folder, user, user)
    _limit(policy, level)
    if os.geteuid() == 0:
        # Python may lie where only root can read; at level "landlock" the power to
        # read stays, and Landlock bounds it. In a namespace the rest is not there.
        kept = None if level == "namespaces" else syscalls.CAP_DAC_READ_SEARCH
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        try:
            syscalls.set_capabilities(kept)
        except PermissionError:  # a container's root has not got it to keep
            syscalls.set_capabilities()
    else:
        syscalls.set_capabilities()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)  # if (2) dies
    os.chdir(home)
    # If the machine runs out of memory, this goes first.
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if level == "none":
        return

    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    private = level == "namespaces"
    read = (*policy.read, Path("/proc")) if private else policy.read
    landlock_is_required = not private
    try:
        landlock.confine(read, policy.write, policy.network)
    except OSError:
        # In the namespaces it is the second wall, and the kernel may be too old.
        if landlock_is_required or landlock.abi() >= landlock.LEAST_ABI:
            raise
    seccomp.install(
        network=policy.network,
        own_files_only=not private,
        own_signals_only=not private and landlock.abi() < landlock.SIGNAL_ABI,
    )
    for path in policy.read:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def _limit(policy: Policy, level: str) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    # In its own user namespace the outer process and the supervisor count as well;
    # without one, all that the user runs does. Root's sandbox has a user of its own.
    processes = policy.processes
    if os.geteuid() != 0:
        processes += 2 if level == "namespaces" else _tasks_of(os.geteuid())
    limits = {
        resource.RLIMIT_AS: pages * os.sysconf("SC_PAGE_SIZE") + policy.memory_bytes,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_FSIZE: policy.file_bytes,
        # Each may be a socket or a pipe whose buffers no limit counts.
        resource.RLIMIT_NOFILE: policy.open_files,
        resource.RLIMIT_SIGPENDING: 1024,  # timers, too
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    # A warning that ends it, and a second later the end of who ignores warnings.
    resource.setrlimit(
        resource.RLIMIT_CPU, (policy.cpu_seconds, policy.cpu_seconds + 1)
    )


def _tasks_of(user: int) -> int:
    """How many threads a user has running on the whole machine."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == user:
                count += len(list((process / "task").iterdir()))
    return count
