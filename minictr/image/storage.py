"""Bring a tree to the disk, or say what stops a write: space, inodes, quota or rights."""

from __future__ import annotations

import errno
import os

from minictr.image.obstacles import closed, no_directory, no_file, no_parent, too_long, unknown
from minictr.refusal import Refusal

CACHE = "cache directory"  # the place that `minictr cache clean` can make room in
CLEAN = "minictr cache clean --all"
OWN = "Name one of your own elsewhere: export MINICTR_CACHEDIR=DIRECTORY."
# bytes: what is left of a disk that takes no more. Not everything that is free can be had: file
# systems keep a reserve for what is written later, and a piece may be larger than the rest.
LITTLE = 16 << 20
OTHER_OUTPUT = "Write the image into another directory of yours."


def stopped(number: int, directory: str, place: str = CACHE, path: str = "") -> Refusal:
    """The refusal for an errno that a write into `directory` met; `place` is what we call it.

    path  of the file or directory in it that the call was about, where that is known
    """
    where = existing(directory)
    if number == errno.ENOSPC:
        return out_of_space(where, place)
    if number == errno.EDQUOT:
        return over_quota(where, place)
    if number == errno.EROFS:
        return Refusal(
            "MC0125",
            f"the {place} {directory} is on a read-only file system",
            f"statvfs({where}) has ST_RDONLY" if read_only(where) else f"EROFS on {where}",
            other_disk(where) if place == CACHE else OTHER_OUTPUT,
        )
    return in_the_way(number, place, path or directory)


def stopped_call(error: OSError, directory: str) -> Refusal:
    """The same for a call that was about one path or, as rename(2), about two.

    To rename or to remove what is there takes rights on the directory that it is in.
    """
    number, paths = error.errno or 0, [error.filename, error.filename2]
    names = [os.fsdecode(path) for path in paths if isinstance(path, str | bytes)]
    if number == errno.EISDIR and len(names) > 1:
        return no_file(CACHE, names[1])
    above = [os.path.dirname(name) for name in names if os.path.lexists(name)]
    tried = [stopped(number, directory, path=name) for name in (*names, *above)]
    unexplained = tried[0] if tried else stopped(number, directory)
    return next((refusal for refusal in tried if refusal.code != "MC0000"), unexplained)


def in_the_way(number: int, place: str, path: str) -> Refusal:
    """The refusal for what `path` itself is, or may not be, and not for the disk below it."""
    other = elsewhere() if place == CACHE else OTHER_OUTPUT
    if number == errno.ENOENT and place != CACHE:
        return no_parent(place, os.path.dirname(path))
    if number in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENOENT):
        directory = path if place == CACHE else os.path.dirname(path)
        refusal = no_directory(place, directory, other)
        return refusal or unknown(number, place, path, existing(path))
    if number in (errno.EACCES, errno.EPERM):
        return closed(number, place, path, other)
    if number == errno.ENAMETOOLONG:
        return too_long(place, path, other)
    return unknown(number, place, path, existing(path))


def out_of_space(where: str, place: str) -> Refusal:
    """ENOSPC is one errno for two shortages, and for others: statvfs tells which (statvfs(3))."""
    numbers = os.statvfs(where)
    if numbers.f_files and not numbers.f_favail:
        cause = f"no inodes are left for the {place} {where}"
        return Refusal("MC0122", cause, counts(where), more_room(where, place))
    if numbers.f_bavail * numbers.f_frsize > LITTLE:
        return other_shortage(where, place, counts(where))
    cause = f"no space is left for the {place} {where}"
    return Refusal("MC0121", cause, counts(where), more_room(where, place))


def over_quota(where: str, place: str) -> Refusal:
    """EDQUOT has one meaning. Whose quota it is, and how large, has yet to be asked."""
    refusal = Refusal(
        "MC0144",
        f"the disk quota for the {place} {where} is used up",
        f"EDQUOT (Disk quota exceeded); {counts(where)}",
        more_room(where, place),
    )
    refusal.place = where
    return refusal


def other_shortage(where: str, place: str, counted: str) -> Refusal:
    """ENOSPC of a file system that has room: a quota of a directory, or metadata of its own."""
    return Refusal(
        "MC0000",
        f"the file system of the {place} {where} takes no more, and has space left",
        f"ENOSPC (No space left on device); {counted}",
        other_disk(where) if place == CACHE else OTHER_OUTPUT,
    )


def more_room(where: str, place: str) -> str:
    """What to do about a full file system."""
    return f"{CLEAN}\n{other_disk(where)}" if place == CACHE else OTHER_OUTPUT


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


def elsewhere() -> str:
    """An export line with a directory that the caller can make; a sentence where there is none."""
    for base in ("/var/tmp", "/tmp"):
        if os.access(base, os.W_OK | os.X_OK):
            return f"export MINICTR_CACHEDIR={base}/minictr-{os.geteuid()}"
    return OWN


def other_disk(where: str) -> str:
    """The same on another file system than `where`."""
    here = os.stat(where).st_dev
    for base in ("/var/tmp", "/tmp"):
        if os.access(base, os.W_OK | os.X_OK) and os.stat(base).st_dev != here:
            return f"export MINICTR_CACHEDIR={base}/minictr-{os.geteuid()}"
    return OWN


def synchronise(temporary: str, cache: str) -> None:
    """Bring the tree to the disk, so that no crash after the rename shows a part of it.

    One syncfs(2) through sync(1), which coreutils and busybox have: fsync(2) of 37,000 files one by
    one takes longer than unpacking them.
    """
    import subprocess

    from minictr.image.programs import SYSTEM_PATH

    command = ["sync", "-f", temporary]
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        os.sync()  # every file system of the machine, and without a word about errors
        return
    if done.returncode == 0:
        return
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in done.stderr:
            raise stopped(number, cache)
    raise Refusal(
        "MC0000",
        f"the unpacked image could not be written to {cache}",
        f"sync -f ended with status {done.returncode}: {done.stderr.strip()}",
    )
