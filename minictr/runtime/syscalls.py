"""The system calls of a launch, and the one place that looks at what they return.

Every function raises CallError with its own name, its arguments and the errno: nothing that a
diagnosis could need is lost on the way. libc is reached through `_ctypes`, the C half of ctypes:
the Python half would cost a third of the whole start-up time.
"""

from __future__ import annotations

import _ctypes
import posix

from minictr.host import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CallError(Exception):
    """A system call, or a program run in its stead, that was refused.

    call       its name as in section 2 of the manual, or the program's
    arguments  what it was given
    errno      what the kernel answered; 0 where a program failed, or a search found nothing
    said       what the program printed; "" for a system call
    """

    def __init__(self, call: str, arguments: tuple[Any, ...], errno: int, said: str = "") -> None:
        super().__init__(f"{call}{arguments!r}: errno {errno} {said}")
        self.call = call
        self.arguments = arguments
        self.errno = errno
        self.said = said


# --- libc -----------------------------------------------------------------------------------

# System-call numbers, for what libc does not wrap (asm/unistd_64.h, asm-generic/unistd.h).
_NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "seccomp": 317},
    "aarch64": {"clone": 220, "pivot_root": 41, "seccomp": 277},
}
# Calls younger than 2019 have one number on every architecture.
_SYS_clone3 = 435
_SYS_close_range = 436
_SYS_mount_setattr = 442
_NR_OPEN = 1 << 20  # fs.nr_open, if nobody raised it: proc_sys_fs(5)


class _String(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "z"


class _Function(_ctypes.CFuncPtr):
    """A function of libc that takes numbers of 32 bits, bytes and None, and returns an int.

    No more types are declared: making one costs 25 µs.
    """

    # PYTHONAPI keeps the interpreter's lock during the call: this program has one thread, and a
    # clone(2) must not come back in a child that has to take a lock first.
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_PYTHONAPI | _ctypes.FUNCFLAG_USE_ERRNO


_libc = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # this process, as dlopen(3) has it
_mount, _umount2, _sethostname, _capset, _prctl, _socketpair, _setsockopt, _syscall = (
    _Function(_ctypes.dlsym(_libc, name))
    for name in (
        "mount", "umount2", "sethostname", "capset", "prctl", "socketpair", "setsockopt", "syscall",
    )
)  # fmt: skip


def _number(call: str) -> int:
    machine = native(posix.uname().machine)
    if machine not in _NUMBERS:
        raise CallError(call, (machine,), 38)  # ENOSYS
    return _NUMBERS[machine][call]


def _checked(result: int, call: str, *arguments: Any) -> int:
    if result == -1:
        raise CallError(call, arguments, _ctypes.get_errno())
    return result


def raw(number: int, *arguments: int | bytes | bytearray) -> int:
    """Any system call by its number: what it returns, or minus the errno. For the interview.

    Numbers have 64 bits. bytes are handed over by address, as text that ends in NUL; a bytearray
    is written to.
    """

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    call = _Function(_ctypes.dlsym(_libc, "syscall"))
    call.restype = Long
    wide = [Long(given) if isinstance(given, int) else _memory(given) for given in arguments]
    result: int = call(Long(number), *wide, *[Long(0)] * (5 - len(wide)))
    return result if result != -1 else -_ctypes.get_errno()


def _memory(argument: bytes | bytearray) -> object:
    """What libc is handed the address of."""
    if isinstance(argument, bytes):
        return argument

    class Character(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "c"

    row = type("Row", (_ctypes.Array,), {"_type_": Character, "_length_": len(argument)})
    return row.from_buffer(argument)  # type: ignore[attr-defined]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


# --- namespaces -------------------------------------------------------------------------------

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
SIGCHLD = 17
_EINVAL, _ENOSYS = 22, 38


def clone(flags: int) -> int:
    """clone(2) without a new stack: fork(2) into new namespaces. 0 in the child.

    The interpreter's hooks around fork do not run. They reset locks that other threads may hold;
    this process has no other thread.
    """
    return _checked(
        _syscall(_number("clone"), flags | SIGCHLD, 0, 0, 0, 0), "clone", hex(flags | SIGCHLD)
    )


def clone3_is_final() -> bool:
    """Whether a filter gives clone3(2) an answer that posix_spawn(3) takes for its result.

    Engines older than the call answer EPERM, and glibc goes back to clone(2) on ENOSYS alone. The
    kernel gives EINVAL to arguments of no size, before it looks at them.
    """
    refused = _syscall(_SYS_clone3, 0, 0, 0, 0, 0) == -1
    return not refused or _ctypes.get_errno() not in (_EINVAL, _ENOSYS)


def sethostname(name: str) -> None:
    """sethostname(2): the name of this UTS namespace, 64 bytes at most."""
    encoded = _bytes(name) or b""
    _checked(_sethostname(encoded, len(encoded)), "sethostname", name)


# --- sockets ----------------------------------------------------------------------------------

SOCK_STREAM, SOCK_SEQPACKET = 1, 5
SO_PASSCRED, SO_RCVTIMEO = 16, 20  # asm-generic/socket.h
_AF_UNIX, _SOL_SOCKET, _SOCK_CLOEXEC = 1, 1, 0o2000000


def socketpair(kind: int) -> tuple[int, int]:
    """socketpair(2): two connected Unix sockets, which execve(2) closes.

    `_socket` would cost a launch as much as all that it does with the two.
    """
    both = _String()  # memory for two int: a pointer takes as much
    result = _socketpair(_AF_UNIX, kind | _SOCK_CLOEXEC, 0, _ctypes.byref(both))
    _checked(result, "socketpair", "AF_UNIX", kind)
    memory = bytes(both)
    return int.from_bytes(memory[:4], "little"), int.from_bytes(memory[4:], "little")


def setsockopt(socket: int, option: int, value: bytes) -> None:
    """setsockopt(2) at the level SOL_SOCKET: socket(7)."""
    result = _setsockopt(socket, _SOL_SOCKET, option, value, len(value))
    _checked(result, "setsockopt", socket, option)


# --- mounts -----------------------------------------------------------------------------------

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2)."""
    given = (_bytes(source), _bytes(target), _bytes(kind), flags, _bytes(options) or None)
    _checked(_mount(*given), "mount", source, target, kind, hex(flags), options)


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    _checked(_umount2(_bytes(target), flags), "umount2", target, hex(flags))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2): make `new_root` the root mount, hang the old one at `put_old`."""
    result = _syscall(_number("pivot_root"), _bytes(new_root), _bytes(put_old))
    _checked(result, "pivot_root", new_root, put_old)


def mount_setattr(target: str, attributes: int) -> None:
    """mount_setattr(2), Linux 5.12: set attributes on a mount and on all that is mounted below.

    Unlike MS_REMOUNT it only adds: flags that the host locked (nosuid, nodev, ...) stay.
    """
    wanted = attributes.to_bytes(8, "little") + bytes(24)  # struct mount_attr: set, clear, ...
    result = _syscall(
        _SYS_mount_setattr, _AT_FDCWD, _bytes(target), _AT_RECURSIVE, wanted, len(wanted)
    )
    _checked(result, "mount_setattr", target, hex(attributes))


# --- confinement ------------------------------------------------------------------------------

_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_OPTIONS = {
    "PR_SET_PDEATHSIG": 1,
    "PR_GET_DUMPABLE": 3,
    "PR_SET_DUMPABLE": 4,
    "PR_SET_NAME": 15,
    "PR_CAPBSET_READ": 23,
    "PR_CAPBSET_DROP": 24,
    "PR_GET_SECUREBITS": 27,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_GET_NO_NEW_PRIVS": 39,
}
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_GET_ACTION_AVAIL = 2


def prctl(option: str, argument: int | str = 0) -> int:
    """prctl(2) by the name of its option.

    python-prctl costs 1 ms of start-up and knows no capability that its headers lacked, which
    would then stay in the bounding set.
    """
    given = _bytes(argument) if isinstance(argument, str) else argument
    return _checked(_prctl(_OPTIONS[option], given, 0, 0, 0), "prctl", option, argument)


def capset_none() -> None:
    """capset(2): empty the effective, permitted and inheritable sets (and so the ambient one)."""
    header = _LINUX_CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    _checked(_capset(header, bytes(24)), "capset", "none")


def seccomp_load(program: bytes) -> None:
    """seccomp(2): add a filter to this process. `program` is BPF, eight bytes an instruction."""
    # struct sock_fprog: a length, and a pointer, which is what a char pointer holds.
    fprog = (len(program) // 8).to_bytes(8, "little") + bytes(_String(program))
    result = _syscall(_number("seccomp"), _SECCOMP_SET_MODE_FILTER, 0, fprog)
    _checked(result, "seccomp", "SECCOMP_SET_MODE_FILTER", f"{len(program) // 8} instructions")


def seccomp_action(action: int) -> int:
    """The errno of seccomp(2) SECCOMP_GET_ACTION_AVAIL: 0 where the kernel has the action."""
    asked = action.to_bytes(4, "little")
    result = _syscall(_number("seccomp"), _SECCOMP_GET_ACTION_AVAIL, 0, asked)
    return _ctypes.get_errno() if result == -1 else 0


def close_range(first: int, last: int) -> None:
    """Close every descriptor from `first` to `last`, both included: close_range(2), Linux 5.9."""
    if _syscall(_SYS_close_range, first, last, 0, 0, 0) == -1:
        # Kernels before 5.9, and filters which do not know the call: each number there can be
        # (fs.nr_open). What /proc/self/fd lists in here is the image's word.
        posix.closerange(first, min(last, _NR_OPEN) + 1)
