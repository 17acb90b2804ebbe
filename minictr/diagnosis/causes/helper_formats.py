"""What stops the id maps: a newuidmap or newgidmap that is no program which runs here."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helper_files import bring_back, damage, library_in, reinstall
from minictr.diagnosis.probes.helpers import (
    CAPABILITY,
    in_question,
    not_executed,
    otherwise,
    powerless,
)
from minictr.diagnosis.probes.program import Program, chain, runs_here
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.host import native
from minictr.runtime.idmap import KILLED

_BROKEN = (0, errno.ENOEXEC, errno.EACCES)  # 0: a signal ended it, or it was not started yet


@cause(
    "MC0313",
    "newuidmap or newgidmap is damaged",
    stops=("MapIds",),
    standing=True,
)
def helper_damaged(interview: Interview) -> Verdict:
    """The file at the helper's path is no whole program: empty, cut off in the middle, or something
    else altogether. execve(2) gives ENOEXEC, or the program dies by a signal as soon as it reaches
    what is missing. A full disk or a crash during an installation leaves such files.

    Reproduction (root, in a private mount namespace):

        head -c 20000 /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
        chmod 4755 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: install the package again: apt-get install --reinstall uidmap.

    Not the cause: the helper's mode and owner.

    Sources: execve(2), ENOEXEC; elf(5); fs/binfmt_elf.c, load_elf_phdrs.
    """
    failure = interview.failure
    if failure.call in CAPABILITY and KILLED not in failure.said:
        return None
    # EACCES is what a directory and a FIFO give; for a file it is about something else.
    refused = failure.call == "execve" and failure.errno == errno.EACCES
    for path in in_question(interview) if failure.errno in _BROKEN else ():
        program = _program(interview, path)
        if not program or (refused and (program.start or program.kind == "empty")):
            continue
        wrong = damage(program)
        if wrong:
            return Proof(
                f"{path} is damaged: {wrong}",
                (f"read({path}): {wrong}",),
                fix_user=with_single_map(interview.request),
                fix_administrator=reinstall(interview.host),
            )
    return otherwise(interview, errno.ENOEXEC, "the helpers are whole programs")


@cause(
    "MC0314",
    "newuidmap or newgidmap is built for another machine",
    stops=("MapIds",),
    standing=True,
)
def helper_foreign(interview: Interview) -> Verdict:
    """The helper is a whole program, of another architecture: execve(2) gives ENOEXEC. A root file
    system unpacked on the wrong machine has such helpers, and a package of the wrong architecture.

    Reproduction (root, in a private mount namespace; foreign-elf is in tests/lab/tools):

        foreign-elf /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        chmod 4755 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: install the package of this machine's architecture. An emulator registered
    with binfmt_misc is no help: a program that is setuid gains nothing through it.

    Not the cause: the helper's mode and owner; a damaged file.

    Sources: execve(2), ENOEXEC; elf(5), e_machine; fs/binfmt_elf.c, load_elf_binary.
    """
    for path in not_executed(interview, errno.ENOEXEC):
        program = _program(interview, path)
        if program and program.kind == "elf" and not runs_here(program.machine):
            machine = native(posix.uname().machine)
            return Proof(
                f"{path} was built for {program.built_for}, and this machine is {machine}",
                (f"e_machine of {path} is {program.machine}", f"uname(2): {machine}"),
                fix_user=with_single_map(interview.request),
                fix_administrator=reinstall(interview.host),
            )
    return otherwise(interview, errno.ENOEXEC, "the helpers are programs of this machine")


@cause(
    "MC0316",
    "the loader or interpreter that newuidmap or newgidmap asks for is missing",
    stops=("MapIds",),
    standing=True,
)
def helper_without_loader(interview: Interview) -> Verdict:
    """The helper is there, and execve(2) gives ENOENT: what is missing is the program that it has
    to be started by, its ELF interpreter or the one behind `#!`. A helper copied from a system with
    another C library asks for a loader that this one has not got.

    Reproduction (root, in a private mount namespace):

        sed 's,/ld-linux,/ld-other,' /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
        chmod 4755 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: install this distribution's package again.

    Not the cause: the helper itself, which is there, although the errno is that of a missing file.

    Sources: execve(2), ENOENT; elf(5), PT_INTERP; fs/binfmt_elf.c, load_elf_binary; fs/namei.c,
    step_into.
    """
    for path in not_executed(interview, errno.ENOENT):
        program = _program(interview, path)
        if not program or not program.wants:
            continue
        ended = walk("", program.wants)
        if ended.missing:
            asks = "PT_INTERP of" if program.kind == "elf" else "the first line of"
            return Proof(
                f"{program.wants}, which {path} has to be started by, is missing",
                (
                    f"{asks} {path} is {program.wants}",
                    f"stat({program.wants}): {errno_name(ended.errno)}",
                ),
                fix_user=with_single_map(interview.request),
                fix_administrator=reinstall(interview.host),
            )
    return otherwise(interview, errno.ENOENT, "what the helpers are started by is there")


@cause(
    "MC0317",
    "newuidmap or newgidmap misses a shared library",
    stops=("MapIds",),
)
def helper_without_library(interview: Interview) -> Verdict:
    r"""The helper was started; the dynamic linker found a library missing, damaged or too old:
    its own line says which. Half an upgrade, or a package removed by force, leaves it so.

    Reproduction (root, in a private mount namespace):

        library=$(ldd /usr/bin/newuidmap | grep -o '/[^ ]*libaudit[^ ]*')
        : >"$DIRECTORY/empty"
        mount --bind "$DIRECTORY/empty" "$(readlink -f "$library")"
        setpriv --reuid="$USER" --regid="$USER" --init-groups \
            minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: install the library's package again; the report names the library.

    Not the cause: LD_LIBRARY_PATH, which the helpers do not get: minictr starts them with an empty
    environment.

    Sources: ld.so(8); glibc, elf/dl-load.c, _dl_map_object, and elf/dl-version.c, match_symbol.
    """
    failure = interview.failure
    if failure.call not in CAPABILITY:
        return None
    library, version = library_in(failure.said)
    if not library:
        return Excluded(f"{failure.call} was loaded: its last words are its own")
    version = f" of the version {version}" if version else ""
    return Proof(
        f"{failure.arguments[0]} needs {library}{version}, which cannot be loaded",
        (f"the dynamic linker: {failure.said}",),
        fix_user=with_single_map(interview.request),
        fix_administrator=bring_back(interview.host, library),
    )


@cause(
    "MC0315",
    "newuidmap or newgidmap is a script",
    stops=("MapIds",),
    standing=True,
)
def script(interview: Interview) -> Verdict:
    r"""The helper's file is a script that is setuid or has file capabilities. Neither counts for a
    script: its interpreter runs as the caller, and the kernel refuses the write.

    Reproduction (root, in a private mount namespace):

        install -D /usr/bin/newuidmap "$DIRECTORY/real/newuidmap"
        printf '#!/bin/sh\nexec %s/real/newuidmap "$@"\n' "$DIRECTORY" >"$DIRECTORY/newuidmap"
        chmod 4755 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: put the program itself there: install the package again.

    Not the cause: the script's mode and owner, whatever they are.

    Sources: execve(2), "Interpreter scripts"; fs/binfmt_script.c; fs/exec.c, bprm_fill_uid;
    kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if not helper.script:
        return Excluded(f"{helper.path} does not begin with #!")
    if not (helper.setuid or helper.capable):
        return Unknown(f"{helper.path} is a script; what it starts in its turn cannot be seen")
    return Proof(
        f"{helper.path} is a script, to which the kernel gives no privilege",
        (f"{helper.path} begins with #!", f"{helper.path}: {helper.described}"),
        fix_user=with_single_map(interview.request),
        fix_administrator=reinstall(interview.host),
    )


def _program(interview: Interview, path: str) -> Program | None:
    """The file at the path; None where it cannot be reached."""
    found = interview.once(chain, "", path)
    return found[0] if found else None
