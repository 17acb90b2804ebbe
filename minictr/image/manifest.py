"""Keep and compare what a tree held when it was published.

An entry is (mode, size, mtime_ns, ctime_ns) of a path relative to the root, "." for the root
itself. Contents are not read: the kernel sets the ctime at every change of data, mode, owner,
links or directory entries, and no call sets it to a chosen time (inode(7)). So an unchanged ctime
is an unchanged file, unless somebody had root's rights, the raw device or the machine's clock.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from minictr.value import Value

Entry = tuple[int, int, int, int]
OPEN = stat.S_IRUSR | stat.S_IXUSR  # a directory without either is closed to its owner
FIELDS = ("mode", "size", "mtime", "ctime")


class Manifest(Value):
    """The entries of a tree, and what they add up to."""

    entries: dict[str, Entry]
    inodes: int  # hard links counted once
    size: int  # bytes in regular files, without holes, hard links counted once


def take(root: str) -> Manifest:
    """Look at every entry of a tree, also below directories that their owner may not enter.

    Such a directory is opened, counted and closed again. What lies below gets no entry: nobody
    can look at it later without a chmod, which changes the ctime that is recorded of it here.
    """
    entries: dict[str, Entry] = {}
    linked: set[int] = set()
    inodes = size = 0
    closed: dict[str, int] = {}
    for path, status in walk(root, closed):
        if not below(path, closed):
            entries[path] = entry_of(status)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in linked:
                continue
            linked.add(status.st_ino)
        inodes += 1
        if stat.S_ISREG(status.st_mode):
            size += min(status.st_size, 512 * status.st_blocks)
    close_again(root, closed, entries)
    return Manifest(entries, inodes, size)


def close_again(root: str, closed: dict[str, int], entries: dict[str, Entry]) -> None:
    """Restore the modes of directories that were opened, deepest first, and record the result."""
    for path in reversed(closed):
        os.chmod(full_path(root, path), closed[path])
    for path in entries.keys() & closed.keys():
        entries[path] = entry_of(os.lstat(full_path(root, path)))


def differences(root: str, entries: dict[str, Entry]) -> Iterator[str]:
    """One sentence for each entry that is not what was recorded."""
    closed: dict[str, int] = {}
    missing = dict(entries)
    for path, status in walk(root, closed, enter_closed=False):
        recorded = missing.pop(path, None)
        found = entry_of(status)
        if recorded is None:
            yield f"{path} was added"
        elif recorded != found:
            names = [name for name, a, b in zip(FIELDS, recorded, found, strict=True) if a != b]
            yield f"{path} was changed: {', '.join(names)}"
    yield from (f"{path} was removed" for path in missing)


def walk(
    root: str, closed: dict[str, int], enter_closed: bool = True
) -> Iterator[tuple[str, os.stat_result]]:
    """Every (path, lstat) of a tree, parents first; notes the modes of closed directories.

    With `enter_closed` such a directory is opened with chmod, and left open to the caller.
    """
    pending = ["."]
    while pending:
        path = pending.pop()
        full = full_path(root, path)
        status = os.lstat(full)
        yield path, status
        if not stat.S_ISDIR(status.st_mode):
            continue
        if status.st_mode & OPEN != OPEN:
            closed[path] = stat.S_IMODE(status.st_mode)
            if not enter_closed:
                continue
            os.chmod(full, 0o700)
        pending += [f"{path}/{name}".removeprefix("./") for name in os.listdir(full)]


def full_path(root: str, path: str) -> str:
    """The path on the host of an entry; that of the root can be looked at where it is closed."""
    return root if path == "." else f"{root}/{path}"


def below(path: str, directories: dict[str, int]) -> bool:
    """Whether one of `directories` is an ancestor of `path`."""
    if path == ".":
        return False
    return any(each == "." or path.startswith(f"{each}/") for each in directories)


def entry_of(status: os.stat_result) -> Entry:
    """What is compared of one file."""
    return (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
