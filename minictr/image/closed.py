"""Says what an image itself closes to whoever unpacked it, and so owns all of it."""

from __future__ import annotations

import errno
import os
import stat

from minictr.image.records import read_manifest
from minictr.image.refusals import printable
from minictr.image.tree import may
from minictr.refusal import Refusal


def unreadable(root: str, error: OSError) -> Refusal:
    """The refusal for a look into the unpacked or served image at `root`.

    Its paths are those in the image: where it is unpacked first `root` is gone with the refusal.
    """
    path = os.fsdecode(error.filename or root)
    inside = path.removeprefix(root)
    if error.errno == errno.EACCES:
        found = closed(root, inside)
        if found and read_manifest(os.path.dirname(root)) is None:
            return found
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    what = printable(inside or "/")
    return Refusal("MC0000", f"{what} of the image cannot be read", f"{name} on {what}")


def closed(root: str, inside: str) -> Refusal | None:
    """The first part of a path without links that is closed; None where none is."""
    names = [name for name in inside.split("/") if name]
    for count in range(len(names) + 1):
        at = "/".join(("", *names[:count])) or "/"
        full = f"{root}{at}".rstrip("/")
        try:
            status = os.lstat(full) if count else os.stat(full)  # a served root is behind a link
        except OSError:
            return None
        last = count == len(names)
        if not _open(full, status, os.R_OK if last else os.X_OK):
            return _refusal(at, stat.S_IMODE(status.st_mode), "reading" if last else "search")
    return None


def _open(path: str, status: os.stat_result, right: int) -> bool:
    """Whether the mode gives the right to its owner, the caller: squashfuse has no access(2)."""
    if status.st_uid != os.geteuid():
        return may(path, right)
    return bool(status.st_mode & (stat.S_IRUSR if right == os.R_OK else stat.S_IXUSR))


def _refusal(at: str, mode: int, right: str) -> Refusal:
    shown = printable(at)
    return Refusal(
        "MC0143",
        f"{shown} in the image is closed to its owner: it denies {right}",
        f"the image gives {shown} the mode {mode:04o}",
        f"Set the mode of {shown} where the image is built.",
    )
