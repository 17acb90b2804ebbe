"""open_image: which images are accepted, and what it reads to decide."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from image_files import (
    ARCH_AT,
    IMAGES,
    PARTITION_AT,
    bare_squashfs,
    patched,
    refusal_of,
    shared,
    squashfs_with,
    whole_sif,
)
from skipping import require

from minictr.image import sif
from minictr.image.open import Image, architecture_of, open_image
from minictr.image.source import open_source
from minictr.refusal import Refusal

# (kind, architecture, offset, size, compressor, inodes)
GOOD = {
    "bare.sqfs": ("squashfs", "", 0, 1097728, "gzip", 301),
    "bash.sif": ("sif", "amd64", 36864, 2895872, "gzip", 338),
    "bb-gzip.sif": ("sif", "amd64", 36864, 1101824, "gzip", 326),
    "bb-lz4.sif": ("sif", "amd64", 36864, 1495040, "lz4", 326),
    "bb-lzo.sif": ("sif", "amd64", 36864, 1179648, "lzo", 326),
    "bb-xz.sif": ("sif", "amd64", 36864, 983040, "xz", 326),
    "bb-zstd.sif": ("sif", "amd64", 36864, 1044480, "zstd", 326),
    "docker.sif": ("sif", "amd64", 40960, 1101824, "gzip", 327),
    "full-gzip.sif": ("sif", "amd64", 36864, 1101824, "gzip", 353),
    "legacy2x.simg": ("squashfs", "", 31, 1097728, "gzip", 301),
    "noext": ("sif", "amd64", 36864, 1101824, "gzip", 326),
    "oci.sif": ("sif", "amd64", 36864, 2895872, "gzip", 338),
    "signed-pem.sif": ("sif", "amd64", 36864, 1101824, "gzip", 353),
    "signed.sif": ("sif", "amd64", 36864, 1101824, "gzip", 353),
    "tampered.sif": ("sif", "amd64", 36864, 1101824, "gzip", 353),
    "wrongarch-hdronly.sif": ("sif", "amd64", 36864, 1101824, "gzip", 326),
    "sif-repo-images": ("directory", "", 0, 0, "", 0),
    "sif-repo-images/one-group.sif": ("sif", "386", 36864, 4096, "gzip", 2),
    "sif-repo-images/one-group-signed-dsse.sif": ("sif", "386", 36864, 4096, "gzip", 2),
    "sif-repo-images/one-group-signed-pgp.sif": ("sif", "386", 36864, 4096, "gzip", 2),
    "sif-repo-images/two-groups.sif": ("sif", "386", 36864, 4096, "gzip", 2),
    "sif-repo-images/two-groups-signed-dsse.sif": ("sif", "386", 36864, 4096, "gzip", 2),
    "sif-repo-images/two-groups-signed-pgp.sif": ("sif", "386", 36864, 4096, "gzip", 2),
}
SMALL = "has 4 bytes, fewer than a superblock"
# (code, words of the sentence or its proof)
BAD = {
    "README.md": ("MC0114", "is text"),
    "sifdump.py": ("MC0114", "is a script"),
    "signpub.pem": ("MC0114", "-----BEGIN PUBLI"),
    "empty.sif": ("MC0104", "st_size is 0"),
    "encrypted-pass.sif": ("MC0108", "byte 5467: fstype"),
    "garbage.sif": ("MC0114", "0b 94 e5 59"),
    "hdr-only.sif": ("MC0112", "bytes 4096 to 32175, and the file has 1000 bytes"),
    "nopart.sif": ("MC0111", "bytes 4096 to 32175: 48 descriptors, 0 used"),
    "truncated.sif": ("MC0112", "bytes 36864 to 1138687, and the file has 600000 bytes"),
    "wrongarch.sif": ("MC0110", "byte 5475: arch of the primary partition is arm64"),
    "sif-repo-images/empty-id.sif": ("MC0111", "holds no object"),
    "sif-repo-images/empty-launch-script.sif": ("MC0111", "holds no object"),
    "sif-repo-images/empty.sif": ("MC0111", "holds no object"),
    "sif-repo-images/one-object-crypt-message.sif": ("MC0111", "holds CryptoMessage"),
    "sif-repo-images/one-object-generic-json.sif": ("MC0111", "holds GenericJSON"),
    "sif-repo-images/one-object-sbom.sif": ("MC0111", "holds SBOM"),
    "sif-repo-images/one-object-time.sif": ("MC0111", "holds GenericJSON"),
    "sif-repo-images/one-object-oci-blob.sif": ("MC0109", "1 used: OCIBlob"),
    "sif-repo-images/one-object-oci-root-index.sif": ("MC0109", "1 used: OCIRootIndex"),
    "sif-repo-images/one-group-signed-legacy.sif": ("MC0115", SMALL),
    "sif-repo-images/one-group-signed-legacy-all.sif": ("MC0115", SMALL),
    "sif-repo-images/one-group-signed-legacy-group.sif": ("MC0115", SMALL),
    "sif-repo-images/two-groups-signed-legacy.sif": ("MC0115", SMALL),
    "sif-repo-images/two-groups-signed-legacy-all.sif": ("MC0115", SMALL),
    "sif-repo-images/two-groups-signed-legacy-group.sif": ("MC0115", SMALL),
}


def found(path: Path, machine: str = "x86_64") -> tuple[str | int, ...]:
    image = open_image(str(path), machine)
    assert image.path == str(path)
    status = path.stat()
    assert image.identity == (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    place = (image.offset, image.size)
    return (image.kind, image.architecture, *place, image.compressor, image.inodes)


def corpus(folder: Path) -> list[str]:
    files = (each for each in folder.rglob("*") if each.is_file())
    return [str(each.relative_to(folder)) for each in files]


@pytest.mark.parametrize("name", ["bb-gzip.sif", "bb-xz.sif", "bb-zstd.sif"])
def test_a_sif_is_found_with_its_partition(name: str) -> None:
    assert found(IMAGES / name) == GOOD[name]


@pytest.mark.parametrize("name", ["empty.sif", "garbage.sif", "hdr-only.sif", "nopart.sif"])
def test_a_bad_file_is_refused_with_its_own_sentence(name: str) -> None:
    refusal = refusal_of(IMAGES / name)
    assert refusal.code == BAD[name][0]
    assert BAD[name][1] in f"{refusal.cause}\n{refusal.proof}"


def test_every_file_of_the_shared_corpus_gives_what_its_table_says() -> None:
    folder = shared()
    require(folder, "SHARED", "the corpus of SIF images is not here: set MINICTR_SHARED")
    assert folder
    names = corpus(folder / "sifs")
    assert len(names) >= 45
    for name in names:
        path = folder / "sifs" / name
        if name in GOOD:
            assert found(path) == GOOD[name], name
            continue
        refusal = refusal_of(path)
        assert refusal.code == BAD[name][0], name
        assert BAD[name][1] in f"{refusal.cause}\n{refusal.proof}", name


def test_a_bare_squashfs_is_found_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "image.txt"
    path.write_bytes(bare_squashfs())
    assert found(path) == ("squashfs", "", 0, 1101824, "gzip", 326)


def test_the_form_of_2x_is_found_behind_its_launch_line(tmp_path: Path) -> None:
    path = tmp_path / "image.simg"
    path.write_bytes(sif.LAUNCH + bare_squashfs())
    assert found(path) == ("squashfs", "", 31, 1101824, "gzip", 326)


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "gzip"), (2, "lzma"), (3, "lzo"), (4, "xz"), (5, "lz4"), (6, "zstd")],
)
def test_every_compressor_is_named(tmp_path: Path, number: int, name: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(squashfs_with("compressor", number, "H"))
    assert open_image(str(path)).compressor == name


def test_a_directory_is_accepted_whatever_it_contains(tmp_path: Path) -> None:
    assert found(tmp_path) == ("directory", "", 0, 0, "", 0)


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(IMAGES / "bb-gzip.sif")
    assert open_image(str(link), "x86_64").size == 1101824


@pytest.mark.parametrize(
    ("machine", "code", "refused"),
    [
        ("x86_64", b"02\0", False),
        ("x86_64", b"01\0", False),
        ("aarch64", b"04\0", False),
        ("aarch64", b"03\0", False),
        ("armv7l", b"03\0", False),
        ("riscv64", b"12\0", False),
        ("loongarch64", b"13\0", False),
        ("x86_64", b"00\0", False),
        ("x86_64", b"\0\0\0", False),
        ("i686", b"02\0", True),
        ("armv7l", b"04\0", True),
        ("s390x", b"05\0", True),
    ],
)
def test_the_partition_decides_on_the_architecture(
    tmp_path: Path, machine: str, code: bytes, refused: bool
) -> None:
    path = tmp_path / "image.sif"
    path.write_bytes(patched(whole_sif(), ARCH_AT, code))
    name = sif.ARCHITECTURES.get(code[:2], "")
    if not refused:
        assert open_image(str(path), machine).architecture == name
        return
    refusal = refusal_of(path, machine)
    assert refusal.code == "MC0110"
    here = architecture_of(machine)
    assert refusal.cause == f"{path} is an image for {name}, and this machine is {here}"


def test_the_architecture_of_the_header_is_not_consulted(tmp_path: Path) -> None:
    path = tmp_path / "image.sif"
    path.write_bytes(patched(whole_sif(), 45, b"04\0"))
    assert open_image(str(path), "x86_64").architecture == "amd64"


def test_the_first_primary_partition_of_any_group_is_taken(tmp_path: Path) -> None:
    image = whole_sif()
    first = sif.DESCRIPTORS_AT
    primary = image[first + 2 * 585 : first + 3 * 585]
    moved = patched(image, first, primary[:9] + b"\x07\0\0\xf0" + primary[13:])  # group 7
    moved = patched(moved, first + 2 * 585 + sif.DESCRIPTOR_FIELDS["offset"], bytes(8))
    path = tmp_path / "image.sif"
    path.write_bytes(moved)
    assert open_image(str(path), "x86_64").offset == PARTITION_AT


def test_a_huge_image_is_decided_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "huge.sif"
    path.write_bytes(sif_of_size(1 << 40))
    os.truncate(path, PARTITION_AT + (1 << 40))
    before, started = bytes_read(), time.monotonic()
    image = open_image(str(path), "x86_64")
    assert time.monotonic() - started < 0.5
    assert bytes_read() - before < 32768
    assert image.size == 1 << 40


def sif_of_size(size: int) -> bytes:
    image = whole_sif()[: PARTITION_AT + 4096]
    at = sif.DESCRIPTORS_AT + 2 * 585 + sif.DESCRIPTOR_FIELDS["size"]
    return patched(image, at, size.to_bytes(8, "little"))


def bytes_read() -> int:
    """What read(2) and its like have given this process; proc_pid_io(5), less this reading."""
    lines = Path("/proc/self/io").read_text()
    return int(lines.split("rchar: ")[1].split("\n")[0])


def test_no_descriptor_stays_open() -> None:
    before = os.listdir("/proc/self/fd")
    open_image(str(IMAGES / "bb-gzip.sif"), "x86_64")
    refusal_of(IMAGES / "hdr-only.sif")
    assert os.listdir("/proc/self/fd") == before


def test_a_file_replaced_by_a_fifo_does_not_block(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(Refusal) as caught:
        open_source(str(fifo))  # as if look() had seen a regular file
    assert caught.value.code == "MC0103"
    assert "was replaced by a FIFO while it was opened" in caught.value.cause


def test_a_path_that_changes_all_the_time_gives_an_image_or_a_refusal(tmp_path: Path) -> None:
    path, stop = tmp_path / "image", threading.Event()

    def replace() -> None:
        while not stop.is_set():
            os.mkfifo(tmp_path / "fifo")
            os.replace(tmp_path / "fifo", path)
            (tmp_path / "file").write_bytes(bare_squashfs()[:4096])
            os.replace(tmp_path / "file", path)

    os.mkfifo(path)
    thread = threading.Thread(target=replace)
    thread.start()
    try:
        codes = {outcome(path) for _ in range(300)}
    finally:
        stop.set()
        thread.join()
    assert codes <= {"MC0103", "MC0112"}
    assert codes


def outcome(path: Path) -> str:
    try:
        image: Image = open_image(str(path))
    except Refusal as refusal:
        return refusal.code
    return image.kind
