"""What ends a command that was started: a part of its program that the file does not have."""

from __future__ import annotations

import posix
import signal

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.probes.command import directory
from minictr.diagnosis.probes.elf import cut_short
from minictr.diagnosis.probes.inside import host_path, of_the_image
from minictr.diagnosis.probes.libraries import Lacking, first_lacking
from minictr.diagnosis.probes.packages import reinstalling
from minictr.diagnosis.probes.program import Program, chain, seen_from
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable
from minictr.value import Value

_SIGBUS, _SIGSEGV = 7, 11


class _Cut(Value):
    """A file that has less than its segments.

    path          without symbolic links
    what          "the program", "the ELF interpreter of ..." and so on
    needed, size  bytes that the segments reach to, and bytes that there are
    by            the facts that lead to the file
    """

    path: str
    what: str
    needed: int
    size: int
    by: tuple[str, ...]


@cause(
    "MC0647",
    "the program, its loader or one of its libraries is cut short",
    stops=(RunPayload.__name__,),
)
def segments_missing(interview: Interview) -> Verdict:
    """The file ends before what its program header table says is in it: a copy, a download or a
    layer that was cut short. execve(2) and mmap(2) take such a file, and what touches a page
    behind its end gets SIGBUS; where the kernel itself cannot fill the last page of a segment,
    while it starts the program, that is SIGSEGV.

    Of the loader the same is true, and of a library that every place has cut short where loaders
    look. Nothing is said of what the command starts or loads later. Any process of the user can
    send either signal by kill(2), too; the report says what tells that apart.

    Reproduction (an ordinary user; IMAGE is a directory):

        truncate -s 500000 "$IMAGE/bin/busybox"
        minictr exec "$IMAGE" true

    Fix, user: copy the file again, or install its package anew where the image is built; the report
    names the package where the image's records do.

    Fix, administrator: none is needed.

    Not the cause: memory; a fault of the program, whose file would be whole.

    Sources: elf(5), Elf64_Phdr; mmap(2), SIGBUS; fs/binfmt_elf.c, elf_load and padzero;
    mm/filemap.c, filemap_fault.
    """
    code = posix.waitstatus_to_exitcode(interview.failure.status)
    if code not in (-_SIGBUS, -_SIGSEGV):
        return None
    if not interview.failure.arguments or not interview.container():
        return Unknown("what was executed cannot be looked at")
    found = _first(interview)
    if not isinstance(found, _Cut):
        return found
    name, ended = printable(str(interview.failure.step.__dict__["command"])), signal.Signals(-code)
    missing = f"its segments reach to byte {found.needed}, and it has {found.size} bytes"
    return Proof(
        f"{ended.name} ended {name}, and {found.path}, {found.what}, is cut short: {missing}",
        (
            *found.by,
            f"PT_LOAD of {found.path}: p_offset + p_filesz is {found.needed}",
            f"stat({found.path}) in the container: {found.size} bytes",
            f"the wait status is that of signal {-code} ({ended.name}); where a process sent it, "
            "strace -f, with --id-map single, shows si_code=SI_USER",
        ),
        fix_user=_anew(interview, found.path),
    )


def _first(interview: Interview) -> _Cut | Excluded | Unknown:
    """The first file that is cut short, in the order in which they are mapped."""
    root, where = interview.container(), interview.once(directory, interview)
    command = seen_from(where, str(interview.failure.arguments[0]))
    programs = interview.once(chain, root, command, where)
    last = programs[-1] if programs else None
    if last is None or last.kind != "elf":
        return Excluded(f"{command} leads to no ELF program")
    by = tuple(f"{one.real} begins with #!{one.wants}" for one in programs[:-1])
    if cut := cut_short(root + last.real):
        return _Cut(last.real, "the program" if not by else "the interpreter", *cut, by)
    if not last.wants:
        return Excluded(f"{last.real} has all of its segments")
    loader = walk(root, seen_from(where, last.wants))
    if loader.is_file() and (cut := cut_short(root + loader.reached)):
        fact = f"PT_INTERP of {last.real} is {last.wants}"
        return _Cut(loader.reached, f"the ELF interpreter of {last.real}", *cut, (*by, fact))
    return _library(interview, last, by)


def _library(
    interview: Interview, program: Program, by: tuple[str, ...]
) -> _Cut | Excluded | Unknown:
    """The library that each place has cut short, so that the loader can have taken no other."""
    root, where = interview.container(), interview.once(directory, interview)
    libraries, preloaded = (str(one) for one in interview.failure.arguments[2:4])
    if preloaded or walk(root, "/etc/ld.so.preload").found:
        return Unknown("a library that is loaded before all others may stand for another")
    found = first_lacking(root, program.real, program.wants, libraries, where, True)
    if isinstance(found, str):
        return Unknown(found)
    wrong = found.wrong if isinstance(found, Lacking) else ()
    for path, _ in wrong:
        if isinstance(found, Lacking) and (cut := cut_short(root + path)):
            fact = f"DT_NEEDED of {found.by} has {found.name}"
            return _Cut(path, f"which {found.by} needs", *cut, (*by, fact))
    return Excluded(f"{program.real}, its loader and its libraries have all of their segments")


def _anew(interview: Interview, path: str) -> str:
    """How the file becomes whole again."""
    outside = host_path(interview, path)
    if not of_the_image(interview, path):
        return f"Copy {printable(outside or path)} again, from where it came."
    command = reinstalling(interview.container(), path)
    if command:
        return f"Run `{command}` where the image is built."
    return f"Copy or install {printable(outside or path)} anew where the image is built."
