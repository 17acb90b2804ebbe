"""The calls that build a root file system, made in vain: what they are answered with tells who did.

Each is given an address where nothing is, or a size that cannot be. The kernel says so before it
asks a security module; where a filter answers, it has not looked there.
"""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.probes.children import ask
from minictr.host import native
from minictr.runtime.syscalls import CLONE_NEWUTS, MNT_DETACH, raw
from minictr.value import Value

# asm/unistd_64.h and asm-generic/unistd.h; calls younger than 2019 have one number everywhere.
_NUMBERS = {
    "x86_64": {
        "mount": 165, "umount2": 166, "pivot_root": 155, "sethostname": 170, "setns": 308,
        "unshare": 272,
    },
    "aarch64": {
        "mount": 40, "umount2": 39, "pivot_root": 41, "sethostname": 161, "setns": 268,
        "unshare": 97,
    },
}  # fmt: skip
_MOUNT_SETATTR = 442
_NOWHERE = 1  # an address that no process has
_TOO_LONG = 65  # bytes of a host name: __NEW_UTS_LEN is 64
_AT_RECURSIVE = 0x8000
# In a user namespace of one's own: the kernel asks for CAP_SYS_ADMIN before it looks further.
_INSIDE = {"pivot_root": ("user", "mnt"), "sethostname": ("user", "uts")}

# What a kernel answers that was asked itself.
EXPECTED = {
    "mount": errno.EFAULT,
    "umount2": errno.EFAULT,
    "pivot_root": errno.EFAULT,
    "mount_setattr": errno.EINVAL,
    "sethostname": errno.EINVAL,
}
SHOWN = {
    "mount": "mount(2) on a path at address 1",
    "umount2": "umount2(2) of a path at address 1",
    "pivot_root": "pivot_root(2) of paths at address 1",
    "mount_setattr": "mount_setattr(2) with a structure of 0 bytes",
    "sethostname": "sethostname(2) of 65 bytes",
}


class VainAnswer(Value):
    """How a call in vain was answered.

    errno    0 for success
    signal   the signal that ended the child which made it
    trouble  why nothing is known, "" where something is
    """

    errno: int = 0
    signal: int = 0
    trouble: str = ""


def in_vain(call: str, flags: int = 0) -> VainAnswer:
    """Make the call in a child, with the flags that it had when it failed."""
    answer = ask(_make, call, flags, namespaces=_INSIDE.get(call, ()))
    if answer.signal:
        return VainAnswer(signal=answer.signal)
    if answer.trouble:
        return VainAnswer(trouble=answer.trouble)
    return VainAnswer(errno=int(str(answer.value)))


def _make(call: str, flags: int) -> int:
    number = number_of(call)
    arguments = {
        "mount": (0, _NOWHERE, 0, flags, 0),
        "umount2": (_NOWHERE, flags or MNT_DETACH),
        "pivot_root": (_NOWHERE, _NOWHERE),
        "mount_setattr": (-1, _NOWHERE, _AT_RECURSIVE, 0, 0),
        "sethostname": (_NOWHERE, _TOO_LONG),
    }[call]
    return max(-raw(number, *arguments), 0)


def has_capability() -> bool:
    """Whether CAP_SYS_ADMIN over new namespaces is there: a security module may refuse its use.

    Three calls ask for it first; a filter that refuses one of them lets another through.
    """
    answer = ask(_use_capability, namespaces=("user", "mnt"))
    return bool(answer.value)


def _use_capability() -> bool:
    shared_and_private = (1 << 20) | (1 << 18)  # MS_SHARED, MS_PRIVATE: a contradiction
    return (
        _make("pivot_root", 0) == errno.EFAULT
        or raw(number_of("mount"), 0, b"/\0", 0, shared_and_private, 0) == -errno.EINVAL
        or raw(number_of("unshare"), CLONE_NEWUTS) == 0
    )


def number_of(call: str) -> int:
    """The call's number; -1, which gives ENOSYS, on machines that are not in the table."""
    if call == "mount_setattr":
        return _MOUNT_SETATTR
    return _NUMBERS.get(native(posix.uname().machine), {}).get(call, -1)
