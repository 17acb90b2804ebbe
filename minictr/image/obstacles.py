"""Say what stands in the way to a directory that is to be written: which part of it, and why."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from minictr.image.fuse import stopped_by_fuse
from minictr.image.refusals import printable, quoted
from minictr.image.tree import may
from minictr.refusal import Refusal
from minictr.value import Value

PATH_MAX = 4096  # include/uapi/linux/limits.h, bytes
LONGEST = 80  # characters of a path in a sentence
# include/uapi/linux/fs.h
FS_IOC_GETFLAGS = 0x80086601
FLAGS = ((0x10, "immutable", "i"), (0x20, "append-only", "a"))
MAXSYMLINKS = 40  # include/linux/namei.h
ST_NOSYMFOLLOW = 0x2000  # include/linux/statfs.h, since Linux 5.10; mount(8), nosymfollow
KINDS = {stat.S_IFREG: "regular file", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
RIGHTS = ((os.X_OK, "search", "x"), (os.W_OK, "writing", "w"), (os.R_OK, "reading", "r"))


class Obstacle(Value):
    """Where a path ends.

    kind  "directory" (all of it is there), "missing" (`at` is the directory that lacks the rest),
          "closed" (`at`, a directory, cannot be searched), "file", "dangling" or "loop"
    at    the path of that part
    """

    kind: str
    at: str


def obstacle(path: str) -> Obstacle:
    """The first part of an absolute path that is not a directory which can be searched."""
    reached = "/"
    for name in [name for name in path.split("/") if name]:
        here = f"{reached.rstrip('/')}/{name}"
        try:
            mode = os.lstat(here).st_mode
            if stat.S_ISLNK(mode):
                mode = os.stat(here).st_mode
        except OSError as error:
            return _ended(error.errno or 0, here, reached)
        if not stat.S_ISDIR(mode):
            return Obstacle("file", here)
        reached = here
    return Obstacle("directory", reached)


def can_be_made(path: str) -> bool:
    """Whether mkdir -p of an absolute path, which is not there, works for this user."""
    found = obstacle(path)
    return found.kind == "missing" and may(found.at, os.W_OK | os.X_OK)


def _ended(number: int, here: str, reached: str) -> Obstacle:
    if number == errno.ELOOP:
        return Obstacle("loop", here)
    if not os.path.islink(here):
        return Obstacle("closed" if number == errno.EACCES else "missing", reached)
    target = os.path.join(reached, os.readlink(here))
    return obstacle(target) if number == errno.EACCES else Obstacle("dangling", here)


def no_directory(what: str, path: str, elsewhere: str) -> Refusal | None:
    """Something else stands where a directory has to be; None where nothing does."""
    found = obstacle(path)
    shown, at = printable(found.at), quoted(found.at)
    if found.kind == "file":
        kind = KINDS.get(stat.S_IFMT(os.stat(found.at).st_mode), "device")
        cause, proof = f"{shown} is a {kind}", f"stat({shown}): a {kind}, not a directory"
        # access(2) allows its own process all in /proc/self/fd, where nothing can be renamed.
        above = os.path.realpath(os.path.dirname(found.at))
        own = may(above, os.W_OK | os.X_OK) and not above.startswith("/proc/")
        fix = f"mv {at} {quoted(found.at + '.old')}" if own else elsewhere
    elif found.kind == "dangling":
        target = os.path.normpath(os.path.join(os.path.dirname(found.at), os.readlink(found.at)))
        cause = f"{shown} is a symbolic link to {printable(target)}, which is missing"
        proof = f"readlink({shown}) = {printable(os.readlink(found.at))}; stat({shown}): ENOENT"
        nearest = obstacle(target)
        own = nearest.kind == "missing" and may(nearest.at, os.W_OK)
        fix = f"mkdir -p {quoted(target)}" if own else elsewhere
    elif found.kind == "loop":
        (cause, proof), fix = _loop(found.at), elsewhere
    else:
        return None
    return Refusal("MC0136", f"the {what} cannot be made: {cause}", proof, fix)


def _loop(link: str) -> tuple[str, str]:
    """(cause, proof) of ELOOP, which is the answer to two faults."""
    shown, seen = printable(link), f"stat({printable(link)}): ELOOP"
    for _ in range(MAXSYMLINKS + 1):
        directory = os.path.dirname(link)
        nearest = obstacle(directory)
        if nearest.kind == "loop":
            link = nearest.at
            continue
        if nearest.kind != "directory" or not os.path.islink(link):
            return f"{shown} cannot be followed", seen
        if os.statvfs(directory).f_flag & ST_NOSYMFOLLOW:
            cause = f"{printable(link)} is a symbolic link on a mount with the option nosymfollow"
            return cause, f"{seen}\nstatvfs({printable(directory)}) has ST_NOSYMFOLLOW"
        link = os.path.join(directory, os.readlink(link))
    return f"{shown} leads through more than 40 symbolic links", seen


def no_file(what: str, path: str) -> Refusal:
    """EISDIR: a directory stands where a file has to be renamed to."""
    shown, at = printable(path), quoted(path)
    return Refusal(
        "MC0136",
        f"the {what} cannot be written: {shown} is a directory",
        f"rename(2) to {shown}: EISDIR; a file has to be there",
        f"mv {at} {quoted(path + '.old')}",
    )


def no_parent(what: str, directory: str) -> Refusal:
    """ENOENT: the directory that something is to be written into is not there."""
    found = obstacle(directory)
    if found.kind != "missing":
        return no_directory(what, directory, "") or unknown(
            errno.ENOENT, what, directory, directory
        )
    return Refusal(
        "MC0139",
        f"the {what} cannot be written: there is no directory {printable(directory)}",
        f"lstat({printable(directory)}): ENOENT; {printable(found.at)} is there",
        f"mkdir -p {quoted(directory)}",
    )


def closed(number: int, what: str, path: str, elsewhere: str) -> Refusal:
    """EACCES or EPERM: the part that denies a right, or that is immutable, is the proof."""
    found = obstacle(path)
    at = found.at if found.kind != "file" else os.path.dirname(found.at)
    if number == errno.EPERM:
        return immutable(what, at, elsewhere) or unknown(number, what, path, at)
    # To go on takes search, to make something writing as well, to list it reading, too.
    wanted = RIGHTS[: {"closed": 1, "directory": 3}.get(found.kind, 2)]
    missing = [right for right in wanted if not may(at, right[0])]
    if not missing:
        name = path.removeprefix(at).strip("/").partition("/")[0]
        return stopped_by_fuse(path, at, name, number) or unknown(number, what, path, at)
    status = os.stat(at)
    proof = (
        f"{errno.errorcode[number]}: {printable(at)} belongs to uid {status.st_uid}, "
        f"mode {stat.S_IMODE(status.st_mode):04o}; the caller is uid {os.geteuid()}"
    )
    mine = status.st_uid == os.geteuid()
    letters = "".join(letter for _, _, letter in reversed(missing))
    rights = ", ".join(right for _, right, _ in missing)
    fix = f"chmod u+{letters} {quoted(at)}" if mine else elsewhere
    cause = f"the {what} cannot be written: {printable(at)} denies {rights}"
    return Refusal("MC0124", cause, proof, fix)


def immutable(what: str, directory: str, elsewhere: str) -> Refusal | None:
    """A directory with a flag of chattr(1) that keeps even its owner from changing it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            raw = fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8))
        finally:
            os.close(descriptor)
    except OSError:  # ENOTTY: a file system without such flags
        return None
    set_ = [row for row in FLAGS if int.from_bytes(raw, "little") & row[0]]
    if not set_:
        return None
    word, letter = set_[0][1:]
    return Refusal(
        "MC0133",
        f"the {what} cannot be changed: {printable(directory)} is {word}",
        f"ioctl({printable(directory)}, FS_IOC_GETFLAGS): the flag {letter} of chattr(1) is set",
        elsewhere,
        f"chattr -{letter} {quoted(directory)}",
    )


def too_long(what: str, path: str, elsewhere: str) -> Refusal:
    """ENAMETOOLONG: one component, or all of the path, has more bytes than there may be."""
    raw = os.fsencode(path)
    parts = raw.split(b"/")
    at = obstacle(path[: path.rfind("/", 0, PATH_MAX - 1)]).at
    longest = os.statvfs(at).f_namemax
    part = max(parts, key=len)
    if len(part) > longest:
        said = f"a component has {len(part)} bytes"
        proof = f"statvfs({printable(at)}): f_namemax is {longest}; {said}: {_short(part)}"
    elif len(raw) < PATH_MAX:
        return unknown(errno.ENAMETOOLONG, what, path, at)
    else:
        said = f"it has {len(raw)} bytes"
        proof = f"PATH_MAX is {PATH_MAX}, with the byte that ends it; {said}: {_short(raw)}"
    return Refusal("MC0137", f"a path in the {what} is too long: {said}", proof, elsewhere)


def unknown(number: int, what: str, path: str, at: str) -> Refusal:
    """An errno that no fact explains."""
    name = errno.errorcode.get(number, str(number))
    return Refusal(
        "MC0000",
        f"the {what} {printable(path)} cannot be written",
        f"{name} ({os.strerror(number)}) on {printable(at)}",
    )


def _short(raw: bytes) -> str:
    text = printable(os.fsdecode(raw))
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."
