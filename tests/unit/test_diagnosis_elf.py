"""What an ELF file says of its segments, held against what it has."""

from __future__ import annotations

import resource
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minictr.diagnosis.probes.elf import PT_LOAD, cut_short, loaded

PAGE = resource.getpagesize()
WIDTHS = {"64-bit": (2, "Q", 56), "32-bit": (1, "I", 32)}
ORDERS = {"little": (1, "<"), "big": (2, ">")}


def program(width: str, order: str, size: int, offset: int = 0) -> bytes:
    """The headers of a program with one segment of `size` bytes at `offset`."""
    (kind, word, entry), (data, sign) = WIDTHS[width], ORDERS[order]
    ident = bytes((0x7F, *b"ELF", kind, data, 1)).ljust(16, b"\0")
    at = 16 + struct.calcsize(f"{sign}HHI3{word}I6H")
    header = struct.pack(f"{sign}HHI3{word}I6H", 2, 62, 1, 0, at, 0, 0, at, entry, 1, 0, 0, 0)
    flags = 5
    if kind == 2:
        row = struct.pack(f"{sign}II6Q", PT_LOAD, flags, offset, 0x1000, 0, size, size + 8, PAGE)
    else:
        row = struct.pack(f"{sign}8I", PT_LOAD, offset, 0x1000, 0, size, size + 8, flags, PAGE)
    return ident + header + row


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_file_is_cut_short_where_a_whole_page_is_missing(
    tmp_path: Path, width: str, order: str
) -> None:
    file = tmp_path / "program"
    head = program(width, order, 3 * PAGE, PAGE)
    seen = {}
    for size in (4 * PAGE, 4 * PAGE - 1, 3 * PAGE + 1, 3 * PAGE, 200):
        file.write_bytes(head.ljust(size, b"\0"))
        seen[size] = cut_short(str(file))
    assert seen == {
        4 * PAGE: None,
        4 * PAGE - 1: None,  # the rest of a page can be read: it is zero
        3 * PAGE + 1: None,
        3 * PAGE: (4 * PAGE, 3 * PAGE),
        200: (4 * PAGE, 200),
    }
    (row,) = loaded(str(file))
    assert (row.offset, row.size, row.address, row.memory) == (
        PAGE,
        3 * PAGE,
        0x1000,
        3 * PAGE + 8,
    )


@given(content=st.binary(max_size=200))
def test_nothing_that_a_file_may_hold_stops_the_look(tmp_path_factory, content: bytes) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(b"\x7fELF" + content)
    needed = cut_short(str(file))
    assert needed is None or needed[0] > needed[1]
