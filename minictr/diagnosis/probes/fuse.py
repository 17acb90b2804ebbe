"""Looks for the FUSE mount that ended a way, fuse(4)."""

from __future__ import annotations

import errno
import posix
import re

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mountinfo import Mount
from minictr.diagnosis.probes.ways import Way, mount_under, ways
from minictr.image.tree import may

_ENDED = (errno.EACCES, errno.ENOTCONN)


def fuse_mount(interview: Interview, number: int) -> tuple[Way, Mount] | None:
    """The way that ended with this errno at the root of a FUSE mount; None for none.

    The directory above has to let the caller through: else that one is to blame.
    """
    for way in ways(interview):
        place = way.place
        if place.errno != number or number not in _ENDED or not place.name:
            continue
        above = (way.root + place.reached).rstrip("/") or "/"
        if not may(above, posix.X_OK):
            continue
        point = point_of(way)
        mount = mount_under(interview, way, point)
        if mount and mount.point == way.staged + point and mount.kind.startswith("fuse"):
            return way, mount
    return None


def point_of(way: Way) -> str:
    """What the way ended at."""
    return f"{way.place.reached.rstrip('/')}/{way.place.name}"


def owner(mount: Mount) -> int | None:
    """The uid that mounted it, as this user namespace has it; None where the line has none."""
    found = re.search(r"\buser_id=(\d+)", mount.line)
    return int(found.group(1)) if found else None


def lets_others_in(mount: Mount) -> bool:
    """Whether it has the option allow_other."""
    return "allow_other" in mount.line.rpartition(" ")[2].split(",")
