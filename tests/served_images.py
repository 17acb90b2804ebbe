"""What the tests of served images share: their device, and images that are damaged somewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

from skipping import require, require_program

DIRECTORY_TABLE = 72  # where the superblock says where that begins: fs/squashfs/squashfs_fs.h
SUPERBLOCK = 96


def require_device(fuse: bool) -> None:
    """squashfuse, and the fixture's word on a /dev/fuse that the ordinary user may open."""
    require_program("squashfuse_ll", "MC0140", "squashfuse")
    require(fuse, "MC0141", "/dev/fuse is missing or closed")


def squashed(tree: Path, image: Path, *options: str) -> Path:
    """The squashfs of a directory; all of it root's, unless the options say otherwise."""
    program = require_program("mksquashfs", "MC0127", "squashfs-tools")
    given = ["-noappend", "-quiet", "-no-progress", "-comp", "gzip", *(options or ("-all-root",))]
    subprocess.run([program, tree, image, *given], check=True, capture_output=True)
    return image


def with_damaged_data(image: Path, copy: Path) -> Path:
    """A copy whose first block of data, which is that of the first file, does not decompress."""
    raw = bytearray(image.read_bytes())
    raw[SUPERBLOCK + 64 : SUPERBLOCK + 192] = bytes(128)
    copy.write_bytes(raw)
    return copy


def with_damaged_entry(image: Path, copy: Path, name: str) -> Path:
    """A copy of an image made with -noI, in which the last entry of that name is too long."""
    raw = bytearray(image.read_bytes())
    table = int.from_bytes(raw[DIRECTORY_TABLE : DIRECTORY_TABLE + 8], "little")
    at = raw.rindex(name.encode())
    assert at > table
    raw[at - 2 : at] = b"\xff\xff"  # struct squashfs_dir_entry, size
    copy.write_bytes(raw)
    return copy
