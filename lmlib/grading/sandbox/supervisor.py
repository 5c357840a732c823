"""The supervisor: parent of a confined process, which watches, ends and reaps it all.

At level "namespaces" it is process 1 of the sandbox, else a subreaper: in both, whoever
loses its parent in there becomes the supervisor's child, so nobody gets away by forking
twice. It runs none of the student's code and is out of that code's reach.
"""

import os
import select
import signal
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

#: How often the totals are looked at, in seconds; up to five times as long if looking
#: takes long.
INTERVAL = 0.1
MOST_FILES = 10_000


@dataclass(frozen=True)
class Totals:
    """What the processes may use together, where no limit of the kernel counts it."""

    memory_bytes: int
    disk_bytes: int
    folders: tuple[Path, ...]


def descendants(ancestor: int) -> set[int]:
    """The processes that stem from one, as /proc has them at this moment."""
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            text = (process / "stat").read_bytes()
            # The name, in brackets, may hold anything.
            parent = int(text.rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(process.name))
    found: set[int] = set()
    waiting = [ancestor]
    while waiting:
        new = set(children.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _kilobytes(path: Path, names: Sequence[bytes]) -> int:
    total = 0
    for line in path.read_bytes().splitlines():
        name, _, value = line.partition(b":")
        if name in names:
            total += int(value.split()[0])
    return total


def private_memory(pids: set[int], limit: int) -> int:
    """The bytes that these processes hold together; exact only above `limit`."""
    rough = exact = 0
    for pid in pids:
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status")
            rough += _kilobytes(status, (b"RssAnon", b"RssShmem")) << 10
    if rough <= limit:
        return rough
    # Pages that a fork shares were counted once for each process. This divides them.
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup")
            exact += _kilobytes(rollup, (b"Pss_Anon", b"Pss_Shmem")) << 10
        except PermissionError:
            return rough
        except OSError:
            continue  # it has just ended
    return exact


def _files(folder: Path) -> Iterator[os.stat_result]:
    waiting = [os.fspath(folder)]
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)


def _unlinked(pids: set[int]) -> Iterator[os.stat_result]:
    """Files that are open and have no name any more: on disk, in no folder."""
    for pid in pids:
        with suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    status = file.stat()
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        yield status


def disk_is_full(totals: Totals, pids: set[int]) -> bool:
    """True also for a folder that cannot be looked into: something is hidden there."""
    used = count = 0
    try:
        for folder in totals.folders:
            for status in _files(folder):
                used, count = used + status.st_blocks * 512, count + 1
                if used > totals.disk_bytes or count > MOST_FILES:
                    return True
    except OSError:
        return True
    used += sum(status.st_blocks * 512 for status in _unlinked(pids))
    return used > totals.disk_bytes


def _children() -> set[int]:
    """Our children, orphans included: a list of the kernel's, read in microseconds."""
    try:
        me = os.getpid()
        text = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii")
    except OSError:  # a kernel built without it
        return descendants(os.getpid())
    return {int(pid) for pid in text.split()}


def _send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)


def _freeze() -> set[int]:
    """Stop all that stems from us, and return it.

    To kill one of a crowd that forks makes room for another. Whoever is stopped keeps
    its place under the limit on processes, so that in the end nobody can fork.
    """
    stopped: set[int] = set()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        # Who forks and exits is gone by the time /proc has been read, but its child
        # is an orphan, and ours, at once.
        for _ in range(100):
            _send(_children(), signal.SIGSTOP)
        found = descendants(os.getpid())
        _send(found, signal.SIGSTOP)
        if found <= stopped:
            break
        stopped |= found
    return stopped


def end_everything(signals_are_confined: bool) -> bool:
    """Kill all that was ever started in here, and reap it; False if some is left."""
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        if signals_are_confined:
            # The kernel does this in one step: a fork cannot run away from it.
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        else:
            _send(_freeze(), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.001)
    return False


def supervise(
    child: int, report: socket.socket, totals: Totals, signals_are_confined: bool
) -> NoReturn:
    """Wait for the end of `child` or of the spawner's patience, then end the rest.

    Sends "ended STATUS REASON" when nothing is left, and exits.
    """
    status, reason = -int(signal.SIGKILL), "killed"
    try:
        descriptor = os.pidfd_open(child)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        # Readable once it is closed: `kill` was called, or the caller has ended.
        poll.register(report, select.POLLIN)
        pause = INTERVAL
        while not (events := dict(poll.poll(1000 * pause))):
            started = time.monotonic()
            with suppress(ChildProcessError):
                while _orphan_reaped(child):
                    pass
            pids = descendants(os.getpid())
            if private_memory(pids, totals.memory_bytes) > totals.memory_bytes:
                reason = "memory"
                break
            if totals.folders and disk_is_full(totals, pids):
                reason = "disk"
                break
            cost = time.monotonic() - started
            pause = min(max(INTERVAL, 4 * cost), 5 * INTERVAL)
        if descriptor in events:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            reason = "processor time" if status == -signal.SIGXCPU else ""
    finally:
        if not end_everything(signals_are_confined):
            reason = "survivors"
        with suppress(OSError):
            report.send(f"ended {status} {reason}".encode())
        os._exit(0)


def _orphan_reaped(child: int) -> bool:
    """Reap one process that has ended; `child` itself is left for its status."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None or found.si_pid == child:
        return False
    os.waitpid(found.si_pid, 0)
    return True
