"""Looks at the user database: nsswitch.conf(5), `passwd:`, and /etc/passwd."""

from __future__ import annotations

from minictr.host import Fact, Host

_OF_THE_FILE = {"files", "compat"}


def sources(host: Host) -> tuple[str, ...]:
    """What the C library asks for users, in its order."""
    for line in host.fact("/etc/nsswitch.conf").text.splitlines():
        name, _, words = line.partition("#")[0].partition(":")
        if name.strip() == "passwd":
            return tuple(words.split())
    return ("files",)


def asks_the_file(host: Host) -> bool:
    """Whether /etc/passwd is among them."""
    return not _OF_THE_FILE.isdisjoint(sources(host))


def closed(host: Host) -> Fact | None:
    """/etc/passwd where it is asked, and this process may not read it."""
    fact = host.fact("/etc/passwd")
    return fact if fact.unreadable and asks_the_file(host) else None


def listed(host: Host, uid: int) -> bool:
    """Whether a line of /etc/passwd is the user's."""
    entries = (line.split(":") for line in host.fact("/etc/passwd").text.split("\n"))
    return any(entry[0] and entry[2:3] == [str(uid)] for entry in entries)


def hides_name(host: Host) -> bool:
    """Whether the caller has a name that the user database does not tell this process."""
    return host.user == str(host.uid) and bool(closed(host) or listed(host, host.uid))
