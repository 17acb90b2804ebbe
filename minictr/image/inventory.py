"""List, remove and verify what the cache holds."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from minictr.image import index
from minictr.image.locks import free, temporary_name
from minictr.image.manifest import differences
from minictr.image.records import read_manifest, read_record
from minictr.image.removal import remove
from minictr.image.storage import stopped_call
from minictr.value import Value


class Cached(Value):
    """One published tree.

    name       sha256, hexadecimal, of the root file system's bytes
    directory  where it lies
    size       bytes in its regular files; -1 when there is no record of it
    inodes     entries; -1 likewise
    used       last use, seconds since 1970, exact to index.NOTE_AGE
    busy       a container runs on it
    images     paths of the image files it was made from
    live       one of these files is still there as it was
    """

    name: str
    directory: str
    size: int
    inodes: int
    used: float
    busy: bool
    images: tuple[str, ...]
    live: bool


def inventory(cache: str) -> list[Cached]:
    """What is in the cache, most recently used first; [] where there is no cache."""
    images, live = indexed(cache)
    found = []
    for name in names_in(f"{cache}/trees"):
        directory = f"{cache}/trees/{name}"
        record = read_record(directory)
        paths = images.get(name, set()) | ({record.image} if record else set())
        size, inodes = (record.size, record.inodes) if record else (-1, -1)
        sources = tuple(sorted(paths))
        used, busy = last_use(directory), is_busy(directory)
        found.append(Cached(name, directory, size, inodes, used, busy, sources, name in live))
    return sorted(found, key=lambda each: -each.used)


def names_in(directory: str) -> list[str]:
    """The names in a directory, [] where it is missing."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def indexed(cache: str) -> tuple[dict[str, set[str]], set[str]]:
    """(paths of the images of each tree, trees which an unchanged image file leads to)."""
    images: dict[str, set[str]] = {}
    live = set()
    for key in names_in(f"{cache}/index"):
        entry = index.read_entry(cache, key)
        if entry is None:
            continue
        name, path = entry[1], entry[-1]
        images.setdefault(name, set()).add(path)
        if is_current(key, path):
            live.add(name)
    return images, live


def is_current(key: str, path: str) -> bool:
    """Whether the file at `path` is the one that the key of an index entry stands for."""
    try:
        identity = index.identity_of(os.stat(path))
    except OSError:
        return False
    return same_file(index.key_of(identity), key)


def same_file(found: str, key: str) -> bool:
    """Whether a file that was found is the one of a key; both begin with its device.

    A file on another device is judged to be: it is what another machine calls by that path, where
    the cache is shared.
    """
    return found == key or found.split("-")[0] != key.split("-")[0]


def last_use(directory: str) -> float:
    """When the tree was used last, which index.note_use() keeps; 0 when it has no lock file."""
    try:
        return os.lstat(f"{directory}/lock").st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return 0.0


def is_busy(directory: str) -> bool:
    """Whether a container runs on the tree."""
    with exclusive(directory) as ours:
        return not ours


@contextlib.contextmanager
def exclusive(directory: str) -> Iterator[bool]:
    """Whether nobody uses the tree; if so, nobody begins to meanwhile (they wait)."""
    lock = open_lock(f"{directory}/lock")
    if lock < 0:  # nobody can use a tree without a lock file
        yield True
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def open_lock(path: str) -> int:
    """A descriptor of the lock file at `path`; -1 where there is none, or something else."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return -1
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, index.READ)


def discard(cache: str, tree: Cached) -> bool:
    """Remove a tree; False when it is in use. One rename takes it away, then it is deleted.

    Its lock is let go in between: over NFS an open file keeps a name, and so its directory
    (unlink(2)). Raises Refusal.
    """
    rest = temporary_name(cache, tree.name)
    try:
        with free(cache, tree.name) as unlocked:
            with exclusive(tree.directory) as ours:
                if not (unlocked and ours):
                    return False
                with contextlib.suppress(FileNotFoundError):  # another `cache clean` was faster
                    os.rename(tree.directory, rest)
            remove(rest)
    except OSError as error:
        raise stopped_call(error, cache) from error
    return True


def shrink(cache: str, limit: int, kept: str) -> list[Cached]:
    """Remove trees until the rest has `limit` bytes at most, the least recently used first.

    One in use stays, and so does `kept`, which may alone be larger. Gives what was removed.
    Raises Refusal.
    """
    trees = inventory(cache)
    size = sum(max(tree.size, 0) for tree in trees)
    removed = []
    for tree in reversed(trees):
        if size <= limit:
            break
        if tree.name != kept and discard(cache, tree):
            size -= max(tree.size, 0)
            removed.append(tree)
    return removed


def tidy(cache: str) -> int:
    """Remove index entries that lead nowhere and stale temporaries; how many there were."""
    count = 0
    for key in names_in(f"{cache}/index"):
        entry = index.read_entry(cache, key)
        if entry and os.path.isdir(f"{cache}/trees/{entry[1]}") and is_current(key, entry[-1]):
            continue
        remove(f"{cache}/index/{key}")
        count += 1
    for name in names_in(f"{cache}/tmp"):
        with free(cache, name.split(".", 1)[0] or "unnamed") as ours:
            if ours:
                remove(f"{cache}/tmp/{name}")
                count += 1
    return count


def verify(tree: Cached) -> Iterator[str]:
    """How a tree differs from what was recorded when it was published; nothing when it does not.

    No content is read: the ctime of every entry is compared, which each change sets and which no
    program can set back (inode(7)). A copied or restored cache has other ctimes, and differs.
    """
    entries = read_manifest(tree.directory)
    if entries is None:
        yield "there is no manifest of it"
        return
    root = f"{tree.directory}/root"
    if not os.path.isdir(root):
        yield "its root is missing"
        return
    yield from differences(root, entries)
