"""Say what stops a write to a directory: space, inodes, quota or rights, with the numbers."""

from __future__ import annotations

import errno
import os
import stat

from minictr.refusal import Refusal

CLEAN = "minictr cache clean --all"


def stopped(number: int, directory: str, place: str = "cache directory") -> Refusal:
    """The refusal for an errno that a write into `directory` met; `place` is what we call it."""
    where = existing(directory)
    if number == errno.ENOSPC:
        return out_of_space(where, place)
    if number == errno.EDQUOT:
        return Refusal(
            "MC0123",
            f"the disk quota for the {place} {directory} is used up",
            f"EDQUOT for uid {os.geteuid()} on {where}; {counts(where)}",
            f"{CLEAN}\n{elsewhere(where)}" if place == "cache directory" else elsewhere(where),
        )
    if number == errno.EROFS:
        return Refusal(
            "MC0125",
            f"the {place} {directory} is on a read-only file system",
            f"statvfs({where}) has ST_RDONLY" if read_only(where) else f"EROFS on {where}",
            elsewhere(where),
        )
    if number in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP):
        return not_writable(number, directory, where, place)
    return Refusal(
        "MC0000",
        f"the {place} {directory} cannot be written",
        f"{errno.errorcode.get(number, number)} ({os.strerror(number)}) on {where}",
        elsewhere(where),
    )


def out_of_space(where: str, place: str) -> Refusal:
    """ENOSPC is one errno for two shortages; statvfs tells which (statvfs(3))."""
    numbers = os.statvfs(where)
    fix = elsewhere(where)
    if place == "cache directory":
        fix = f"{CLEAN}\n{fix}"
    if numbers.f_files and not numbers.f_favail:
        return Refusal("MC0122", f"no inodes are left for the {place} {where}", counts(where), fix)
    return Refusal("MC0121", f"no space is left for the {place} {where}", counts(where), fix)


def not_writable(number: int, directory: str, where: str, place: str) -> Refusal:
    """EACCES and its relatives: the nearest existing directory's owner and mode are the proof."""
    status = os.stat(where)
    proof = (
        f"{errno.errorcode[number]}: {where} belongs to uid {status.st_uid}, "
        f"mode {stat.S_IMODE(status.st_mode):04o}; the caller is uid {os.geteuid()}"
    )
    if not stat.S_ISDIR(status.st_mode):
        proof = f"{errno.errorcode[number]}: {where} is not a directory"
    return Refusal("MC0124", f"the {place} {directory} is not writable", proof, elsewhere(where))


def counts(where: str) -> str:
    """What the file system of `where` has left for an ordinary user, for a proof."""
    numbers = os.statvfs(where)
    size = numbers.f_frsize
    words = f"{numbers.f_bavail * size} of {numbers.f_blocks * size} bytes are free"
    if numbers.f_files:  # btrfs counts no inodes
        words += f" and {numbers.f_favail} of {numbers.f_files} inodes"
    return f"statvfs({where}): {words}"


def existing(path: str) -> str:
    """The nearest path upwards from `path` that exists."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path.rstrip("/")) or "/"
    return path if os.path.exists(path) else os.path.dirname(path)


def read_only(where: str) -> bool:
    """Whether the mount that `where` is on is read-only."""
    return bool(os.statvfs(where).f_flag & os.ST_RDONLY)


def elsewhere(where: str) -> str:
    """An export line with a directory on another file system that the caller can write.

    A sentence where there is none.
    """
    here = os.stat(where).st_dev
    for base in ("/var/tmp", "/tmp"):
        if os.access(base, os.W_OK | os.X_OK) and os.stat(base).st_dev != here:
            return f"export MINICTR_CACHEDIR={base}/minictr-{os.geteuid()}"
    return "Name one of your own elsewhere: export MINICTR_CACHEDIR=DIRECTORY."
