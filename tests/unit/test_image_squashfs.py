"""The squashfs superblock: every field that unsquashfs will trust is checked first."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_files import PARTITION_AT, bare_squashfs, patched, refusal_of, squashfs_with, whole_sif

from minictr.image import sif
from minictr.image.squashfs import FIELDS, SUPERBLOCK, Superblock
from minictr.refusal import Refusal

BLOCK = Superblock(*SUPERBLOCK.unpack_from(bare_squashfs())[1:])


def refused(tmp_path: Path, content: bytes) -> Refusal:
    path = tmp_path / "image.sqfs"
    path.write_bytes(content)
    return refusal_of(path)


def test_the_superblock_of_mksquashfs_is_understood() -> None:
    assert SUPERBLOCK.size == 96
    assert (BLOCK.inodes, BLOCK.block_size, BLOCK.block_log) == (326, 131072, 17)
    assert (BLOCK.s_major, BLOCK.s_minor, BLOCK.compression) == (4, 0, 1)


@pytest.mark.parametrize(
    ("field", "form", "value"),
    [
        ("inodes", "I", 0),
        ("block_size", "I", 0),
        ("block_size", "I", 2048),
        ("block_size", "I", 131073),
        ("block_size", "I", 1 << 21),
        ("block_size", "I", (1 << 32) - 1),
        ("block_log", "H", 16),
        ("block_log", "H", 65535),
        ("no_ids", "H", 0),
        ("version", "H", 0),
        ("version", "H", 300),
        ("inodes", "I", (1 << 32) - 1),
        ("root_inode", "Q", (1 << 64) - 1),
        ("root_inode", "Q", 8192),
        ("bytes_used", "Q", 0),
        ("bytes_used", "Q", 96),
        ("bytes_used", "Q", (1 << 64) - 1),
        ("id_table_start", "Q", 0),
        ("id_table_start", "Q", (1 << 64) - 1),
        ("xattr_id_table_start", "Q", 95),
        ("inode_table_start", "Q", BLOCK.bytes_used),
        ("inode_table_start", "Q", (1 << 64) - 1),
        ("inode_table_start", "Q", BLOCK.bytes_used - 1),
        ("directory_table_start", "Q", 1 << 63),
        ("directory_table_start", "Q", (1 << 64) - 1),
        ("fragment_table_start", "Q", 1),
        ("lookup_table_start", "Q", BLOCK.bytes_used),
    ],
)
def test_a_damaged_superblock_names_the_field(
    tmp_path: Path, field: str, form: str, value: int
) -> None:
    refusal = refused(tmp_path, squashfs_with(field, value, form))
    assert refusal.code == "MC0115"
    assert "of the squashfs superblock is" in refusal.cause
    at = int(refusal.proof.removeprefix("byte ").split(":")[0])
    assert at in FIELDS.values()


@pytest.mark.parametrize(
    ("raw", "version"), [(b"\4\0\1", "4.1"), (b"\3\0\1", "3.1"), (b"\5\0\0", "5.0")]
)
def test_another_version_is_no_damage(tmp_path: Path, raw: bytes, version: str) -> None:
    refusal = refused(tmp_path, patched(bare_squashfs(), 28, raw))
    assert refusal.code == "MC0117"
    assert refusal.proof == f"byte 28: version is {version}; 4.0 is expected"
    assert f"is a squashfs of version {version}, and minictr reads version 4.0" in refusal.cause
    assert refusal.fix == "Build the image again as a squashfs of version 4.0."


@pytest.mark.parametrize("value", [0, 96, BLOCK.inode_table_start])
def test_an_end_before_several_tables_is_what_is_wrong(tmp_path: Path, value: int) -> None:
    refusal = refused(tmp_path, squashfs_with("bytes_used", value, "Q"))
    assert refusal.cause.endswith(f"bytes_used of the squashfs superblock is {value}")


@pytest.mark.parametrize("field", ["xattr_id_table_start", "lookup_table_start"])
def test_a_table_that_is_absent_is_no_damage(tmp_path: Path, field: str) -> None:
    path = tmp_path / "image.sqfs"
    path.write_bytes(squashfs_with(field, (1 << 64) - 1, "Q"))
    with pytest.raises(AssertionError, match="accepted"):
        refusal_of(path)


@pytest.mark.parametrize("number", [0, 7, 65535])
def test_an_unknown_compressor_has_its_own_code(tmp_path: Path, number: int) -> None:
    refusal = refused(tmp_path, squashfs_with("compressor", number, "H"))
    assert refusal.code == "MC0116"
    assert refusal.proof.startswith(f"byte 20: {number}; known are 1 gzip, 2 lzma,")


@pytest.mark.parametrize("start", [b"", sif.LAUNCH])
@pytest.mark.parametrize("length", [4, 95, 96, 4096, BLOCK.bytes_used - 1])
def test_a_squashfs_cut_short_says_what_is_missing(
    tmp_path: Path, start: bytes, length: int
) -> None:
    refusal = refused(tmp_path, start + bare_squashfs()[:length])
    assert refusal.code == "MC0112"
    first, size = len(start), BLOCK.bytes_used if length >= 96 else 96
    reach = f"bytes {first} to {first + size - 1}"
    assert f"needs {reach}, and the file has {first + length} bytes" in refusal.cause


def test_the_padding_behind_a_squashfs_is_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "image.sqfs"
    path.write_bytes(bare_squashfs()[: BLOCK.bytes_used])
    with pytest.raises(AssertionError, match="accepted"):
        refusal_of(path)


def test_bytes_used_beyond_a_whole_partition_is_damage(tmp_path: Path) -> None:
    at = PARTITION_AT + FIELDS["bytes_used"]
    size = len(bare_squashfs())
    refusal = refused(tmp_path, patched(whole_sif(), at, (size + 1).to_bytes(8, "little")))
    assert refusal.code == "MC0115"
    assert refusal.proof == (
        f"byte {at}: bytes_used is {size + 1}; the partition takes bytes 36864 to 1138687"
    )


def test_a_partition_without_squashfs_says_so(tmp_path: Path) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), PARTITION_AT, b"HSQS"))
    assert refusal.code == "MC0115"
    assert refusal.proof == "byte 36864: magic is 'HSQS'; squashfs has 'hsqs'"
