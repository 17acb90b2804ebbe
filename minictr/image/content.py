"""What a file is that is not an image: the facts in its first bytes, and the way to an image."""

from __future__ import annotations

import zlib

from minictr.image.archive import refuse_tar
from minictr.image.refusals import offset_option, quoted, refuse, sample
from minictr.image.source import Source
from minictr.refusal import Refusal

WINDOW = 2048  # apptainer decides by as many bytes
LAUNCH_END = b" run-singularity\n"

# (first bytes, what it is, what to do with it)
FORMS = (
    (b"\x7fELF", "an ELF program", "Give the image first, then the program."),
    (b"\xfd7zXZ\0", "an xz file", "Decompress it: `xz -dk {quoted}`."),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Decompress it: `zstd -d {quoted}`."),
    (b"BZh", "a bzip2 file", "Decompress it: `bzip2 -dk {quoted}`."),
    (b"PK\x03\x04", "a zip file", "Unpack it: `unzip {quoted}`."),
    (b"sqsh", "a big-endian squashfs, older than 4.0", "Build the image again."),
    (b"LUKS\xba\xbe", "a LUKS container", "Use an image that is not encrypted."),
    (b"QFI\xfb", "a qcow2 disk of a virtual machine", "Give a container image."),
    (b"\xed\xab\xee\xdb", "an RPM package", "Give a container image."),
    (b"!<arch>\n", "an ar archive or a Debian package", "Give a container image."),
    (b"%PDF", "a PDF document", "Give a container image."),
    (b"\x89PNG", "a PNG picture", "Give a container image."),
    (b"version https://git-lfs", "a Git LFS pointer", "Fetch the image: `git lfs pull`."),
    (b"Bootstrap:", "a definition file", "Build it: `apptainer build image.sif {quoted}`."),
    (b"#!", "a script", "Give the image first, then the script."),
    (b"<?xml", "an XML document", "Download the image again; `head {quoted}` shows the answer."),
)
UNKNOWN = "Check what it is: `file {quoted}`."


def launch_end(start: bytes) -> int:
    """Where the launch line of an image of the 2.x form ends; 0 where there is none."""
    end = start.find(b"\n") + 1
    return end if start.startswith(b"#!") and start[:end].endswith(LAUNCH_END) else 0


def recognise(source: Source, start: bytes) -> Refusal:
    """The refusal for a file which begins with `start` and is no SIF, squashfs or directory."""
    after = launch_end(start)
    for offset in {0, after}:
        if _is_ext(start[offset:]):
            proof = f"bytes {offset + 1080} and {offset + 1081}: 53 ef, the magic number of ext"
            return refuse(
                "ext", source.path, proof, form=_ext(start[offset:]), at=offset_option(offset)
            )
    if after:
        return _launched(source, start, after)
    if _is_html(start):
        return refuse("html", source.path, f"it begins with {sample(start.lstrip(), 60)}")
    if start[257:262] == b"ustar":
        return refuse_tar(source)
    look, advice = _form(start)
    advice = advice.format(quoted=quoted(source.path))
    proof = f"bytes 0 to {len(start[:16]) - 1}: {start[:16].hex(' ')} ({sample(start)})"
    return refuse("not an image", source.path, proof, look=look, advice=advice)


def _form(start: bytes) -> tuple[str, str]:
    """What the first bytes say, and what to do."""
    if start.startswith(b"\x1f\x8b"):
        return f"a gzip file{_inside(start)}", "Decompress it: `gzip -dk {quoted}`."
    for first, look, advice in FORMS:
        if start.startswith(first):
            return look, advice
    if not start.strip(b"\0"):
        return "zeros, as an unfinished download leaves them", "Download the image again."
    if _is_text(start):
        return "text", UNKNOWN
    return "of no known form", UNKNOWN


def _launched(source: Source, start: bytes, offset: int) -> Refusal:
    """A launch line with something else than squashfs behind it."""
    found = start[offset : offset + 4]
    if len(found) < 4:
        words = {"what": "the squashfs after the launch line", "span": f"bytes {offset} and more"}
        proof = f"the launch line ends at byte {offset - 1}"
        return refuse("truncated", source.path, proof, length=source.length, **words)
    proof = f"byte {offset}, after the launch line: {sample(found)}; squashfs has 'hsqs'"
    return refuse("superblock", source.path, proof, field="magic", value=sample(found))


def _inside(start: bytes) -> str:
    """What a gzip file holds, as far as its first bytes tell."""
    try:
        first = zlib.decompressobj(31).decompress(start, 512)
    except zlib.error:
        return ""
    if first[257:262] == b"ustar":
        return " with a tar file inside"
    if first.startswith(b"hsqs"):
        return " with a squashfs inside"
    return " with a SIF inside" if first[32:41] == b"SIF_MAGIC" else ""


def _is_html(start: bytes) -> bool:
    text = start[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    xhtml = text.startswith(b"<?xml") and b"<html" in text
    return xhtml or text.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        cut = len(start) == WINDOW and error.start > WINDOW - 4
        if not cut:  # the window can cut the last character
            return False
        text = start[: error.start].decode()
    return all(each.isprintable() or each in "\t\r\n\f" for each in text)


def _is_ext(start: bytes) -> bool:
    """The superblock at 1024: magic number, a block size up to 64 KiB, revision 0 or 1."""
    if start[1080:1082] != b"\x53\xef":
        return False
    number = (int.from_bytes(start[at : at + 4], "little") for at in (1024, 1048, 1100))
    inodes, log_block_size, revision = number
    return inodes > 0 and log_block_size <= 6 and revision <= 1


def _ext(start: bytes) -> str:
    """ext2, ext3 or ext4, by the features in the superblock (linux, fs/ext4/ext4.h)."""
    compatible, incompatible = (int.from_bytes(start[at : at + 4], "little") for at in (1116, 1120))
    if incompatible & 0x40:  # EXT4_FEATURE_INCOMPAT_EXTENTS
        return "ext4"
    return "ext3" if compatible & 0x4 else "ext2"  # EXT4_FEATURE_COMPAT_HAS_JOURNAL
