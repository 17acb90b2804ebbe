"""Judge what unsquashfs said and how it ended."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterable

from minictr.image.open import Image
from minictr.image.programs import unrunnable
from minictr.image.refusals import printable, refuse
from minictr.image.storage import stopped
from minictr.refusal import Refusal

KEPT = 40  # lines of unsquashfs kept for the report; an image can cause millions

# An entry that an ordinary user (or root without CAP_MKNOD) cannot make, or that the file system
# of the cache cannot hold. The launcher brings its own /dev; a socket or FIFO without the process
# that listens is of no use.
NOT_CREATED = re.compile(
    r"create_inode: (could not|failed to) create ((block|character) device|fifo|socket) .*, "
    r"because (you're not superuser!|Operation not permitted|Operation not supported)$"
)
# What changes nothing in a tree that one user owns: with a single mapped id every owner is the
# caller, and a terminal's width or the limit of open files matter to unsquashfs alone.
HARMLESS = re.compile(
    r"(create_inode|set_attributes): failed to change uid and gids on .*, because "
    r"(Invalid argument|Operation not permitted)$"
    r"|TIOCGWINSZ ioctl failed|failed to get open file limit!"
)
UNSUPPORTED = re.compile(r"Filesystem uses .* compression, this is unsupported")
DAMAGED = re.compile(
    r"uncompress failed|failed to read|because EOF$|corrupt|Unknown inode type"
    r"|Can't find a valid SQUASHFS superblock",
    re.IGNORECASE,
)
# The image was not read, whatever is in it: a disk, or a server, that fails. EOF is its own end.
UNREAD = re.compile(r"Read on filesystem failed because (?!EOF$)(?P<why>.*)$")
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG)
NO_THREAD = re.compile("Failed to create thread|Out of memory|failed to allocate", re.IGNORECASE)


def listen(lines: Iterable[str]) -> tuple[int, list[str]]:
    """(entries that were not created, the other lines worth judging) from unsquashfs' stderr."""
    absent = 0
    words: list[str] = []
    for line in lines:
        line = line.strip()
        if NOT_CREATED.match(line):
            absent += 1
        elif line and not HARMLESS.match(line):
            words = [*words, line][-KEPT:]
    return absent, words


def judge(status: int, words: list[str], image: Image, cache: str, program: str = "") -> None:
    """Refuse what unsquashfs, at the path `program`, said or did; its words outrank its status."""
    path = printable(image.path)
    check_disk(words, cache)
    for line in words:
        if UNSUPPORTED.search(line):
            raise Refusal(
                "MC0000",
                f"unsquashfs cannot read {path}, which is compressed with {image.compressor}",
                f"unsquashfs: {line}",
                "Install a newer squashfs-tools, or build the image with `--compressor gzip`.",
            )
    for line in words:
        if found := UNREAD.search(line):
            why = found["why"]
            name = next((errno.errorcode[e] for e in errno.errorcode if os.strerror(e) == why), why)
            raise refuse("call", image.path, f"unsquashfs: {line}", call="read(2)", errno=name)
    for line in words:
        if DAMAGED.search(line):
            raise damaged(image, f"unsquashfs: {line}")
    if status == 0 or (status == 2 and not words):
        return
    raise (program and unrunnable(program, words)) or Refusal(
        "MC0000",
        f"unsquashfs did not unpack {path}: it {ended(status)}",
        "unsquashfs: " + (" / ".join(words[-3:]) or "(no message)"),
    )


def check_disk(words: list[str], cache: str) -> None:
    """Refuse what the file system of the cache is to blame for."""
    for number in WRITE_ERRORS:
        why = f", because {os.strerror(number)}"
        for line in words:
            if line.endswith(why[2:]):
                at = line.find(cache + "/")
                raise stopped(number, cache, path=line.removesuffix(why)[at:] if at >= 0 else "")


def ended(status: int) -> str:
    """How a program ended, by its exit status or the signal."""
    if status < 0:
        return f"was ended by signal {-status} ({signal.strsignal(-status)})"
    return f"ended with status {status}"


def damaged(image: Image, proof: str) -> Refusal:
    """The image's data is not what its superblock promises."""
    return Refusal(
        "MC0120",
        f"{printable(image.path)} is damaged: its root file system cannot be unpacked",
        proof,
        "Download or copy the image again.",
    )
