"""Reads /etc/subuid and /etc/subgid line by line: subuid(5), subgid(5)."""

from __future__ import annotations

import posix
import stat

from minictr.host import LAST_ID as LAST
from minictr.host import Fact, Host, id_number
from minictr.value import Value

FIRST = 100000  # SUB_UID_MIN of login.defs(5)
COUNT = 65536  # SUB_UID_COUNT
_KINDS = {stat.S_IFREG: "", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO",
          stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device"}  # fmt: skip


class SubIds(Value):
    """What one of the files says.

    fact       the file as read
    own        ranges of the caller: (first, count)
    all        ranges of anybody, the caller included
    names      those whose lines count: the caller's name and number, or others of the same number
    malformed  lines which begin with the caller's name or number and are none: (number, line)
    kind       what is in the file's place, "" where it is a regular file or nothing
    void       ranges of the caller that hold no id to be mapped: (number, line, why)
    """

    fact: Fact
    own: tuple[tuple[int, int], ...]
    all: tuple[tuple[int, int], ...]
    names: tuple[str, ...]
    malformed: tuple[tuple[int, str], ...]
    void: tuple[tuple[int, str, str], ...] = ()
    kind: str = ""


def read_subids(host: Host, kind: str) -> SubIds:
    """The file of `kind`, "subuid" or "subgid", as host.subordinate reads it."""
    found = _read(host, kind, (host.user, str(host.uid)))
    others = () if found.own else host.namesakes()
    by_another = _read(host, kind, others) if others else found
    return by_another if by_another.own else found


def _read(host: Host, kind: str, names: tuple[str, ...]) -> SubIds:
    fact = host.fact(f"/etc/{kind}")
    own_id = host.uid if kind == "subuid" else host.gid
    own, everyone, malformed, void = [], [], [], []
    for number, line in enumerate(fact.text.split("\n"), 1):
        fields = line.split(":")
        mine = fields[0].strip() in names
        first, count = (id_number(field) for field in (*fields[1:], "", "")[:2])
        if len(fields) != 3 or min(first, count) < 0 or fields[0] != fields[0].strip():
            malformed += [(number, line)] if mine else []
            continue
        everyone.append((first, count))
        why = _void(first, count, own_id)
        if mine and why:
            void.append((number, line, why))
        elif mine:
            own.append((first, count))
    return SubIds(
        fact,
        tuple(own),
        tuple(everyone),
        names,
        tuple(malformed),
        tuple(void),
        irregular(host.root + fact.path),
    )


def irregular(path: str) -> str:
    """What a file is that is no regular one; "" where it is, or is not there."""
    try:
        kind = stat.S_IFMT(posix.stat(path).st_mode)
    except OSError:  # then it cannot be opened either, and that is told
        return ""
    return _KINDS.get(kind, "a socket")


def by_name(file: SubIds) -> bool:
    """Whether a line of the file begins with a name, and no number."""
    owners = [line.partition(":")[0] for line in file.fact.text.split("\n") if ":" in line]
    return any(owner and not owner.isdecimal() for owner in owners)


def _void(first: int, count: int, own_id: int) -> str:
    """Why no id of a range can be mapped beside the caller's own, "" where some can."""
    if not count:
        return "its count is 0"
    if count > LAST - first + 1:
        return f"it ends at {first + count - 1}, and the last id is {LAST}"
    return "it is the caller's own id, and no other" if (first, count) == (own_id, 1) else ""


def free_range(*files: SubIds) -> tuple[int, int]:
    """(first, last) of a range of COUNT ids that no line of the files touches; after the last id
    where there is none.
    """
    taken = sorted(entry for file in files for entry in file.all)
    first = FIRST
    for start, count in taken:
        if start < first + COUNT and first < start + count:
            first = start + count
    return first, first + COUNT - 1
