"""What ends a command that was started, with status 127: what it looked for and did not find."""

from __future__ import annotations

import shlex

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.probes.command import directory
from minictr.diagnosis.probes.inside import host_path
from minictr.diagnosis.probes.libraries import Lacking, first_lacking
from minictr.diagnosis.probes.program import Program, chain, own_program, runs_here, seen_from
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable, quoted

_STEP = RunPayload.__name__
_NOT_FOUND = 127 << 8  # as a wait status


@cause("MC0640", "a shared library that the program needs is missing", stops=(_STEP,))
def library_missing(interview: Interview) -> Verdict:
    """The program was started, and its loader did not find a shared library: it says which, and
    ends with status 127. The program and all libraries it has are read for what they need
    (DT_NEEDED), and each is looked for wherever a loader may look.

    Reproduction (an ordinary user; IMAGE is a directory without a C library):

        cp /bin/true "$IMAGE/bin/dynamic"
        loader=$(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*')
        mkdir -p "$IMAGE${loader%/*}" && cp "$loader" "$IMAGE$loader"
        minictr exec "$IMAGE" dynamic

    Fix, user: use an image that has the library; or bind it, and name its directory in
    LD_LIBRARY_PATH.

    Fix, administrator: none is needed; who builds the image installs the library.

    Not the cause: minictr, which has done its work; the program's path, which is right.

    Sources: ld.so(8); elf(5), DT_NEEDED, DT_RPATH and DT_RUNPATH.
    """
    found = _lacking(interview)
    if not isinstance(found, Lacking):
        return found
    if found.wrong:
        return Excluded(f"{found.wrong[0][0]} is there")
    return Proof(
        f"the shared library {found.name} is missing, which {found.by} needs",
        (
            f"DT_NEEDED of {found.by} has {found.name}",
            f"no such file is in {' '.join(found.places)}",
        ),
        fix_user=f"Install what has {printable(found.name)} where the image is built, or use an "
        "image that has it.",
    )


@cause(
    "MC0641",
    "a shared library that the program needs is there, and of no use to it",
    stops=(_STEP,),
)
def library_of_no_use(interview: Interview) -> Verdict:
    """The loader passes over a library for another machine, or stops at a file that is none: one
    that was cut short, or a linker script. It ends with status 127.

    Reproduction (an ordinary user; IMAGE is a directory without a C library):

        cp /bin/true "$IMAGE/bin/dynamic"
        for file in $(ldd /bin/true | grep -o '/[^ ]*'); do
          mkdir -p "$IMAGE${file%/*}" && cp "$file" "$IMAGE$file"
        done
        : >"$(find "$IMAGE" -name libc.so.6)"
        minictr exec "$IMAGE" dynamic

    Fix, user: install the library for the program's machine; the report has its place.

    Fix, administrator: none is needed; who builds the image installs the library.

    Not the cause: minictr, which has done its work; LD_LIBRARY_PATH, unless it leads to that file.

    Sources: ld.so(8); elf(5), EI_CLASS and e_machine.
    """
    found = _lacking(interview)
    if not isinstance(found, Lacking):
        return found
    if not found.wrong:
        return Excluded(f"no file has the name {found.name}")
    path, why = found.wrong[0]
    return Proof(
        f"{path}, which {found.by} needs, is of no use to it: it is {why}",
        (
            f"DT_NEEDED of {found.by} has {found.name}",
            *(f"{one} is {words}" for one, words in found.wrong),
        ),
        fix_user=f"Install {printable(found.name)} anew, for the same machine as "
        f"{printable(found.by)}, where the image is built.",
    )


@cause(
    "MC0642",
    "env does not find the interpreter that the line #! of a script names",
    stops=(_STEP,),
)
def not_for_env(interview: Interview) -> Verdict:
    r"""The script begins with #!/usr/bin/env NAME. The kernel starts env, which looks for NAME in
    the container's PATH and ends with status 127 where it is not. All that stands behind env is
    one name, unless it begins with -S; a carriage return at the end of the line is part of it.

    busybox and toybox have many programs in one file, and an env that runs those without PATH,
    depending on how it was built. Of a name that is in that file nothing is said.

    Reproduction (an ordinary user; IMAGE is a directory):

        printf '#!/bin/env nosuch\n' >"$IMAGE/bin/greet" && chmod +x "$IMAGE/bin/greet"
        minictr exec "$IMAGE" greet

    Fix, user: the report says whether the name, the blank in it or the carriage return is wrong.

    Fix, administrator: none is needed.

    Not the cause: the script, which is there; minictr, which has done its work.

    Sources: env(1); execve(2), "Interpreter scripts".
    """
    programs = _programs(interview)
    if not isinstance(programs, tuple):
        return programs
    script = programs[0]
    if script.kind != "script" or script.wants.rpartition("/")[2] != "env" or not script.argument:
        return Excluded(f"{script.real} is no script for env")
    name = sought_by_env(script.argument)
    path = str(interview.failure.arguments[1])
    if not name or _has(interview, name, path):
        return Excluded(f"the container has {name or 'no name to look for'}")
    for env in programs[1:2]:
        if own_program(interview.container(), env, name):
            return Unknown(f"{env.real}, which is env, has a {name} of its own, without PATH")
    return Proof(
        f"env does not find {name!r}, which the #! line of {script.real} names",
        (
            f"{script.real} begins with {'#!' + script.wants + ' ' + script.argument!r}",
            f"the container's PATH is {path}",
        ),
        fix_user=_fix_for_env(interview, script, name, path),
    )


def _programs(interview: Interview) -> tuple[Program, ...] | Unknown | Excluded | None:
    """What was executed: the command, its interpreter, and so on."""
    failure = interview.failure
    if failure.status != _NOT_FOUND:
        return None
    if not failure.arguments or not interview.container():
        return Unknown("what was executed cannot be looked at")
    where = interview.once(directory, interview)
    path = seen_from(where, str(failure.arguments[0]))
    found = interview.once(chain, interview.container(), path, where)
    return found or Excluded(f"{path} is not there any more")


def _lacking(interview: Interview) -> Lacking | Unknown | Excluded | None:
    programs = _programs(interview)
    if not isinstance(programs, tuple):
        return programs
    last = programs[-1]
    if last.kind != "elf" or not last.wants or not runs_here(last.machine):
        return Excluded(f"{last.real} is no program that a loader of this machine begins")
    libraries, preloaded = (str(one) for one in interview.failure.arguments[2:4])
    if preloaded or walk(interview.container(), "/etc/ld.so.preload").found:
        return Unknown("a library that is loaded before all others may stand for another")
    container, where = interview.container(), interview.once(directory, interview)
    found = interview.once(first_lacking, container, last.real, last.wants, libraries, where)
    if isinstance(found, str):
        return Unknown(found)
    return found or Excluded(f"every library that {last.real} needs is there")


def sought_by_env(argument: str) -> str:
    """What env looks for, by all that a #! line has behind it; "" where that is left open.

    -S splits it by rules of its own, which are those of a shell where no word has an escape, a
    variable or a comment: env(1), "-S/--split-string syntax". A PATH that it sets counts at once.
    """
    if not argument.startswith("-S"):
        return "" if argument.startswith("-") or "=" in argument.split()[0] else argument
    try:
        words = [] if set("\\$#") & set(argument) else shlex.split(argument[2:])
    except ValueError:  # a quotation that does not end
        return ""
    left = [word for word in words if "=" not in word]
    open_end = any(word.startswith("PATH=") for word in words)
    return left[0] if left and not open_end and not left[0].startswith("-") else ""


def _has(interview: Interview, name: str, path: str) -> bool:
    """Whether env finds it, or may: what cannot be looked at counts as found."""
    root = interview.container()
    where = interview.once(directory, interview)
    places = [""] if "/" in name else [place or "." for place in path.split(":")]
    paths = [seen_from(where, f"{place}/{name}" if place else name) for place in places]
    found = [walk(root, one) for one in paths]
    return any(one.is_file() or not (one.found or one.missing) for one in found)


def _fix_for_env(interview: Interview, script: Program, name: str, path: str) -> str:
    outside = host_path(interview, script.real)
    where = quoted(outside or script.real)
    first = name.split()[0] if name.split() else ""
    fix = ""
    if name.endswith("\r"):
        fix = f"sed -i 's/\\r$//' {where}"
    elif " " in name and _has(interview, first, path):
        fix = f"sed -i '1s|env |env -S |' {where}"
    if fix:
        return fix if outside else f"Run `{fix}` where the image is built."
    shown = printable(first.strip())
    return f"Install {shown} where the image is built, or use an image that has it."
