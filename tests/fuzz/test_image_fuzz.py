"""Arbitrary bytes and damaged images: open_image gives an Image or a Refusal, fast and small."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from image_files import (
    DESCRIPTOR_AT,
    FSTYPE_AT,
    PARTITION_AT,
    bare_squashfs,
    patched,
    whole_sif,
)

from minictr.image import sif, squashfs
from minictr.image.open import Image, open_image
from minictr.refusal import Refusal

EXAMPLES = int(os.environ.get("MINICTR_FUZZ_EXAMPLES", "200"))
fuzzing = settings(
    max_examples=EXAMPLES,
    deadline=None,  # the bound of each example is asserted below
    database=None,  # the repository can belong to somebody else
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What a parser sees of an image of full length: the rest of the file is a hole.
HEAD = PARTITION_AT + squashfs.SUPERBLOCK.size
SIF, SQUASHFS = whole_sif(), bare_squashfs()
FORMS = {
    "sif": (SIF[:HEAD], len(SIF)),
    "squashfs": (SQUASHFS[:4096], len(SQUASHFS)),
    "squashfs behind a line": (sif.LAUNCH + SQUASHFS[:4096], len(SQUASHFS) + 31),
}
forms = st.sampled_from(sorted(FORMS))  # by name, which a failure can print

HEADER_NUMBERS = tuple((at, 8) for at in range(64, 128, 8))
DESCRIPTOR_NUMBERS = (
    *((0, 4), (4, 1), (5, 4), (9, 4), (17, 8), (25, 8)),
    *((201, 4), (205, 4), (209, 2)),  # fstype, parttype, arch
)
SUPERBLOCK_NUMBERS = (
    *((at, 4) for at in range(4, 20, 4)),
    *((at, 2) for at in range(20, 32, 2)),
    *((at, 8) for at in range(32, 96, 8)),
)
FIELDS = (
    *HEADER_NUMBERS,
    *((DESCRIPTOR_AT + at, size) for at, size in DESCRIPTOR_NUMBERS),
    *((PARTITION_AT + at, size) for at, size in SUPERBLOCK_NUMBERS),
    *SUPERBLOCK_NUMBERS,
    *((31 + at, size) for at, size in SUPERBLOCK_NUMBERS),
)


def numbers(size: int) -> st.SearchStrategy[bytes]:
    """Integers of `size` bytes, mostly at the edges of something."""
    top = 1 << (8 * size)
    edges = (0, 1, 2, top // 2 - 1, top // 2, top - 1, *(len(SIF) + each for each in (-1, 0, 1)))
    near = st.sampled_from([edge % top for edge in edges])
    either = st.one_of(near, st.integers(0, top - 1), st.integers(0, 40000))
    return either.map(lambda number: (number % top).to_bytes(size, "little"))


overwritten = st.lists(
    st.sampled_from(FIELDS).flatmap(lambda at: st.tuples(st.just(at[0]), numbers(at[1]))),
    min_size=1,
    max_size=4,
)
flipped = st.lists(
    st.tuples(st.integers(0, HEAD - 1), st.binary(min_size=1, max_size=3)), min_size=1, max_size=8
)


@pytest.fixture(scope="module")
def file() -> Iterator[int]:
    """An anonymous file in memory."""
    descriptor = os.memfd_create("image")
    yield descriptor
    os.close(descriptor)


def opened(file: int, content: bytes, length: int) -> None:
    """Open `content`, followed by zeros up to `length`; everything but Image and Refusal fails."""
    os.ftruncate(file, 0)
    os.pwrite(file, content, 0)
    os.ftruncate(file, length)
    tracemalloc.start()
    started = time.process_time()  # a busy machine may let us wait for a second
    try:
        check_image(open_image(f"/proc/self/fd/{file}", "x86_64"), length)
    except Refusal as refusal:
        check_refusal(refusal)
    took = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 1, f"{took} s"
    assert peak < 1 << 20, f"{peak} bytes"


def check_image(image: Image, length: int) -> None:
    event(f"accepted {image.kind}")
    assert 0 <= image.offset < image.offset + image.size <= length
    assert image.compressor in squashfs.COMPRESSORS.values()


def check_refusal(refusal: Refusal) -> None:
    event(f"refused {refusal.code}")
    assert "MC0103" <= refusal.code <= "MC0117"
    assert refusal.proof
    assert refusal.fix
    lines = refusal.fix.split("\n")  # of which some remedies have two
    assert "".join((refusal.cause, refusal.proof, *lines)).isprintable()
    assert len(refusal.cause) < 500


@fuzzing
@given(content=st.binary(max_size=4096))
def test_arbitrary_bytes(file: int, content: bytes) -> None:
    opened(file, content, len(content))


@fuzzing
@given(
    start=st.sampled_from([b"hsqs", sif.LAUNCH, sif.LAUNCH + b"hsqs", SIF[:48], b"\x1f\x8b\x08"]),
    content=st.binary(max_size=4096),
)
def test_arbitrary_bytes_behind_a_known_beginning(file: int, start: bytes, content: bytes) -> None:
    opened(file, start + content, len(start) + len(content))


@fuzzing
@example(form="sif", changes=[(FSTYPE_AT, sif.FS_EXT3.to_bytes(4, "little"))])
@given(form=forms, changes=overwritten)
def test_fields_overwritten(file: int, form: str, changes: list[tuple[int, bytes]]) -> None:
    content, length = FORMS[form]
    for at, raw in changes:
        content = patched(content, at, raw) if at < len(content) else content
    opened(file, content, length)


@fuzzing
@given(form=forms, changes=flipped)
def test_bytes_overwritten_anywhere(file: int, form: str, changes: list[tuple[int, bytes]]) -> None:
    content, length = FORMS[form]
    for at, raw in changes:
        content = patched(content, at % len(content), raw)
    opened(file, content, max(length, len(content)))


@fuzzing
@given(form=forms, data=st.data())
def test_truncated_anywhere(file: int, form: str, data: st.DataObject) -> None:
    content, length = FORMS[form]
    cut = data.draw(st.one_of(st.integers(0, len(content)), st.integers(0, length)))
    opened(file, content[:cut], cut)


@fuzzing
@given(
    total=st.integers(0, 4096),
    used=st.integers(0, 2),
    kinds=st.lists(st.sampled_from([*sif.TYPES, 0, -1]), min_size=1, max_size=5),
)
def test_tables_of_any_size(file: int, total: int, used: int, kinds: list[int]) -> None:
    numbers = (0, 0, 0, total, 4096, total * sif.DESCRIPTOR.size, 0, 0)
    header = sif.HEADER.pack(sif.LAUNCH, sif.MAGIC, sif.VERSION, b"02\0", bytes(16), *numbers)
    entries = b"".join(
        kind.to_bytes(4, "little", signed=True) + bytes([used]) + bytes(580) for kind in kinds
    )
    table = (entries * (total // len(kinds) + 1))[: total * sif.DESCRIPTOR.size]
    content = header.ljust(4096, b"\0") + table
    opened(file, content, len(content))


@fuzzing
@given(path=st.text(max_size=300))
def test_arbitrary_paths(path: str) -> None:
    try:
        kind = open_image(path).kind
    except Refusal as refusal:
        kind = f"{refusal.code} {refusal.cause}"
    known = ("directory", "MC0101 ", "MC0102 ", "MC0103 ", "MC0104 ", "MC0114 ")
    assert kind.startswith(known)
    assert kind.isprintable()
