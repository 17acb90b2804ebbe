"""Where the command that was to be executed is looked for in the container, and what is there."""

from __future__ import annotations

import posix

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.program import Program, chain, seen_from
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Excluded, Unknown
from minictr.runtime.execute import Execute


def executed(interview: Interview) -> tuple[str, ...]:
    """The words that execve(2) was to be given. Those of `run` begin with the image's runscript,
    those of `shell` with the shell, which nobody typed.
    """
    step = interview.failure.step
    return step.command if isinstance(step, Execute) else interview.request.command


def candidates(interview: Interview, root: str) -> list[Walk]:
    """Where the command was looked for: at its path, or in each directory of the container's PATH.

    root  the container's root as the launcher sees it
    """
    failure = interview.failure
    if failure.call == "execve":
        return [walk(root, absolute(interview))]
    if failure.call != "search":
        return []
    name, path = (str(argument) for argument in failure.arguments[:2])
    return list(searched(interview, root, name, path).values())


def searched(interview: Interview, root: str, name: str, path: str) -> dict[str, Walk]:
    """Each directory of PATH, and where a name in it leads: a relative one from the witness's."""
    where = interview.once(directory, interview)
    places = [place or "." for place in path.split(":")]
    return {place: walk(root, seen_from(where, f"{place}/{name}")) for place in places}


def absolute(interview: Interview) -> str:
    """The path that execve(2) was given, seen from the witness's working directory."""
    return seen_from(interview.once(directory, interview), str(interview.failure.arguments[0]))


def directory(interview: Interview) -> str:
    """The witness's working directory, as the container names it."""
    return posix.readlink(f"/proc/{interview.failure.witness}/cwd")


def programs(interview: Interview) -> tuple[Program, ...]:
    """The file that was executed, its interpreter, and so on; () where they cannot be seen."""
    root = interview.container()
    if not root or interview.failure.call != "execve":
        return ()
    where = interview.once(directory, interview)
    return interview.once(chain, root, absolute(interview), where)


def last(interview: Interview, *kinds: str) -> Program | Excluded | Unknown | None:
    """The last file that execve(2) read, which it stumbled over, if it is of one of the kinds.

    None where the failure is not about a file that is there.
    """
    if interview.failure.call != "execve":
        return None
    if not interview.container():
        return Unknown("the container's files cannot be seen")
    found = programs(interview)
    if not found:
        return None
    end = found[-1]
    if end.kind == "unreadable":
        return Unknown(f"{end.real} is executable and not readable")
    return end if end.kind in kinds else Excluded(f"{end.real} is no {kinds[0]} file: {end.kind}")


def usual_place(interview: Interview, name: str) -> str:
    """The path of the program of that name where images have interpreters, "" for none."""
    root = interview.container()
    for place in ("/usr/local/bin", "/usr/bin", "/bin", "/opt/conda/bin"):
        if walk(root, f"{place}/{name}").is_program():
            return f"{place}/{name}"
    return ""


def how_reached(interview: Interview, program: Program) -> tuple[str, ...]:
    """The scripts that led to a file, as facts."""
    before = programs(interview)
    until = before.index(program) if program in before else len(before)
    return tuple(f"{one.real} begins with #!{one.wants}" for one in before[:until])
