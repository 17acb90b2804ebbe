"""What stops a bind: its source, or what the container has at its target."""

from __future__ import annotations

import errno
import grp
import posix
import pwd
import stat

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.inside import writable
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted

_STAGED = "/root"  # where the container's root is until PivotRoot


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

    Sources: mount(2), ENOENT; path_resolution(7).
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
    errnos=(errno.EACCES,),
)
def bind_source_denied(interview: Interview) -> Verdict:
    """The path of a bind's source leads through a directory that this user may not search (x). The
    launcher has no other rights than its caller: the capabilities of the new user namespace
    count for files whose owner has an id in there, and root's files have not.

    Reproduction (root makes the directory, an ordinary user starts the launch):

        mkdir -p "$DIRECTORY/closed/data" && chmod 0700 "$DIRECTORY/closed"
        runuser -u "$USER" -- minictr exec --bind "$DIRECTORY/closed/data:/data" "$IMAGE" true

    Fix, user: chmod u+x where the directory is your own.

    Fix, administrator: setfacl -m u:USER:x DIRECTORY lets that user through and nobody else.

    Not the cause: the mode of the source itself. A directory of mode 0000 can be bound.

    Sources: mount(2), EACCES; path_resolution(7), "Step 2"; user_namespaces(7), "Capabilities".
    """
    place = _source(interview)
    if place is None:
        return None
    if place.found:
        return Excluded(f"every directory on the way to {place.path} lets the caller through")
    if place.errno != errno.EACCES or place.status is None:
        return Unknown(f"the way to {place.path}: {place.end()}")
    host = interview.host
    own = place.status.st_uid == host.uid
    return Proof(
        f"{place.reached} denies search, so {place.path} cannot be bound",
        (f"{place.reached}: {_rights(place.status)}; the caller is {host.user} ({host.uid})",),
        fix_user=f"chmod u+x {quoted(place.reached)}" if own else "",
        fix_administrator="" if own else f"setfacl -m u:{host.user}:x {quoted(place.reached)}",
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
    inside = walk(root + _STAGED, target)
    if not inside.found:
        return Excluded(f"the container has nothing at {target}")
    if inside.is_directory() == place.is_directory():
        return Excluded(f"{place.path} and {target} are of one kind")
    kinds = ("directory", "file") if inside.is_directory() else ("file", "directory")
    name = place.reached.rpartition("/")[2]
    fix = f"Bind {place.path} on a path that is a {kinds[1]} in the image, or is not there."
    if inside.is_directory():
        spec = f"{place.path}:{target.rstrip('/')}/{name}"
        fix = again(interview.request, "--bind", spec, without=("--bind", "-B"))
        if len(interview.request.binds) > 1:
            fix = f"Give the file its full name inside, --bind {spec}, where it has another now."
    return Proof(
        f"{target} is a {kinds[0]} in the container, and {place.path} is a {kinds[1]}",
        (
            f"stat({place.path}): {_rights(place.status)}",
            f"stat({target}) in the container: {_rights(inside.status)}",
        ),
        fix_user=fix,
    )


def _source(interview: Interview) -> Walk | None:
    """Where the bind's source leads on the host; None where another call than mount(2) failed."""
    if interview.failure.call != "mount":
        return None
    source = str(interview.failure.step.__dict__["source"])
    asked = [bind.source for bind in interview.request.binds
             if bind.target == interview.failure.step.__dict__["target"]]  # fmt: skip
    return interview.once(walk, "", asked[0] if asked else source)


def _create(interview: Interview, place: Walk) -> str:
    look = f"Correct the path: `ls {quoted(place.reached)}` lists what is there."
    if place.errno != errno.ENOENT or place.link or not writable(place.reached):
        return look
    return f"mkdir -p {quoted(place.path)}\n{look}"


def _rights(status: posix.stat_result | None) -> str:
    """Kind, owner, group and mode in words."""
    if status is None:
        return "nothing is known of it"
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
    owner, group = _user_name(status.st_uid), _group_name(status.st_gid)
    return f"{kind}, owner {owner}, group {group}, mode {status.st_mode & 0o7777:04o}"


def _user_name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return f"{grp.getgrgid(gid).gr_name} ({gid})"
    except KeyError:
        return str(gid)
