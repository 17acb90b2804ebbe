"""What stops a command that is there: its file is of no format that the kernel executes."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import executed, how_reached, last
from minictr.diagnosis.probes.hidden import hidden, uncovered
from minictr.diagnosis.probes.inside import host_path
from minictr.diagnosis.probes.program import Program, read_program, runs_here, whole_name
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable, quoted, sample

# What files that people try to execute begin with.
_KNOWN = (
    (b"MZ", "a program for Windows (it begins with MZ)"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "a Java class or a universal Mach-O program"),
    (b"PK\x03\x04", "a ZIP archive (as JAR files are)"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"(\xb5/\xfd", "compressed by zstd"),
    (b"\0asm", "a WebAssembly module"),
    (b"!<arch>\n", "a static library (ar archive)"),
    (b"\xef\xbb\xbf#!", "a script behind a byte order mark"),
)
_SHORT = 40  # characters of a name that is shown
_ET = {0: "none", 1: "an object file, which a linker makes a program of", 4: "a core dump"}


@cause(
    "MC0623",
    "the command's file is empty",
    stops=("Execute",),
    errnos=(errno.ENOEXEC,),
)
def empty(interview: Interview) -> Verdict:
    """The file has execute permission and no content: a copy on a full disk, a build that failed
    after it had made the file.

    Reproduction (an ordinary user; IMAGE is a directory):

        : >"$IMAGE/bin/empty" && chmod +x "$IMAGE/bin/empty"
        minictr exec "$IMAGE" empty

    Fix, user: copy or build the file again.

    Fix, administrator: none is needed.

    Not the cause: a foreign machine, which ENOEXEC is also said of. A shell runs an empty file as
    a script with nothing in it.

    Sources: execve(2), ENOEXEC.
    """
    program = last(interview, "empty")
    if not isinstance(program, Program):
        return program
    return Proof(
        f"{program.real} is an empty file",
        (f"stat({program.real}) in the container: 0 bytes", *how_reached(interview, program)),
        fix_user=f"Copy or build {printable(program.real)} again.",
    )


@cause(
    "MC0624",
    "the command's file is of another format than programs have",
    stops=("Execute",),
    errnos=(errno.ENOEXEC,),
)
def no_program(interview: Interview) -> Verdict:
    r"""The file is neither an ELF program nor a text, and no handler is registered for what it is:
    an archive, a program of another system, data that was given execute permission.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf 'MZ\220\0\003\0' >"$IMAGE/bin/tool.exe" && chmod +x "$IMAGE/bin/tool.exe"
        minictr exec "$IMAGE" tool.exe

    Fix, user: give the program that reads such files, with the file as its argument.

    Fix, administrator: none is needed; binfmt_misc can register a handler for everybody.

    Not the cause: the file's mode.

    Sources: execve(2), ENOEXEC; binfmt_misc in the kernel's documentation.
    """
    program = last(interview, "other", "text")
    if not isinstance(program, Program):
        return program
    known = next((words for start, words in _KNOWN if program.start.startswith(start)), "")
    shell = walk(interview.container(), "/bin/sh").reached == program.real
    if program.kind == "text" and not (known or shell or how_reached(interview, program)):
        return Excluded(f"{program.real} is a text, which /bin/sh is given")
    words = known or "no format that this kernel executes"
    if program.kind == "text" and not known:
        words = "a text without a #! line, which the kernel takes for no interpreter"
    covered = hidden(interview, program.path)
    fix = f"Give the program that reads {printable(program.real)}, and this as argument."
    return Proof(
        f"{program.real} is no program: {words}",
        (
            f"its first bytes are {sample(program.start)}; a program begins with \\x7fELF",
            *how_reached(interview, program),
            *([covered.fact()] if covered else []),
        ),
        fix_user=uncovered(interview, covered) if covered else fix,
    )


@cause(
    "MC0625",
    "the line #! of a script is too long",
    stops=("Execute",),
    errnos=(errno.ENOEXEC,),
)
def line_too_long(interview: Interview) -> Verdict:
    r"""The kernel reads 255 bytes of the first line, and the interpreter's name does not end in
    them. Environments in deeply nested directories have such lines.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!/%0300d\n' 1 >"$IMAGE/bin/greet" && chmod +x "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: give the script to its interpreter; or have the line say #!/usr/bin/env NAME.

    Fix, administrator: none is needed.

    Not the cause: a missing interpreter: the kernel has not looked for it. Arguments behind the
    name may be cut off, which is no error.

    Sources: execve(2), "Interpreter scripts"; fs/binfmt_script.c, load_script;
    include/uapi/linux/binfmts.h, BINPRM_BUF_SIZE.
    """
    script = last(interview, "script")
    if not isinstance(script, Program):
        return script
    if not script.cut:
        return Excluded(f"the interpreter's name in {script.real} ends in its first 255 bytes")
    name = whole_name(interview.container(), script)
    short = name.rpartition("/")[2]
    short = short if len(short) < _SHORT else "NAME"
    fix = f"Shorten the first line of {printable(script.real)}: `#!/usr/bin/env {short}`."
    if walk(interview.container(), name).is_program():
        fix = again(interview.request, command=(name, script.real, *executed(interview)[1:]))
    return Proof(
        f"the #! line of {script.real} is too long: the interpreter's name has "
        f"{len(name.encode('utf-8', 'surrogateescape'))} bytes",
        (f"the kernel reads 255 bytes, and {script.real} begins with #!{script.wants[:40]}...",),
        fix_user=fix,
    )


@cause(
    "MC0626",
    "the line #! of a script names no interpreter",
    stops=("Execute",),
    errnos=(errno.ENOEXEC,),
)
def no_interpreter(interview: Interview) -> Verdict:
    r"""Behind #! there is nothing but blanks: a template that was not filled in.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#! \necho ran\n' >"$IMAGE/bin/greet" && chmod +x "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: name the interpreter in the line, or give the script to it.

    Fix, administrator: none is needed.

    Not the cause: a missing interpreter. A shell would run the file itself; execve(2) does not.

    Sources: execve(2), "Interpreter scripts"; fs/binfmt_script.c, load_script.
    """
    script = last(interview, "script")
    if not isinstance(script, Program):
        return script
    if script.wants:
        return Excluded(f"the first line of {script.real} names {script.wants[:60]}")
    outside = host_path(interview, script.real)
    if outside:
        fix = f"sed -i '1s|.*|#!/bin/sh|' {quoted(outside)}"
    else:
        fix = again(interview.request, command=("/bin/sh", script.real, *executed(interview)[1:]))
    return Proof(
        f"the #! line of {script.real} names no interpreter",
        (f"{script.real} begins with {script.start[:20]!r}",),
        fix_user=fix,
    )


@cause(
    "MC0628",
    "the program's ELF headers are damaged, or those of no program",
    stops=("Execute",),
    errnos=(errno.ENOEXEC,),
)
def damaged(interview: Interview) -> Verdict:
    r"""The file begins as an ELF file does, and its headers are not a program's: an object file
    that was not linked, a core dump, or bytes that were overwritten.

    Reproduction (an ordinary user; IMAGE is a directory; poke is in tests/lab/tools):

        cp "$IMAGE/bin/busybox" "$IMAGE/bin/true.o"
        poke "$IMAGE/bin/true.o" 16 '\001'
        minictr exec "$IMAGE" true.o

    Fix, user: link the object file; copy what is damaged again.

    Fix, administrator: none is needed.

    Not the cause: the machine it was built for, which is right as far as the file says.

    Sources: execve(2), ENOEXEC; elf(5); fs/binfmt_elf.c, load_elf_binary and load_elf_phdrs.
    """
    program = last(interview, "elf")
    if not isinstance(program, Program):
        return program
    if not runs_here(program.machine) or program.truncated:
        return Excluded(f"{program.real} is for {program.built_for}, or truncated")
    if not program.damage:
        return Excluded(f"the ELF headers of {program.real} are a program's")
    kind = _ET.get(program.type, "damaged")
    fix = f"Copy or build {printable(program.real)} again."
    if program.type == 1:
        fix = f"Link {printable(program.real)} to a program: cc -o PROGRAM FILE.o does."
    return Proof(
        f"{program.real} is {kind}" if program.type in _ET else f"{program.real} is damaged",
        (program.damage, *how_reached(interview, program)),
        fix_user=fix,
    )


@cause(
    "MC0629",
    "the program's ELF interpreter is no loader for it",
    stops=("Execute",),
    errnos=(errno.ELIBBAD, errno.EIO, errno.ENOEXEC),
)
def bad_loader(interview: Interview) -> Verdict:
    """What the program names as its loader (PT_INTERP) is there and may be executed, and is not
    the loader: an empty file, a text, or a loader for another machine. The kernel says ELIBBAD; EIO
    where the file is shorter than an ELF header.

    Reproduction (an ordinary user; IMAGE is a directory without a C library):

        cp /bin/true "$IMAGE/bin/dynamic"
        loader=$(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*')
        mkdir -p "$IMAGE${loader%/*}" && seq 100 >"$IMAGE$loader" && chmod +x "$IMAGE$loader"
        minictr exec "$IMAGE" dynamic

    Fix, user: install the loader anew where the image is built; the report names it.

    Fix, administrator: none is needed.

    Not the cause: the program, which is whole; a disk, whatever EIO is called.

    Sources: execve(2), ELIBBAD; fs/binfmt_elf.c, load_elf_binary and elf_read.
    """
    program = last(interview, "elf")
    if not isinstance(program, Program):
        return program
    root = interview.container()
    place = walk(root, program.wants) if program.wants else None
    if place is None or place.status is None or not place.found:
        return Excluded(f"{program.real} asks for no ELF interpreter that is there")
    loader = read_program(root, program.wants, place.reached, place.status)
    if loader.kind == "unreadable":
        return Unknown(f"{loader.real} cannot be read")
    if loader.kind == "elf" and runs_here(loader.machine) and not loader.truncated:
        return Excluded(f"{loader.real} is an ELF file for {loader.built_for}")
    what = f"an ELF file for {loader.built_for}" if loader.kind == "elf" else "no ELF file"
    what = "truncated" if loader.kind == "elf" and loader.truncated else what
    return Proof(
        f"{program.wants}, the ELF interpreter of {program.real}, is {what}",
        (
            f"PT_INTERP of {program.real} is {program.wants}",
            f"{loader.real} has {loader.size} bytes and begins with {sample(loader.start)}",
        ),
        fix_user=f"Install {printable(program.wants)} anew where the image is built.",
    )
