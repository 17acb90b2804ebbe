"""Reads /etc/subuid and /etc/subgid line by line: subuid(5), subgid(5)."""

from __future__ import annotations

from minictr.host import Fact, Host
from minictr.value import Value

FIRST = 100000  # SUB_UID_MIN of login.defs(5)
COUNT = 65536  # SUB_UID_COUNT


class SubIds(Value):
    """What one of the files says.

    fact       the file as read
    own        ranges of the caller: (first, count)
    all        ranges of anybody, the caller included
    malformed  lines which begin with the caller's name or number and grant nothing: (number, line)
    """

    fact: Fact
    own: tuple[tuple[int, int], ...]
    all: tuple[tuple[int, int], ...]
    malformed: tuple[tuple[int, str], ...]


def read_subids(host: Host, kind: str) -> SubIds:
    """The file of `kind`, "subuid" or "subgid"."""
    fact = host.fact(f"/etc/{kind}")
    own, everyone, malformed = [], [], []
    for number, line in enumerate(fact.text.split("\n"), 1):
        fields = line.split(":")
        mine = fields[0].strip() in (host.user, str(host.uid))
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
            entry = (int(fields[1]), int(fields[2]))
            everyone.append(entry)
            if mine and fields[0] in (host.user, str(host.uid)) and entry[1]:
                own.append(entry)
                continue
        if mine:
            malformed.append((number, line))
    return SubIds(fact, tuple(own), tuple(everyone), tuple(malformed))


def free_range(*files: SubIds) -> tuple[int, int]:
    """(first, last) of a range of COUNT ids that no line of the files touches."""
    taken = sorted(entry for file in files for entry in file.all)
    first = FIRST
    for start, count in taken:
        if start < first + COUNT and first < start + count:
            first = start + count
    return first, first + COUNT - 1
