"""One lock for each image file, held while its tree is made, and the names of what it guards."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import stat
from collections.abc import Callable, Iterator

from minictr.image.refusals import printable
from minictr.image.removal import remove
from minictr.refusal import Refusal

COUNTER = itertools.count()

# What flock(2) answers where the file system or its lock server has no locks.
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
ELSEWHERE = "export MINICTR_CACHEDIR=/var/tmp/minictr-{}, or another local directory"


@contextlib.contextmanager
def image_lock(cache: str, key: str, path: str, say: Callable[[str], None]) -> Iterator[int]:
    """The descriptor of the lock of `key`, waited for when another process has it."""
    lock = acquire(cache, key, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if lock < 0:
        say(f"Waiting for another process that unpacks {printable(path)}")
        lock = acquire(cache, key, fcntl.LOCK_EX)
    try:
        yield lock
    finally:
        release(cache, key, lock)


@contextlib.contextmanager
def free(cache: str, key: str) -> Iterator[bool]:
    """Whether nobody holds the lock of `key`; if so, it is ours meanwhile."""
    lock = acquire(cache, key, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield lock >= 0
    finally:
        if lock >= 0:
            release(cache, key, lock)


def acquire(cache: str, key: str, operation: int) -> int:
    """A descriptor with the lock; -1 when `operation` does not wait and another process has it.

    A holder removes the file before it lets go, so a waiter may find itself with the lock of a
    file that has no name: then it starts over.
    """
    path = f"{cache}/locks/{key}"
    while True:
        lock = lock_file(path)
        try:
            fcntl.flock(lock, operation)
            if os.fstat(lock).st_ino == os.stat(path).st_ino:
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            # A filter may say EWOULDBLOCK, too, of a lock that nobody has.
            if error.errno == errno.EWOULDBLOCK and operation & fcntl.LOCK_NB and not unlockable():
                return -1
            raise without_locks(cache, error) from error
        os.close(lock)


def lock_file(path: str) -> int:
    """A descriptor of the file to be locked, made where it is missing. Raises OSError.

    A directory, a socket or a link in its place was never anybody's lock: it gives way.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        if not os.path.lexists(path) or stat.S_ISREG(os.lstat(path).st_mode):
            raise
        remove(path)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def release(cache: str, key: str, lock: int) -> None:
    """Remove the lock's file, then let go of it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{cache}/locks/{key}")
    os.close(lock)


def without_locks(cache: str, error: OSError) -> Refusal:
    """The refusal for a flock(2) that failed: of the file system, or of every file there is."""
    number = error.errno or 0
    proof = f"flock({cache}/locks): {errno.errorcode.get(number, number)} ({os.strerror(number)})"
    if everywhere := unlockable():
        name = errno.errorcode.get(everywhere, everywhere)
        proof += f"\nflock(a new memfd), which nobody else has: {name}"
        return Refusal("MC0000", f"the cache directory {cache} cannot be locked", proof)
    if number not in WITHOUT_LOCKS:
        return Refusal("MC0000", f"the cache directory {cache} cannot be locked", proof)
    cause = f"the file system of the cache directory {cache} has no locks"
    return Refusal("MC0000", cause, proof, ELSEWHERE.format(os.geteuid()))


def unlockable() -> int:
    """The errno with which flock(2) fails on a file that nobody else can have; 0 where it works.

    The file is of the kernel's own memory, memfd_create(2), where every kernel has locks: what
    fails there is refused by something other than a file system.
    """
    try:
        descriptor = os.memfd_create("unlocked")
    except OSError:  # which tells nothing of locks
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(descriptor)
    return 0


def temporary_name(cache: str, key: str) -> str:
    """A new path in tmp/, guarded by the lock of `key`."""
    return f"{cache}/tmp/{key}.{os.getpid()}-{next(COUNTER)}.{os.uname().nodename}"
