"""Remove a tree whatever the modes of its directories, without following a symbolic link."""

from __future__ import annotations

import errno
import os
import stat
import time

ATTEMPTS = 40
PAUSE = 0.05  # seconds; together two: an unpacker that lost its launcher is dead long before


def remove(path: str) -> None:
    """Remove `path` and everything below it; what somebody else removes meanwhile is fine.

    An unpacker whose launcher was killed writes on until its own signal reaches it, so a directory
    may fill again behind us (ENOTEMPTY): then the sweep starts over. So it does while a process of
    this machine has a file of NFS open, whose directory keeps it under the name .nfs* (EBUSY).
    """
    for attempt in range(ATTEMPTS):
        try:
            sweep(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EBUSY) or attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE)
        else:
            return


def sweep(path: str) -> None:
    """One pass: open every directory, unlink every other entry, remove directories deepest first.

    Images hold directories of mode 0555 and 0000, which their owner cannot empty before chmod.
    """
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    found = [path]
    for directory in found:  # grows while it is walked
        open_up(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                found.extend(unlink(entry))
    for directory in reversed(found):
        os.rmdir(directory)


def open_up(directory: str) -> None:
    """Give the owner every right on a directory that is known not to be a symbolic link."""
    mode = stat.S_IMODE(os.lstat(directory).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(directory, 0o700)


def unlink(entry: os.DirEntry[str]) -> list[str]:
    """Unlink what is not a directory; a directory is returned, to be emptied."""
    if entry.is_dir(follow_symlinks=False):
        return [entry.path]
    os.unlink(entry.path)
    return []
