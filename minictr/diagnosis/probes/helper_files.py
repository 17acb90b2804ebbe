"""Looks at the file of newuidmap or newgidmap as execve(2) did, and says how it is replaced."""

from __future__ import annotations

import posix
import re

from minictr.diagnosis.probes.program import Program
from minictr.diagnosis.probes.surroundings import distribution, helpers_package
from minictr.host import Host

# ID or ID_LIKE of os-release(5): the command that puts the files of the package back.
_REINSTALL = {
    "debian": "apt-get install --reinstall uidmap",
    "ubuntu": "apt-get install --reinstall uidmap",
    "fedora": "dnf reinstall shadow-utils",
    "rhel": "dnf reinstall shadow-utils",
    "suse": "zypper install --force shadow",
    "arch": "pacman -S shadow",
    "alpine": "apk fix shadow-uidmap",
}
# The dynamic linker's two ways of saying that a library is not what the program needs: glibc,
# elf/dl-error-skeleton.c, fatal_error, and elf/dl-version.c, match_symbol.
_MISSING = re.compile(r"error while loading shared libraries: ([^:\s]+):")
_TOO_OLD = re.compile(r"(\S+): version `([^']+)' not found")


def reinstall(host: Host) -> str:
    """The command that installs the helpers' package once more; a sentence where none is known."""
    for name in distribution(host.fact("/etc/os-release").text):
        if name in _REINSTALL:
            return _REINSTALL[name]
    return helpers_package(host)


def bring_back(host: Host, library: str) -> str:
    """The command that installs the package of a shared library once more."""
    file = library.rpartition("/")[2]
    if {"debian", "ubuntu"} & set(distribution(host.fact("/etc/os-release").text)):
        return f"apt-get install --reinstall $(dpkg -S '*/{file}' | cut -d: -f1 | sort -u)"
    return f"Install the package again that has {file}."


def library_in(said: str) -> tuple[str, str]:
    """(the library that the dynamic linker complained of, the version it lacks); "" for none."""
    missing, old = _MISSING.search(said), _TOO_OLD.search(said)
    if missing:
        return missing.group(1), ""
    return (old.group(1), old.group(2)) if old else ("", "")


def damage(program: Program) -> str:
    """What is wrong with a file that ought to be a program of this machine; "" for nothing."""
    if program.kind == "empty":
        return "it is empty"
    if program.kind == "directory":
        return "it is a directory"
    if program.kind == "other" and not program.start:
        return "it is neither a file nor a directory"
    if program.kind in ("text", "other"):
        return f"it begins with {program.start[:16]!r}, which no program does"
    if program.kind != "elf":
        return ""
    if program.truncated:
        return f"its headers need {program.needed} bytes, and it has {program.size}"
    if program.damage:
        return program.damage
    end = _end(program.real)
    return f"it has {program.size} bytes of {end}" if end > program.size else ""


def _end(path: str) -> int:
    """Where an ELF file of this machine ends by its own account: its segments and sections."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:  # executable but not readable
        return 0
    try:
        head = posix.pread(descriptor, 64, 0)
        if head[4:6] != b"\2\1":  # neither 64 bits nor little-endian
            return 0
        table, entry, count = _at(head, 32, 8), _at(head, 54, 2), _at(head, 56, 2)
        headers = posix.pread(descriptor, entry * count, table)
    finally:
        posix.close(descriptor)
    sections = _at(head, 40, 8) + _at(head, 58, 2) * _at(head, 60, 2)
    starts = range(0, entry * count, entry or 1)
    segments = (_at(headers, start + 8, 8) + _at(headers, start + 32, 8) for start in starts)
    return max([sections, *segments])


def _at(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")
