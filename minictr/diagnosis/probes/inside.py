"""Where the host keeps what the container sees at a path: a fix is carried out there."""

from __future__ import annotations

import posix
import stat

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.rights import let_through
from minictr.image.lookup import has_list
from minictr.image.tree import may
from minictr.runtime.mounts import Bind, BindFile
from minictr.runtime.places import below


def host_path(interview: Interview, path: str) -> str:
    """The host's path of `path`, which has no symbolic links; "" where the user has none of it.

    What a bind shows lies at its source; the rest in the image, where that is a directory. The
    unpacked tree of an image file is nobody's to change.
    """
    steps = [step for step in interview.plan.build if isinstance(step, Bind)]
    for step in reversed(steps):
        if below(path, step.target):
            if isinstance(step, BindFile):
                return ""
            return step.source.rstrip("/") + path[len(step.target.rstrip("/")) :]
    if any(_covers(step, path) for step in interview.plan.build):
        return ""
    image = interview.request.image
    try:
        plain = stat.S_ISDIR(posix.stat(image).st_mode)
    except OSError:
        return ""
    return image.rstrip("/") + path if plain else ""


def of_the_image(interview: Interview, path: str) -> bool:
    """Whether a path of the container is the image's own, and not on a mount of the launch's."""
    targets = [str(step.__dict__.get("target", "")) for step in interview.plan.build]
    return not any(target and below(path, target) for target in targets)


def granted(interview: Interview, path: str, status: posix.stat_result) -> str:
    """The command by which the owner of what is there lets this user execute it.

    "" where its mode can be set instead, or it is not the host's.
    """
    outside = host_path(interview, path)
    if not outside or status.st_uid == interview.host.uid or not has_list(outside):
        return ""
    return let_through(interview.host.user, outside)


def _covers(step: object, path: str) -> bool:
    """Whether a step mounts something of its own over `path`: tmpfs, proc, a minimal /dev."""
    if type(step).__name__ == "MountEmpty":
        return below(path, step.__dict__["target"])
    point = {"MountProc": "/proc", "MountMinimalDev": "/dev"}.get(type(step).__name__)
    return point is not None and below(path, point)


def writable(directory: str) -> bool:
    """Whether the caller may make entries in a directory of the host."""
    return may(directory, posix.W_OK | posix.X_OK)
