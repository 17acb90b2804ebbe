"""Reads what a command inside a container printed about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo: proc_pid_mountinfo(5)."""

    root: str
    point: str
    options: frozenset[str]
    kind: str
    source: str
    super_options: frozenset[str]


def read_mounts(text: str) -> dict[str, Mount]:
    """mountinfo by mount point; the topmost of several on one point."""
    mounts = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        kind, source, *rest = after.split(" ")
        options = frozenset(fields[5].split(","))
        last = frozenset(rest[-1].split(",")) if rest else frozenset()
        mounts[fields[4]] = Mount(fields[3], fields[4], options, kind, source, last)
    return mounts


def read_status(text: str) -> dict[str, str]:
    """/proc/PID/status by name of the line."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}


def read_maps(text: str) -> list[tuple[int, int, int]]:
    """uid_map or gid_map: (first id inside, first id outside, count) each."""
    lines = [tuple(int(number) for number in line.split()) for line in text.splitlines()]
    return [(first, outside, count) for first, outside, count in lines]


def read_environment(text: str) -> dict[str, str]:
    """The output of `env -0`."""
    return dict(entry.partition("=")[::2] for entry in text.split("\0") if entry)
