"""What stops the start of the command in a directory: there is none, or none to be entered."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.inside import host_path, writable
from minictr.diagnosis.probes.walk import NOT_OURS, Walk, walk
from minictr.diagnosis.probes.ways import closed, reaches, ways
from minictr.diagnosis.rights import let_through, rights
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

    Sources: chdir(2), ENOENT; path_resolution(7); fs/namei.c, step_into.
    """
    path = str(interview.failure.arguments[0])
    root = interview.container()
    if not root:
        return Unknown("the container's directories cannot be seen")
    place = walk(root, path)
    if place.found:
        return Excluded(f"{path} leads somewhere in the container")
    if not place.missing:
        return Unknown(f"the way to {path} in the container: {place.end()}")
    here = walk("", path)
    on_host = here.found and here.is_directory()
    seen = f"in the container {place.end()}"
    known = (f"the host has a directory {path}, which is not bound",) if on_host else ()
    return Proof(
        f"{path} does not exist in the container",
        (seen, *known),
        fix_user=_reach(interview, path, place, on_host),
    )


@cause(
    "MC0437",
    "the working directory is a file",
    stops=("ChangeDirectory",),
    errnos=(errno.ENOTDIR,),
)
def a_file(interview: Interview) -> Verdict:
    """--pwd names something that is in the container and is no directory.

    Reproduction (an ordinary user; the image has the file /bin/busybox):

        minictr exec --pwd /bin/busybox "$IMAGE" true

    Fix, user: name a directory: often the one that the file lies in.

    Fix, administrator: none is needed.

    Not the cause: rights on the file.

    Sources: chdir(2), ENOTDIR; fs/namei.c, path_lookupat.
    """
    for way in ways(interview):
        place = way.place
        if place.errno == NOT_OURS:
            return _no_directory(interview, place)
        if not place.found or place.is_directory():
            return Excluded(f"{place.path} is a directory" if place.found else place.end())
        above = place.reached.rpartition("/")[0] or "/"
        request = interview.request
        return Proof(
            f"{place.path} is a file in the container and no directory to start in",
            (f"stat({place.path}) in the container: {rights(place.status)}",),
            fix_user=again(request, "--pwd", above, without=("--pwd", "--cwd")),
        )
    return Unknown("the container's directories cannot be seen")


@cause(
    "MC0438",
    "the working directory, or one above it, denies search",
    stops=("ChangeDirectory",),
    errnos=(errno.EACCES,),
)
def closed_directory(interview: Interview) -> Verdict:
    """--pwd leads into a directory that this user may not search (x). It is entered with the
    capabilities of the container's root, and those end at files whose owner or group has no id in
    there: what a bind shows of other users stays as closed as it is on the host.

    Reproduction (root makes the directory, an ordinary user starts the launch):

        mkdir -m 0700 "$DIRECTORY/closed"
        runuser -u "$USER" -- minictr exec --pwd "$DIRECTORY/closed" "$IMAGE" true

    Fix, user: start elsewhere.

    Fix, administrator: setfacl -m u:USER:x DIRECTORY lets that user in and nobody else.

    Not the cause: the image; a missing capability.

    Sources: chdir(2), EACCES; user_namespaces(7), "Capabilities"; fs/namei.c, generic_permission,
    which asks kernel/capability.c, capable_wrt_inode_uidgid.
    """
    for way in ways(interview):
        found = closed(interview, way, last=True)
        if found is None:
            return Excluded(f"every directory up to {way.place.path} lets the caller through")
        path, status = found
        if reaches(interview, status) is not False:
            return Unknown(f"behind {path} the launcher cannot look")
        outside, host = host_path(interview, path), interview.host
        return Proof(
            f"{path} in the container denies search, so nothing can start in {way.place.path}",
            (f"{path}: {rights(status)}; the caller is {host.user} ({host.uid})",),
            fix_user=again(interview.request, without=("--pwd", "--cwd")),
            fix_administrator=let_through(host.user, outside) if outside else "",
        )
    return Unknown("the container's directories cannot be seen")


def _no_directory(interview: Interview, place: Walk) -> Proof:
    """What the errno says alone, of a way that nobody else can go."""
    return Proof(
        f"{place.path} is no directory for the command, or leads through what is none",
        (f"chdir({place.path}): ENOTDIR", f"in the container {place.end()}"),
        fix_user=again(interview.request, without=("--pwd", "--cwd")),
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
