"""Asks AppArmor for the label of a process, and whether it allows a call: its own answer."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.interview import Interview
from minictr.host import read_fact
from minictr.value import Value

# Open to everybody (mode 0666): security/apparmor/apparmorfs.c, aa_sfs_entry_apparmor.
_ACCESS = "/sys/kernel/security/apparmor/.access"
# security/apparmor/include: the class of a question, and the bits of an answer.
_CLASS_MOUNT, _CLASS_NS = 7, 21
USERNS_CREATE = 0x08
PIVOT_ROOT, MOUNT = 0x01, 0x02
_MS_REMOUNT, _MS_BIND, _MS_REC = 32, 4096, 16384
# include/linux/fs.h: flags that are the kernel's own, which AppArmor leaves out.
_INTERNAL = 1 << 22 | 1 << 28 | 1 << 29 | 1 << 30


class Label(Value):
    """What AppArmor knows a process by.

    name  of the profile, or of several: "a//&b"
    mode  "enforce", "complain", "unconfined", "mixed"; "" for no profile at all
    """

    name: str
    mode: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.mode})" if self.mode else self.name


def label_of(pid: int | str = "self") -> Label | None:
    """The label of a process; None where AppArmor does not run or the file cannot be read."""
    text = read_fact(f"/proc/{pid}/attr/apparmor/current").text.rstrip("\0\n")
    if not text:
        return None
    name, separator, mode = text.rpartition(" (")
    return Label(name, mode.rstrip(")")) if separator else Label(text)


def allows(label: Label, question: bytes, bit: int) -> bool | str:
    """What AppArmor answers for the label; words where the question cannot be asked."""
    try:
        descriptor = posix.open(_ACCESS, posix.O_RDWR | posix.O_CLOEXEC)
    except OSError as error:
        return f"{_ACCESS} cannot be asked: {errno.errorcode.get(error.errno or 0, error.errno)}"
    try:
        name = label.name.encode("utf-8", "surrogateescape")
        posix.write(descriptor, b"label\0" + name + b"\0" + question)
        words = posix.read(descriptor, 4096).decode("ascii", "replace").split()
    except OSError as error:
        return f"{_ACCESS} gives {errno.errorcode.get(error.errno or 0, error.errno)}"
    finally:
        posix.close(descriptor)
    if words[:1] != ["allow"] or len(words) < 2:
        return f"{_ACCESS} gives an answer of another form"
    return bool(int(words[1], 16) & bit)


def user_namespace() -> bytes:
    """The question for a new user namespace."""
    return bytes([_CLASS_NS])


def mount(source: str, target: str, kind: str, flags: int) -> bytes:
    """The question for mount(2), in the names that AppArmor gives to its paths.

    security/apparmor/mount.c, do_match_mnt: mount point, source, type and each flag as its number.
    """
    if flags & _MS_REMOUNT:
        source = kind = ""
    elif flags & _MS_BIND:
        kind, flags = "", flags & (_MS_BIND | _MS_REC)
    bits = bytes(bit + 1 for bit in range(32) if (flags & ~_INTERNAL) >> bit & 1)
    return bytes([_CLASS_MOUNT]) + b"\0".join((*_encoded(target, source, kind), bits))


def pivot_root(new_root: str, put_old: str) -> bytes:
    """The question for pivot_root(2): build_pivotroot in the same file."""
    return bytes([_CLASS_MOUNT]) + b"\0".join(_encoded(new_root, put_old))


def nearest_unconfined(interview: Interview, pids: tuple[int, ...]) -> int:
    """The nearest of the processes that no profile confines; 0 where none is."""
    labels = ((pid, interview.once(label_of, pid)) for pid in pids)
    return next((pid for pid, label in labels if label == Label("unconfined")), 0)


def _encoded(*texts: str) -> tuple[bytes, ...]:
    return tuple(text.encode("utf-8", "surrogateescape") for text in texts)
