"""Files that are no image: each has its code, its sentence, its proof and its way on."""

from __future__ import annotations

import gzip
import io
import os
import socket
import string
import subprocess
import tarfile
from pathlib import Path

import pytest
from image_files import (
    FSTYPE_AT,
    IMAGES,
    PARTTYPE_AT,
    bare_squashfs,
    patched,
    refusal_of,
    whole_sif,
)
from skipping import require_program

from minictr.image import sif
from minictr.image.refusals import REFUSALS, printable, quoted, span
from minictr.refusal import Refusal


def refused(tmp_path: Path, content: bytes) -> Refusal:
    path = tmp_path / "image.sif"
    path.write_bytes(content)
    return refusal_of(path)


def tar(*names: str, form: int = tarfile.USTAR_FORMAT, size: int = 600) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    return packed.getvalue()


def ext(features: int = 4, incompatible: int = 2) -> bytes:
    """The first bytes of an ext file system, as linux fs/ext4/ext4.h lays them out."""
    image = bytearray(4096)
    image[1024:1028] = (1000).to_bytes(4, "little")  # s_inodes_count
    image[1080:1082] = b"\x53\xef"
    image[1100:1104] = (1).to_bytes(4, "little")  # s_rev_level
    image[1116:1120] = features.to_bytes(4, "little")
    image[1120:1124] = incompatible.to_bytes(4, "little")
    return bytes(image)


def test_an_empty_file(tmp_path: Path) -> None:
    refusal = refused(tmp_path, b"")
    assert refusal.code == "MC0104"
    assert refusal.cause == f"{tmp_path}/image.sif is an empty file"


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html>\n<html><head><title>404</title>",
        b"\xef\xbb\xbf  \n<HTML>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html xmlns="x">',
    ],
)
def test_an_html_page(tmp_path: Path, page: bytes) -> None:
    refusal = refused(tmp_path, page)
    assert refusal.code == "MC0105"
    assert "HTML page, which a web server sent in place of the image" in refusal.cause
    assert "it begins with '" in refusal.proof


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_docker_archive_shows_its_manifest(tmp_path: Path, form: int) -> None:
    content = tar("layer.tar", "manifest.json", "repositories", form=form)
    refusal = refused(tmp_path, content)
    assert refusal.code == "MC0106"
    assert refusal.proof == "bytes 1536 to 2047: tar member manifest.json"
    assert f"docker-archive:{tmp_path}/image.sif" in refusal.fix


def test_an_oci_archive_shows_its_layout(tmp_path: Path) -> None:
    refusal = refused(tmp_path, tar("./blobs/sha256/00", "./oci-layout", "./index.json"))
    assert refusal.code == "MC0106"
    assert "is an OCI archive" in refusal.cause
    assert refusal.proof == "bytes 1536 to 2047: tar member oci-layout"


def test_a_tar_with_both_markers_is_a_docker_archive(tmp_path: Path) -> None:
    refusal = refused(tmp_path, tar("oci-layout", "manifest.json"))
    assert "docker-archive" in refusal.cause


def test_a_plain_tar_can_be_unpacked_and_run(tmp_path: Path) -> None:
    refusal = refused(tmp_path, tar("bin/sh", "etc/passwd"))
    assert refusal.code == "MC0106"
    assert refusal.cause.endswith("is a tar file")
    assert "tar -xf" in refusal.fix


def test_a_tar_whose_size_field_leads_nowhere_is_still_a_tar(tmp_path: Path) -> None:
    content = tar("bin/sh", "manifest.json")
    for field in (b"\xff" * 12, b"77777777777\0", b"8888888888 \0", b"\x80" + b"\xff" * 11):
        refusal = refused(tmp_path, patched(content, 124, field))
        assert (refusal.code, refusal.cause[-13:]) == ("MC0106", "is a tar file")


@pytest.mark.parametrize("start", [b"", sif.LAUNCH])
@pytest.mark.parametrize(
    ("features", "incompatible", "name"), [(0, 2, "ext2"), (4, 2, "ext3"), (4, 0x42, "ext4")]
)
def test_an_ext_file_system(
    tmp_path: Path, start: bytes, features: int, incompatible: int, name: str
) -> None:
    refusal = refused(tmp_path, start + ext(features, incompatible))
    assert refusal.code == "MC0107"
    assert f"holds an {name} root file system" in refusal.cause
    assert refusal.proof.startswith(f"bytes {1080 + len(start)} and {1081 + len(start)}: 53 ef")


def shell(place: Path, command: str, path: str) -> None:
    environment = {"PATH": path}
    subprocess.run(command, shell=True, cwd=place, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("start", [b"", sif.LAUNCH])
def test_the_fix_for_an_ext_file_system_copies_its_tree(tmp_path: Path, start: bytes) -> None:
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for program in ("mke2fs", "debugfs"):
        require_program(program, "EXT", "e2fsprogs")
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/etc/motd").write_text("hello\n")
    shell(tmp_path, "mke2fs -q -t ext3 -d tree made 2m", path)
    image = tmp_path / "an image"
    image.write_bytes(start + (tmp_path / "made").read_bytes())
    refusal = refusal_of(image)
    assert refusal.code == "MC0107"
    shell(tmp_path, refusal.fix.splitlines()[0], path)
    assert (tmp_path / "root/etc/motd").read_text() == "hello\n"


def test_an_ext3_partition(tmp_path: Path) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), FSTYPE_AT, b"\x02"))
    assert refusal.code == "MC0107"
    assert refusal.proof == (
        f"byte {FSTYPE_AT}: fstype of the primary partition (bytes 36864 to 1138687) is 2"
    )
    assert refusal.fix.splitlines()[0].endswith("'?offset=36864'")


@pytest.mark.parametrize(("fstype", "name"), [(5, "LUKS2"), (6, "gocryptfs")])
def test_an_encrypted_partition(tmp_path: Path, fstype: int, name: str) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), FSTYPE_AT, bytes([fstype])))
    assert refusal.code == "MC0108"
    assert refusal.cause.endswith(f"is encrypted ({name}-encrypted squashfs)")


@pytest.mark.parametrize(
    ("fstype", "name"), [(3, "archive"), (4, "raw"), (0, "0"), (99, "99"), (-1, "-1")]
)
def test_a_partition_of_a_kind_that_cannot_be_used(tmp_path: Path, fstype: int, name: str) -> None:
    raw = fstype.to_bytes(4, "little", signed=True)
    refusal = refused(tmp_path, patched(whole_sif(), FSTYPE_AT, raw))
    assert refusal.code == "MC0117"
    assert f"primary partition of type {name}," in refusal.cause


def test_an_oci_sif(tmp_path: Path) -> None:
    image = bytearray(whole_sif())
    for index, kind in enumerate((sif.OCI_ROOT_INDEX, sif.OCI_BLOB, sif.OCI_BLOB)):
        at = sif.DESCRIPTORS_AT + index * sif.DESCRIPTOR.size
        image[at : at + 4] = kind.to_bytes(4, "little")
    refusal = refused(tmp_path, bytes(image))
    assert refusal.code == "MC0109"
    assert refusal.proof == (
        "bytes 4096 to 32175: 48 descriptors, 3 used: OCIRootIndex, OCIBlob, OCIBlob"
    )


def test_a_sif_whose_partition_is_not_primary(tmp_path: Path) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), PARTTYPE_AT, b"\x01"))
    assert refusal.code == "MC0111"
    assert refusal.cause.endswith("it holds Deffile, GenericJSON, Partition")


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(60), "an ELF program"),
        (b"#!/bin/sh\necho hello\n", "a script"),
        (b"#!/usr/bin/env run-s", "a script"),
        (b"BZh91AY&SY" + bytes(60), "a bzip2 file"),
        (b"\xfd7zXZ\0\0\4" + bytes(60), "an xz file"),
        (b"\x28\xb5\x2f\xfd" + bytes(60), "a zstd file"),
        (b"PK\x03\x04" + bytes(60), "a zip file"),
        (b"sqsh" + bytes(100), "a big-endian squashfs, older than 4.0"),
        (b"Bootstrap: docker\nFrom: alpine\n", "a definition file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x1f\x8b" + bytes(60), "a gzip file"),
        (gzip.compress(bare_squashfs(), mtime=0), "a gzip file with a squashfs inside"),
        (gzip.compress(whole_sif(), mtime=0), "a gzip file with a SIF inside"),
        (gzip.compress(tar("manifest.json"), mtime=0), "a gzip file with a tar file inside"),
        (gzip.compress(b"text", mtime=0), "a gzip file"),
        (bytes(5000), "zeros, as an unfinished download leaves them"),
        (b"<Error>AccessDenied</Error>", "text"),
        (("x" * 2047 + "é").encode(), "text"),
        (b"\x80\x81\x82", "of no known form"),
    ],
)
def test_anything_else_says_what_it_looks_like(tmp_path: Path, content: bytes, look: str) -> None:
    refusal = refused(tmp_path, content)
    assert refusal.code == "MC0114"
    assert refusal.cause == f"{tmp_path}/image.sif is not an image: it is {look}"
    first = content[:16]
    assert refusal.proof.startswith(f"bytes 0 to {len(first) - 1}: {first.hex(' ')} (")


@pytest.mark.parametrize(("at", "raw"), [(32, b"XXX"), (41, b"Z")])
def test_a_sif_whose_magic_is_damaged_is_still_told(tmp_path: Path, at: int, raw: bytes) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), at, raw))
    assert refusal.code == "MC0113"
    assert refusal.proof.startswith("byte 32: magic is '")


def test_a_launch_line_with_something_else_behind_it(tmp_path: Path) -> None:
    refusal = refused(tmp_path, sif.LAUNCH + b"nonsense" * 100)
    assert refusal.code == "MC0115"
    assert refusal.proof == "byte 31, after the launch line: 'nons'; squashfs has 'hsqs'"


@pytest.mark.parametrize("extra", [b"", b"hs", b"hsq"])
def test_a_launch_line_with_nothing_behind_it(tmp_path: Path, extra: bytes) -> None:
    refusal = refused(tmp_path, sif.LAUNCH + extra)
    assert refusal.code == "MC0112"
    assert f"the file has {31 + len(extra)} bytes" in refusal.cause


def test_a_fifo_a_socket_and_a_device_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path / "fifo", "FIFO"),
            (tmp_path / "socket", "socket"),
            ("/dev/null", "character device"),
        ):
            refusal = refusal_of(path)
            assert refusal.code == "MC0103"
            assert refusal.cause == f"{path} is a {kind}, not a file or a directory"


def test_every_sentence_states_and_every_code_belongs_to_images() -> None:
    on_the_way = ("MC0427", "MC0429")  # a FUSE mount, which stops a bind as well
    for key, (code, cause, fix) in REFUSALS.items():
        assert code in ("MC0000", *on_the_way) or "MC0101" <= code <= "MC0117", key
        named = {name for _, name, _, _ in string.Formatter().parse(cause) if name}
        assert "path" in named, key
        doubts = ("maybe", "probably", "please", "did you mean", " may ", "might")
        assert not any(doubt in f"{cause} {fix}".lower() for doubt in doubts), key


def test_a_name_with_control_bytes_cannot_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred\n"
    path.write_bytes(b"")
    refusal = refusal_of(path)
    assert (refusal.cause + refusal.proof + refusal.fix).isprintable()


def test_a_shell_reads_a_quoted_name_as_the_name() -> None:
    for name in ("plain", "two words", "it's", "\x1b[m\n", "caf\xe9", "\udcff"):
        command = ["bash", "-c", f"printf %s {quoted(name)}"]
        assert subprocess.check_output(command) == os.fsencode(name)


def test_a_span_names_both_ends() -> None:
    assert span(10, 5) == "bytes 10 to 14"
    assert span(10, 0) == "byte 10 (size 0)"
    assert printable("") == "''"
    assert (IMAGES / "README.md").exists()
