"""Says whether the kernel ended a program for want of memory in the caller's control group."""

from __future__ import annotations

from minictr.image.refusals import quoted
from minictr.refusal import Refusal

# cgroups(7), version 1 and 2: where groups lie, and their files with the counter and the limit.
_FIRST = ("/sys/fs/cgroup/memory", "memory.oom_control", "memory.limit_in_bytes")
_SECOND = ("/sys/fs/cgroup", "memory.events", "memory.max")
_NONE = 1 << 62  # version 1 says 9223372036854771712 for no limit
_ENOUGH = 512 << 20  # bytes that unpacking takes at most, where its queues are full: unsquashfs(1)


def kills() -> dict[str, int]:
    """How often it has, in the caller's group and in those above, by file; {} where none is shown.

    The counter stays in the group of the process that was ended; version 2 adds it to those above.
    """
    found = {}
    for directory, counter, _ in _groups():
        for line in _read(f"{directory}/{counter}").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdecimal():
                found[f"{directory}/{counter}"] = int(value)
    return found


def for_memory(before: dict[str, int], path: str) -> Refusal | None:
    """Why unsquashfs was ended by SIGKILL while it unpacked `path`; None where it was not that.

    before   kills(), from before it was started
    """
    now = kills()
    risen = [(file, now[file]) for file in before if now.get(file, 0) > before[file]]
    limits = {file: int(text) for file, text in _limits() if text.isdecimal() and int(text) < _NONE}
    if not risen:
        return None
    tightest = min(limits, key=lambda file: limits[file], default="")
    more = f"echo {max(limits[tightest] * 2, _ENOUGH)} >{quoted(tightest)}" if tightest else ""
    return Refusal(
        "MC0706",
        f"the kernel ended unsquashfs, which unpacks {path}: its cgroup has too little memory",
        f"{risen[0][0]}: oom_kill rose from {before[risen[0][0]]} to {risen[0][1]} while it ran"
        + "".join(f"\n{file} reads {limit}" for file, limit in limits.items()),
        "Run minictr once outside of this cgroup: what it has unpacked is used from then on.",
        more,
    )


def _limits() -> list[tuple[str, str]]:
    return [
        (f"{directory}/{limit}", _read(f"{directory}/{limit}").strip())
        for directory, _, limit in _groups()
    ]


def _groups() -> list[tuple[str, str, str]]:
    """(directory, counter, limit) of the caller's group and of those above it."""
    found = []
    for line in _read("/proc/self/cgroup").split("\n")[:-1]:  # a group's name may hold \f or \r
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, counter, limit = _FIRST if controllers else _SECOND
        while path not in ("", "/"):
            found.append((top + path, counter, limit))
            path = path.rpartition("/")[0]
        found.append((top, counter, limit))
    return found


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError:  # not mounted there, or not in this version: nothing is shown
        return ""
