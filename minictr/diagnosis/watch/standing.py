"""Compares the process that failed with this one: what holds here may not hold where it stands."""

from __future__ import annotations

import os
import posix

from minictr.diagnosis.probes.ancestry import ancestry
from minictr.host import read_fact
from minictr.value import Value

UNHELD = "the process that failed could not be held"


class Standing(Value):
    """Where a process stands, seen from here; None where it could not be looked at.

    user, mounts, pids  it is in our namespace of that kind
    root                its root directory is ours
    filters             how many seccomp filters it has loaded that we have not
    bound               it has no_new_privs
    unprivileged        it has our effective uid and no capability
    """

    user: bool | None = None
    mounts: bool | None = None
    pids: bool | None = None
    root: bool | None = None
    filters: int | None = None
    bound: bool | None = None
    unprivileged: bool | None = None


def standing(pid: int) -> Standing:
    """Look at a process that stands still."""
    if not pid:
        return Standing()
    fields = dict(
        line.partition(":")[::2] for line in read_fact(f"/proc/{pid}/status").text.splitlines()
    )
    own = ancestry()[:1]
    filters = fields.get("Seccomp_filters", fields.get("Seccomp"))
    bound = fields.get("NoNewPrivs")
    return Standing(
        user=_same_namespace(pid, "user"),
        mounts=_same_namespace(pid, "mnt"),
        pids=_same_namespace(pid, "pid"),
        root=_same_root(pid),
        filters=int(filters) - own[0].filters if filters and own else None,
        bound=bound.strip() == "1" if bound else None,
        unprivileged=_unprivileged(fields),
    )


def _unprivileged(fields: dict[str, str]) -> bool | None:
    """By the lines Uid: and CapEff: of proc_pid_status(5)."""
    if "Uid" not in fields or "CapEff" not in fields:
        return None
    same = fields["Uid"].split()[1] == str(posix.geteuid())
    return same and not int(fields["CapEff"], 16)


def _same_namespace(pid: int, kind: str) -> bool | None:
    try:
        return posix.readlink(f"/proc/{pid}/ns/{kind}") == posix.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return None


def _same_root(pid: int) -> bool | None:
    """The same directory of the same mount: a bind of / elsewhere is not our root."""
    try:
        if not os.path.samestat(posix.stat(f"/proc/{pid}/root/"), posix.stat("/")):
            return False
    except OSError:
        return None
    return _same_namespace(pid, "mnt")
