"""Reads a text file that the command line names: at once, and not without end."""

from __future__ import annotations

import posix

from minictr.refusal import Refusal

MOST = 16 << 20  # bytes; environments and definition files have a thousandth of it
# A plain open(2) waits for the writer of a FIFO, and a terminal may become the controlling one.
_FLAGS = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOCTTY
_S_IFMT, _S_IFREG, _S_IFIFO = 0o170000, 0o100000, 0o010000
_NULL = posix.makedev(1, 3)
_EINVAL = 22


def read_text(path: str, option: str) -> str:
    """The text of the file that an option names, undecodable bytes as surrogates.

    A regular file, /dev/null, or a pipe as a shell makes it for <(COMMAND). Raises Refusal.
    """
    what = f"{option} {path}"
    try:
        descriptor = posix.open(path, _FLAGS)
        try:
            check_end(descriptor)
            return read_whole(descriptor, what).decode("utf-8", "surrogateescape")
        finally:
            posix.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise unreadable(what, path, error) from None


def check_end(descriptor: int) -> None:
    """Let reading wait for what a shell's pipe brings. Raises OSError for what may have no end."""
    status = posix.fstat(descriptor)
    kind = status.st_mode & _S_IFMT
    if kind == _S_IFREG or status.st_rdev == _NULL:
        return
    # A FIFO with a name may never have a writer; that of a pipe is there, or has been.
    if kind != _S_IFIFO or not posix.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
        raise OSError(_EINVAL, posix.strerror(_EINVAL))
    posix.set_blocking(descriptor, True)


def read_whole(descriptor: int, what: str) -> bytes:
    """All that can be read, MOST bytes at most. Raises OSError, and Refusal for more."""
    parts, size = [], 0
    while part := posix.read(descriptor, 1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise Refusal("request", f"{what} cannot be read: it has more than {MOST} bytes")
    return b"".join(parts)


def unreadable(what: str, path: str, error: OSError | ValueError) -> Refusal:
    """The refusal of `what`, which lies at `path`, after opening or reading it failed.

    Of a file that is closed it has what denies it, and who can open it.
    """
    from minictr.image.lookup import explain
    from minictr.image.source import other_kind

    why = posix.strerror(error.errno or 0) if isinstance(error, OSError) else "a NUL is in its path"
    refusal = Refusal("request", f"{what} cannot be read: {other_kind(path) or why}")
    if isinstance(error, PermissionError):
        denied = explain(path, "open(2)", error)
        refusal.proof, refusal.fix = denied.proof, denied.fix
    return refusal
