"""Counts the mounts of a mount namespace, and those that a recursive bind would add."""

from __future__ import annotations

import collections
import posix

from minictr.diagnosis.probes.mountinfo import mounts
from minictr.value import Value

_NS_MNT_GET_INFO = 0x8010B70A  # include/uapi/linux/nsfs.h: _IOR(0xb7, 10, struct mnt_ns_info)


class MountCount(Value):
    """How many mounts a namespace has, and who says so."""

    number: int
    source: str


def count_mounts(pid: int) -> MountCount | None:
    """The mounts in the namespace of a process; None where nobody says.

    The kernel's own number where it gives it (Linux 6.12); the lines of mountinfo lack those that
    cannot be reached from the process's root.
    """
    path = f"/proc/{pid}/ns/mnt"
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return _lines(pid)
    try:
        import fcntl

        information = fcntl.ioctl(descriptor, _NS_MNT_GET_INFO, bytes(16))
    except OSError:  # an older kernel
        return _lines(pid)
    finally:
        posix.close(descriptor)
    return MountCount(int.from_bytes(information[4:8], "little"), f"ioctl(2) of {path}")


def mounts_below(pid: int, path: str) -> int:
    """How many mounts a recursive bind of `path`, as that process sees it, would add."""
    above = path.rstrip("/") + "/"
    points = [mount.point for mount in mounts(pid)]
    return 1 + sum(point.startswith(above) and point != path for point in points)


def crowded() -> tuple[str, int]:
    """(the deepest directory that has more than half of the caller's mounts, how many)."""
    paths = collections.Counter(mount.point for mount in mounts())
    place, most = "", sum(paths.values())
    half = most // 2
    while True:
        below: collections.Counter[str] = collections.Counter()
        for point, number in paths.items():
            if point.startswith(place + "/") and point != "/":
                below[place + "/" + point[len(place) + 1 :].partition("/")[0]] += number
        name, number = below.most_common(1)[0] if below else ("", 0)
        if number <= half:
            return place or "/", most
        place, most = name, number


def _lines(pid: int) -> MountCount | None:
    number = len(mounts(pid))
    return MountCount(number, f"the lines of /proc/{pid}/mountinfo") if number else None
