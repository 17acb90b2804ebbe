"""Looks for shared libraries where ld.so(8) does, and in more places: what it lacks is missing."""

from __future__ import annotations

import fnmatch
import os
import posix
import re

from minictr.diagnosis.probes.elf import LARGEST, PT_DYNAMIC, PT_LOAD, Elf, cut_short
from minictr.diagnosis.probes.program import MACHINES, seen_from
from minictr.diagnosis.probes.walk import walk
from minictr.host import native, read_fact
from minictr.image.tree import may
from minictr.value import Value

_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29  # elf(5), d_tag
_MOST = 200  # libraries of one program that are looked at
_TRIPLET = re.compile(r"\w+-linux-\w+")  # a directory of one machine's libraries
_MUSL = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")  # what musl's loader is itself
_BELOW = ("tls", "haswell", "x86_64", "tls/x86_64", "tls/haswell")  # by processor: older glibc
_USUAL = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib32", "/usr/lib32")


class Dynamic(Value):
    """What a dynamically linked file asks for.

    kind     (class, machine): of one program and its libraries all are the same
    needed   DT_NEEDED; paths: DT_RPATH and DT_RUNPATH, with $ORIGIN put in
    name     DT_SONAME, "" for none: who needs that has it once this file is loaded
    """

    path: str
    kind: tuple[int, int]
    needed: tuple[str, ...]
    paths: tuple[str, ...]
    name: str = ""


class Lacking(Value):
    """A library that no place has in the right form.

    by      the file that needs it
    wrong   (path, why) of files of that name that are of no use
    places  where it was looked for
    """

    name: str
    by: str
    wrong: tuple[tuple[str, str], ...]
    places: tuple[str, ...]


def first_lacking(
    root: str, program: str, loader: str, listed: str, directory: str = "/", whole: bool = False
) -> Lacking | str | None:
    """The first library that the program or one of its libraries cannot get; None for none.

    Words where something could not be looked at. Every place counts for every file, so that what
    is not found here is found by no loader.

    listed      LD_LIBRARY_PATH
    directory   the working directory, where relative paths begin
    whole       whether a library that was cut short is of no use, which loaders begin with
    """
    first = read_dynamic(root, program)
    if first is None:
        return f"{program} is not dynamically linked"
    itself = read_dynamic(root, walk(root, seen_from(directory, loader)).reached)
    own = itself.name if itself else ""
    places = [*_elsewhere(root, listed), loader.rpartition("/")[0], *_usual(root)]
    waiting, seen = [first], {program, own}
    while waiting and len(seen) < _MOST:
        asking = waiting.pop(0)
        places = list(dict.fromkeys([*asking.paths, *places]))
        for name in asking.needed:
            if name in seen or (not own.startswith("ld") and _MUSL.match(name)):
                continue
            paths = [seen_from(directory, path) for path in _paths(root, name, places)]
            found = _find(root, paths, first.kind, whole)
            if isinstance(found, str):
                return found
            if not isinstance(found, Dynamic):
                return Lacking(name, asking.path, found, _shown(name, paths, places))
            seen |= {name, found.name}
            waiting.append(found)
    return None


def _shown(name: str, paths: list[str], places: list[str]) -> tuple[str, ...]:
    """Where it was looked for: a name with a slash in one place alone."""
    return (os.path.dirname(os.path.normpath(paths[0])),) if "/" in name else tuple(places)


def read_dynamic(root: str, path: str) -> Dynamic | None:
    """The file's dynamic section; None where it has none, or is no ELF file."""
    try:
        descriptor = posix.open(root + path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return None
    try:
        head = posix.pread(descriptor, 64, 0)
        return _dynamic(descriptor, head, path) if head[:4] == b"\x7fELF" else None
    except (OSError, ValueError, IndexError):  # a FIFO has no place 0
        return None
    finally:
        posix.close(descriptor)


def _paths(root: str, name: str, places: list[str]) -> list[str]:
    """Every path that a loader may try for a library of that name."""
    if "/" in name:
        return [name]
    cached = read_fact(root + walk(root, "/etc/ld.so.cache").reached).text
    below = [f"{place}/{part}" for place in places for part in _BELOW]
    for place in places:
        inside = walk(root, f"{place}/glibc-hwcaps")
        if inside.is_directory():
            below += [f"{inside.path}/{part}" for part in os.listdir(root + inside.reached)]
    return [f"{place}/{name}" for place in [*places, *_of_cache(cached, name), *below]]


def _find(
    root: str, paths: list[str], kind: tuple[int, int], whole: bool
) -> Dynamic | str | tuple[tuple[str, str], ...]:
    """The library; words where a file cannot be read; else the files that are of no use."""
    wrong: dict[str, str] = {}
    for path in paths:
        place = walk(root, path)
        if place.errno and not place.missing:
            return f"the way to {path}: {place.end()}"
        if not place.found or not place.is_file():
            continue
        if not may(root + place.reached, posix.R_OK):
            return f"{place.reached} cannot be read"
        found = read_dynamic(root, place.reached)
        cut = cut_short(root + place.reached) if whole else None
        if found and found.kind == kind and not cut:
            return found
        size = place.status.st_size if place.status else 0
        wrong[place.reached] = "cut short" if cut else _unfit(found, size)
    return tuple(wrong.items())


def _unfit(found: Dynamic | None, size: int) -> str:
    if found is None:
        return f"no shared library: {size} bytes"
    return f"for {MACHINES.get(found.kind[1], found.kind[1])}, {32 * found.kind[0]}-bit"


def _elsewhere(root: str, library_path: str) -> list[str]:
    """LD_LIBRARY_PATH, /etc/ld.so.conf and what it includes, musl's own file."""
    lines = _listed(library_path.replace(";", ":"))
    pending, read = ["/etc/ld.so.conf"], set()
    for name in posix.listdir(root + "/etc") if walk(root, "/etc").is_directory() else []:
        if name.startswith("ld-musl-"):
            lines += read_fact(f"{root}/etc/{name}").text.replace(":", "\n").split()
    while pending:
        path = pending.pop()
        if path in read:
            continue
        read.add(path)
        for line in read_fact(root + walk(root, path).reached).text.splitlines():
            words = line.partition("#")[0].replace(",", " ").split()
            if words[:1] == ["include"]:
                pending += [one for word in words[1:] for one in _matching(root, word)]
            else:
                lines += words
    return lines


def _listed(places: str) -> list[str]:
    """The directories of a list; nothing between two colons is the working directory."""
    return [place or "." for place in places.split(":")] if places else []


def _matching(root: str, pattern: str) -> list[str]:
    place, _, names = (pattern if pattern.startswith("/") else f"/etc/{pattern}").rpartition("/")
    inside = walk(root, place or "/")
    if not inside.is_directory():
        return []
    return [f"{place}/{one}" for one in fnmatch.filter(os.listdir(root + inside.reached), names)]


def _usual(root: str) -> list[str]:
    """The directories that loaders are built with, and those below them for one machine."""
    found = []
    for place in _USUAL:
        inside = walk(root, place)
        if not inside.is_directory():
            continue
        found.append(place)
        names = os.listdir(root + inside.reached)
        found += [f"{place}/{name}" for name in names if _TRIPLET.fullmatch(name)]
    return found


def _of_cache(cached: str, name: str) -> list[str]:
    """The directories for which /etc/ld.so.cache has a library of that name."""
    found = []
    at = cached.find(f"/{name}\0")
    while at >= 0:
        start = cached.rfind("\0", 0, at) + 1
        found.append(cached[start:at])
        at = cached.find(f"/{name}\0", at + 1)
    return found


def _dynamic(descriptor: int, head: bytes, path: str) -> Dynamic | None:
    elf = Elf(descriptor, head)
    segments, word = elf.segments(), elf.word
    found = next((one for one in segments if one.type == PT_DYNAMIC), None)
    if found is None:
        return None
    section = posix.pread(descriptor, min(found.size, LARGEST), found.offset)
    tags = [
        (elf.number(section, start, word), elf.number(section, start + word, word))
        for start in range(0, len(section) - word, 2 * word)
    ]
    strings = dict(tags).get(_STRTAB, 0)
    loads = (one for one in segments if one.type == PT_LOAD)
    here = (one for one in loads if one.address <= strings < one.address + one.size)
    base = next((one.offset + strings - one.address for one in here), 0)

    def texts(*wanted: int) -> list[str]:
        return [elf.text(base + value) for tag, value in tags if tag in wanted]

    paths = _put_in(":".join(texts(_RPATH, _RUNPATH)), path)
    kind = (head[4], elf.number(head, 18, 2))
    return Dynamic(path, kind, tuple(texts(_NEEDED)), paths, "".join(texts(_SONAME)[:1]))


def _put_in(paths: str, path: str) -> tuple[str, ...]:
    """The directories with $ORIGIN, $LIB and $PLATFORM put in: ld.so(8)."""
    found = []
    origin = path.rpartition("/")[0]
    for place in _listed(paths):
        for name in ("$ORIGIN", "${ORIGIN}"):
            place = place.replace(name, origin)
        for lib in ("lib", "lib64", f"lib/{native(posix.uname().machine)}-linux-gnu"):
            found.append(place.replace("${LIB}", lib).replace("$LIB", lib))
    machine = native(posix.uname().machine)
    return tuple(dict.fromkeys(one.replace("$PLATFORM", machine) for one in found))
