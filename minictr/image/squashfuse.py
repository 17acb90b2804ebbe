"""Find the program that serves a squashfs through FUSE, and say what stands in its way."""

from __future__ import annotations

import os
import posix

from minictr.image.tree import may
from minictr.refusal import Refusal

SERVER = "squashfuse_ll"
DEVICE = "/dev/fuse"
PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"  # behind $PATH


def find_server() -> str:
    """The path of squashfuse_ll. Raises Refusal."""
    path = f"{os.environ.get('PATH', '')}:{PLACES}".strip(":")
    for directory in path.split(":"):
        found = f"{directory}/{SERVER}"
        if directory.startswith("/") and os.path.isfile(found) and may(found, posix.X_OK):
            return found
    raise Refusal(
        "MC0140",
        f"{SERVER} is missing, which serves an image without unpacking it",
        f"no executable {SERVER} in {path}",
        "Leave --unpack never out, or install the package squashfuse.",
    )


def commands(program: str, offset: int) -> tuple[tuple[str, ...], ...]:
    """The command lines to be tried in turn, each without image and mount point.

    offset   of the squashfs in the image, in bytes
    Every file is to be the caller's, as it is once unpacked: releases from 0.2 on can do that, and
    older ones end at the option. With these, what is not root's in the image belongs to nobody.
    """
    options = f"offset={offset}"
    return tuple((program, "-f", "-o", options + more) for more in (",uid=0,gid=0", ""))


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
