"""The images of tests/data/images, and the forms that are made out of them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from minictr.image import sif, squashfs
from minictr.image.open import open_image
from minictr.refusal import Refusal

IMAGES = Path(__file__).parent / "data" / "images"
PARTITION_AT = 36864
DESCRIPTOR_AT = sif.DESCRIPTORS_AT + 2 * sif.DESCRIPTOR.size  # of the primary partition
EXTRA_AT = DESCRIPTOR_AT + sif.DESCRIPTOR_FIELDS["extra"]
FSTYPE_AT, PARTTYPE_AT, ARCH_AT = EXTRA_AT, EXTRA_AT + 4, EXTRA_AT + 8


def shared() -> Path | None:
    """The folder with the larger corpus: $MINICTR_SHARED, else `shared` beside the repository."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MINICTR_SHARED", beside))
    return folder if (folder / "sifs").is_dir() else None


def whole_sif(name: str = "bb-gzip.sif") -> bytes:
    """A good SIF for amd64."""
    return (IMAGES / name).read_bytes()


def bare_squashfs(name: str = "bb-gzip.sif") -> bytes:
    """The file system of a good SIF alone."""
    return whole_sif(name)[PARTITION_AT:]


def patched(image: bytes, at: int, raw: bytes) -> bytes:
    """`image` with some bytes overwritten."""
    return image[:at] + raw + image[at + len(raw) :]


def sif_with(header: dict[str, int] | None = None, **descriptor: int) -> bytes:
    """The good SIF with fields of its header, or of its partition's descriptor, overwritten."""
    image = whole_sif()
    found = sif.HEADER.unpack_from(image)
    fields = dict(zip(sif.Header.fields[4:], found[5:], strict=True)) | (header or {})
    image = patched(image, 0, sif.HEADER.pack(*found[:5], *fields.values()))
    names = [name for name in sif.Descriptor.fields if name != "index"]
    values = dict(zip(names, sif.DESCRIPTOR.unpack_from(image, DESCRIPTOR_AT), strict=True))
    return patched(image, DESCRIPTOR_AT, sif.DESCRIPTOR.pack(*(values | descriptor).values()))


def squashfs_with(field: str, value: int, form: str) -> bytes:
    """The bare squashfs with a field of its superblock overwritten; form as in struct."""
    return patched(bare_squashfs(), squashfs.FIELDS[field], struct.pack("<" + form, value))


def refusal_of(path: Path | str, machine: str = "x86_64") -> Refusal:
    """How open_image refuses `path`; an AssertionError when it does not."""
    try:
        image = open_image(str(path), machine)
    except Refusal as refusal:
        return refusal
    raise AssertionError(f"accepted: {image}")
