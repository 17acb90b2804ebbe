"""Whether the kernel hands programs of another architecture to an emulator."""

from __future__ import annotations

import posix

# name: (EI_CLASS, byte order, e_machine) of its programs; elf(5), include/uapi/linux/elf-em.h
ELF = {
    "386": (1, "little", 3),
    "amd64": (2, "little", 62),
    "arm": (1, "little", 40),
    "arm64": (2, "little", 183),
    "ppc64": (2, "big", 21),
    "ppc64le": (2, "little", 21),
    "mips": (1, "big", 8),
    "mipsle": (1, "little", 8),
    "mips64": (2, "big", 8),
    "mips64le": (2, "little", 8),
    "s390x": (2, "big", 22),
    "riscv64": (2, "little", 243),
    "loong64": (2, "little", 258),
}
REGISTER = "/proc/sys/fs/binfmt_misc"


def emulator_of(architecture: str, register: str = REGISTER) -> str:
    """The emulator registered for programs of `architecture`; "" for none.

    Only entries with the flag F count: they hold the emulator open, so it is found inside another
    root (linux, Documentation/admin-guide/binfmt-misc.rst).
    """
    if architecture not in ELF:
        return ""
    try:
        names = posix.listdir(register)
    except OSError:  # not mounted, or not for us to read: then no entry can be shown
        return ""
    for name in names:
        entry = _entry(f"{register}/{name}")
        holds = "enabled" in entry and "F" in entry.get("flags:", "")
        if holds and _matches(entry, _program(architecture)):
            return entry.get("interpreter", "")
    return ""


def _entry(path: str) -> dict[str, str]:
    """The lines of one entry, as first word and rest."""
    try:
        with open(path) as file:
            return {line.split(" ")[0]: line.rpartition(" ")[2] for line in file.read().split("\n")}
    except (OSError, ValueError):  # `register` can only be written
        return {}


def _matches(entry: dict[str, str], program: bytes) -> bool:
    """Whether magic and mask of an entry select `program`."""
    magic = bytes.fromhex(entry.get("magic", ""))
    mask = bytes.fromhex(entry.get("mask", "ff" * len(magic)))
    seen = zip(magic, mask, program, strict=False)
    same = all(wanted & bits == byte & bits for wanted, bits, byte in seen)
    return bool(magic) and entry.get("offset") == "0" and same


def _program(architecture: str) -> bytes:
    """The first 20 bytes of an executable: e_ident, e_type ET_EXEC, e_machine."""
    width, order, machine = ELF[architecture]
    little = order == "little"
    numbers = (each.to_bytes(2, "little" if little else "big") for each in (2, machine))
    ident = b"\x7fELF" + bytes((width, 1 if little else 2, 1)) + bytes(9)
    return ident + b"".join(numbers)
