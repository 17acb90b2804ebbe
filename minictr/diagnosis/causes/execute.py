"""What stops the command: no file is at the place where it is looked for."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again, listing
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import absolute, candidates, directory, executed, searched
from minictr.diagnosis.probes.hidden import hidden, uncovered
from minictr.diagnosis.probes.program import chain
from minictr.diagnosis.probes.walk import NOT_OURS, Walk, walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable

# Directories where images keep programs beside their PATH.
_ELSEWHERE = (
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/games",
    "/opt/bin", "/opt/conda/bin", "/opt/venv/bin", "/app", "/app/bin",
)  # fmt: skip


@cause(
    "MC0601",
    "the command is a symbolic link in the image that leads nowhere",
    stops=("Execute",),
    errnos=(errno.ENOENT, errno.ENOTDIR),
)
def dangling(interview: Interview) -> Verdict:
    """The command's name is in the container, as a symbolic link whose target is not. Images that
    were copied together from another system often have such links.

    Reproduction (an ordinary user; IMAGE is a directory):

        ln -s /opt/tool/bin/tool "$IMAGE/bin/tool"
        minictr exec "$IMAGE" tool

    Fix, user: bind what has the target, where the host has it.

    Fix, administrator: none is needed; who builds the image corrects the link.

    Not the cause: PATH, which has led to the link; a missing shared library.

    Sources: symlink(7); path_resolution(7).
    """
    root = interview.container()
    if not root:
        return Unknown("the container's files cannot be seen")
    tried = candidates(interview, root)
    unseen = next((place for place in tried if place.errno == NOT_OURS), None)
    tried = [place for place in tried if place.missing]
    wrong = next((place for place in tried if place.link and _is_broken(root, place)), None)
    if wrong is None and unseen:
        return Unknown(f"in the container {unseen.end()}")
    if wrong is None:
        return Excluded("no symbolic link on the way to the command is broken")
    fix = f"Correct {printable(wrong.link)} in the image, or add {printable(wrong.target)} to it."
    goal = walk("", wrong.target) if wrong.target.startswith("/") else None
    if goal and goal.found:
        shown = wrong.target if goal.is_directory() else wrong.target.rpartition("/")[0]
        fix = f"{again(interview.request, '--bind', shown or wrong.target)}\n{fix}"
    return Proof(
        f"{wrong.link} is a symbolic link to {wrong.target}, which the container lacks",
        (f"in the container {wrong.end()}",),
        fix_user=fix,
    )


@cause(
    "MC0602",
    "no directory of the container's PATH has the command",
    stops=("Execute",),
    errnos=(errno.ENOENT,),
)
def not_in_path(interview: Interview) -> Verdict:
    """The command was given by its name, and no directory of the container's own PATH has a file of
    that name. The host's programs are not seen inside, and the host's PATH does not count.

    Reproduction (an ordinary user):

        minictr exec "$IMAGE" nosuch

    Fix, user: give the path of the program where the image has it beside its PATH, or use an image
    that has it. Where a bind lies on top of the image's directory, bind that elsewhere.

    Fix, administrator: none is needed.

    Not the cause: a file of that name which is not executable: other launchers call that "not
    found", too.

    Sources: execvp(3); environ(7), PATH.
    """
    failure = interview.failure
    if failure.call != "search":
        return None
    name, path = (str(argument) for argument in failure.arguments[:2])
    root = interview.container()
    if not root:
        return Unknown("the container's files cannot be seen")
    looked = searched(interview, root, name, path)
    closed = [found for found in looked.values() if not found.found and not found.missing]
    if closed:
        return Unknown(f"in the container {closed[0].end()}")
    there = [place for place, found in looked.items() if found.is_file()]
    if there:
        return Excluded(f"{there[0]} has it")
    covered = next(filter(None, (hidden(interview, one.path) for one in looked.values())), None)
    why = f": {covered.what()} hides the image's" if covered else ""
    instead = uncovered(interview, covered) if covered else ""
    return Proof(
        f"no directory of the container's PATH has a program {printable(name)}{why}",
        (*_searched(interview, name, looked), *([covered.fact()] if covered else [])),
        fix_user=instead or _instead(interview, root, name, path),
    )


@cause(
    "MC0603",
    "the command's file is on the host and not bound into the container",
    stops=("Execute",),
    errnos=(errno.ENOENT, errno.ENOTDIR),
)
def not_bound(interview: Interview) -> Verdict:
    r"""The command was given by a path which exists on the host. Inside, the path leads elsewhere:
    the container has its own files, and those of the host only where a bind shows them.

    Reproduction (an ordinary user; DIRECTORY is not below /tmp or the home directory):

        printf '#!/bin/sh\n' >"$DIRECTORY/script" && chmod +x "$DIRECTORY/script"
        minictr exec --no-mount tmp "$IMAGE" "$DIRECTORY/script"

    Fix, user: --bind the directory that the file is in.

    Fix, administrator: none is needed.

    Not the cause: a missing shared library; the file's mode.

    Sources: execve(2), ENOENT; mount_namespaces(7).
    """
    place = _missing_path(interview)
    if place is None or isinstance(place, Unknown | Excluded):
        return place
    path = absolute(interview)
    if not walk("", path).is_file():
        return Excluded(f"the host has no file {path} either")
    above = path.rpartition("/")[0] or "/"
    if walk(interview.container(), above).found:  # a bind would hide what the image has there
        return Excluded(f"the container has a directory {above} of its own")
    fix = again(interview.request, "--bind", above)
    lacking = _lacking(interview.container(), path)
    if lacking:
        fix = (
            f"Use an image that has {path}: the host's needs {lacking}, which is not inside either."
        )
    return Proof(
        f"{path} is a file of the host, and is not bound into the container",
        (f"in the container {place.end()}", f"on the host {path} is a file"),
        fix_user=fix,
    )


@cause(
    "MC0604",
    "the command's path does not exist in the container",
    stops=("Execute",),
    errnos=(errno.ENOENT, errno.ENOTDIR),
)
def path_missing(interview: Interview) -> Verdict:
    """The command was given by a path, and neither the container nor the host has a file there; or
    the path goes on behind a file, as with a slash at its end.

    Reproduction (an ordinary user):

        minictr exec "$IMAGE" /usr/bin/nosuch

    Fix, user: correct the path; the report says which component is missing.

    Fix, administrator: none is needed.

    Not the cause: a missing shared library. The kernel's ENOENT is the same for a missing file, a
    missing interpreter and a missing ELF loader: those have codes of their own.

    Sources: execve(2), ENOENT; path_resolution(7).
    """
    place = _missing_path(interview)
    if place is None or isinstance(place, Unknown | Excluded):
        return place
    if place.errno == errno.ENOTDIR:
        return _behind_a_file(interview, place)
    seen = [f"in the container {place.end()}", _for_a_text(interview)]
    if walk("", place.path).is_file():
        seen.append(f"the host has {place.path}; what runs inside is the container's own")
    command = listing(interview.request, place.reached)
    covered = hidden(interview, place.path)
    seen += [covered.fact()] if covered else []
    return Proof(
        f"{place.path} does not exist in the container",
        tuple(fact for fact in seen if fact),
        fix_user=uncovered(interview, covered)
        if covered
        else f"Correct the path: `{command}` lists what is there.",
    )


def _is_broken(root: str, place: Walk) -> bool:
    """Whether the link leads nowhere, and is the command itself and not a directory of PATH."""
    directory = place.path.rpartition("/")[0]
    return not walk(root, place.link).found and walk(root, directory).found


def _behind_a_file(interview: Interview, place: Walk) -> Proof:
    """The path goes on where a file is, be it with a slash alone."""
    request, path = interview.request, place.path.rstrip("/")
    fix = f"Correct the path: {printable(place.reached)} is a file."
    if walk(interview.container(), path).is_program():
        fix = again(request, command=(path, *executed(interview)[1:]))
    return Proof(
        f"{place.path} goes on behind {place.reached}, which is a file and no directory",
        (f"in the container {place.end()}",),
        fix_user=fix,
    )


def _missing_path(interview: Interview) -> Walk | Unknown | Excluded | None:
    """Where the command's path ends in the container; None where it was searched by its name."""
    if interview.failure.call != "execve":
        return None
    root = interview.container()
    if not root:
        return Unknown("the container's files cannot be seen")
    place = walk(root, absolute(interview))
    if place.missing:
        return place
    if place.found:
        return Excluded(f"{place.path} is in the container")
    return Unknown(f"the way to {place.path} in the container: {place.end()}")


def _lacking(root: str, path: str) -> str:
    """What the host's program at `path` needs to start and the container lacks, "" for nothing."""
    program = chain("", path)[0]
    inside = chain(root, program.wants) if program.kind == "script" else ()
    needs = [one.wants for one in (program, *inside) if one.wants]
    return next((wanted for wanted in needs if not walk(root, wanted).found), "")


def _searched(interview: Interview, name: str, looked: dict[str, Walk]) -> list[str]:
    """Where the command was looked for, and what of its name is somewhere else, as facts."""
    seen = [f"the container's PATH is {interview.failure.arguments[1] or 'empty'}"]
    if any(not place.startswith("/") for place in looked):
        seen.append(f"the working directory is {interview.once(directory, interview)}")
    other = next((place for place, found in looked.items() if found.found), "")
    seen += [f"{other}/{name} is there and is not a regular file"] if other else []
    on_host = _on_host(interview, name)
    return seen + ([f"the host has {on_host}, which is not seen inside"] if on_host else [])


def _on_host(interview: Interview, name: str) -> str:
    """The host's program of that name, "" for none."""
    import shutil

    path = dict(interview.request.host_environment).get("PATH", "")
    return shutil.which(name, path=path) or ""


def _for_a_text(interview: Interview) -> str:
    """The words for a text without `#!`, which /bin/sh was to run."""
    command = executed(interview)[:1]
    if not command or str(interview.failure.arguments[0]) != "/bin/sh" or command == ("/bin/sh",):
        return ""
    return f"{command[0]} is a text without a #! line, which /bin/sh is to run"


def _instead(interview: Interview, root: str, name: str, path: str) -> str:
    if not name:
        return "Give the command a name: what was given is empty."
    for place in _ELSEWHERE:
        found = walk(root, f"{place}/{name}")
        if place not in path.split(":") and found.is_program():
            arguments = executed(interview)[1:]
            return again(interview.request, command=(f"{place}/{name}", *arguments))
    return f"Use an image that has {printable(name)}, or install it where the image is built."
