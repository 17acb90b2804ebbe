"""The launcher and the processes it comes from: where a restriction was put on."""

from __future__ import annotations

import posix

from minictr.host import read_fact
from minictr.value import Value


class Ancestor(Value):
    """A process as /proc/PID/status shows it to everybody; a number it does not have is -1."""

    pid: int
    name: str
    parent: int
    seccomp: int
    filters: int
    no_new_privs: int
    tracer: int
    bounding: int  # a bit for each capability, capabilities(7)

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def ancestry() -> tuple[Ancestor, ...]:
    """The launcher first, then its parent and so on, as far as they can be seen.

    The numbers are those of /proc, which may be another PID namespace's than getpid(2) gives.
    """
    found: list[Ancestor] = []
    try:
        pid = int(posix.readlink("/proc/self"))
    except OSError:
        return ()
    while pid:
        fields = _status(pid)
        if not fields:
            break
        found.append(_ancestor(pid, fields))
        pid = found[-1].parent
    return tuple(found)


def free_ancestor(chain: tuple[Ancestor, ...], field: str) -> Ancestor | None:
    """The nearest ancestor on which less of `field` is set than on the launcher."""
    own = getattr(chain[0], field)
    return next((one for one in chain[1:] if 0 <= getattr(one, field) < own), None)


def _ancestor(pid: int, fields: dict[str, str]) -> Ancestor:
    def number(name: str) -> int:
        return int(fields.get(name, "-1").split()[0])

    mode = number("Seccomp")
    return Ancestor(
        pid=pid,
        name=fields.get("Name", ""),
        parent=max(number("PPid"), 0),
        seccomp=mode,
        filters=number("Seccomp_filters") if "Seccomp_filters" in fields else mode,  # before 5.9
        no_new_privs=number("NoNewPrivs"),
        tracer=number("TracerPid"),
        bounding=int(fields.get("CapBnd", "0"), 16),
    )


def _status(pid: int) -> dict[str, str]:
    lines = read_fact(f"/proc/{pid}/status").text.splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name: value.strip() for name, _, value in pairs if value.strip()}
