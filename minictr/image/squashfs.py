"""The superblock of a squashfs 4.0: the 96 bytes that say what unsquashfs will meet.

Source: linux, fs/squashfs/squashfs_fs.h and the checks of fs/squashfs/super.c.
"""

from __future__ import annotations

import struct

from minictr.image.refusals import refuse, sample, span
from minictr.image.source import Source, read, truncated
from minictr.refusal import Refusal
from minictr.value import Value

MAGIC = b"hsqs"
SUPERBLOCK = struct.Struct("<4s4I6H8Q")
COMPRESSORS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
SMALLEST_BLOCK, LARGEST_BLOCK = 4096, 1 << 20
METADATA = 8192  # bytes of a metadata block
# Bytes: a metadata block that no compressor could make smaller, with its header; a FIFO's inode.
SMALLEST_PACKED, SMALLEST_INODE = 3, 20
_UNCOMPRESSED = 1 << 15  # in the header of a metadata block, beside its size
_POINTER, _ONE_ID = struct.Struct("<Q"), struct.Struct("<HI")
NONE = (1 << 64) - 1  # SQUASHFS_INVALID_BLK: the table is absent

# The last table of a file system is the list of ids or the index of the extended attributes: 16
# bytes, then 8 for every 512 of at most 2^32. So bytes_used lies at most this far beyond it.
LONGEST_TABLE = 16 + (1 << 32) // 512 * 8

# Where each field stands, for the proof of a refusal.
FIELDS = {
    "magic": 0,
    "inodes": 4,
    "block_size": 12,
    "compressor": 20,
    "block_log": 22,
    "no_ids": 26,
    "version": 28,
    "root_inode": 32,
    "bytes_used": 40,
    "id_table_start": 48,
    "xattr_id_table_start": 56,
    "inode_table_start": 64,
    "directory_table_start": 72,
    "fragment_table_start": 80,
    "lookup_table_start": 88,
}


OPTIONAL = ("xattr_id_table_start", "fragment_table_start", "lookup_table_start")


class Superblock(Value):
    """The superblock, with the kernel's names for its fields."""

    inodes: int
    mkfs_time: int
    block_size: int
    fragments: int
    compression: int
    block_log: int
    flags: int
    no_ids: int
    s_major: int
    s_minor: int
    root_inode: int
    bytes_used: int
    id_table_start: int
    xattr_id_table_start: int
    inode_table_start: int
    directory_table_start: int
    fragment_table_start: int
    lookup_table_start: int


def read_superblock(source: Source, offset: int, size: int, bare: bool) -> Superblock:
    """The superblock of the file system in `size` bytes at `offset`, every field of it bounded.

    bare: nothing but the end of the file bounds it, so what is missing was cut off.
    Refuses a damaged one, an unknown compressor, and a file system that the file cuts short.
    """
    if size < SUPERBLOCK.size:
        if bare:
            raise truncated(source, "the squashfs superblock", offset, SUPERBLOCK.size)
        proof = f"the partition takes {span(offset, size)}, a superblock {SUPERBLOCK.size} bytes"
        raise refuse("small", source.path, proof, size=size)
    magic, *numbers = SUPERBLOCK.unpack(read(source, offset, SUPERBLOCK.size))
    if magic != MAGIC:
        raise _damaged(source, offset, "magic", sample(magic), f"squashfs has {sample(MAGIC)}")
    block = Superblock(*numbers)
    _check_form(source, offset, block)
    _check_tables(source, offset, block)
    _check_length(source, offset, size, block, bare)
    return block


def all_of_root(source: Source, offset: int, size: int, bare: bool) -> bool:
    """Whether no file of the file system belongs to another user or group than root.

    The list of ids has each once; the one that is alone in it cannot be compressed.
    """
    block = read_superblock(source, offset, size, bare)
    if block.no_ids != 1 or block.id_table_start + _POINTER.size > block.bytes_used:
        return False
    (place,) = _POINTER.unpack(read(source, offset + block.id_table_start, _POINTER.size))
    if place + _ONE_ID.size > block.bytes_used:
        return False
    return _ONE_ID.unpack(read(source, offset + place, _ONE_ID.size)) == (_UNCOMPRESSED | 4, 0)


def _check_form(source: Source, offset: int, block: Superblock) -> None:
    """Version, block size, compressor, counts."""
    version = f"{block.s_major}.{block.s_minor}"
    blocks = f"a power of two from {SMALLEST_BLOCK} to {LARGEST_BLOCK} is expected"
    size = block.block_size
    if version != "4.0" and 0 < block.s_major < 10 and block.s_minor < 10:
        proof = f"byte {offset + FIELDS['version']}: version is {version}; 4.0 is expected"
        words = {"form": "squashfs", "version": version, "known": "4.0"}
        raise refuse("version", source.path, proof, **words)
    if version != "4.0":
        raise _damaged(source, offset, "version", version, "4.0 is expected")
    if not SMALLEST_BLOCK <= size <= LARGEST_BLOCK or size & (size - 1):
        raise _damaged(source, offset, "block_size", size, blocks)
    if 1 << min(block.block_log, 64) != size:
        expected = f"block_size is {size}"
        raise _damaged(source, offset, "block_log", block.block_log, expected)
    if block.compression not in COMPRESSORS:
        known = ", ".join(f"{key} {name}" for key, name in COMPRESSORS.items())
        proof = f"byte {offset + FIELDS['compressor']}: {block.compression}; known are {known}"
        raise refuse("compressor", source.path, proof, value=block.compression)
    if block.inodes == 0:
        raise _damaged(source, offset, "inodes", 0, "the root directory is one")
    if block.no_ids == 0:
        raise _damaged(source, offset, "no_ids", 0, "the root directory has an owner")


def _check_tables(source: Source, offset: int, block: Superblock) -> None:
    """Every table begins after the superblock and before bytes_used; inodes fit into theirs."""
    starts = [getattr(block, field) for field in FIELDS if field.endswith("_start")]
    beyond = [start for start in starts if block.bytes_used <= start < NONE]
    if len(beyond) > 1:  # one number is wrong and not several
        expected = f"tables begin at bytes {', '.join(str(start) for start in sorted(beyond))}"
        raise _damaged(source, offset, "bytes_used", block.bytes_used, expected)
    for field in FIELDS:
        if not field.endswith("_start"):
            continue
        start = getattr(block, field)
        absent = start == NONE and field in OPTIONAL
        if not absent and not SUPERBLOCK.size <= start < block.bytes_used:
            expected = f"a table begins between bytes 96 and {block.bytes_used} (bytes_used)"
            raise _damaged(source, offset, field, start, expected)
    root, within = block.inode_table_start + (block.root_inode >> 16), block.root_inode & 0xFFFF
    if root >= block.directory_table_start or within >= METADATA:
        expected = f"inodes end at byte {block.directory_table_start}, a block at {METADATA}"
        raise _damaged(source, offset, "root_inode", f"{block.root_inode:#x}", expected)
    table = block.directory_table_start - block.inode_table_start
    most = table // SMALLEST_PACKED * METADATA // SMALLEST_INODE
    if block.inodes > most:
        expected = f"their table has {table} bytes, in which no more than {most} fit"
        raise _damaged(source, offset, "inodes", block.inodes, expected)


def _check_length(source: Source, offset: int, size: int, block: Superblock, bare: bool) -> None:
    """bytes_used fits into the bytes that are there."""
    used = block.bytes_used
    starts = (getattr(block, field) for field in FIELDS if field.endswith("_start"))
    last = max(start for start in starts if start != NONE)
    if used > last + LONGEST_TABLE:
        raise _damaged(source, offset, "bytes_used", used, f"the last table begins at byte {last}")
    if used <= size:
        return
    if bare:
        raise truncated(source, "the squashfs", offset, used)
    expected = f"the partition takes {span(offset, size)}"
    raise _damaged(source, offset, "bytes_used", used, expected)


def _damaged(source: Source, offset: int, field: str, value: int | str, expected: str) -> Refusal:
    proof = f"byte {offset + FIELDS[field]}: {field} is {value}; {expected}"
    return refuse("superblock", source.path, proof, field=field, value=value)
