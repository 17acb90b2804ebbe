"""Asks the kernel how much a file system gives to the caller and to his groups: quotactl(2)."""

from __future__ import annotations

import errno
import posix
import pwd

from minictr.host import group_name
from minictr.runtime.syscalls import raw
from minictr.value import Value

# asm/unistd_64.h and asm-generic/unistd.h; quotactl_fd(2), since Linux 5.14, is one everywhere.
_QUOTACTL = {"x86_64": 179, "aarch64": 60}
_QUOTACTL_FD = 443
_GET, _USER, _GROUP = 0x800007, 0, 1  # include/uapi/linux/quota.h: Q_GETQUOTA, USRQUOTA, GRPQUOTA
_DQBLK = 72  # bytes of struct if_dqblk, in which limits of space are KiB and what is used is bytes
KIB = 1024


class Quota(Value):
    """What one user or group may have on a file system, and has; a limit of 0 is none.

    kind         "user" or "group"
    soft, hard   bytes; above `soft` the kernel lets nobody write when a time is over
    used         bytes
    few, most    the same limits of inodes; `files` is what there is of them
    """

    kind: str
    name: str
    soft: int
    hard: int
    used: int
    few: int
    most: int
    files: int

    @property
    def limited(self) -> bool:
        return bool(self.soft or self.hard or self.few or self.most)

    def words(self) -> str:
        """For a proof."""
        space = f"{self.used} bytes in use, {_limits(self.soft, self.hard)}"
        return f"{space}; {self.files} inodes in use, {_limits(self.few, self.most)}"


def quotas(directory: str, source: str) -> tuple[tuple[Quota, ...], str]:
    """(the limits that there are, why one could not be asked for: "" or the name of an errno).

    directory, source   on the file system, and the device that it lies on
    """
    found, refused = [], 0
    kinds = [(_USER, posix.geteuid())]
    kinds += [(_GROUP, gid) for gid in dict.fromkeys((posix.getegid(), *posix.getgroups()))]
    for kind, identity in kinds:
        answer = bytearray(_DQBLK)
        number = _ask(directory, source, kind, identity, answer)
        if number == 0:
            found.append(_quota(kind, identity, answer))
        refused = number or refused
    limited = tuple(quota for quota in found if quota.limited)
    return limited, errno.errorcode.get(refused, str(refused)) if refused else ""


def _ask(directory: str, source: str, kind: int, identity: int, answer: bytearray) -> int:
    """The errno of quotactl(2), 0 where it answered. Whoever is asked about may ask."""
    command = _GET << 8 | kind
    try:
        descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        return error.errno or 0
    try:
        result = raw(_QUOTACTL_FD, descriptor, command, identity, answer)
    finally:
        posix.close(descriptor)
    older = _QUOTACTL.get(posix.uname().machine)
    if result == -errno.ENOSYS and older:  # before Linux 5.14; or this file system has no quotas
        device = source.encode("utf-8", "surrogateescape") + b"\0"
        result = raw(older, command, device, identity, answer) and result
    return -result


def _quota(kind: int, identity: int, answer: bytearray) -> Quota:
    hard, soft, used, most, few, files = (
        int.from_bytes(answer[start : start + 8], "little") for start in range(0, 48, 8)
    )
    name = pwd.getpwuid(identity).pw_name if kind == _USER else group_name(identity)
    return Quota(
        ("user", "group")[kind], name or str(identity), KIB * soft, KIB * hard, used,
        few, most, files,
    )  # fmt: skip


def _limits(soft: int, hard: int) -> str:
    known = [f"{word} limit {limit}" for word, limit in (("soft", soft), ("hard", hard)) if limit]
    return " and ".join(known) or "no limit"
