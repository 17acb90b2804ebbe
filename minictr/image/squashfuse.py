"""Find the program that serves a squashfs through FUSE, and say what stands in its way."""

from __future__ import annotations

import os
import posix

from minictr.image.tree import may
from minictr.refusal import Refusal

SERVER = "squashfuse_ll"
SLOW_SERVER = "squashfuse"
OWNER = 1  # the caller, in the namespace of a server that is told whose the files are
OWNED = f"uid={OWNER},gid={OWNER}"  # not 0, which squashfuse_ll takes for nothing said
KEPT = "kernel_cache,entry_timeout=86400,attr_timeout=86400"  # an image does not change: fuse(8)
DEVICE = "/dev/fuse"
PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"  # behind $PATH


def find_server() -> str:
    """The path of squashfuse_ll. Raises Refusal."""
    if found := _find(SERVER):
        return found
    raise Refusal(
        "MC0140",
        f"{SERVER} is missing, which serves an image without unpacking it",
        f"no executable {SERVER} in {_path()}",
        "Leave --unpack never out, or install the package squashfuse.",
    )


def commands(program: str, offset: int, ids: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The command lines to be tried in turn, each without image and mount point.

    Before each stands the id that the caller has to have where the server is.

    program  squashfuse_ll
    offset   of the squashfs in the image, in bytes
    ids      "root" where all in the image is root's; else "any" has to be the caller's, or "may"
    Every file is to be the caller's, as it is once unpacked. Releases of squashfuse_ll from 0.2 on
    can do that, and older ones end at the option; beside them lies squashfuse, which takes it from
    libfuse in every release, and looks a file up by its whole path: find(1) takes three times as
    long. Where nothing can, what is not root's in the image belongs to nobody, under "may".
    """
    where = f"offset={offset}"
    found = [(OWNER, (program, "-f", "-o", f"{where},{OWNED}"))]
    slow = _find(SLOW_SERVER) if ids != "root" else ""
    if slow:
        found.append((OWNER, (slow, "-f", "-o", f"{where},{OWNED},{KEPT}")))
    if ids != "any":
        found.append((0, (program, "-f", "-o", where)))
    return tuple(found)


def _find(name: str) -> str:
    """The path of a program that may be executed; "" for none."""
    for directory in _path().split(":"):
        found = f"{directory}/{name}"
        if directory.startswith("/") and os.path.isfile(found) and may(found, posix.X_OK):
            return found
    return ""


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{PLACES}".strip(":")


def try_device() -> None:
    """Open /dev/fuse and close it again. Raises Refusal."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise closed(error.errno or 0) from None


def closed(number: int) -> Refusal:
    """/dev/fuse cannot be opened: open(2) answers with this errno."""
    proof, fix = f"open({DEVICE}): {os.strerror(number)}", "modprobe fuse"
    if os.path.exists(DEVICE):
        status = os.stat(DEVICE)
        proof += f"; stat: uid {status.st_uid}, mode {status.st_mode & 0o7777:04o}"
        fix = f"chmod 666 {DEVICE}"
    return Refusal(
        "MC0141",
        f"{DEVICE} cannot be opened, through which {SERVER} serves an image",
        proof,
        "Leave --unpack never out: an image that is unpacked needs no FUSE.",
        fix,
    )
