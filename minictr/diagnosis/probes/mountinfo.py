"""Reads /proc/PID/mountinfo, proc_pid_mountinfo(5)."""

from __future__ import annotations

from minictr.host import read_fact
from minictr.value import Value


class Mount(Value):
    """One line: what is mounted where, and how."""

    identity: int
    parent: int
    point: str
    options: tuple[str, ...]
    kind: str
    source: str
    line: str


def mounts(pid: int | str = "self") -> tuple[Mount, ...]:
    """The mounts a process can reach from its root; () where its table cannot be read."""
    return parsed(read_fact(f"/proc/{pid}/mountinfo").text)


def parsed(text: str) -> tuple[Mount, ...]:
    """The lines of such a file, which newlines alone part: a name may hold a form feed as it is."""
    return tuple(_mount(line) for line in text.split("\n") if line)


def mount_of(path: str, table: tuple[Mount, ...]) -> Mount | None:
    """The mount that `path`, absolute and without symbolic links, lies on."""
    on = [m for m in table if path == m.point or path.startswith(m.point.rstrip("/") + "/")]
    longest = max((len(mount.point) for mount in on), default=0)
    # Of several on one mount point the last line is the one on top.
    return next((mount for mount in reversed(on) if len(mount.point) == longest), None)


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    fields, tail = before.split(" "), after.split(" ")
    return Mount(
        identity=int(fields[0]),
        parent=int(fields[1]),
        point=_plain(fields[4]),
        options=tuple(fields[5].split(",")),
        kind=tail[0],
        source=_plain(tail[1]),
        line=line,
    )


def _plain(text: str) -> str:
    r"""The kernel writes blank, tab, newline and backslash as \040, \011, \012 and \134."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
