"""Which process ids are taken, as far as /proc shows them."""

from __future__ import annotations

import posix

from minictr.diagnosis.probes.user_namespaces import pids
from minictr.host import read_fact

_RESERVED = 300  # RESERVED_PIDS, kernel/pid.c: not given out again once the numbers were through


def usable(pid_max: int) -> range:
    """The numbers that a new process may get when those below 300 have been through."""
    return range(_RESERVED, pid_max)


def taken() -> frozenset[int]:
    """The ids of all processes and threads, of their process groups and of their sessions."""
    found = set()
    for pid in pids():
        fields = read_fact(f"/proc/{pid}/stat").text.rpartition(")")[2].split()
        found |= {pid, *(int(number) for number in fields[2:4])}
        try:
            found |= {int(name) for name in posix.listdir(f"/proc/{pid}/task")}
        except OSError:  # it has ended
            continue
    return frozenset(found)
