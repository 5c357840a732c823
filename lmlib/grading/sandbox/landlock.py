"""Landlock: a process gives up files, TCP and signals, and cannot take them back.

It needs no privilege. What it guards grew with the kernel: ABI 3 (Linux 6.2) is the
first under which a file outside cannot be truncated, 4 (6.7) adds TCP, 6 (6.12)
signals and abstract Unix sockets. https://docs.kernel.org/userspace-api/landlock.html
"""

import errno
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from lmlib.grading.sandbox import syscalls

LEAST_ABI = 3
SIGNAL_ABI = 6
_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
#: How many rights on files each ABI knows, from 1 on.
_FILE_RIGHTS = (13, 14, 15, 15, 16)
_TCP = 0b11  # bind, connect
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 0b01, 0b10


def abi() -> int:
    """The version of Landlock here; 0 if the kernel has none, or it is off."""
    try:
        return syscalls.call("landlock_create_ruleset", 0, 0, _CREATE_VERSION)
    except OSError:
        return 0


def _restrict(files: int, tcp: int, scopes: int, rules: dict[Path, int]) -> None:
    version = abi()
    if version < LEAST_ABI:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock, or too old a one")
    words = [files]
    if version >= 4:
        words.append(tcp)
    if version >= SIGNAL_ABI:
        words.append(scopes)
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = syscalls.call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for path, rights in rules.items():
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                if not stat.S_ISDIR(os.fstat(fd).st_mode):
                    rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
                rule = struct.pack("=Qi", rights, fd)
                syscalls.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
            finally:
                os.close(fd)
        syscalls.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def confine_signals() -> None:
    """From now on this process and its children can signal one another alone.

    Raises:
        OSError: the kernel cannot do it.
    """
    if abi() < SIGNAL_ABI:
        raise OSError(errno.ENOSYS, "this kernel cannot confine signals")
    _restrict(0, 0, _SCOPE_SIGNALS, {})


def confine(read: Sequence[Path], write: Sequence[Path], network: bool) -> None:
    """Leave this process the files beneath `read` and `write`, and nothing else.

    Raises:
        OSError: the kernel cannot do it, or a path does not exist.
    """
    every = (1 << _FILE_RIGHTS[min(abi(), len(_FILE_RIGHTS)) - 1]) - 1
    rules = dict.fromkeys(read, _EXECUTE | _READ_FILE | _READ_DIR)
    devices = _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEV
    rules |= dict.fromkeys(write, every & ~devices)
    rules[Path("/dev/null")] = _READ_FILE | _WRITE_FILE
    for name in ("/dev/zero", "/dev/urandom", "/dev/random"):
        rules[Path(name)] = _READ_FILE
    scopes = _SCOPE_SIGNALS | (0 if network else _SCOPE_ABSTRACT_SOCKETS)
    _restrict(every, 0 if network else _TCP, scopes, rules)
