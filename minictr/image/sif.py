"""The Singularity Image Format: its header and descriptors, as values and as bytes.

Source: github.com/apptainer/sif, pkg/sif/{sif,descriptor}.go. Everything is little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from minictr.image.refusals import refuse, sample, span
from minictr.image.source import Source, read, truncated
from minictr.refusal import Refusal
from minictr.value import Value

LAUNCH = b"#!/usr/bin/env run-singularity\n"
MAGIC = b"SIF_MAGIC\0"
MAGIC_AT = 32
VERSION = b"01\0"
VERSION_AT = 42

HEADER = struct.Struct("<32s10s3s3s16s8q")  # 128 bytes at the beginning of the file
DESCRIPTOR = struct.Struct("<i?IIIqqqqqqq128s384s")  # 585 bytes, packed
PARTITION = struct.Struct("<ii3s")  # the beginning of `extra` of a partition
SIGNATURE = struct.Struct("<i256s")  # hash, entity (20-byte fingerprint, or zeros)
CRYPTO_MESSAGE = struct.Struct("<ii")  # format, message
SBOM = struct.Struct("<i")  # format

# Where a writer puts things, as apptainer does; a reader takes them from the header.
DESCRIPTORS = 48
DESCRIPTORS_AT = 4096
DATA_AT = DESCRIPTORS_AT + DESCRIPTORS * DESCRIPTOR.size
PARTITION_ALIGNMENT = 4096

# A reader's bound: apptainer writes 48, and each one costs time and memory before any check.
MOST_DESCRIPTORS = 4096
PIECE = 32  # descriptors read at a time

DEFFILE, PARTITION_TYPE, GENERIC_JSON = 0x4001, 0x4004, 0x4006
OCI_ROOT_INDEX, OCI_BLOB = 0x400A, 0x400B
TYPES = {
    0x4001: "Deffile",
    0x4002: "EnvVar",
    0x4003: "Labels",
    0x4004: "Partition",
    0x4005: "Signature",
    0x4006: "GenericJSON",
    0x4007: "Generic",
    0x4008: "CryptoMessage",
    0x4009: "SBOM",
    0x400A: "OCIRootIndex",
    0x400B: "OCIBlob",
}
FS_SQUASHFS, FS_EXT3, FS_ARCHIVE, FS_RAW, FS_LUKS, FS_GOCRYPTFS = 1, 2, 3, 4, 5, 6
FILE_SYSTEMS = {
    FS_SQUASHFS: "squashfs",
    FS_EXT3: "ext3",
    FS_ARCHIVE: "archive",
    FS_RAW: "raw",
    FS_LUKS: "LUKS2-encrypted squashfs",
    FS_GOCRYPTFS: "gocryptfs-encrypted squashfs",
}
PART_SYSTEM, PART_PRIMARY, PART_DATA, PART_OVERLAY = 1, 2, 3, 4
_NAMES = (
    *("", "386", "amd64", "arm", "arm64", "ppc64", "ppc64le"),
    *("mips", "mipsle", "mips64", "mips64le", "s390x", "riscv64", "loong64"),
)
ARCHITECTURES = {f"{code:02}".encode(): name for code, name in enumerate(_NAMES)}
GROUP_MASK = 0xF0000000

# Where each field stands, for the proof of a refusal.
HEADER_FIELDS = {
    "magic": MAGIC_AT,
    "version": VERSION_AT,
    "dtotal": 88,
    "descroff": 96,
    "descrlen": 104,
}
USED_AT = 4
DESCRIPTOR_FIELDS = {"offset": 17, "size": 25, "extra": 201}


class Header(Value):
    """The global header, with the names that the format gives its fields."""

    launch: bytes  # the script line, without its padding
    version: str
    arch: str  # of the primary partition, "" when unknown; a runtime looks at the partition's own
    id: bytes  # 16, a UUID
    ctime: int  # seconds since 1970
    mtime: int
    dfree: int  # unused descriptors
    dtotal: int
    descroff: int
    descrlen: int  # bytes
    dataoff: int
    datalen: int


class Descriptor(Value):
    """One entry of the descriptor table, and the object it stands for."""

    type: int
    used: bool
    id: int
    group: int  # 0 for none
    link: int  # the id of an object or, with GROUP_MASK set, of a group; 0 for none
    offset: int
    size: int
    size_with_padding: int
    ctime: int
    mtime: int
    uid: int
    gid: int
    name: str
    extra: bytes  # 384, its meaning depends on type
    index: int = 0  # position in the table


class Partition(Value):
    """What `extra` says of a partition."""

    fstype: int
    parttype: int
    arch: str  # "" when unknown


def is_sif(start: bytes) -> bool:
    """Whether a file that begins with `start` is a SIF, whole, cut short or with its magic damaged.

    A launch line alone does not tell: in the 2.x form squashfs or ext, which begins with zeros,
    follows it at once.
    """
    magic = start[MAGIC_AT : MAGIC_AT + len(MAGIC)]
    if magic.startswith(MAGIC[:-1]):
        return True
    cut = len(magic) < len(MAGIC) and MAGIC.startswith(magic)
    return start.startswith(LAUNCH + b"\0") and (cut or start[VERSION_AT:].startswith(VERSION))


def read_header(source: Source, start: bytes) -> Header:
    """The header in `start`, the first bytes of source; every count in it is bounded."""
    if len(start) < HEADER.size:
        raise truncated(source, "the SIF header", 0, HEADER.size)
    launch, magic, version, arch, uuid, *numbers = HEADER.unpack_from(start)
    if magic != MAGIC:
        raise _damaged(source, "magic", sample(magic), f"a SIF has {sample(MAGIC)}")
    if version != VERSION:
        raise _other_version(source, version)
    name = ARCHITECTURES.get(arch[:2], "")
    header = Header(launch.rstrip(b"\0"), version.rstrip(b"\0").decode(), name, uuid, *numbers)
    _check_table(source, header)
    return header


def read_descriptors(source: Source, header: Header) -> Iterator[Descriptor]:
    """The used descriptors in the order of the table; what they point to is not yet bounded."""
    width = DESCRIPTOR.size
    for first in range(0, header.dtotal, PIECE):
        count = min(PIECE, header.dtotal - first)
        piece = read(source, header.descroff + first * width, count * width)
        for place in range(0, len(piece), width):
            if piece[place + USED_AT]:
                yield _descriptor(piece[place : place + width], first + place // width)


def find_primary(source: Source, header: Header) -> tuple[Descriptor, Partition]:
    """The first primary partition, of whichever group."""
    seen = []
    for descriptor in read_descriptors(source, header):
        if is_primary(descriptor):
            return descriptor, partition(descriptor)
        seen.append(descriptor.type)
    names = ", ".join(TYPES.get(each, f"type {each:#x}") for each in seen[:8]) or "no object"
    table = span(header.descroff, header.descrlen)
    proof = f"{table}: {header.dtotal} descriptors, {len(seen)} used"
    if seen and TYPES.keys().isdisjoint(seen):
        expected = f"what stands there has types that no object has: {names}"
        raise _damaged(source, "descroff", header.descroff, expected)
    if OCI_ROOT_INDEX in seen or OCI_BLOB in seen:
        raise refuse("oci-sif", source.path, f"{proof}: {names}")
    raise refuse("no primary", source.path, proof, what=names)


def check_object(source: Source, header: Header, descriptor: Descriptor) -> None:
    """Refuse an object whose bytes are not all in the file, or lie over the header or the table."""
    first, size = descriptor.offset, descriptor.size
    table, behind = header.descroff, header.descroff + header.descrlen
    if first < HEADER.size or (first < behind and table < first + max(size, 1)):
        expected = f"header and table end at byte {behind}"
        raise _damaged(source, "offset", first, expected, header, descriptor)
    if size <= 0:
        raise _damaged(source, "size", size, "an object has one byte or more", header, descriptor)
    if first + size <= source.length:
        return
    if first + size <= header.dataoff + header.datalen:
        kind = TYPES.get(descriptor.type, "object").lower()
        what = f"{kind} {descriptor.index + 1} (id {descriptor.id})"
        raise truncated(source, what, first, size, _end(header))
    field, value = _beyond(source, ("offset", first), ("size", size))
    expected = f"the object takes {span(first, size)}, the file has {source.length} bytes"
    raise _damaged(source, field, value, expected, header, descriptor)


def is_primary(descriptor: Descriptor) -> bool:
    """Whether this is a partition that holds a root file system to start from."""
    return descriptor.type == PARTITION_TYPE and partition(descriptor).parttype == PART_PRIMARY


def partition(descriptor: Descriptor) -> Partition:
    """The meaning of `extra`, for a descriptor of PARTITION_TYPE."""
    fstype, parttype, arch = PARTITION.unpack_from(descriptor.extra)
    return Partition(fstype, parttype, ARCHITECTURES.get(arch[:2], ""))


def arch_code(name: str) -> bytes:
    """The three bytes that stand for an architecture; KeyError for one the format does not have."""
    return {name: code for code, name in ARCHITECTURES.items()}[name] + b"\0"


def pack_header(header: Header) -> bytes:
    """The 128 bytes of a header."""
    numbers = (getattr(header, name) for name in Header.fields[4:])
    version = header.version.encode()
    return HEADER.pack(header.launch, MAGIC, version, arch_code(header.arch), header.id, *numbers)


def pack_descriptor(descriptor: Descriptor) -> bytes:
    """The 585 bytes of a descriptor."""
    values = {name: getattr(descriptor, name) for name in Descriptor.fields if name != "index"}
    values["group"] |= GROUP_MASK
    values["name"] = values["name"].encode("utf-8", "surrogateescape")
    return DESCRIPTOR.pack(*values.values())


def _descriptor(raw: bytes, index: int) -> Descriptor:
    values = dict(zip(Descriptor.fields, (*DESCRIPTOR.unpack(raw), index), strict=True))
    values["group"] &= ~GROUP_MASK
    values["name"] = values["name"].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    return Descriptor(**values)


def _check_table(source: Source, header: Header) -> None:
    """Bound the descriptor table: dtotal, descroff and descrlen."""
    first, size, total = header.descroff, header.descrlen, header.dtotal
    if not 0 <= total <= MOST_DESCRIPTORS:
        raise _damaged(source, "dtotal", total, f"this reader takes 0 to {MOST_DESCRIPTORS}")
    if first < HEADER.size:
        raise _damaged(source, "descroff", first, f"the header ends at byte {HEADER.size}")
    if size < total * DESCRIPTOR.size:
        expected = f"dtotal {total} times {DESCRIPTOR.size} is {total * DESCRIPTOR.size}"
        raise _damaged(source, "descrlen", size, expected)
    if first + size <= source.length:
        return
    if first + size <= header.dataoff + header.datalen:
        raise truncated(source, "the SIF descriptor table", first, size, _end(header))
    field, value = _beyond(source, ("descroff", first), ("descrlen", size))
    expected = f"the table takes {span(first, size)}, the file has {source.length} bytes"
    raise _damaged(source, field, value, expected)


def _other_version(source: Source, version: bytes) -> Refusal:
    expected = f"this reader knows {sample(VERSION)}"
    if version[2] or not version[:2].isdigit() or version[:2] == b"00":
        return _damaged(source, "version", sample(version), expected)
    proof = f"byte {VERSION_AT}: version is {sample(version)}; {expected}"
    words = {"form": "SIF", "version": version[:2].decode(), "known": "01"}
    return refuse("version", source.path, proof, **words)


def _beyond(source: Source, *pair: tuple[str, int]) -> tuple[str, int | str]:
    """Which of two numbers leads beyond the file: both, where only their sum does."""
    wrong = [one for one in pair if one[1] >= source.length]
    fields, values = (" and ".join(map(str, both)) for both in zip(*pair, strict=True))
    return wrong[0] if wrong else (fields, values)


def _damaged(
    source: Source,
    field: str,
    value: int | str,
    expected: str,
    header: Header | None = None,
    descriptor: Descriptor | None = None,
) -> Refusal:
    first, both, _ = field.partition(" and ")
    part, at, verb = "header", HEADER_FIELDS.get(first, 0), "are" if both else "is"
    if header and descriptor:
        part = f"descriptor {descriptor.index + 1}"
        at = header.descroff + descriptor.index * DESCRIPTOR.size + DESCRIPTOR_FIELDS[first]
    proof = f"byte {at}: {field} {verb} {value}; {expected}"
    return refuse("sif", source.path, proof, field=field, part=part, value=f"{verb} {value}")


def _end(header: Header) -> str:
    """What tells a file cut short from a wrong number: the header knows how long it was."""
    return f"; by dataoff and datalen it had {header.dataoff + header.datalen}"
