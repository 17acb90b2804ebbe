"""Makes a directory for a moment; what was left by a process that was killed goes with the next."""

from __future__ import annotations

import fcntl
import os
import posix
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PLACES = ("/tmp", "/var/tmp")


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A directory whose name begins with `prefix`, ours alone. Raises OSError that names it.

    It is locked while it is in use: one that nobody has locked was left by a process that was
    killed, and is removed.
    """
    directory, lock = _made(prefix)
    try:
        _sweep(directory.parent, prefix)
        yield directory
    finally:
        _remove(directory)
        posix.close(lock)


def make(directory: Path) -> Path:
    """Make a directory for us alone, whatever the umask leaves of it."""
    directory.mkdir()
    directory.chmod(0o700)
    return directory


def _made(prefix: str) -> tuple[Path, int]:
    """A new directory and its lock."""
    places = [one for one in (os.environ.get("TMPDIR"), *_PLACES) if one]
    while True:
        directory = _made_in(places, prefix)
        lock = posix.open(str(directory), posix.O_RDONLY | posix.O_CLOEXEC)
        with suppress(OSError):  # there are file systems and filters without flock(2)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if posix.fstat(lock).st_nlink:
            return directory, lock
        posix.close(lock)  # another process has just taken it for one that was left


def _made_in(places: list[str], prefix: str) -> Path:
    for place in places[:-1]:
        with suppress(OSError):  # the last one's is told
            return _writable(place, prefix)
    return _writable(places[-1], prefix)


def _writable(place: str, prefix: str) -> Path:
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    directory.chmod(0o700)
    return directory


def _sweep(place: Path, prefix: str) -> None:
    """Remove what this user's killed processes have left."""
    for left in place.glob(f"{prefix}*"):
        with suppress(OSError):  # it is another user's, or in use: its lock is held
            lock = posix.open(str(left), posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
            try:
                if posix.fstat(lock).st_uid == posix.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(left)
            finally:
                posix.close(lock)


def _remove(directory: Path) -> None:
    """Remove it with what is in it, one descriptor at a time: few may be left to us.

    What cannot be removed stays: a filter may refuse it, and the next run tries again.
    """
    for place, directories, files in os.walk(directory, topdown=False):
        for name in files:
            with suppress(OSError):
                posix.unlink(f"{place}/{name}")
        for name in directories:
            with suppress(OSError):
                posix.rmdir(f"{place}/{name}")
    with suppress(OSError):
        posix.rmdir(directory)
