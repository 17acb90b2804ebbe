"""Where the command that was to be executed is looked for in the container."""

from __future__ import annotations

import posix

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.walk import Walk, walk


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
    return [walk(root, f"{place}/{name}") for place in path.split(":") if place.startswith("/")]


def absolute(interview: Interview) -> str:
    """The path that execve(2) was given, seen from the witness's working directory."""
    path = str(interview.failure.arguments[0])
    if path.startswith("/"):
        return path
    witness = interview.failure.witness
    return posix.readlink(f"/proc/{witness}/cwd").rstrip("/") + "/" + path
