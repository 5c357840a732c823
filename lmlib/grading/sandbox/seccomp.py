"""A seccomp filter: the system calls that a student's code has no business making.

Everything else is allowed, for a list of all that Python, numpy and torch may call
would break with each release. What is refused fails with EPERM; it does not kill.
"""

import ctypes
import errno
import os
import struct

from lmlib.grading.sandbox import syscalls

#: Reading or steering other processes.
PROCESSES = (
    "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease "
    "pidfd_getfd kcmp migrate_pages move_pages perf_event_open setpriority ioprio_set "
    "sched_setscheduler sched_setparam sched_setattr"
)
#: Changing the view of the machine, or the machine.
MACHINE = (
    "unshare setns mount umount2 pivot_root chroot open_tree open_tree_attr move_mount "
    "mount_setattr fsopen fsconfig fsmount fspick swapon swapoff reboot acct syslog "
    "quotactl quotactl_fd kexec_load kexec_file_load init_module finit_module "
    "delete_module"
)
#: Ways round the other guarantees: files by handle, memory that no limit counts,
#: calls made on one's behalf by the kernel, objects shared with the whole machine.
DETOURS = (
    "name_to_handle_at open_by_handle_at fanotify_init memfd_create memfd_secret "
    "io_uring_setup io_uring_enter io_uring_register bpf userfaultfd "
    "add_key request_key keyctl shmget shmat shmctl semget semop msgget msgsnd msgrcv "
    "mq_open"
)
#: Ways to memory of the kernel's that no limit counts: pages that a pipe or a socket
#: holds when they are no process's any more, watches.
KERNEL_MEMORY = "vmsplice splice tee sendfile inotify_add_watch"
#: Of `fcntl`: locks of byte ranges, each of which takes memory (F_SETLK, F_SETLKW and
#: their kin of open files), and larger pipes (F_SETPIPE_SZ). A lock is granted and not
#: kept: sqlite, which IPython needs, would wait for it, and nobody else uses the files.
LOCKS, LARGER_PIPE, GRANTED = (6, 7, 37, 38), 1031, 0
#: Sockets of every family; a connected pair of streams remains, see `install`. Its
#: buffers have the size that the machine gives them.
NETWORK = "socket connect bind listen accept accept4 setsockopt"
#: Landlock guards the content of files, not their owner, mode and times.
METADATA = (
    "chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat utime utimes "
    "futimesat utimensat setxattr lsetxattr fsetxattr setxattrat removexattr "
    "lremovexattr fremovexattr removexattrat file_setattr"
)
SIGNALS = "kill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"

# struct sock_filter: operation, jump if true, jump if false, constant
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST = 0x15, 0x35
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_MODE_FILTER = 1
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone takes
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_MASK = 1, 1, 0xF


class Filter:
    """A filter being written. The accumulator holds the call's number throughout."""

    def __init__(self) -> None:
        architecture = syscalls.machine()[1]
        self.program: list[tuple[int, int, int, int]] = [
            (_LOAD, 0, 0, _ARCHITECTURE),
            (_EQUAL, 1, 0, architecture),
            (_RETURN, 0, 0, _KILL),  # 32-bit calls, whose numbers differ
            (_LOAD, 0, 0, _NUMBER),
            (_AT_LEAST, 0, 1, _X32),
            (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        ]

    def deny(self, names: str, error: int = errno.EPERM) -> None:
        for name in names.split():
            if (number := syscalls.number(name)) is not None:
                self.program += [
                    (_EQUAL, 0, 1, number),
                    (_RETURN, 0, 0, _ERROR | error),
                ]

    def deny_unless(
        self, names: str, argument: int, value: int, mask: int = 0xFFFFFFFF
    ) -> None:
        """Deny the calls unless the low half of `argument`, masked, is `value`."""
        for name in names.split():
            if (number := syscalls.number(name)) is not None:
                self.program += [
                    (_EQUAL, 0, 5, number),
                    (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
                    (_AND, 0, 0, mask),
                    (_EQUAL, 1, 0, value),
                    (_RETURN, 0, 0, _ERROR | errno.EPERM),
                    (_LOAD, 0, 0, _NUMBER),
                ]

    def deny_if(self, name: str, argument: int, value: int, error: int) -> None:
        """Leave a call out if the low half of `argument` is `value`."""
        if (number := syscalls.number(name)) is not None:
            self.program += [
                (_EQUAL, 0, 4, number),
                (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
                (_EQUAL, 0, 1, value),
                (_RETURN, 0, 0, _ERROR | error),
                (_LOAD, 0, 0, _NUMBER),
            ]

    def install(self) -> None:
        """Put the filter in force, for this process and all that it will start."""
        program = [*self.program, (_RETURN, 0, 0, _ALLOW)]
        code = b"".join(struct.pack("=HBBI", *line) for line in program)
        instructions = ctypes.create_string_buffer(code, len(code))
        pointer = struct.pack("@HP", len(program), ctypes.addressof(instructions))
        syscalls.call("seccomp", _MODE_FILTER, 0, pointer)


def install(network: bool, own_files_only: bool, own_signals_only: bool) -> None:
    """Confine this process; `no_new_privs` must be set.

    Args:
        network: leave sockets alone.
        own_files_only: the process still sees the files of others, so deny changing
            the mode, owner and times of any.
        own_signals_only: it still sees the processes of others, and nothing else
            keeps it from signalling them, so let it signal itself alone.
    """
    rules = Filter()
    rules.deny(f"{PROCESSES} {MACHINE} {DETOURS} {KERNEL_MEMORY}")
    for command in LOCKS:
        rules.deny_if("fcntl", 1, command, GRANTED)
    rules.deny_if("fcntl", 1, LARGER_PIPE, errno.EPERM)
    # glibc turns to clone, whose flags can be read, when there is no clone3.
    rules.deny("clone3", errno.ENOSYS)
    rules.deny_unless("clone", 0, 0, _NEW_NAMESPACES)
    # pid 0 is the caller; the limits of others, the examiner's too, are not ours.
    rules.deny_unless("prlimit64 sched_setaffinity", 0, 0)
    if not network:
        rules.deny(NETWORK)
        # A pair of streams (asyncio makes one) reaches nobody. A pair of datagram
        # sockets could be sent to any address.
        rules.deny_unless("socketpair", 0, _AF_UNIX)
        rules.deny_unless("socketpair", 1, _SOCK_STREAM, _SOCK_TYPE_MASK)
    if own_files_only:
        rules.deny(METADATA)
    if own_signals_only:
        rules.deny_unless(SIGNALS, 0, os.getpid())
        rules.deny("tkill pidfd_send_signal")
    rules.install()
