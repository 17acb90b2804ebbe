"""What stops the command: what is at its path may not be executed."""

from __future__ import annotations

import errno
import stat

from minictr.diagnosis.again import again, listing
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import executed
from minictr.diagnosis.probes.hidden import hidden, uncovered
from minictr.diagnosis.probes.inside import granted, host_path
from minictr.diagnosis.probes.permission import Denied, first_denied
from minictr.diagnosis.probes.program import read_program
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Excluded, Proof, Verdict
from minictr.image.refusals import printable, quoted


@cause(
    "MC0605",
    "the command is a directory",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def is_directory(interview: Interview) -> Verdict:
    """The path leads to a directory, and only files are executed. The kernel says EACCES, as it
    does of a file without execute permission.

    Reproduction (an ordinary user):

        minictr exec "$IMAGE" /bin

    Fix, user: give the program in that directory.

    Fix, administrator: none is needed.

    Not the cause: the directory's mode.

    Sources: execve(2), EACCES.
    """
    found = first_denied(interview)
    if not isinstance(found, Denied):
        return found
    place = found.place
    if found.why != "directory" or found.role != "command":
        return Excluded(f"{place.reached} is not a directory, or is not the command")
    return Proof(
        f"{place.reached} is a directory",
        (f"stat({place.reached}) in the container: S_IFDIR",),
        fix_user=f"Give a program in it: `{listing(interview.request, place.reached)}` lists them.",
    )


@cause(
    "MC0606",
    "the command's file is not executable",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def not_executable(interview: Interview) -> Verdict:
    r"""The file is there, and its mode does not let this user execute it.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!/bin/sh\necho ran\n' >"$IMAGE/bin/greet"
        chmod 0644 "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: chmod +x where the file is yours; a script can be given to its interpreter.

    Fix, administrator: none is needed; who builds the image sets the mode.

    Not the cause: PATH: the file was found, whatever other launchers say; noexec, which is a
    property of the mount.

    Sources: execve(2), EACCES; access(2).
    """
    found = first_denied(interview)
    if not isinstance(found, Denied):
        return found
    place = found.place
    if found.why != "mode" or found.role != "command":
        return Excluded(f"what denies execution is {place.reached}, and not by the command's mode")
    covered = hidden(interview, place.path)
    root = interview.container()
    fixes = [_make_executable(interview, root, place)]
    if covered:
        kind = read_program(root, place.reached, place.reached, found.status).kind
        fixes = [uncovered(interview, covered), *(fixes if kind in ("elf", "script") else [])]
    seen = f"stat({place.reached}) in the container: {found.owner()}"
    return Proof(
        f"{place.reached} is not executable by {interview.host.user}",
        (seen, covered.fact()) if covered else (seen,),
        fix_user="\n".join(fixes),
        fix_administrator=granted(interview, place.reached, found.status),
    )


def _make_executable(interview: Interview, root: str, place: Walk) -> str:
    lines = []
    outside = host_path(interview, place.reached)
    if outside and place.status and place.status.st_uid == interview.host.uid:
        lines.append(f"chmod u+x {quoted(outside)}")
    assert place.status
    program = read_program(root, place.reached, place.reached, place.status)
    interpreter = walk(root, program.wants) if program.kind == "script" else None
    if interpreter and interpreter.found and stat.S_IMODE(place.status.st_mode) & 0o444:
        arguments = (program.wants, place.reached, *executed(interview)[1:])
        lines.append(again(interview.request, command=arguments))
    if granted(interview, place.reached, place.status):
        return "\n".join(lines)
    built = f"Set the mode of {printable(place.reached)} where the image is built."
    return "\n".join(lines) or built
