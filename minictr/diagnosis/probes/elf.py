"""Reads what an ELF file says of its segments, in the file's own byte order and width."""

from __future__ import annotations

import posix
import resource

from minictr.value import Value

PT_LOAD, PT_DYNAMIC = 1, 2
LARGEST = 1 << 16  # bytes of a table: fs/binfmt_elf.c, load_elf_phdrs
_MAGIC = b"\x7fELF"


class Segment(Value):
    """A row of the program header table: elf(5), Elf64_Phdr.

    type               p_type
    offset, size       p_offset and p_filesz: where its bytes lie in the file
    address, memory    p_vaddr and p_memsz: where they are mapped
    """

    type: int
    offset: int
    size: int
    address: int
    memory: int


class Elf:
    """An open ELF file.

    head   its first 64 bytes
    """

    def __init__(self, descriptor: int, head: bytes) -> None:
        self.descriptor = descriptor
        self.head = head
        self.big = head[5] == 2
        self.wide = head[4] == 2
        self.word = 8 if self.wide else 4

    def number(self, data: bytes, offset: int, size: int) -> int:
        return int.from_bytes(data[offset : offset + size], "big" if self.big else "little")

    def segments(self) -> list[Segment]:
        """The program header table, as far as the file has it."""
        number, word, wide = self.number, self.word, self.wide
        entry = number(self.head, 54 if wide else 42, 2)
        size = entry * number(self.head, 56 if wide else 44, 2)
        at = number(self.head, 32 if wide else 28, word)
        table = posix.pread(self.descriptor, min(size, LARGEST), at)
        places = (8, 32, 16, 40) if wide else (4, 16, 8, 20)
        return [
            Segment(
                number(table, start, 4), *(number(table, start + place, word) for place in places)
            )
            for start in range(0, len(table), entry or 1)
        ]

    def text(self, at: int) -> str:
        raw = posix.pread(self.descriptor, 4096, at).partition(b"\0")[0]
        return raw.decode("utf-8", "surrogateescape")


def loaded(path: str) -> list[Segment]:
    """What of a file is mapped where it is executed, or used as a library; [] for no ELF file."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    try:
        head = posix.pread(descriptor, 64, 0)
        if len(head) < 64 or not head.startswith(_MAGIC):
            return []
        return [row for row in Elf(descriptor, head).segments() if row.type == PT_LOAD]
    finally:
        posix.close(descriptor)


def cut_short(path: str) -> tuple[int, int] | None:
    """(bytes that a file's segments reach to, bytes that it has), where whole pages are missing.

    mmap(2) takes such a file, and the first touch of a page that lies behind its end is SIGBUS. A
    page of which only a part is missing can be read: the rest of it is zero.
    """
    needed = max((row.offset + row.size for row in loaded(path)), default=0)
    if not needed:
        return None
    page, size = resource.getpagesize(), posix.stat(path).st_size
    return (needed, size) if needed > -(-size // page) * page else None
