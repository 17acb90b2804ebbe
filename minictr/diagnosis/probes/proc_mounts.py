"""Looks at the mounts of proc that a process has, as the kernel does before it allows one more."""

from __future__ import annotations

import errno

from minictr.diagnosis.probes.calls import MountAnswer, try_mount
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.mount_calls import number_of
from minictr.diagnosis.probes.mountinfo import Mount
from minictr.diagnosis.values import Excluded, Unknown
from minictr.runtime.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID, raw
from minictr.value import Value

REVEALING = "VFS: Mount too revealing"
_ATIME = frozenset({"noatime", "nodiratime", "relatime"})
# Directories that the kernel keeps empty for such mounts: proc_create_mount_point, fs/proc/root.c,
# and register_sysctl_mount_point. What is mounted there hides nothing.
_KEPT_EMPTY = ("/sys/fs/binfmt_misc", "/fs/nfsd", "/openprom")
_NAMESPACES = ("user", "mnt", "pid")


class ProcMount(Value):
    """A mount of a whole proc.

    covers  what is mounted on parts of it
    atime   whether its flags on access times are not those of a new mount, which is relatime
    """

    mount: Mount
    covers: tuple[Mount, ...]
    atime: bool


class Refusal(Value):
    """How one more proc was refused: the errno, and the fact that tells the reason."""

    errno: int
    fact: str


def proc_mounts(table: tuple[Mount, ...]) -> tuple[ProcMount, ...]:
    """The mounts of proc in a table that show all of it.

    One of a part of it, of /proc/sys say, is none; nor is one with another mount on its root, be
    that a proc as well: the kernel takes it for covered.
    """
    under = {(mount.parent, mount.point) for mount in table}
    whole = [m for m in table if m.kind == "proc" and m.line.split(" ")[3] == "/"]
    whole = [mount for mount in whole if (mount.identity, mount.point) not in under]
    return tuple(
        ProcMount(
            mount,
            tuple(other for other in table if _covers(other, mount)),
            _ATIME & set(mount.options) != {"relatime"},
        )
        for mount in whole
    )


def refused_proc() -> Refusal | Excluded | Unknown:
    """How the kernel refuses one more proc to new namespaces: for revealing too much.

    Excluded where it does not, Unknown where nobody can say. Where the new mount API is not to be
    had, mount(2) is asked, for a tmpfs as well: a filter that refused this would refuse both.
    """
    answer = ask(_by_new_api, namespaces=_NAMESPACES)
    if isinstance(answer.value, tuple):
        tried = MountAnswer(*answer.value)
        if tried.call == "fsmount" and tried.words == REVEALING:
            fact = f'fsmount(2) of proc gives EPERM, and the kernel says "{tried.words}"'
            return Refusal(tried.errno, fact)
        # Linux 6.12 and older say those words to their own log, and nothing here.
        silent = tried.call == "fsmount" and tried.errno == errno.EPERM and not tried.words
        if tried.call != "fsopen" and not silent:
            return Excluded(f"the kernel does not say {REVEALING!r} of a mount of proc")
    old = ask(_by_mount, namespaces=_NAMESPACES)
    if not isinstance(old.value, tuple):
        return Unknown(f"a mount of proc in new namespaces: {old.trouble}")
    proc, tmpfs = (int(str(number)) for number in old.value)
    if (proc, tmpfs) != (errno.EPERM, 0):
        return Excluded("in new namespaces mount(2) does not refuse proc alone")
    fact = "in new namespaces mount(2) of proc gives EPERM, and of tmpfs, with the same flags, none"
    return Refusal(proc, fact)


def _covers(other: Mount, proc: Mount) -> bool:
    below = proc.point.rstrip("/") + "/"
    if other.parent != proc.identity or not other.point.startswith(below):
        return False
    return "/" + other.point[len(below) :] not in _KEPT_EMPTY


def _by_new_api() -> tuple[str, int, str]:
    answer = try_mount("proc")
    return answer.call, answer.errno, answer.words


def _by_mount() -> tuple[int, int]:
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    return tuple(  # type: ignore[return-value]
        max(-raw(number_of("mount"), kind, b"/\0", kind, flags, 0), 0)
        for kind in (b"proc\0", b"tmpfs\0")
    )
