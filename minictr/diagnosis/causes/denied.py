"""What stops the command: a file or directory that execve(2) meets and that denies execution."""

from __future__ import annotations

import errno
import stat

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import executed, programs
from minictr.diagnosis.probes.inside import granted, host_path
from minictr.diagnosis.probes.permission import Denied, first_denied, whose
from minictr.diagnosis.probes.program import Program
from minictr.diagnosis.rights import let_through
from minictr.diagnosis.values import Excluded, Proof, Verdict
from minictr.image.refusals import printable, quoted

_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}  # fmt: skip


@cause(
    "MC0618",
    "a directory above the command denies search",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def not_searchable(interview: Interview) -> Verdict:
    """The way to the command, or to the interpreter it needs, leads through a directory that the
    payload may not search (x). The payload has the caller's ids and no capability, so that root's
    own directories of mode 0700 are closed to it even where the image is unpacked by root.

    Reproduction (an ordinary user; IMAGE is a directory):

        mkdir "$IMAGE/closed" && cp "$IMAGE/bin/busybox" "$IMAGE/closed/true"
        chmod 0600 "$IMAGE/closed"
        minictr exec "$IMAGE" /closed/true

    Fix, user: chmod u+x where the directory is your own.

    Fix, administrator: setfacl -m u:USER:x DIRECTORY lets that user through and nobody else. Where
    the directory is one of PATH, nobody knows that the program is in it: leave it out.

    Not the cause: the mode of the program itself, which the kernel has not come to.

    Sources: execve(2), EACCES; path_resolution(7), "Step 2".
    """
    found = first_denied(interview)
    if not isinstance(found, Denied):
        return found
    if found.why != "search":
        return Excluded(f"every directory on the way to {found.place.path} can be searched")
    place, host = found.place, interview.host
    outside = host_path(interview, place.reached)
    own = found.status.st_uid == host.uid
    fix, of_administrator = "", ""
    if outside and own:
        fix = f"chmod u+x {quoted(outside)}"
    elif outside and interview.failure.call == "search":  # nobody knows that a program is there
        fix = f"Take what lies in {printable(place.reached)} out of PATH."
    elif outside:
        of_administrator = let_through(host.user, outside)
    else:
        fix = f"Set the mode of {printable(place.reached)} where the image is built."
    return Proof(
        f"{place.reached} denies search, so {place.path} cannot be reached",
        (
            f"{place.reached} in the container: {found.owner()} ({whose(found.status)}); "
            f"the caller is {host.user} ({host.uid})",
            found.by,
        ),
        fix_user=fix,
        fix_administrator=of_administrator,
    )


@cause(
    "MC0620",
    "the command is neither a file nor a directory",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def is_special(interview: Interview) -> Verdict:
    """The path leads to a FIFO, a socket or a device. Only regular files are executed; the kernel
    says EACCES, as it does of a file without execute permission.

    Reproduction (an ordinary user; IMAGE is a directory):

        mkfifo -m 0755 "$IMAGE/bin/fifo"
        minictr exec "$IMAGE" /bin/fifo

    Fix, user: give the path of a program.

    Fix, administrator: none is needed.

    Not the cause: its mode, which may have every bit set.

    Sources: execve(2), EACCES; fs/namei.c, may_open.
    """
    found = first_denied(interview)
    if not isinstance(found, Denied):
        return found
    if found.why != "special":
        return Excluded(f"{found.place.reached} is a file or a directory")
    kind = _KINDS.get(stat.S_IFMT(found.status.st_mode), "no regular file")
    return Proof(
        f"{found.place.reached} is {kind}, and only regular files are executed",
        (f"stat({found.place.reached}) in the container: {kind}", found.by),
        fix_user="Give the path of a program.",
    )


@cause(
    "MC0621",
    "the interpreter of a script is not executable",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def interpreter_denied(interview: Interview) -> Verdict:
    r"""The script may be executed; what its #! line names may not: a file without execute
    permission, or a directory. The kernel says EACCES as if it were the script's mode.

    Reproduction (an ordinary user; IMAGE is a directory):

        cp "$IMAGE/bin/busybox" "$IMAGE/sh" && chmod 0644 "$IMAGE/sh"
        printf '#!/sh\n' >"$IMAGE/bin/greet" && chmod 0755 "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: chmod u+x the interpreter where it is yours, or name a program in the #! line.

    Fix, administrator: none is needed; who builds the image sets the mode.

    Not the cause: the script's own mode.

    Sources: execve(2), EACCES and "Interpreter scripts"; fs/exec.c, do_open_execat.
    """
    return _needed_denied(interview, "interpreter")


@cause(
    "MC0622",
    "the program's ELF interpreter is not executable",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def loader_denied(interview: Interview) -> Verdict:
    """The program may be executed; the loader that its file names (PT_INTERP) may not: its mode was
    lost, or a directory is at its place.

    Reproduction (an ordinary user; IMAGE is a directory without a C library):

        cp /bin/true "$IMAGE/bin/dynamic"
        for file in $(ldd /bin/true | grep -o '/[^ ]*'); do
          mkdir -p "$IMAGE${file%/*}" && cp "$file" "$IMAGE$file" && chmod 0644 "$IMAGE$file"
        done
        minictr exec "$IMAGE" dynamic

    Fix, user: chmod u+x the loader where it is yours.

    Fix, administrator: none is needed; who builds the image sets the mode.

    Not the cause: the program's own mode; the libraries, which need no execute permission.

    Sources: execve(2), EACCES; elf(5), PT_INTERP; fs/binfmt_elf.c, load_elf_binary.
    """
    return _needed_denied(interview, "loader")


def _needed_denied(interview: Interview, role: str) -> Verdict:
    """The proof that an interpreter or loader may not be executed."""
    found = first_denied(interview)
    if not isinstance(found, Denied):
        return found
    if found.role != role or found.why not in ("mode", "directory"):
        return Excluded(
            f"no {role} is denied: {found.place.reached} is, and it is the {found.role}"
        )
    first = programs(interview)[-1]
    name = found.place.reached
    whose_is_it = "the script" if role == "interpreter" else "the program"
    what = "a directory" if found.why == "directory" else "not executable"
    called = "interpreter" if role == "interpreter" else "ELF interpreter"
    asking = _asking(interview, found) or first
    of_list = granted(interview, name, found.status) if found.why == "mode" else ""
    return Proof(
        f"{name}, the {called} of {whose_is_it} {asking.real}, is {what}",
        (found.by, f"stat({name}) in the container: {found.owner()}"),
        fix_user="" if of_list else _made_executable(interview, found, asking),
        fix_administrator=of_list,
    )


def _asking(interview: Interview, found: Denied) -> Program | None:
    """The file that asks for the one that was denied."""
    named = (one for one in programs(interview) if found.by.endswith(one.wants) and one.wants)
    return next(named, None)


def _made_executable(interview: Interview, found: Denied, asking: Program) -> str:
    outside = host_path(interview, found.place.reached)
    if found.why == "mode" and outside and found.status.st_uid == interview.host.uid:
        return f"chmod u+x {quoted(outside)}"
    if found.role == "interpreter" and found.why == "directory":
        return f"Name a program in the first line of {printable(asking.real)}."
    if found.role == "interpreter":
        run = again(interview.request, command=("/bin/sh", asking.real, *executed(interview)[1:]))
        return (
            f"Set the mode of {printable(found.place.reached)} where the image is built; a script "
            f"for sh runs by `{run}` meanwhile."
        )
    return f"Set the mode of {printable(found.place.reached)} where the image is built."
