"""Which kind of archive a tar file is: a docker-archive, an OCI archive, or neither."""

from __future__ import annotations

from collections.abc import Iterator

from minictr.image.refusals import printable, refuse, span
from minictr.image.source import Source, read
from minictr.refusal import Refusal

BLOCK = 512
MOST_MEMBERS = 1024  # an archive of 127 layers has about 400
MARKERS = {"oci-layout": "oci-archive", "manifest.json": "docker-archive"}


def refuse_tar(source: Source) -> Refusal:
    """The refusal for a tar file; `docker save` puts both markers in, for either reader."""
    names = {name: at for name, at in _members(source) if name in MARKERS}
    if not names:
        return refuse(
            "tar", source.path, "bytes 257 to 261: 'ustar'; no manifest.json, no oci-layout"
        )
    marker = "manifest.json" if "manifest.json" in names else "oci-layout"
    proof = f"{span(names[marker], BLOCK)}: tar member {printable(marker)}"
    return refuse(MARKERS[marker], source.path, proof)


def _members(source: Source) -> Iterator[tuple[str, int]]:
    """(name, byte of the header) of each member, as far as the headers can be read."""
    at = 0
    for _ in range(MOST_MEMBERS):
        if at + BLOCK > source.length:
            return
        header = read(source, at, BLOCK)
        size = _size(header[124:136])
        if size < 0 or header[257:262] != b"ustar":
            return
        name = header[:100].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        yield name.removeprefix("./"), at
        at += BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK


def _size(field: bytes) -> int:
    """A size in octal, or in base 256 where its first bit is set (GNU tar); -1 for neither."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 88) - 1)
    digits = field.strip(b" \0")
    return int(digits or b"0", 8) if digits.translate(None, b"01234567") == b"" else -1
