"""How often the kernel has ended a process of the caller's control group for want of memory."""

from __future__ import annotations

from minictr.diagnosis.probes.cgroups import Group, events, groups

# (limit, use, file of the counter): memory.max of version 2, and version 1; cgroups(7).
_VERSIONS = (
    ("memory.max", "memory.current", "memory.events"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"),
)
_NO_LIMIT = 1 << 62  # version 1 writes a number like this


def oom_kills() -> int:
    """The counter oom_kill of the caller's own group; -1 where there is none to be read.

    It counts processes of that group, whichever group's limit or lack of memory ended them:
    mm/oom_kill.c, __oom_kill_process.
    """
    found = _own()
    return events(found[0][0], found[1], "oom_kill") if found else -1


def limits() -> tuple[tuple[Group, str], ...]:
    """The groups that have a limit, the nearest first, each with the file that it stands in."""
    found = _own()
    if not found:
        return ()
    file = next(limit for limit, _, counter in _VERSIONS if counter == found[1])
    return tuple((group, file) for group in found[0] if 0 <= group.limit < _NO_LIMIT)


def _own() -> tuple[tuple[Group, ...], str] | None:
    for limit, used, counter in _VERSIONS:
        found = groups("memory", limit, used)
        if found:
            return found, counter
    return None
