"""What stops a bind: its source, or what the container has at its target."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.commas import meant_by
from minictr.diagnosis.probes.inside import writable
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.probes.ways import Way, closed
from minictr.diagnosis.rights import let_through, rights
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted
from minictr.runtime.mounts import ROOT
from minictr.runtime.places import real


@cause(
    "MC0401",
    "the source of a bind does not exist",
    stops=("Bind",),
    errnos=(errno.ENOENT, errno.ENOTDIR),
)
def bind_source_missing(interview: Interview) -> Verdict:
    """A file or directory of the host is to be seen inside, and the host has none at that path. The
    kernel's ENOENT would be the same for a missing mount point, so both sides are looked at.

    Reproduction (an ordinary user):

        minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true

    Fix, user: correct the path, or create what it names.

    Fix, administrator: none is needed.

    Not the cause: the mount point inside, which minictr makes.

    Sources: mount(2), ENOENT; path_resolution(7); fs/namei.c, step_into.
    """
    place = _source(interview)
    if place is None:
        return None
    if not place.missing:
        return Excluded(f"{place.path} exists") if place.found else None
    return Proof(
        f"the source of the bind on {interview.failure.step.__dict__['target']} does not exist: "
        f"{place.path}",
        (place.end(),),
        fix_user=_create(interview, place),
    )


@cause(
    "MC0402",
    "a directory above the source of a bind denies search",
    stops=("Bind",),
    errnos=(errno.EACCES, errno.ENOENT),
)
def bind_source_denied(interview: Interview) -> Verdict:
    """The path of a bind's source leads through a directory that this user may not search (x). The
    launcher has no other rights than its caller: the capabilities of the new user namespace
    count for files whose owner has an id in there, and root's files have not.

    The kernel may say ENOENT: a symbolic link on the way that begins with / leads elsewhere while
    the container is assembled, so it is followed before, which was refused as well.

    Reproduction (root makes the directory, an ordinary user starts the launch):

        mkdir -p "$DIRECTORY/closed/data" && chmod 0700 "$DIRECTORY/closed"
        runuser -u "$USER" -- minictr exec --bind "$DIRECTORY/closed/data:/data" "$IMAGE" true

    Fix, user: chmod u+x where the directory is your own.

    Fix, administrator: setfacl -m u:USER:x DIRECTORY lets that user through and nobody else.

    Not the cause: the mode of the source itself. A directory of mode 0000 can be bound.

    Sources: mount(2), EACCES; path_resolution(7), "Step 2"; user_namespaces(7), "Capabilities";
    fs/namei.c, generic_permission.
    """
    place = _source(interview)
    if place is None:
        return None
    found = closed(interview, Way(place))
    if found is None:
        return Excluded(f"every directory on the way to {place.path} lets the caller through")
    path, status = found
    host = interview.host
    own = status.st_uid == host.uid
    return Proof(
        f"{path} denies search, so {place.path} cannot be bound",
        (f"{path}: {rights(status)}; the caller is {host.user} ({host.uid})",),
        fix_user=f"chmod u+x {quoted(path)}" if own else _without_it(interview),
        fix_administrator="" if own else let_through(host.user, path),
    )


@cause(
    "MC0403",
    "a file is bound on a directory, or a directory on a file",
    stops=("Bind",),
    errnos=(errno.ENOTDIR,),
)
def bind_of_another_kind(interview: Interview) -> Verdict:
    """A file can be mounted on a file only, and a directory on a directory. The image has the other
    kind at the path where the source is to be seen.

    Reproduction (an ordinary user; the image has a directory /bin):

        echo text >"$DIRECTORY/file"
        minictr exec --bind "$DIRECTORY/file:/bin" "$IMAGE" true

    Fix, user: give a target of the same kind; a file goes into a directory by its full name.

    Fix, administrator: none is needed.

    Not the cause: rights on either side.

    Sources: mount(2), ENOTDIR; fs/namespace.c, do_loopback and graft_tree.
    """
    place = _source(interview)
    if place is None or not place.found:
        return None
    target = str(interview.failure.step.__dict__["target"])
    root = interview.container()
    if not root:
        return Unknown(f"what the container has at {target} cannot be seen")
    inside = walk(root + ROOT, target)
    if inside.missing:
        return Excluded(f"the container has nothing at {target}")
    if not inside.found:
        return Unknown(f"the way to {target} in the container: {inside.end()}")
    if inside.is_directory() == place.is_directory():
        return Excluded(f"{place.path} and {target} are of one kind")
    kinds = ("directory", "file") if inside.is_directory() else ("file", "directory")
    return Proof(
        f"{target} is a {kinds[0]} in the container, and {place.path} is a {kinds[1]}",
        (
            f"stat({place.path}): {rights(place.status)}",
            f"stat({target}) in the container: {rights(inside.status)}",
        ),
        fix_user=_of_its_kind(interview, place, target, kinds),
    )


def _of_its_kind(interview: Interview, place: Walk, target: str, kinds: tuple[str, str]) -> str:
    """kinds: what the target is, what the source is."""
    request = interview.request
    source = interview.failure.step.__dict__["source"]
    if all(source not in (bind.source, real(bind.source)) for bind in request.binds):
        # --home or --workdir
        return f"Give a {kinds[0]} in place of {place.path}."
    if kinds[0] == "file":
        return f"Bind {place.path} on a path that is a directory in the image, or is not there."
    spec = f"{place.path}:{target.rstrip('/')}/{place.reached.rpartition('/')[2]}"
    if len(request.binds) > 1:
        return f"Give the file its full name inside, --bind {spec}, where it has another now."
    return again(request, "--bind", spec, without=("--bind", "-B"))


def _without_it(interview: Interview) -> str:
    """The same launch without the bind, where that of the working directory is not asked for."""
    step, host = interview.failure.step.__dict__, interview.host
    asked = any(bind.target == step["target"] for bind in interview.request.binds)
    here = step["target"] == step["source"] == host.working_directory
    return again(interview.request, "--no-mount", "cwd") if here and not asked else ""


def _source(interview: Interview) -> Walk | None:
    """Where the bind's source leads on the host; None where another call than mount(2) failed."""
    if interview.failure.call != "mount":
        return None
    source = str(interview.failure.step.__dict__["source"])
    asked = [bind.source for bind in interview.request.binds
             if bind.target == interview.failure.step.__dict__["target"]]  # fmt: skip
    return interview.once(walk, "", asked[0] if asked else source)


def _create(interview: Interview, place: Walk) -> str:
    there, written = meant_by(interview, str(interview.failure.step.__dict__["source"]))
    if there:
        return f"Write a comma in a path as \\,: --bind {quoted(written)} binds {quoted(there)}."
    look = f"Correct the path: `ls {quoted(place.reached)}` lists what is there."
    of_kernel = place.reached.startswith("/proc/")  # its modes promise what mkdir(2) does not keep
    if place.errno != errno.ENOENT or place.link or of_kernel or not writable(place.reached):
        return look
    return f"mkdir -p {quoted(place.path)}\n{look}"
