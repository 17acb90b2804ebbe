"""The calls that confine a container, made in vain: what they are answered with tells who did."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.probes.calls import ioctl_in_vain
from minictr.diagnosis.probes.children import ask
from minictr.host import native
from minictr.runtime.bpf import SECCOMP_RET_ALLOW
from minictr.runtime.syscalls import CallError, prctl, raw, seccomp_load
from minictr.value import Value

# asm/unistd_64.h and asm-generic/unistd.h; calls younger than 2019 have one number everywhere.
_NUMBERS = {
    "x86_64": {"prctl": 157, "capset": 126, "setpgid": 109, "seccomp": 317,
               "socketpair": 53, "setsockopt": 54},
    "aarch64": {"prctl": 167, "capset": 91, "setpgid": 154, "seccomp": 277,
                "socketpair": 199, "setsockopt": 208},
}  # fmt: skip
_CLOSE_RANGE = 436
_TIOCSPGRP = 0x5410
_NO_CAPABILITY = 64  # above CAP_LAST_CAP
_NO_FLAG = 0x40000000
_LOAD, _RET = 0x20, 0x06  # BPF_LD | BPF_W | BPF_ABS and BPF_RET | BPF_K


class Vain(Value):
    """A call that no kernel carries out.

    call       what is asked for, as the report shows it
    number     name of the system call; arguments: what it is given
    expected   the errno of a kernel that was asked itself; 0 for what only reads
    inside     the namespaces in which it has to be made
    """

    call: str
    number: str
    arguments: tuple[int, ...]
    expected: int
    inside: tuple[str, ...] = ()


# By the step's call, and the option where it is prctl. Linux gives EPERM for a capability that
# cannot be dropped before it looks which one it is: kernel/cred.c and security/commoncap.c.
CALLS = {
    "PR_GET_DUMPABLE": Vain("prctl(PR_GET_DUMPABLE)", "prctl", (3, 0, 0, 0, 0), 0),
    "PR_SET_DUMPABLE": Vain("prctl(PR_SET_DUMPABLE, 3)", "prctl", (4, 3, 0, 0, 0), errno.EINVAL),
    "PR_SET_NAME": Vain("prctl(PR_SET_NAME, NULL)", "prctl", (15, 0, 0, 0, 0), errno.EFAULT),
    "PR_SET_PDEATHSIG": Vain("prctl(PR_SET_PDEATHSIG, 99)", "prctl", (1, 99), errno.EINVAL),
    "PR_SET_NO_NEW_PRIVS": Vain("prctl(PR_SET_NO_NEW_PRIVS, 2)", "prctl", (38, 2), errno.EINVAL),
    "PR_CAPBSET_DROP": Vain(
        f"prctl(PR_CAPBSET_DROP, {_NO_CAPABILITY})", "prctl", (24, _NO_CAPABILITY), errno.EINVAL,
        ("user",),
    ),
    "capset": Vain("capset(NULL, NULL)", "capset", (0, 0), errno.EFAULT),
    "seccomp": Vain(
        f"seccomp(SECCOMP_SET_MODE_FILTER, {_NO_FLAG:#x}, NULL)", "seccomp", (1, _NO_FLAG, 0),
        errno.EINVAL,
    ),
    "setpgid": Vain("setpgid(0, -1)", "setpgid", (0, -1), errno.EINVAL),
    "close_range": Vain("close_range(1, 0, 0)", "close_range", (1, 0, 0), errno.EINVAL),
    # net/socket.c: the flags of a type, and the descriptor, come before any security module.
    "socketpair": Vain(
        "socketpair(AF_UNIX, 0x10)", "socketpair", (1, 0x10, 0, 0), errno.EINVAL,
    ),
    "setsockopt": Vain(
        "setsockopt(-1, SOL_SOCKET, SO_PASSCRED)", "setsockopt", (-1, 1, 16, 0, 0), errno.EBADF,
    ),
    "ioctl": Vain("ioctl(-1, TIOCSPGRP)", "ioctl", (_TIOCSPGRP,), errno.EBADF),
}  # fmt: skip


def answered(name: str, here: bool = False) -> int | str:
    """The errno of the call in vain; minus the signal that ended the child; words for neither.

    here   ask in this process: where the same call was answered with an errno, it will be again
    """
    vain = CALLS[name]
    if here and not vain.inside:
        return _make(vain.number, vain.arguments)
    answer = ask(_make, vain.number, vain.arguments, namespaces=vain.inside)
    if answer.signal:
        return -answer.signal
    return answer.trouble or int(str(answer.value))


def can_load(program: bytes) -> bool | str:
    """Whether a child can load this filter, which ends with it; words where it cannot tell."""
    answer = ask(_load, program)
    return answer.trouble or answer.value == 0


def harmless(program: bytes) -> bytes:
    """The same filter with every verdict changed: it allows every call."""
    ret, allow = _RET.to_bytes(4, "little"), SECCOMP_RET_ALLOW.to_bytes(4, "little")
    parts = (program[start : start + 8] for start in range(0, len(program), 8))
    return b"".join(ret + allow if part.startswith(ret) else part for part in parts)


def longest_filter(most: int) -> int:
    """How many instructions, up to `most`, the longest filter has that can be loaded here."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if can_load(allowing(middle)) is True else (low, middle)
    return low


def allowing(instructions: int) -> bytes:
    """A filter of so many instructions that allows every call."""
    load = _LOAD.to_bytes(8, "little")  # the number of the call
    return harmless(load * (instructions - 1) + _RET.to_bytes(8, "little"))


def _make(number: str, arguments: tuple[int, ...]) -> int:
    if number == "ioctl":
        return -ioctl_in_vain(*arguments)
    here = {"close_range": _CLOSE_RANGE, **_NUMBERS.get(native(posix.uname().machine), {})}
    return max(-raw(here.get(number, -1), *arguments), 0)


def _load(program: bytes) -> int:
    try:
        prctl("PR_SET_NO_NEW_PRIVS", 1)
        seccomp_load(program)
    except CallError as refused:
        return refused.errno
    return 0
