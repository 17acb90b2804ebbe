"""The caller's control groups and the limits in them: cgroups(7), versions 1 and 2."""

from __future__ import annotations

import posix

from minictr.diagnosis.probes.mountinfo import Mount, mounts
from minictr.host import read_fact
from minictr.value import Value


class Group(Value):
    """One group that the caller is in, or one above it.

    path   its directory
    limit  of the controller's MAX file; -1 for none
    used   of the controller's CURRENT file
    """

    path: str
    limit: int
    used: int


def groups(controller: str, limit: str, used: str) -> tuple[Group, ...]:
    """The caller's own group first, and those above that are shown; () where none is.

    limit, used   the files: "pids.max", "pids.current"
    """
    found = []
    for directory in _directories(controller):
        most, now = (read_fact(f"{directory}/{file}").text.strip() for file in (limit, used))
        if now.isdecimal():
            found.append(Group(directory, int(most) if most.isdecimal() else -1, int(now)))
    return tuple(found)


def events(group: Group, file: str, name: str) -> int:
    """A counter of a group: "max 3" in pids.events; -1 where it is not there."""
    for line in read_fact(f"{group.path}/{file}").text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return -1


def _directories(controller: str) -> list[str]:
    for line in read_fact("/proc/self/cgroup").text.split("\n")[:-1]:  # a name may hold \f
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or not controllers:
            for mount in mounts():
                if _has(mount, controller if controllers else ""):
                    above = _upwards(mount, path)
                    if above and (controllers or _offers(above, controller)):
                        return above
    return []


def _has(mount: Mount, controller: str) -> bool:
    """Whether a mount shows the hierarchy: version 1 of a controller, or version 2 for ""."""
    if not controller:
        return mount.kind == "cgroup2"
    return mount.kind == "cgroup" and controller in mount.line.rpartition(" ")[2].split(",")


def _offers(directories: list[str], controller: str) -> bool:
    return any(
        controller in read_fact(f"{directory}/cgroup.controllers").text.split()
        for directory in directories
    )


def _upwards(mount: Mount, path: str) -> list[str]:
    """The directories from that of `path` up to the mount's own root; [] where it is outside."""
    top = mount.line.split(" ")[3].rstrip("/")
    if path != top and not path.startswith(top + "/"):
        return []
    below = [part for part in path[len(top) :].split("/") if part]
    found = ["/".join((mount.point, *below[:length])) for length in range(len(below), -1, -1)]
    return found if _is_there(found[0]) else []


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
