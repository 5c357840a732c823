"""A view of the machine with nothing in it: by namespaces, as bubblewrap does.

bubblewrap ends in `exec`, and a fresh interpreter takes seconds to import torch. Here a
fork of a process that has imported it steps into the namespaces itself.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from lmlib.grading.sandbox import syscalls

_NEW_MOUNTS, _NEW_UTS, _NEW_IPC = 0x00020000, 0x04000000, 0x08000000
_NEW_USERS, _NEW_PIDS, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000

_NO_SUID, _NO_DEVICES, _NO_EXEC, _RECURSIVE, _PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
_DETACH = 2  # umount2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _MOVE_FROM_FD = 1, 4
_ATTRIBUTE_READ_ONLY, _ATTRIBUTE_NO_SUID = 1, 2
_DEVICES = ("null", "zero", "full", "random", "urandom")


def unshare(network: bool) -> None:
    """Leave the machine's namespaces; the next fork is process 1 of the new ones.

    An ordinary user gets a user namespace too, in which it is allowed to do this and
    whose processes the kernel counts apart. Root needs none.

    Raises:
        OSError: it is not allowed here.
    """
    user, group = os.geteuid(), os.getegid()
    flags = _NEW_MOUNTS | _NEW_UTS | _NEW_IPC | _NEW_PIDS
    if not network:
        flags |= _NEW_NETWORK
    syscalls.call("unshare", flags | (0 if user == 0 else _NEW_USERS))
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _mount(kind: str, at: Path | str, flags: int, options: str = "") -> None:
    syscalls.call(
        "mount", kind.encode(), os.fsencode(at), kind.encode(), flags, options.encode()
    )


def _open_tree(path: Path) -> int:
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return syscalls.call("open_tree", _AT_FDCWD, os.fsencode(path), flags)


def _protect(fd: int, attributes: int, flags: int) -> None:
    """Add attributes to a mount; those that it has stay."""
    change = struct.pack("=4Q", attributes, 0, 0, 0)
    syscalls.call("mount_setattr", fd, b"", flags | _AT_EMPTY_PATH, change, len(change))


def build_root(
    read: Sequence[Path], write: Sequence[Path], owner: int, bytes_each: int
) -> None:
    """Exchange the file system for one that has `read`, read-only, and `write`.

    Each path of `write` becomes an empty folder in memory that holds `bytes_each`
    bytes and belongs to `owner`: its limit is hard, and it goes with the sandbox.
    Must run as process 1 of the new namespaces.

    Raises:
        OSError: a path does not exist, or the kernel refuses a step.
    """
    _mount("none", "/", _RECURSIVE | _PRIVATE)
    # Get hold of everything before the first mount hides any of it.
    trees = {path: _open_tree(path) for path in read}
    folders = {path: path.is_dir() for path in read}
    devices = {Path("/dev", name): _open_tree(Path("/dev", name)) for name in _DEVICES}

    # Whatever folder this is, nobody else sees the mount. Every machine has it.
    root = Path("/proc")
    _mount("tmpfs", root, _NO_SUID | _NO_DEVICES, "mode=755,size=1m")

    def place(path: Path, folder: bool) -> Path:
        inside = root / path.relative_to("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.mkdir(exist_ok=True) if folder else inside.touch()
        return inside

    def attach(fd: int, path: Path, folder: bool) -> None:
        inside = os.fsencode(place(path, folder))
        syscalls.call("move_mount", fd, b"", _AT_FDCWD, inside, _MOVE_FROM_FD)
        os.close(fd)

    for path in sorted({*write, *read}, key=lambda path: len(path.parts)):
        if path in trees:
            attributes = _ATTRIBUTE_READ_ONLY | _ATTRIBUTE_NO_SUID
            _protect(trees[path], attributes, _AT_RECURSIVE)
            attach(trees[path], path, folders[path])
        else:
            options = f"mode=700,uid={owner},size={bytes_each},nr_inodes=10000"
            _mount("tmpfs", place(path, True), _NO_SUID | _NO_DEVICES, options)
    for path, fd in devices.items():
        attach(fd, path, folder=False)
    flags = _NO_SUID | _NO_DEVICES | _NO_EXEC
    _mount("proc", place(Path("/proc"), True), flags)

    # The old root is stacked under the new one at the same place, then let go.
    os.chdir(root)
    syscalls.call("pivot_root", b".", b".")
    syscalls.call("umount2", b".", _DETACH)
    os.chdir("/")
    top = os.open("/", os.O_PATH | os.O_CLOEXEC)
    _protect(top, _ATTRIBUTE_READ_ONLY, 0)
    os.close(top)
