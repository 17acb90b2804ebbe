"""What stops a command that is there: what its file needs, and what it was built for."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import directory, executed, how_reached, last, usual_place
from minictr.diagnosis.probes.inside import host_path
from minictr.diagnosis.probes.program import Program, runs_here, seen_from
from minictr.diagnosis.probes.surroundings import distribution
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import read_fact
from minictr.image.refusals import printable, quoted
from minictr.image.tree import resolve

# (begin of the loader's name, the image's distribution): the command that installs the loader.
_LOADERS = (
    ("ld-linux", "alpine", "apk add gcompat"),
    ("ld-musl", "debian", "apt-get install musl"),
    ("ld-musl", "ubuntu", "apt-get install musl"),
    ("ld-musl", "arch", "pacman -S musl"),
)


@cause(
    "MC0607",
    "the line #! of a script ends in a carriage return",
    stops=("Execute",),
    errnos=(errno.ENOENT,),
)
def carriage_return(interview: Interview) -> Verdict:
    r"""The script was written by an editor of another system, which ends its lines in CR LF. The
    kernel takes the carriage return for a part of the interpreter's name, and no file has
    that name.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!/bin/sh\r\necho ran\r\n' >"$IMAGE/bin/greet"
        chmod +x "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: remove the carriage returns; the report has the command where the file is yours.

    Fix, administrator: none is needed.

    Not the cause: a missing shared library, which others name; the interpreter, which is there.

    Sources: execve(2), "Interpreter scripts"; fs/binfmt_script.c.
    """
    script = last(interview, "script")
    if not isinstance(script, Program):
        return script
    if not script.wants.endswith("\r"):
        return Excluded(f"the interpreter's name in {script.path} does not end in a CR")
    outside = host_path(interview, script.real)
    where = quoted(outside or script.real)
    fix = f"sed -i 's/\\r$//' {where}"
    if not outside:
        fix = f"Run `{fix}` where the image is built."
    return Proof(
        f"the #! line of {script.real} ends in a carriage return",
        (
            f"{script.real} begins with {'#!' + script.wants!a}",
            f"the container has no {script.wants!a}",
        ),
        fix_user=fix,
    )


@cause(
    "MC0608",
    "the interpreter of a script is missing",
    stops=("Execute",),
    errnos=(errno.ENOENT,),
)
def interpreter_missing(interview: Interview) -> Verdict:
    r"""The script is there, and the interpreter that its #! line names is not in the container. The
    kernel reports ENOENT as if the script were missing.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!/usr/bin/nosuch\n' >"$IMAGE/bin/greet"
        chmod +x "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: give the script to an interpreter that is there; or use an image that has it.

    Fix, administrator: none is needed.

    Not the cause: a missing shared library, which others name.

    Sources: execve(2), ENOENT and "Interpreter scripts"; fs/binfmt_script.c.
    """
    script = last(interview, "script")
    if not isinstance(script, Program):
        return script
    place = walk(interview.container(), seen_from(directory(interview), script.wants))
    if not script.wants.startswith("/"):
        return Excluded(f"{script.wants!r} is no absolute path")
    if script.wants.endswith("\r") or place.found:
        return Excluded(f"{script.wants!r} is not what is missing")
    if not place.missing:
        return Unknown(f"the way to {script.wants} in the container: {place.end()}")
    return Proof(
        f"{script.wants}, the interpreter of the script {script.real}, is missing",
        (f"{script.real} begins with #!{script.wants}", f"in the container {place.end()}"),
        fix_user=_other_interpreter(interview, script),
    )


@cause(
    "MC0609",
    "the program's ELF interpreter is missing",
    stops=("Execute",),
    errnos=(errno.ENOENT,),
)
def loader_missing(interview: Interview) -> Verdict:
    """The program is dynamically linked, and the loader that its file names (PT_INTERP) is not in
    the container: a program built for glibc in an image that has musl, or the other way round, or
    a program bound from the host. The kernel reports ENOENT as if the program were missing.

    Reproduction (an ordinary user; IMAGE is a directory without a C library):

        cp /bin/true "$IMAGE/bin/dynamic"
        minictr exec "$IMAGE" dynamic

    Fix, user: use a statically linked build of the program, or an image with its C library.

    Fix, administrator: none is needed; who builds the image installs the loader.

    Not the cause: the program's path, which is right; a shared library: the loader would be
    needed to miss one, and would say so.

    Sources: execve(2), ENOENT; elf(5), PT_INTERP; fs/binfmt_elf.c.
    """
    program = last(interview, "elf")
    if not isinstance(program, Program):
        return program
    if not program.wants:
        return Excluded(f"{program.real} asks for no ELF interpreter")
    if not runs_here(program.machine):
        return Excluded(f"{program.real} is for {program.built_for}, and an emulator runs it")
    where = interview.once(directory, interview)
    place = walk(interview.container(), seen_from(where, program.wants))
    if place.found:
        return Excluded(f"{program.wants} is in the container")
    if not place.missing:
        return Unknown(f"the way to {program.wants} in the container: {place.end()}")
    return Proof(
        f"{program.wants}, the ELF interpreter of {program.real}, is missing",
        (f"PT_INTERP of {program.real} is {program.wants}", f"in the container {place.end()}"),
        fix_user=_loader(interview, program),
    )


@cause(
    "MC0610",
    "the program is truncated",
    stops=("Execute",),
    errnos=(errno.ENOEXEC, errno.EIO),
)
def truncated(interview: Interview) -> Verdict:
    """The file begins as an ELF program and ends before its own program header table does, or
    before the name of its ELF interpreter, which patchelf(1) moves to the end: the kernel says
    ENOEXEC of the one, and EIO of the other. A copy that was cut short looks like that. Launchers
    that use execvp(3) hand such a file to a shell, whose syntax error then hides the cause.

    Reproduction (an ordinary user; IMAGE is a directory):

        head -c 100 /bin/true >"$IMAGE/bin/short"
        chmod +x "$IMAGE/bin/short"
        minictr exec "$IMAGE" short

    Fix, user: copy the file again.

    Fix, administrator: none is needed.

    Not the cause: the machine it was built for, which is right as far as the file says; a disk,
    whatever EIO is called. A file that ends later is executed, and dies: MC0647.

    Sources: execve(2), ENOEXEC and EIO; elf(5); fs/binfmt_elf.c, load_elf_phdrs and elf_read.
    """
    program = last(interview, "elf")
    if not isinstance(program, Program):
        return program
    if not program.truncated:
        return Excluded(f"{program.real} holds its program header table and its PT_INTERP")
    return Proof(
        f"{program.real} is truncated",
        (f"its ELF headers ask for {program.needed} bytes, and the file has {program.size}",),
        fix_user=f"Copy {printable(program.real)} again, from where it came.",
    )


@cause(
    "MC0611",
    "the program was built for another machine",
    stops=("Execute",),
    errnos=(errno.ENOEXEC,),
)
def foreign(interview: Interview) -> Verdict:
    """The program's file says which machine it was built for, and it is not this one; nor has the
    kernel an emulator registered for it.

    Reproduction (an ordinary user; IMAGE is a directory; foreign-elf is in tests/lab/tools):

        foreign-elf /bin/true "$IMAGE/bin/foreign"
        minictr exec "$IMAGE" foreign

    Fix, user: use a build of the program, or an image, for this machine.

    Fix, administrator: none is needed.

    Not the cause: the file's mode; a shell script without #!, as a shell would have it.

    Sources: execve(2), ENOEXEC; elf(5), e_machine; fs/binfmt_elf.c, elf_check_arch.
    """
    program = last(interview, "elf")
    if not isinstance(program, Program):
        return program
    if runs_here(program.machine) or program.size < 20:  # e_machine ends at byte 20
        return Excluded(f"{program.real} is for {program.built_for}, as this kernel's programs are")
    machine = interview.host.machine
    return Proof(
        f"{program.real} was built for {program.built_for}, and this machine is {machine}",
        (f"e_machine of {program.real} is {program.machine}; uname(2): {machine}",
         *how_reached(interview, program)),
        fix_user=f"Use a build of {printable(program.real)} for {machine}, or an image for it.",
    )  # fmt: skip


# --- what to do about it ------------------------------------------------------------------------


def _other_interpreter(interview: Interview, script: Program) -> str:
    """The same launch with an interpreter of the same name that PATH has; else a sentence."""
    path = usual_place(interview, script.wants.rpartition("/")[2])
    if path:
        arguments = executed(interview)[1:]
        return again(interview.request, command=(path, script.real, *arguments))
    shown = printable(script.wants)
    return f"Use an image that has {shown}, or install it where the image is built."


def _loader(interview: Interview, program: Program) -> str:
    release = read_fact(resolve(interview.container(), "/etc/os-release")).text
    name = program.wants.rpartition("/")[2]
    for start, system, command in _LOADERS:
        if name.startswith(start) and system in distribution(release):
            return f"Run `{command}` where the image is built."
    library = {"ld-linux": "glibc", "ld-musl": "musl"}.get(name[:8].rstrip("-"), "C library")
    library = "musl" if name.startswith("ld-musl") else library
    return (
        f"Use a statically linked build of {printable(program.real)}, or an image with "
        f"{printable(program.wants)} ({library})."
    )
