"""Resource limits of a process, getrlimit(2), and who has set them."""

from __future__ import annotations

import posix

from minictr.diagnosis.probes.ancestry import Ancestor
from minictr.host import native, read_fact
from minictr.runtime.syscalls import raw
from minictr.value import Value

UNLIMITED = (1 << 64) - 1
_PRLIMIT64 = {"x86_64": 302, "aarch64": 261}
# Our name: the resource's number (asm-generic/resource.h), its line in /proc/PID/limits, its option
# of the shells' ulimit and of prlimit(1), its name in limits.conf(5), bytes of ulimit's unit.
_KINDS = {
    "RLIMIT_NOFILE": (7, "Max open files", "-n", "nofile", 1),
    "RLIMIT_NPROC": (6, "Max processes", "-u", "nproc", 1),
    "RLIMIT_AS": (9, "Max address space", "-v", "as", 1024),
    "RLIMIT_DATA": (2, "Max data size", "-d", "data", 1024),
    "RLIMIT_FSIZE": (1, "Max file size", "-f", "fsize", 1024),
    "RLIMIT_STACK": (3, "Max stack size", "-s", "stack", 1024),
}


class Rlimit(Value):
    """A limit of one process; UNLIMITED for none."""

    kind: str
    soft: int
    hard: int

    def __str__(self) -> str:
        return f"{self.kind} is {shown(self.soft)} (soft), {shown(self.hard)} (hard)"


def rlimit(kind: str, pid: int = 0) -> Rlimit | None:
    """The limit of a process, 0 for this one; None where it is not told.

    prlimit(2) rather than /proc/PID/limits: a process at its limit may have no descriptor left.
    """
    answer = bytearray(16)  # struct rlimit64
    number = _PRLIMIT64.get(native(posix.uname().machine), -1)
    if raw(number, pid, _KINDS[kind][0], 0, answer) < 0:
        return None
    return Rlimit(kind, *(int.from_bytes(answer[at : at + 8], "little") for at in (0, 8)))


def shown(value: int) -> str:
    """A value of a limit as `ulimit` has it, in its own unit."""
    return "unlimited" if value == UNLIMITED else str(value)


def wider(kind: str, needed: int, chain: tuple[Ancestor, ...]) -> tuple[Ancestor, int] | None:
    """The nearest process above that has this limit at `needed` or more, and its value."""
    for one in chain[1:]:
        for line in read_fact(f"/proc/{one.pid}/limits").text.splitlines():
            if line.startswith(_KINDS[kind][1]):
                soft = line[len("Max file size             ") :].split()[0]
                value = UNLIMITED if soft == "unlimited" else int(soft)
                if value >= needed:
                    return one, value
    return None


def remedies(limit: Rlimit, needed: int, chain: tuple[Ancestor, ...]) -> tuple[str, str]:
    """(what the user can do, what the administrator can) to have the limit at `needed`.

    A soft limit is the user's own, up to the hard one; that only root raises. Where the process
    that started this one has enough, this one got less on its way: nothing is for root to change.
    """
    _, _, option, name, unit = _KINDS[limit.kind]
    if limit.hard >= needed:
        value = needed if needed < UNLIMITED else limit.hard
        return f"ulimit -S {option} {shown(value if value == UNLIMITED else value // unit)}", ""
    free = wider(limit.kind, needed, chain)
    user = f"Start minictr from {free[0]}, whose limit is {shown(free[1])}." if free else ""
    parent = chain[1].pid if len(chain) > 1 else posix.getppid()
    if free and free[0].pid == parent:
        return user, ""
    lines = [f"prlimit --pid {parent} --{name}={shown(needed)}:{shown(needed)}"]
    lines += [f"Change this line, which sets it at each login: {line}." for line in _logins(name)]
    return user, "\n".join(lines)


def _logins(name: str) -> list[str]:
    """The lines of limits.conf(5) that are about a limit: "FILE: line"."""
    places = "/etc/security/limits.d"
    try:
        files = [f"{places}/{file}" for file in sorted(posix.listdir(places))]
    except OSError:  # there is none, or no descriptor to read it by
        files = []
    found = []
    for file in ("/etc/security/limits.conf", *files):
        for line in read_fact(file).text.splitlines():
            fields = line.partition("#")[0].split()
            if len(fields) == 4 and fields[2] == name:
                found.append(f"{file}: {' '.join(fields)}")
    return found
