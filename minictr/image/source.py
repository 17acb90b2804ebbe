"""Source: an image file opened without ever blocking, read in bounded pieces."""

from __future__ import annotations

import errno
import posix
import stat

from minictr.image.index import identity_of
from minictr.image.lookup import explain
from minictr.image.refusals import refuse, span
from minictr.refusal import Refusal
from minictr.value import Value

# A FIFO without a writer blocks a plain open(2), a terminal may become the controlling one.
FLAGS = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOCTTY

KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Source(Value):
    """An opened regular file.

    path        as the user gave it
    descriptor  open for reading
    length      bytes, when it was opened
    identity    (st_dev, st_ino, st_size, st_mtime_ns, st_ctime_ns)
    """

    path: str
    descriptor: int
    length: int
    identity: tuple[int, ...]


def look(path: str) -> posix.stat_result:
    """stat(2) of `path`: a regular file or a directory, everything else is refused."""
    try:
        status = posix.stat(path)
    except (OSError, ValueError) as error:
        raise explain(path, "stat(2)", error) from None
    if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        proof = f"st_mode is {status.st_mode:#o}"
        raise refuse("kind", path, proof, kind=_kind(status.st_mode))
    return status


def open_source(path: str) -> Source:
    """Open the regular file at `path`; what was opened is looked at again, for a path can change.

    The caller closes source.descriptor.
    """
    try:
        descriptor = posix.open(path, FLAGS)
    except (OSError, ValueError) as error:
        raise explain(path, "open(2)", error) from None
    status = posix.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        posix.close(descriptor)
        proof = f"fstat(2) after open(2): st_mode is {status.st_mode:#o}"
        raise refuse("changed", path, proof, kind=_kind(status.st_mode))
    return Source(path, descriptor, status.st_size, identity_of(status))


def read(source: Source, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`; the caller has compared both with source.length."""
    pieces = b""
    while len(pieces) < size:
        try:
            piece = posix.pread(source.descriptor, size - len(pieces), offset + len(pieces))
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            raise refuse(
                "call", source.path, span(offset, size), call="pread(2)", errno=name
            ) from None
        if not piece:
            proof = f"end of file at byte {offset + len(pieces)}, {source.length} bytes when opened"
            raise refuse("shrank", source.path, proof)
        pieces += piece
    return pieces


def truncated(source: Source, what: str, offset: int, size: int, more: str = "") -> Refusal:
    """The refusal for a file that ends before `what`, `size` bytes at `offset`; `more` is proof."""
    reach = span(offset, size)
    proof = f"{what}: {reach}; length of the file: {source.length}{more}"
    return refuse("truncated", source.path, proof, what=what, span=reach, length=source.length)


def other_kind(path: str) -> str:
    """What `path` leads to where that is there and is no regular file: "it is a FIFO"; else ""."""
    try:
        mode = posix.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISREG(mode) else f"it is a {_kind(mode)}"


def _kind(mode: int) -> str:
    return KINDS.get(stat.S_IFMT(mode), f"file of type {stat.S_IFMT(mode):#o}")
