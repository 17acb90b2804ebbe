"""Looks for the processes that have a file open for writing: proc_pid_fdinfo(5)."""

from __future__ import annotations

import os
import posix

from minictr.host import read_fact
from minictr.value import Value

_O_ACCMODE = 3


class Writer(Value):
    """A process with the descriptor by which it may write."""

    pid: int
    descriptor: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def writers_of(status: os.stat_result) -> tuple[Writer, ...]:
    """Those that have the file open for writing, of the processes that can be looked into."""
    found = []
    for entry in posix.listdir("/proc"):
        if not entry.isdecimal():
            continue
        for descriptor in _descriptors(entry, status):
            name = read_fact(f"/proc/{entry}/comm").text.strip()
            found.append(Writer(int(entry), descriptor, name))
    return tuple(found)


def _descriptors(pid: str, status: os.stat_result) -> list[int]:
    place = f"/proc/{pid}/fd"
    try:
        names = posix.listdir(place)
    except OSError:  # another user's, or it has ended
        return []
    found = []
    for name in names:
        try:
            same = os.path.samestat(posix.stat(f"{place}/{name}"), status)
        except OSError:  # it was closed meanwhile
            continue
        if same and _flags(pid, name) & _O_ACCMODE:
            found.append(int(name))
    return found


def _flags(pid: str, descriptor: str) -> int:
    """The flags of open(2), which fdinfo writes in octal."""
    for line in read_fact(f"/proc/{pid}/fdinfo/{descriptor}").text.splitlines():
        name, _, value = line.partition(":")
        if name == "flags":
            return int(value, 8)
    return 0
