"""The SIF parser: values out of bytes, bytes out of values, and every number bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_files import (
    DESCRIPTOR_AT,
    IMAGES,
    PARTITION_AT,
    patched,
    refusal_of,
    shared,
    sif_with,
    whole_sif,
)

from minictr.image import sif
from minictr.image.open import open_image
from minictr.image.source import open_source, read
from minictr.refusal import Refusal

FAR = (1 << 63) - 1
LENGTH = 1138688


def parsed(path: Path) -> tuple[sif.Header, list[sif.Descriptor]]:
    source = open_source(str(path))
    header = sif.read_header(source, read(source, 0, sif.HEADER.size))
    return header, list(sif.read_descriptors(source, header))


def refused(tmp_path: Path, content: bytes) -> Refusal:
    path = tmp_path / "image.sif"
    path.write_bytes(content)
    return refusal_of(path)


def test_the_sizes_are_those_of_the_format() -> None:
    assert (sif.HEADER.size, sif.DESCRIPTOR.size, sif.DATA_AT) == (128, 585, 32176)


def test_header_and_descriptors_are_read_as_values() -> None:
    header, descriptors = parsed(IMAGES / "bb-gzip.sif")
    assert (header.launch, header.version, header.arch) == (sif.LAUNCH, "01", "amd64")
    assert header.id.hex() == "1355b6340a5d40499e6128ee37c37de0"
    assert (header.dtotal, header.dfree, header.descroff, header.descrlen) == (48, 45, 4096, 28080)
    assert (header.dataoff, header.datalen) == (32176, 1106512)
    assert [sif.TYPES[each.type] for each in descriptors] == ["Deffile", "GenericJSON", "Partition"]
    assert [each.index for each in descriptors] == [0, 1, 2]
    named = descriptors[1]
    assert (named.id, named.group, named.link, named.name) == (2, 1, 0, "inspect-metadata.json")
    assert (named.offset, named.size) == (32221, 2208)
    assert sif.partition(descriptors[2]) == sif.Partition(1, 2, "amd64")


def test_packing_gives_the_bytes_that_were_read() -> None:
    corpus = [IMAGES / "bb-gzip.sif", IMAGES / "nopart.sif"]
    folder = shared()
    corpus += (folder / "sifs/sif-repo-images").glob("*.sif") if folder else []
    for path in corpus:
        image = path.read_bytes()
        header, descriptors = parsed(path)
        assert sif.pack_header(header) == image[:128], path
        for each in descriptors:
            at = header.descroff + each.index * sif.DESCRIPTOR.size
            assert sif.pack_descriptor(each) == image[at : at + 585], path


def test_a_name_that_is_not_text_survives() -> None:
    raw = patched(whole_sif(), DESCRIPTOR_AT + 73, b"\xff\xfe")[DESCRIPTOR_AT : DESCRIPTOR_AT + 585]
    packed = sif.pack_descriptor(sif._descriptor(raw, 0))
    assert packed == raw


@pytest.mark.parametrize(
    ("field", "value", "proof"),
    [
        ("dtotal", -1, "byte 88: dtotal is -1; this reader takes 0 to 4096"),
        ("dtotal", FAR, f"byte 88: dtotal is {FAR};"),
        ("dtotal", 49, "byte 104: descrlen is 28080; dtotal 49 times 585 is 28665"),
        ("descroff", -1, "byte 96: descroff is -1; the header ends at byte 128"),
        ("descroff", 127, "byte 96: descroff is 127;"),
        ("descroff", FAR, f"byte 96: descroff is {FAR}; the table takes bytes {FAR} to"),
        (
            "descroff",
            LENGTH - 1,
            "byte 96: descroff and descrlen are 1138687 and 28080; the table takes bytes",
        ),
        ("descroff", 4097, "byte 96: descroff is 4097; what stands there has types that no object"),
        ("descrlen", -1, "byte 104: descrlen is -1; dtotal 48 times 585 is 28080"),
        ("descrlen", 28079, "byte 104: descrlen is 28079;"),
        ("descrlen", FAR, f"byte 104: descrlen is {FAR}; the table takes bytes 4096 to"),
    ],
)
def test_a_header_with_a_wrong_number_names_the_field(
    tmp_path: Path, field: str, value: int, proof: str
) -> None:
    refusal = refused(tmp_path, sif_with({field: value}))
    assert refusal.code == "MC0113"
    assert refusal.proof.startswith(proof)
    assert " of the SIF header " in refusal.cause


@pytest.mark.parametrize(
    ("field", "value", "byte"),
    [
        ("offset", -1, 17),
        ("offset", 0, 17),
        ("offset", 127, 17),
        ("offset", 4096, 17),
        ("offset", 32175, 17),
        ("offset", LENGTH, 17),
        ("offset", FAR, 17),
        ("offset", LENGTH - 1, 17),
        ("offset", PARTITION_AT + 1, 17),
        ("size", 0, 25),
        ("size", -1, 25),
        ("size", -FAR - 1, 25),
        ("size", 1101825, 17),
        ("size", FAR, 25),
    ],
)
def test_a_partition_that_cannot_lie_there_names_the_field(
    tmp_path: Path, field: str, value: int, byte: int
) -> None:
    refusal = refused(tmp_path, sif_with(None, **{field: value}))
    assert refusal.code == "MC0113"
    assert refusal.proof.startswith(f"byte {DESCRIPTOR_AT + byte}: ")
    assert " of the SIF descriptor 3 " in refusal.cause


def test_of_two_numbers_that_lead_too_far_together_neither_is_blamed_alone(tmp_path: Path) -> None:
    refusal = refused(tmp_path, sif_with(None, offset=PARTITION_AT + 1))
    assert "offset and size of the SIF descriptor 3 are 36865 and 1101824" in refusal.cause


def test_another_version_is_no_damage(tmp_path: Path) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), 42, b"02"))
    assert refusal.code == "MC0117"
    assert "is a SIF of version 02, and minictr reads version 01" in refusal.cause


def test_a_table_over_the_partition_is_refused(tmp_path: Path) -> None:
    refusal = refused(tmp_path, sif_with({"descrlen": PARTITION_AT}))
    assert refusal.code == "MC0113"
    assert refusal.proof.endswith("header and table end at byte 40960")


@pytest.mark.parametrize(
    ("at", "raw", "field"),
    [(41, b"\1", "magic"), (32, b"T", "magic"), (42, b"00", "version"), (44, b"x", "version")],
)
def test_magic_and_version_are_exact(tmp_path: Path, at: int, raw: bytes, field: str) -> None:
    refusal = refused(tmp_path, patched(whole_sif(), at, raw))
    assert refusal.code == "MC0113"
    assert f"{field} of the SIF header is '" in refusal.cause


@pytest.mark.parametrize(
    ("length", "what", "reach"),
    [
        (32, "the SIF header", "bytes 0 to 127"),
        (41, "the SIF header", "bytes 0 to 127"),
        (127, "the SIF header", "bytes 0 to 127"),
        (128, "the SIF descriptor table", "bytes 4096 to 32175"),
        (4096, "the SIF descriptor table", "bytes 4096 to 32175"),
        (32175, "the SIF descriptor table", "bytes 4096 to 32175"),
        (32176, "partition 3 (id 3)", "bytes 36864 to 1138687"),
        (36864, "partition 3 (id 3)", "bytes 36864 to 1138687"),
        (36960, "partition 3 (id 3)", "bytes 36864 to 1138687"),
        (LENGTH - 1, "partition 3 (id 3)", "bytes 36864 to 1138687"),
    ],
)
def test_a_sif_cut_short_says_what_is_missing(
    tmp_path: Path, length: int, what: str, reach: str
) -> None:
    refusal = refused(tmp_path, whole_sif()[:length])
    assert refusal.code == "MC0112"
    assert refusal.cause.endswith(
        f"is truncated: {what} needs {reach}, and the file has {length} bytes"
    )


def test_a_table_of_the_largest_size_is_read(tmp_path: Path) -> None:
    image = whole_sif()
    table = bytes(585 * 4095) + image[DESCRIPTOR_AT : DESCRIPTOR_AT + 585]
    changes = {"dtotal": 4096, "descroff": LENGTH, "descrlen": len(table)}
    path = tmp_path / "image.sif"
    path.write_bytes(sif_with(changes) + table)
    assert open_image(str(path), "x86_64").offset == PARTITION_AT


def test_a_table_full_of_other_objects_is_refused_soon(tmp_path: Path) -> None:
    table = whole_sif()[sif.DESCRIPTORS_AT : sif.DESCRIPTORS_AT + 585] * 4096
    changes = {"dtotal": 4096, "descroff": LENGTH, "descrlen": len(table)}
    refusal = refused(tmp_path, sif_with(changes) + table)
    assert refusal.code == "MC0111"
    assert len(refusal.cause) < 300


def test_architectures_have_one_code_each() -> None:
    for code, name in sif.ARCHITECTURES.items():
        assert sif.arch_code(name) == code + b"\0"


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "image.sif"
    path.write_bytes(whole_sif()[:4096])
    source = open_source(str(path))
    path.write_bytes(b"short")
    with pytest.raises(Refusal) as caught:
        read(source, 0, 4096)
    assert caught.value.code == "MC0112"
    assert caught.value.proof == "end of file at byte 5, 4096 bytes when opened"
