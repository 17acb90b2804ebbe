"""Find the unpacked tree of an image that was launched before.

One marshal file per image file, CACHE/index/KEY, written by cache.py. It is read on every launch,
so this module imports nothing that the interpreter has not loaded already.
"""

from __future__ import annotations

import fcntl
import marshal
import posix
import time

from minictr.image.tree import S_IFMT, S_IFREG, Tree

# Entries of another format are misses; whoever changes the entry or the launch's view of a tree
# counts this up, and every image is described anew.
FORMAT = 1
ENTRY_FIELDS = 7  # format, name, kind, runscript, shell, scripts, path of the image

# O_NONBLOCK: what stands in a file's place may be a FIFO, for whose writer nobody is to wait.
READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK

# How old the note of the last use may become, in seconds: a launch that finds a younger one does
# not write. (The kernel's relatime does the same for st_atime, but mounts with noatime are common.)
NOTE_AGE = 3600


def identity_of(status: posix.stat_result) -> tuple[int, ...]:
    """(device, inode, size, mtime_ns, ctime_ns): what changes whenever the image file does.

    The ctime cannot be set by a program, so a copy made with `cp -p` and a file written over
    another both differ. The device number keeps the machines apart which share a home directory
    over NFS: equal inodes there are equal files only where the device is the same.
    """
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def key_of(identity: tuple[int, ...]) -> str:
    """The name of an identity's index entry and of its lock."""
    return "-".join([f"{number:x}" for number in identity])


def find(path: str, cache: str) -> Tree | None:
    """The tree of the image file at `path`, held by a shared lock; None on any miss.

    A miss is not an error here: cache.ensure() meets the same condition, and reports it.
    """
    try:
        identity = identity_of(posix.stat(path))
    except OSError:
        return None
    return load(identity, cache)


def load(identity: tuple[int, ...], cache: str, wait: bool = False) -> Tree | None:
    """The tree of an image of this identity; `wait` for a `cache clean` that is looking at it."""
    entry = read_entry(cache, key_of(identity))
    if entry is None:
        return None
    _, name, kind, runscript, shell, scripts, _ = entry
    directory = f"{cache}/trees/{name}"
    lock = hold(directory, wait)
    if lock < 0:
        return None
    return Tree(f"{directory}/root", kind, name, runscript, shell, scripts, lock)


def read_entry(cache: str, key: str) -> tuple | None:  # type: ignore[type-arg]
    """The entry of that key, when it and the cache directory are the caller's alone to write."""
    try:
        if not private(posix.stat(cache), 0o022):
            return None
        descriptor = posix.open(f"{cache}/index/{key}", READ)
    except OSError:
        return None
    try:
        status = posix.fstat(descriptor)
        trusted = private(status, 0o077)
        entry = marshal.loads(posix.read(descriptor, status.st_size)) if trusted else None
    except (OSError, EOFError, ValueError, TypeError):  # marshal's words for a damaged file
        return None
    finally:
        posix.close(descriptor)
    whole = type(entry) is tuple and len(entry) == ENTRY_FIELDS and entry[0] == FORMAT
    return entry if whole else None


def private(status: posix.stat_result, forbidden: int) -> bool:
    """Whether this belongs to the caller and grants others none of the `forbidden` mode bits."""
    return status.st_uid == posix.geteuid() and not status.st_mode & forbidden


def hold(directory: str, wait: bool = False) -> int:
    """A descriptor with a shared lock on the tree in `directory`, -1 when it cannot be had.

    The lock file lies beside the tree's root and is renamed away with it: `cache clean` may have
    taken it between the open and the lock, so the path has to lead to the locked file still.
    """
    path = f"{directory}/lock"
    try:
        descriptor = posix.open(path, READ)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if wait else fcntl.LOCK_SH | fcntl.LOCK_NB)
        status = posix.fstat(descriptor)
        regular = status.st_mode & S_IFMT == S_IFREG
        if regular and posix.stat(path).st_ino == status.st_ino:
            note_use(descriptor, status)
            return descriptor
    except OSError:  # locked by `cache clean`, or gone
        pass
    posix.close(descriptor)
    return -1


def note_use(descriptor: int, status: posix.stat_result) -> None:
    """Keep the time of the last use, for `cache list`, as the lock file's mtime."""
    if time.time() - status.st_mtime < NOTE_AGE:
        return
    try:
        posix.utime(descriptor)
    except OSError:  # a cache on a read-only or full file system is used without a note of it
        pass
