"""The filters of the built-in profiles, compiled beforehand by scripts/compile-filters.

Who launches for the first time would wait 90 ms for libseccomp, and need it.
"""

from __future__ import annotations

import contextlib
import os

_STAMP = 8  # bytes in front of the filter


def shipped(profile: str, machine: str, keep_capabilities: bool, form: int) -> bytes:
    """The BPF of the profile at the path `profile`; b"" for none, or one of another text.

    form  seccomp.FORMAT
    """
    with (
        contextlib.suppress(OSError, ImportError),
        open(profile, "rb") as text,
        open(file_of(profile, machine, keep_capabilities), "rb") as kept,
    ):
        if kept.read(_STAMP) == stamp(text.read(), form):
            return kept.read()
    return b""


def file_of(profile: str, machine: str, keep_capabilities: bool) -> str:
    """Where the filter of a profile lies."""
    directory, name = os.path.split(profile.removesuffix(".toml"))
    return f"{directory}/compiled/{name}-{machine}-{'kept' if keep_capabilities else 'none'}"


def stamp(text: bytes, form: int) -> bytes:
    """What tells whether a filter was made of this text, in this form: no guard against malice."""
    import zlib  # which an interpreter of one's own making may lack

    return zlib.crc32(text, form).to_bytes(_STAMP, "little")
