"""System calls that Python has no function for, on Linux x86-64 and aarch64.

The numbers are those of the kernel's `unistd_64.h` and `asm-generic/unistd.h`;
"-" where an architecture does not have the call.
"""

import ctypes
import errno
import functools
import os
import struct
from pathlib import Path
from typing import Any

#: The machine's column in `NUMBERS`, and its name in seccomp's audit data.
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_TABLE = """
accept 43 202 | accept4 288 242 | acct 163 89 | add_key 248 217 | bind 49 200
bpf 321 280 | capset 126 91 | chmod 90 - | chown 92 - | chroot 161 51
clone 56 220 | clone3 435 435 | close_range 436 436 | connect 42 203
delete_module 176 106 | fanotify_init 300 262 | fchmod 91 52 | fchmodat 268 53
fcntl 72 25 | inotify_add_watch 254 27 | sendfile 40 71 | setsockopt 54 208
splice 275 76 | tee 276 77 | vmsplice 278 75
fchmodat2 452 452 | fchown 93 55 | fchownat 260 54 | file_setattr 469 469
finit_module 313 273 | fremovexattr 199 16 | fsconfig 431 431 | fsetxattr 190 7
fsmount 432 432 | fsopen 430 430 | fspick 433 433 | futimesat 261 -
init_module 175 105 | io_uring_enter 426 426 | io_uring_register 427 427
io_uring_setup 425 425 | ioprio_set 251 30 | kcmp 312 272
kexec_file_load 320 294 | kexec_load 246 104 | keyctl 250 219 | kill 62 129
landlock_add_rule 445 445 | landlock_create_ruleset 444 444
landlock_restrict_self 446 446 | lchown 94 - | listen 50 201 | lremovexattr 198 15
lsetxattr 189 6 | memfd_create 319 279 | memfd_secret 447 447
migrate_pages 256 238 | mount 165 40 | mount_setattr 442 442 | move_mount 429 429
move_pages 279 239 | mq_open 240 180 | msgget 68 186 | msgrcv 70 188
msgsnd 69 189 | name_to_handle_at 303 264 | open_by_handle_at 304 265
open_tree 428 428 | open_tree_attr 467 467 | perf_event_open 298 241
pidfd_getfd 438 438 | pidfd_send_signal 424 424 | pivot_root 155 41 | prctl 157 167
prlimit64 302 261 | process_madvise 440 440 | process_mrelease 448 448
process_vm_readv 310 270 | process_vm_writev 311 271 | ptrace 101 117
quotactl 179 60 | quotactl_fd 443 443 | reboot 169 142 | removexattr 197 14
removexattrat 466 466 | request_key 249 218 | rt_sigqueueinfo 129 138
rt_tgsigqueueinfo 297 240 | sched_setaffinity 203 122 | sched_setattr 314 274
sched_setparam 142 118 | sched_setscheduler 144 119 | seccomp 317 277
semget 64 190 | semop 65 193 | setns 308 268 | setpriority 141 140
setxattr 188 5 | setxattrat 463 463 | shmat 30 196 | shmctl 31 195 | shmget 29 194
socket 41 198 | socketpair 53 199 | swapoff 168 225 | swapon 167 224
syslog 103 116 | tgkill 234 131 | tkill 200 130 | umount2 166 39 | unshare 272 97
userfaultfd 323 282 | utime 132 - | utimensat 280 88 | utimes 235 -
"""
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    name: (int(x86), None if arm == "-" else int(arm))
    for entry in _TABLE.replace("\n", "|").split("|")
    if entry.strip()
    for name, x86, arm in [entry.split()]
}

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_READ_SEARCH = 2
LARGE_PAGE, MADV_COLLAPSE = 2 << 20, 25


@functools.cache
def machine() -> tuple[int, int]:
    """This machine's entry of `MACHINES`.

    Raises:
        OSError: it has none.
    """
    name = os.uname().machine
    if name not in MACHINES:
        raise OSError(errno.ENOSYS, f"the sandbox does not know {name} processors")
    return MACHINES[name]


def number(name: str) -> int | None:
    """The number of a system call here; None if this machine has no such call."""
    return NUMBERS[name][machine()[0]]


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def call(name: str, *arguments: Any) -> int:
    """Make a system call; integers are passed as longs, the rest as ctypes does.

    Raises:
        OSError: the call failed; its text names the call.
    """
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _libc().syscall(ctypes.c_long(number(name) or -1), *longs)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def prctl(option: int, value: int) -> None:
    call("prctl", option, value, 0, 0, 0)


def set_capabilities(keep: int | None = None) -> None:
    """Give up the powers of root; `keep` is the number of one to retain."""
    held = 0 if keep is None else 1 << keep
    header = struct.pack("=Ii", 0x20080522, 0)
    call("capset", header, struct.pack("=6I", held, held, 0, 0, 0, 0))


def keep_over_exec(capability: int) -> None:
    """Let the one that `set_capabilities` retained outlast the next `execve`.

    Raises:
        OSError: this process has not got it.
    """
    held = 1 << capability
    header = struct.pack("=Ii", 0x20080522, 0)
    call("capset", header, struct.pack("=6I", held, held, held, 0, 0, 0))
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def close_all_but(keep: set[int]) -> None:
    """Close every open file of this process, save those kept."""
    first = 0
    for fd in [*sorted(keep), 0xFFFFFFFF]:
        if first < fd:
            call("close_range", first, fd - 1 if fd < 0xFFFFFFFF else fd, 0)
        first = fd + 1


def use_large_pages() -> None:
    """Gather this process's memory in pages of 2 MiB, where the kernel can.

    A fork copies the table of pages: with large ones it has 512 times fewer entries,
    and takes a quarter of the time.
    """
    with Path("/proc/self/maps").open(encoding="ascii", errors="replace") as maps:
        ranges = [line.split()[0].split("-") for line in maps if " rw-p " in line]
    for begin, end in ranges:
        first = -(-int(begin, 16) // LARGE_PAGE) * LARGE_PAGE
        for address in range(first, int(end, 16) - LARGE_PAGE + 1, LARGE_PAGE):
            _libc().madvise(
                ctypes.c_void_p(address), ctypes.c_size_t(LARGE_PAGE), MADV_COLLAPSE
            )
