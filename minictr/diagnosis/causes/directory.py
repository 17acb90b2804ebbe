"""What stops the start of the command in a directory: there is none."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.inside import host_path, writable
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted


@cause(
    "MC0405",
    "the working directory does not exist in the container",
    stops=("ChangeDirectory",),
    errnos=(errno.ENOENT, errno.ENOTDIR),
)
def no_working_directory(interview: Interview) -> Verdict:
    """--pwd names a directory inside of the container, and there is none at that path: neither in
    the image nor in what is bound into it. A directory of the host is there only where a bind
    shows it.

    Reproduction (an ordinary user):

        minictr exec --pwd "/srv/work" "$IMAGE" true

    Fix, user: bind the directory, or name one that is there.

    Fix, administrator: none is needed.

    Not the cause: the caller's own working directory, which is passed over where it is not there.

    Sources: chdir(2), ENOENT; path_resolution(7).
    """
    path = str(interview.failure.arguments[0])
    root = interview.container()
    if not root:
        return Unknown("the container's directories cannot be seen")
    place = walk(root, path)
    if not place.missing:
        return Excluded(f"{path} leads somewhere in the container") if place.found else None
    here = walk("", path)
    on_host = here.found and here.is_directory()
    seen = f"in the container {place.end()}"
    known = (f"the host has a directory {path}, which is not bound",) if on_host else ()
    return Proof(
        f"{path} does not exist in the container",
        (seen, *known),
        fix_user=_reach(interview, path, place, on_host),
    )


def _reach(interview: Interview, path: str, place: Walk, on_host: bool) -> str:
    request = interview.request
    if on_host:
        return again(request, "--bind", path)
    lines = []
    outside = host_path(interview, place.reached)
    if place.errno == errno.ENOENT and outside and writable(outside):
        rest = path.removeprefix(place.reached) if path.startswith(place.reached) else ""
        if rest:
            lines.append(f"mkdir -p {quoted(outside.rstrip('/') + '/' + rest.lstrip('/'))}")
    lines.append(again(request, without=("--pwd", "--cwd")))
    return "\n".join(lines)
