"""What stops the command: a path, or a chain of interpreters, that the kernel does not follow."""

from __future__ import annotations

import errno
import re

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import (
    candidates,
    directory,
    executed,
    last,
    programs,
    usual_place,
)
from minictr.diagnosis.probes.inside import host_path
from minictr.diagnosis.probes.program import DEEPEST, Program, chain, seen_from
from minictr.diagnosis.probes.walk import MAXSYMLINKS, Walk, walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable, quoted

_NAME_MAX, _PATH_MAX = 255, 4096  # include/uapi/linux/limits.h


@cause(
    "MC0616",
    "more symbolic links are on the way to the command than the kernel follows",
    stops=("Execute",),
    errnos=(errno.ELOOP, errno.ENOENT),
)
def loop(interview: Interview) -> Verdict:
    """A symbolic link on the way to the command, or to the interpreter it needs, leads back to
    itself, at once or over others; or there are very many. The kernel follows forty and says
    ELOOP; a search in PATH goes on to the next directory, and finds nothing.

    Reproduction (an ordinary user; IMAGE is a directory):

        ln -s loop "$IMAGE/bin/loop"
        minictr exec "$IMAGE" /bin/loop

    Fix, user: correct the link.

    Fix, administrator: none is needed; who builds the image corrects the link.

    Not the cause: PATH, which has led to the link.

    Sources: path_resolution(7); execve(2), ELOOP; include/linux/namei.h, MAXSYMLINKS.
    """
    root = interview.container()
    if not root:
        return Unknown("the container's files cannot be seen")
    tried = [*candidates(interview, root), *_interpreters(interview, root)]
    place = next((one for one in tried if one.errno == errno.ELOOP), None)
    if place is None:
        return Excluded(f"no way has more than {MAXSYMLINKS} symbolic links")
    what = "which leads back to it" if _circular(root, place) else "one of too many on the way"
    return Proof(
        f"{place.link} is a symbolic link to {place.target}, {what}",
        (f"the way to {place.path} in the container has more than {MAXSYMLINKS} symbolic links",),
        fix_user=f"Correct {printable(place.link)} in the image.",
    )


@cause(
    "MC0617",
    "scripts are one another's interpreters, too many of them",
    stops=("Execute",),
    errnos=(errno.ELOOP,),
)
def nested(interview: Interview) -> Verdict:
    r"""The interpreter of the script is a script itself, and so on. The kernel reads six files in
    such a chain and says ELOOP when the last of them is still a script. A script that names itself
    is the shortest such chain.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!/bin/self\n' >"$IMAGE/bin/self" && chmod +x "$IMAGE/bin/self"
        minictr exec "$IMAGE" self

    Fix, user: name a program, not a script, as the interpreter; #!/usr/bin/env SCRIPT begins a
    new chain.

    Fix, administrator: none is needed.

    Not the cause: symbolic links, whatever ELOOP is called.

    Sources: execve(2), "Interpreter scripts"; fs/exec.c, exec_binprm.
    """
    script = last(interview, "script")
    if not isinstance(script, Program):
        return script
    read = programs(interview)
    if len(read) < DEEPEST:
        return Excluded(f"execve(2) reads {len(read)} files")
    names = " -> ".join(one.real for one in read)
    outside = host_path(interview, script.real)
    shown = printable(script.real)
    fix = f"Name a program, not a script, as the interpreter in the first line of {shown}."
    shell = chain(interview.container(), "/bin/sh")[-1:]
    if len({one.real for one in read}) == 1 and outside and shell and shell[0].kind == "elf":
        fix = f"sed -i '1s|.*|#!/bin/sh|' {quoted(outside)}"
    return Proof(
        f"{read[0].real} has a script as its interpreter, and that has one, and so on",
        (f"{names} -> {script.wants}: the kernel reads {DEEPEST} files and no more",),
        fix_user=fix,
    )


@cause(
    "MC0627",
    "the interpreter in the line #! is no absolute path",
    stops=("Execute",),
    errnos=(errno.ENOENT, errno.ENOTDIR),
)
def relative(interview: Interview) -> Verdict:
    r"""The kernel does not search PATH for what a #! line names: `#!python3` is the file python3 of
    the working directory, which is not there.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!sh\n' >"$IMAGE/bin/greet" && chmod +x "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: write the interpreter's path, or #!/usr/bin/env NAME where the image has env.

    Fix, administrator: none is needed.

    Not the cause: PATH, which has no part in it.

    Sources: execve(2), "Interpreter scripts"; fs/binfmt_script.c, open_exec.
    """
    script = last(interview, "script")
    if not isinstance(script, Program):
        return script
    if script.wants.startswith("/") or not script.wants:
        return Excluded(f"{script.real} names {script.wants or 'nothing'}")
    where = directory(interview)
    place = walk(interview.container(), seen_from(where, script.wants))
    if place.found:
        return Excluded(f"{place.path} is in the container")
    if not place.missing:
        return Unknown(f"the way to {place.path} in the container: {place.end()}")
    outside = host_path(interview, script.real)
    path = usual_place(interview, script.wants.rstrip("\r"))
    shown = printable(script.real)
    fix = f"Write the whole path of the interpreter into the first line of {shown}."
    if outside and re.fullmatch(r"[\w./+-]+", path):  # an image may have names that sed obeys
        fix = f"sed -i '1s|^#![ \\t]*[^ \\t]*|#!{path}|' {quoted(outside)}"
    elif path:
        words = (path, script.real, *executed(interview)[1:])
        fix = again(interview.request, command=words)
    return Proof(
        f"{script.real} names its interpreter {script.wants!r}, which is no absolute path",
        (f"the working directory is {where}, and in the container {place.end()}",),
        fix_user=fix,
    )


@cause(
    "MC0630",
    "the path of the command, or of its ELF interpreter, is too long",
    stops=("Execute",),
    errnos=(errno.ENAMETOOLONG, errno.ENOENT),
)
def too_long(interview: Interview) -> Verdict:
    """A path may have 4095 bytes and each name in it 255: the kernel's own bounds, whatever the
    file system. They hold as well for the loader that the program's file names (PT_INTERP), of
    which the kernel says ENAMETOOLONG as if it were said of the command.

    Reproduction (an ordinary user):

        minictr exec "$IMAGE" "/bin/$(printf %0300d 1)"

    Fix, user: shorten the path; from a nearer working directory (--pwd) it may be relative. Link a
    program anew whose loader has such a name.

    Fix, administrator: none is needed.

    Not the cause: the length of the arguments, for which E2BIG is said.

    Sources: execve(2), ENAMETOOLONG; path_resolution(7); include/uapi/linux/limits.h;
    fs/binfmt_elf.c, load_elf_binary.
    """
    if not interview.failure.arguments:
        return None
    path = next(iter(executed(interview)), "") or str(interview.failure.arguments[0])
    what = _excess(path)
    if what:
        return Proof(
            f"the path of the command is too long: {what}",
            (f"it begins with {path[:60]}",),
            fix_user="Shorten the path.",
        )
    longest = max(map(_length, path.split("/")))
    return _loader_too_long(interview) or Excluded(
        f"it has {_length(path)} bytes, and its longest name {longest}"
    )


def _loader_too_long(interview: Interview) -> Proof | None:
    program = last(interview, "elf")
    if interview.failure.errno != errno.ENAMETOOLONG or not isinstance(program, Program):
        return None
    what = _excess(program.wants)
    if not what:
        return None
    return Proof(
        f"the path of the ELF interpreter of {program.real} is too long: {what}",
        (f"PT_INTERP of {program.real} begins with {program.wants[:60]}",),
        fix_user=f"Link {printable(program.real)} anew, or use a statically linked build of it.",
    )


def _excess(path: str) -> str:
    """What of a path is longer than the kernel takes; "" where nothing is."""
    longest = max(map(_length, path.split("/")))
    if longest > _NAME_MAX:
        return f"a name in it has {longest} bytes, and {_NAME_MAX} are allowed"
    if _length(path) >= _PATH_MAX:
        return f"it has {_length(path)} bytes, and {_PATH_MAX - 1} are allowed"
    return ""


def _circular(root: str, place: Walk) -> bool:
    """Whether the links lead in a circle: going on from where the walk ended comes back there."""
    seen: set[str] = set()
    while place.errno == errno.ELOOP:
        if place.link in seen:
            return True
        seen.add(place.link)
        place = walk(root, place.link)
    return False


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _interpreters(interview: Interview, root: str) -> list[Walk]:
    where = directory(interview) if programs(interview) else "/"
    return [walk(root, seen_from(where, one.wants)) for one in programs(interview) if one.wants]
