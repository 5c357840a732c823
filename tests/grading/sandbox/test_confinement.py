"""The sandbox is tested by attacking it.

Every attack is made at each level, and, where it could do no harm, also without a
sandbox: there it must succeed, or it would prove nothing.
"""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import functools
import mmap
import os
import re
import resource
import select
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pytest
import torch

from lmlib.grading.sandbox import (
    confinement,
    doctor,
    landlock,
    namespaces,
    seccomp,
    syscalls,
)
from lmlib.grading.sandbox.confinement import (
    Confined,
    Ended,
    Policy,
    Sandbox,
    interpreter_paths,
)

if sys.platform != "linux":
    pytest.skip("the sandbox is made of what Linux has", allow_module_level=True)

MIB = 1 << 20
HERE = Path(__file__).resolve().parents[3]
#: Levels, and the version of Landlock to believe in (None: the one that is there).
LEVELS = {
    "namespaces": ("namespaces", None),
    "landlock": ("landlock", None),
    "landlock of Linux 6.2": ("landlock", landlock.LEAST_ABI),
}
Attack = Callable[[], object]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As in the forkserver: a fork hangs that wants the threads of its parent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Room:
    """A level, folders, and a way to run attacks in them that ends them all."""

    def __init__(self, level: str, folder: Path) -> None:
        self.level = level
        self.home, self.outside = folder / "home", folder / "outside"
        self.home.mkdir()
        self.outside.mkdir(mode=0o777)
        self.secret = self.outside / "secret"
        self.secret.write_text("the solution", encoding="utf-8")
        for path in (self.outside, self.secret):  # whoever may come this far, may
            path.chmod(0o777)
        self.running: list[Confined] = []

    def start(self, function: Attack, *keep_fds: int, **limits: Any) -> Confined:
        policy = Policy(
            read=limits.pop("read", interpreter_paths()),
            write=(self.home,),
            **{"memory_bytes": 512 * MIB, **limits},
        )
        confined = confinement.spawn(
            function, policy, Sandbox(self.level), keep_fds, unsafe=self.level == "none"
        )
        self.running.append(confined)
        return confined

    def attack(self, attack: Attack, **limits: Any) -> str:
        """What came of it: "refused", or "done", and the error or the result."""
        return self.attacks({"": attack}, **limits)[""]

    def attacks(
        self, attacks: dict[str, Attack], before: Attack = int, **limits: Any
    ) -> dict[str, str]:
        """What came of each, one after the other in one sandbox."""
        reader, writer = os.pipe()

        def report() -> None:
            for name, attack in attacks.items():
                before()
                try:
                    answer = f"done {attack()!r}"
                except (OSError, ValueError, MemoryError, RuntimeError) as error:
                    answer = f"refused {error!r}"
                os.write(writer, f"{name}\t{answer}\0".encode())

        confined = self.start(report, writer, **limits)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            assert confined.wait(40.0) is not None
            lines = answers.read().decode().split("\0")[:-1]
        return dict(line.split("\t", 1) for line in lines)


def all_begin(answers: dict[str, str], word: str, attacks: dict[str, Any]) -> bool:
    assert answers.keys() == attacks.keys()
    others = {name: a for name, a in answers.items() if not a.startswith(word)}
    return not others or pytest.fail(f"not {word}: {others}")


@functools.cache
def _offered(level: str) -> bool:
    return doctor.probe((level,)).level == level


def _make_room(level: str, abi: int | None, folder: Path, patch: Any) -> Iterator[Room]:
    if not _offered(level):
        pytest.skip(f"this machine has no level {level!r}")
    if abi is not None:
        patch.setattr(landlock, "abi", lambda: abi)
    room = Room(level, folder)
    yield room
    for confined in room.running:
        confined.kill()


@pytest.fixture(params=["namespaces", "landlock"])
def room(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Room]:
    yield from _make_room(request.param, None, tmp_path, monkeypatch)


@pytest.fixture(params=LEVELS)
def older_room(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Room]:
    """With the oldest Landlock as well, which does not know signals."""
    yield from _make_room(*LEVELS[request.param], tmp_path, monkeypatch)


@pytest.fixture
def open_room(tmp_path: Path) -> Iterator[Room]:
    """The same without walls."""
    room = Room("none", tmp_path)
    yield room
    for confined in room.running:
        confined.kill()


# --- the network ---------------------------------------------------------------------


class Listeners(NamedTuple):
    tcp: int
    udp: int
    path: str
    abstract: str


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    name = f"\0lmlib-{os.getpid()}-{time.monotonic_ns()}"
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as path,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract,
    ):
        udp.bind(("127.0.0.1", 0))
        path.bind(f"{folder}/socket")
        abstract.bind(name)
        Path(folder).chmod(0o777)
        Path(folder, "socket").chmod(0o777)
        ports = tcp.getsockname()[1], udp.getsockname()[1]
        yield Listeners(*ports, f"{folder}/socket", name)


def _tcp(to: Listeners) -> object:
    return socket.create_connection(("127.0.0.1", to.tcp), timeout=2)


def _udp(to: Listeners) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"the answers", ("127.0.0.1", to.udp))


def _path(to: Listeners) -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"the answers", to.path)


def _abstract(to: Listeners) -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"the answers", to.abstract)


def _pair(to: Listeners) -> object:
    # Making a pair is not making a socket, but its ends can be sent anywhere.
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ends[0].connect(to.path)
    return ends[0].send(b"the answers")


NETWORK = {
    "TCP": _tcp,
    "UDP": _udp,
    "a socket with a path": _path,
    "an abstract socket": _abstract,
    "a pair": _pair,
}


def _senders(to: Listeners) -> dict[str, Attack]:
    return {name: functools.partial(send, to) for name, send in NETWORK.items()}


def test_nothing_is_sent(room: Room, listeners: Listeners) -> None:
    answers = room.attacks(_senders(listeners))
    assert all_begin(answers, "refused", NETWORK)


def test_without_the_sandbox_it_is_sent(open_room: Room, listeners: Listeners) -> None:
    answers = open_room.attacks(_senders(listeners))
    assert all_begin(answers, "done", NETWORK)


def test_a_pair_of_streams_is_left_for_asyncio(room: Room) -> None:
    assert room.attack(lambda: len(socket.socketpair())) == "done 2"


# --- the kernel's memory -------------------------------------------------------------


def _lock_twice(command: int) -> object:
    """Lock bytes here and in a child: what is kept would be refused there."""
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 2, 1, 0)
    with Path("locked").open("w") as file:
        fcntl.fcntl(file, command, lock)
        if (child := os.fork()) == 0:
            try:
                with Path("locked").open("r+") as other:
                    fcntl.fcntl(other, command, lock)
                os._exit(0)
            finally:
                os._exit(1)
        kept = os.waitpid(child, 0)[1]
    if not kept:
        raise OSError("a lock that nobody keeps")
    return None


def _larger_buffer(option: int) -> object:
    one, other = socket.socketpair()
    with one, other:
        return one.setsockopt(socket.SOL_SOCKET, option, 1 << 17)


def _pages_in_a_pipe(call: Callable[[int, int], object]) -> object:
    Path("pages").write_bytes(bytes(100))
    _, writer = os.pipe()
    with Path("pages").open("rb") as file:
        return call(writer, file.fileno())


KERNEL_MEMORY: dict[str, Attack] = {
    "lock": lambda: _lock_twice(fcntl.F_SETLK),
    "lock of an open file": lambda: _lock_twice(37),  # F_OFD_SETLK
    "send buffer": lambda: _larger_buffer(socket.SO_SNDBUF),
    "receive buffer": lambda: _larger_buffer(socket.SO_RCVBUF),
    "pipe": lambda: fcntl.fcntl(os.pipe()[1], fcntl.F_SETPIPE_SZ, 1 << 17),
    "splice": lambda: _pages_in_a_pipe(lambda to, of: os.splice(of, to, 100)),
    "sendfile": lambda: _pages_in_a_pipe(lambda to, of: os.sendfile(to, of, 0, 100)),
    "many files": lambda: [os.dup(0) for _ in range(100)],
}


def test_the_kernel_is_not_filled(room: Room) -> None:
    assert all_begin(room.attacks(KERNEL_MEMORY), "refused", KERNEL_MEMORY)


def test_without_the_sandbox_it_could_be(open_room: Room) -> None:
    attacks = {n: a for n, a in KERNEL_MEMORY.items() if n != "many files"}
    assert all_begin(open_room.attacks(attacks), "done", attacks)


def test_pairs_of_sockets_hold_little_together(room: Room) -> None:
    def fill() -> int:
        held = 0
        pairs = []
        with contextlib.suppress(OSError):
            while True:
                pairs.append(socket.socketpair())
                for one in pairs[-1]:
                    one.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            held += one.send(bytes(1 << 16))
        return held

    answer = room.attack(fill)
    assert 1 << 20 < int(answer.removeprefix("done ")) < 32 * MIB


def test_what_students_use_is_left(room: Room) -> None:
    def use() -> object:
        Path("a").write_text("text", encoding="ascii")
        shutil.copyfile("a", "b")  # by sendfile, if it may
        with Path("a").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # one for each open file
        asyncio.run(asyncio.sleep(0))
        with contextlib.closing(sqlite3.connect("db", timeout=1)) as database:
            database.execute("CREATE TABLE t (x)")
            database.commit()
        return Path("b").read_text(encoding="ascii")

    assert room.attack(use) == "done 'text'"


# --- files ---------------------------------------------------------------------------


def _through_a_link(secret: Path) -> object:
    Path("link").symlink_to(secret)
    return Path("link").read_bytes()


def _through_a_hard_link(secret: Path) -> object:
    os.link(secret, "hard link")
    return Path("hard link").read_bytes()


def _by_a_program(secret: Path) -> object:
    code = subprocess.run(["/bin/cat", secret], stdout=subprocess.DEVNULL).returncode
    if code:
        raise PermissionError(code)
    return None


def _put_there(secret: Path) -> object:
    Path("mine").touch()
    return Path("mine").rename(secret.with_name("mine"))


FILES: dict[str, Callable[[Path], object]] = {
    "read": lambda secret: secret.read_bytes(),
    "list": lambda secret: list(secret.parent.iterdir()),
    "link": _through_a_link,
    "hard link": _through_a_hard_link,
    "program": _by_a_program,
    "write": lambda secret: secret.write_bytes(b"my solution"),
    "create": lambda secret: secret.with_name("new").touch(),
    "remove": lambda secret: secret.unlink(),
    "move in": lambda secret: secret.rename("mine"),
    "move out": _put_there,
    "folder": lambda secret: secret.with_name("new").mkdir(),
    "truncate": lambda secret: os.truncate(secret, 0),
    "mode": lambda secret: secret.chmod(0o600),
    "owner": lambda secret: os.chown(secret, os.getuid(), os.getgid()),
    "times": lambda secret: os.utime(secret, (0, 0)),
}
#: Without a sandbox these need to own the file, or root's power to read.
OWNERS_ONLY = {"mode", "owner", "times", "program"}


def _on(secret: Path, *names: str) -> dict[str, Attack]:
    return {name: functools.partial(FILES[name], secret) for name in names or FILES}


def test_files_outside_are_out_of_reach(room: Room) -> None:
    before = room.secret.stat()
    answers = room.attacks(_on(room.secret))
    assert all_begin(answers, "refused", FILES)
    assert room.secret.stat() == before
    assert [path.name for path in room.outside.iterdir()] == ["secret"]


def test_without_the_sandbox_files_are_in_reach(open_room: Room) -> None:
    def restore() -> None:
        for path in (*Path.cwd().iterdir(), *open_room.outside.glob("new")):
            path.rmdir() if path.is_dir() else path.unlink()
        if not open_room.secret.exists():
            open_room.secret.touch()
            open_room.secret.chmod(0o777)

    names = set(FILES) - (OWNERS_ONLY if os.geteuid() == 0 else set())
    attacks = _on(open_room.secret, *names)
    assert all_begin(open_room.attacks(attacks, restore), "done", attacks)


def test_what_may_be_read_may_not_be_written(room: Room) -> None:
    attacks = _on(room.secret, "write", "create", "remove", "truncate", "mode")
    attacks["open"] = lambda: os.open(room.secret, os.O_RDONLY | os.O_TRUNC)
    read = (*interpreter_paths(), room.outside)
    answer = room.attack(lambda: room.secret.read_bytes(), read=read)
    assert answer == "done b'the solution'"
    assert all_begin(room.attacks(attacks, read=read), "refused", attacks)
    assert room.secret.read_text(encoding="utf-8") == "the solution"


def test_the_packages_are_read_only(room: Room) -> None:
    package = Path(torch.__file__).parent
    new = package / "lmlib_sandbox_test"
    try:
        assert room.attack(lambda: list(package.iterdir())).startswith("done")
        assert room.attack(new.touch).startswith("refused")
        assert not new.exists()
    finally:
        new.unlink(missing_ok=True)


def test_nothing_else_of_the_machine_is_seen(room: Room) -> None:
    attacks: dict[str, Attack] = {
        path: functools.partial(Path(path).read_bytes)
        for path in ("/etc/passwd", "/etc/hosts", "/sys/kernel/uevent_seqnum")
    }
    for folder in (Path.home(), Path("/home"), Path("/var"), room.outside.parent):
        attacks[str(folder)] = functools.partial(os.listdir, folder)
    assert all_begin(room.attacks(attacks), "refused", attacks)


def test_the_working_folder_is_for_working(room: Room) -> None:
    def work() -> object:
        Path("data").mkdir()
        Path("data", "a.txt").write_text("a", encoding="utf-8")
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == room.home
        assert Path.home() == Path.cwd() == room.home
        return Path("data", "a.txt").read_text(encoding="utf-8")

    assert room.attack(work) == "done 'a'"


def test_open_files_are_not_handed_over(room: Room) -> None:
    secret = os.open(room.secret, os.O_RDONLY)
    folder = os.open(room.outside, os.O_RDONLY)
    try:
        assert "EBADF" in room.attack(lambda: _name(lambda: os.read(secret, 9)))
        assert "EBADF" in room.attack(
            lambda: _name(lambda: os.open("secret", os.O_RDONLY, dir_fd=folder))
        )
        assert room.attack(lambda: os.read(0, 9)) == "done b''"
    finally:
        os.close(secret)
        os.close(folder)


def _name(attack: Attack) -> str:
    """What the kernel said no with."""
    try:
        attack()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "nothing"


def test_a_datagram_socket_is_not_handed_over(room: Room) -> None:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ends[0], ends[1], pytest.raises(ValueError, match="stream"):
        room.start(lambda: None, ends[0].fileno())


# --- memory, processes, disk, time ---------------------------------------------------


def test_one_process_cannot_take_the_memory(room: Room) -> None:
    def take() -> object:
        memory = mmap.mmap(-1, 4096 * MIB)
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1
        return None

    assert room.attack(take).startswith("refused")
    assert "MemoryError" in room.attack(lambda: len(b"x" * (4096 * MIB)))
    assert "allocate" in room.attack(lambda: torch.zeros(1024 * MIB).sum())


@pytest.mark.parametrize("shared", [False, True])
def test_several_cannot_take_it_together(room: Room, shared: bool) -> None:
    def take() -> None:
        for _ in range(3):
            if os.fork() == 0:
                break
        flags = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        memory = mmap.mmap(-1, 60 * MIB, flags | mmap.MAP_ANONYMOUS)
        memory.write(bytes(60 * MIB))
        time.sleep(60)

    assert room.start(take, memory_bytes=150 * MIB).wait(40.0) == Ended(-9, "memory")


def test_memory_that_a_fork_shares_is_counted_once(room: Room) -> None:
    def share() -> None:
        memory = b"x" * (100 * MIB)
        children = [os.fork() for _ in range(1)]
        children += [os.fork() for _ in range(1)]
        time.sleep(0.5)
        assert memory
        for child in children:
            if child:
                os.waitpid(child, 0)

    assert room.start(share, memory_bytes=200 * MIB).wait(40.0) == Ended(0, "")


def test_a_fork_bomb_stops(room: Room) -> None:
    def bomb() -> int:
        for count in range(500):
            try:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
            except OSError:
                return count
        return 500

    answer = room.attack(bomb, processes=16)
    assert answer.startswith("done ")
    # An ordinary user's other processes count at level "landlock", and come and go.
    assert 5 <= int(answer.split()[1]) <= 32
    # Threads count as well.
    assert "start new thread" in room.attack(_start_threads, processes=16)


def _start_threads() -> None:
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def test_a_file_has_a_limit(room: Room) -> None:
    def write() -> object:
        return Path("large").write_bytes(bytes(3 * MIB))

    assert "EFBIG" in room.attack(lambda: _name(write), file_bytes=2 * MIB)
    assert "EFBIG" in room.attack(
        lambda: _name(
            lambda: os.truncate(os.open("l", os.O_CREAT | os.O_RDWR), 9 << 20)
        ),
        file_bytes=2 * MIB,
    )


@pytest.mark.parametrize("unlinked", [False, True])
def test_many_files_have_a_limit_together(room: Room, unlinked: bool) -> None:
    def fill() -> None:
        kept = []
        for number in range(40):  # 40 MiB, of 8
            file = Path(str(number)).open("wb")  # noqa: SIM115
            kept.append(file)
            if unlinked:
                Path(str(number)).unlink()
            file.write(bytes(MIB))
            file.flush()
        time.sleep(60)

    ended = room.start(fill, disk_bytes=8 * MIB).wait(40.0)
    # The folder in memory is full at once: the write fails, as does the function.
    assert ended == (Ended(1, "") if room.level == "namespaces" else Ended(-9, "disk"))


def test_many_empty_files_have_a_limit(room: Room) -> None:
    def fill() -> None:
        for number in range(12_000):
            Path(str(number)).touch()
        time.sleep(60)

    ended = room.start(fill).wait(40.0)
    assert ended == (Ended(1, "") if room.level == "namespaces" else Ended(-9, "disk"))


def test_a_folder_that_hides_its_files_is_taken_for_full(room: Room) -> None:
    if room.level == "namespaces" or os.geteuid() == 0:
        pytest.skip("here nothing can be hidden: root sees it, or memory bounds it")

    def hide() -> None:
        Path("hidden").mkdir(mode=0o300)
        time.sleep(60)

    assert room.start(hide).wait(40.0) == Ended(-9, "disk")


def _busy_in_c() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def _busy_in_torch() -> None:
    matrix = torch.ones(64, 64)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        matrix = matrix @ matrix


def _asleep() -> None:
    time.sleep(60)


def _deaf() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)


def _stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _crowd() -> None:
    # Like all attackers here it gives up, should the sandbox not end it.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def test_time_is_up_for_everybody(older_room: Room) -> None:
    def go() -> None:
        for function in (_busy_in_torch, _asleep, _deaf, _stopped, _crowd):
            if os.fork() == 0:
                function()
        _busy_in_c()

    reader, writer = os.pipe()
    confined = older_room.start(go, writer)
    os.close(writer)
    assert confined.wait(0.3) is None
    assert confined.kill() == Ended(-9, "killed")
    assert _nobody_holds(reader)
    assert not Path(f"/proc/{confined.pid}").exists()


def _nobody_holds(reader: int) -> bool:
    """True if the other end of a pipe is closed: each process that had it is dead."""
    with os.fdopen(reader, "rb") as file:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        return dict(poll.poll(20_000)).get(file.fileno()) == select.POLLHUP


def test_processor_time_has_a_limit(room: Room) -> None:
    confined = room.start(_busy_in_c, cpu_seconds=1)
    assert confined.wait(40.0) == Ended(-signal.SIGXCPU, "processor time")


# --- survivors -----------------------------------------------------------------------


def _daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        _deaf()


def _stopped_child() -> None:
    if os.fork() == 0:
        _stopped()


def _runner() -> None:
    """Is never there when somebody looks: each process lives for one fork."""
    if os.fork() == 0:
        os.setsid()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if os.fork():
                os._exit(0)


@pytest.mark.parametrize("end", ["of itself", "killed", "caller ends"])
def test_nobody_survives(older_room: Room, end: str) -> None:
    reader, writer = os.pipe()

    def go() -> None:
        for function in (_daemon, _stopped_child, _runner):
            function()
        if end != "of itself":
            time.sleep(60)

    if end == "caller ends":
        caller = os.fork()
        if caller == 0:
            older_room.start(go, writer)
            time.sleep(0.1)
            os._exit(0)
        os.waitpid(caller, 0)
    else:
        confined = older_room.start(go, writer)
    os.close(writer)
    if end == "of itself":
        assert confined.wait(40.0) == Ended(0, "")
    elif end == "killed":
        assert confined.wait(0.1) is None
        confined.kill()
    assert _nobody_holds(reader)
    if end != "caller ends":
        with pytest.raises(ChildProcessError):
            os.waitpid(confined.pid, os.WNOHANG)


def test_the_supervisor_killed_from_outside_takes_all_along(room: Room) -> None:
    if room.level != "namespaces":
        pytest.skip("without a namespace its death frees its grandchildren")
    reader, writer = os.pipe()
    confined = room.start(lambda: (_daemon(), time.sleep(60)), writer)
    os.close(writer)
    os.kill(confined.pid, signal.SIGKILL)
    assert confined.wait(40.0) == Ended(-9, "killed")
    assert _nobody_holds(reader)


# --- other processes -----------------------------------------------------------------


class _Region(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _read_memory(pid: int) -> object:
    """Copy a few bytes out of a process that, being our parent, has them there too."""
    text = ctypes.create_string_buffer(b"x" * 64)
    copy = ctypes.create_string_buffer(64)
    there, here = (
        _Region(ctypes.addressof(text), 64),
        _Region(ctypes.addressof(copy), 64),
    )
    one = ctypes.byref
    return syscalls.call("process_vm_readv", pid, one(here), 1, one(there), 1, 0)


def _programs(pid: int) -> dict[str, Attack]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    return {
        "signal": lambda: os.kill(pid, 0),
        "signal to its group": lambda: os.killpg(os.getpgid(pid), 0),
        "signal by descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0),
        "trace": lambda: syscalls.call("ptrace", 16, pid, 0, 0),
        "memory": lambda: _read_memory(pid),
        "/proc/environ": lambda: Path(f"/proc/{pid}/environ").read_bytes(),
        "/proc/mem": lambda: os.open(f"/proc/{pid}/mem", os.O_RDWR),
        "/proc/root": lambda: list(Path(f"/proc/{pid}/root").iterdir()),
        "limits": lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (soft, hard)),
        "processors": lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
    }


def test_the_caller_is_out_of_reach(older_room: Room) -> None:
    attacks = _programs(os.getpid())
    if older_room.level == "namespaces":
        # There are the supervisor and the student's process; no number is the caller's.
        numbers = older_room.attack(
            lambda: sorted(int(p.name) for p in Path("/proc").glob("[0-9]*"))
        )
        assert numbers == "done [1, 2]"
        if os.getpid() <= 2:
            pytest.skip("the caller's number happens to be one of theirs")
    assert all_begin(older_room.attacks(attacks), "refused", attacks)


def test_the_supervisor_is_out_of_reach(older_room: Room) -> None:
    def signal_process_1() -> None:
        for number in signal.valid_signals():
            os.kill(1, number)
        time.sleep(0.05)
        raise PermissionError(f"process {os.getppid()} did not hear it")

    def attack(name: str) -> object:
        return _programs(os.getppid())[name]()  # who the supervisor is, its child knows

    attacks: dict[str, Attack] = {
        name: functools.partial(attack, name) for name in _programs(os.getpid())
    }
    if older_room.level == "namespaces":
        attacks = {n: a for n, a in attacks.items() if not n.startswith("signal")}
        attacks["signal"] = signal_process_1
    assert all_begin(older_room.attacks(attacks), "refused", attacks)


def test_without_the_sandbox_they_are_in_reach(open_room: Room) -> None:
    if os.geteuid() == 0:
        pytest.skip("run by root, the student's user may not touch root's processes")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as victim:
        attacks = _programs(victim.pid)
        for name in ("trace", "memory", "/proc/mem"):  # depends on the machine
            del attacks[name]
        answers = open_room.attacks(attacks)
        victim.kill()
    assert all_begin(answers, "done", attacks)


def test_a_signal_to_everybody_reaches_nobody(older_room: Room) -> None:
    # This signal harms nobody if the sandbox leaks.
    heard: list[int] = []
    before = signal.signal(signal.SIGCONT, lambda number, frame: heard.append(number))
    try:
        older_room.attack(lambda: os.kill(-1, signal.SIGCONT))
        time.sleep(0.05)
    finally:
        signal.signal(signal.SIGCONT, before)
    assert not heard


def test_a_signal_to_itself_arrives(room: Room) -> None:
    confined = room.start(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert confined.wait(40.0) == Ended(-signal.SIGTERM, "")


# --- no way back ---------------------------------------------------------------------


def test_there_is_no_way_back(room: Room) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    attacks: dict[str, Attack] = {
        "unshare": lambda: syscalls.call("unshare", 0x10000000),
        "clone": lambda: syscalls.call(
            "clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0
        ),
        "clone3": lambda: syscalls.call("clone3", 0, 0),
        "io_uring": lambda: syscalls.call("io_uring_setup", 1, 0),
        "memfd": lambda: syscalls.call("memfd_create", b"x", 0),
        "keys": lambda: syscalls.call("keyctl", 0, 0, 0, 0, 0),
        "shared memory": lambda: syscalls.call("shmget", 0, 4096, 0o1600),
        "mount": lambda: syscalls.call("mount", b"tmpfs", b".", b"tmpfs", 0, 0),
        "root": lambda: os.setuid(0),
        "chroot": lambda: os.chroot("."),
    }
    for name in ("RLIMIT_AS", "RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_CPU"):
        kind = getattr(resource, name)
        attacks[name] = functools.partial(resource.setrlimit, kind, infinite)
    assert all_begin(room.attacks(attacks), "refused", attacks)


# --- what must still work ------------------------------------------------------------


def test_torch_and_matplotlib_work(room: Room) -> None:
    def work() -> object:
        x = torch.randn(32, 32, requires_grad=True)
        (x @ x).softmax(-1).log().sum().backward()
        assert x.grad is not None
        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots()
        axes.plot([0, 1], [1, 0], label="$x^2$")
        axes.legend()
        figure.savefig("plot.png")
        torch.save(x.detach(), "x.pt")
        assert torch.equal(torch.load("x.pt"), x)
        return Path("plot.png").read_bytes()[1:4]

    assert room.attack(work) == "done b'PNG'"


def test_a_program_can_be_started(room: Room) -> None:
    def work() -> object:
        return subprocess.check_output(["/bin/echo", "hello"])

    assert room.attack(work) == "done b'hello\\n'"


def test_a_socket_that_is_handed_over_talks(room: Room) -> None:
    ours, theirs = socket.socketpair()

    def echo() -> None:
        theirs.sendall(theirs.recv(100).upper())

    with ours, theirs:
        confined = room.start(echo, theirs.fileno())
        theirs.close()
        ours.sendall(b"hello")
        assert ours.recv(100) == b"HELLO"
        assert confined.wait(40.0) == Ended(0, "")
        assert ours.recv(100) == b""  # nobody else had kept it


def test_a_sandbox_that_cannot_be_had_runs_nothing(room: Room) -> None:
    touched = room.home / "touched"
    with pytest.raises(OSError, match="No such file"):
        room.start(touched.touch, read=(*interpreter_paths(), Path("/no/such/folder")))
    assert not touched.exists()


def test_no_sandbox_no_student(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="no sandbox"):
        confinement.spawn(lambda: None, Policy((), (tmp_path,)), Sandbox("none"))


# --- finding out ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wall", "promise"),
    [("landlock.confine", "files"), ("_limit", "memory")],
)
def test_a_broken_wall_is_noticed(
    monkeypatch: pytest.MonkeyPatch, wall: str, promise: str
) -> None:
    if doctor.probe(("landlock",)).level == "none":
        pytest.skip("this machine has no level 'landlock'")
    monkeypatch.setattr(f"{confinement.__name__}.{wall}", lambda *arguments: None)
    assert promise not in doctor._trial("landlock")
    found = doctor.probe(("landlock",))
    assert found.level == "none"
    assert not any(guarantee.holds for guarantee in found.guarantees)


def test_elsewhere_it_promises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert doctor.probe().level == "none"
    text = doctor.doctor()
    assert "Nothing here protects you" in text
    assert "container" in text
    assert ": holds" not in text


def test_the_doctor_speaks_of_every_promise(room: Room) -> None:
    text = doctor.doctor(doctor.probe((room.level,)))
    for promise in doctor.PROMISES:
        assert f"{promise.name}: holds. It means: {promise.meaning}." in text


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0),
        ("/usr/include/asm-generic/unistd.h", 1),
    ],
)
def test_the_numbers_are_the_kernels(header: str, column: int) -> None:
    if not Path(header).exists():
        pytest.skip(f"there is no {header} to compare with")
    text = Path(header).read_text(encoding="utf-8")
    pairs = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, re.MULTILINE)
    known = {name: int(number) for name, number in pairs}
    # clone3 waits for each architecture to want it; the rest is younger than headers.
    for name, numbers in syscalls.NUMBERS.items():
        if name in known or numbers[column] is None:
            assert numbers[column] == known.get(name), name


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_filter_decides(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    """Run the filter's program by hand, for both architectures."""
    column, architecture = syscalls.MACHINES[machine]
    monkeypatch.setattr(syscalls, "machine", lambda: syscalls.MACHINES[machine])
    programs: list[list[tuple[int, int, int, int]]] = []
    monkeypatch.setattr(
        seccomp.Filter, "install", lambda self: programs.append(self.program)
    )
    seccomp.install(network=False, own_files_only=True, own_signals_only=True)

    def decide(name: str, *arguments: int, arch: int = architecture) -> int:
        number = syscalls.NUMBERS[name][column]
        padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        data = struct.pack("=iIQ6Q", number, arch, 0, *padded)
        at = accumulator = 0
        while at < len(programs[0]):
            code, yes, no, constant = programs[0][at]
            at += 1
            if code == 0x20:
                accumulator = struct.unpack_from("=I", data, constant)[0]
            elif code == 0x54:
                accumulator &= constant
            elif code == 0x15:
                at += yes if accumulator == constant else no
            elif code == 0x35:
                at += yes if accumulator >= constant else no
            else:
                return constant
        return 0x7FFF0000

    allow, eperm, enosys = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
    assert decide("close_range") == allow
    assert decide("close_range", arch=0x40000003) == 0x80000000
    assert decide("clone3") == enosys
    assert decide("clone", signal.SIGCHLD) == allow
    for namespace in (0x10000000, 0x20000, 0x02000000, 0x40000000):
        assert decide("clone", namespace | signal.SIGCHLD) == eperm
    assert decide("socket", 1, 1) == eperm
    assert decide("socketpair", 1, 0x80001) == allow
    assert decide("socketpair", 1, 2) == decide("socketpair", 2, 1) == eperm
    assert decide("prlimit64", 0, 9) == allow
    assert decide("prlimit64", 9, 9) == eperm
    assert decide("kill", os.getpid(), 9) == allow
    assert decide("kill", (1 << 32) - 1, 9) == decide("tkill", 5, 9) == eperm
    assert decide("setsockopt", 3, 1, 7) == decide("inotify_add_watch") == eperm
    for lock in (6, 7, 37, 38):
        assert decide("fcntl", 3, lock) == 0x50000  # granted, and not kept
    assert decide("fcntl", 3, 1031) == decide("vmsplice") == decide("tee") == eperm
    assert decide("fcntl", 3, 5) == decide("fcntl", 3, 1030) == allow
    assert decide("setxattr") == decide("fchmodat2") == decide("ptrace") == eperm


# --- as an ordinary user -------------------------------------------------------------


def _become_nobody() -> None:
    """In a view of the files in which nobody may reach the interpreter."""
    base = Path(sys.base_prefix)
    syscalls.call("unshare", 0x00020000)
    namespaces._mount("none", "/", namespaces._RECURSIVE | namespaces._PRIVATE)
    closed = [path for path in base.parents if not path.stat().st_mode & 1]
    if closed:
        tree = namespaces._open_tree(base)
        namespaces._mount("tmpfs", closed[-1], 0, "mode=755")
        base.mkdir(parents=True)
        here = os.fsencode(base)
        syscalls.call("move_mount", tree, b"", -100, here, namespaces._MOVE_FROM_FD)
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def test_all_this_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("the tests above were run by an ordinary user already")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        command = [sys.executable, "-m", "pytest", "-q", "-x", __file__]
        # Without those that have nothing to do with who runs them.
        command += ["-k", "not (torch or numbers or filter or processor or broken)"]
        command += ["-p", "no:cacheprovider", f"--basetemp={folder}/base"]
        environment = {**os.environ, "HOME": folder, "TMPDIR": folder}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        run = subprocess.run(
            command,
            cwd=HERE,
            env=environment,
            preexec_fn=_become_nobody,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert run.returncode == 0, run.stdout[-6000:]
    assert int(re.findall(r"(\d+) passed", run.stdout)[0]) > 60
    print(run.stdout[-800:])
