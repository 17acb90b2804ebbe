"""What stops a mount point: nothing can be made where it has to be."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.making import (
    Making,
    by_administrator,
    by_hand,
    elsewhere,
    leads_to,
    making,
    wanted,
)
from minictr.diagnosis.probes.ways import allows, none_of_them, reaches
from minictr.diagnosis.rights import rights
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted
from minictr.runtime.mounts import Bind
from minictr.runtime.places import below

_NOTHING = "the call made nothing"
# File systems of the kernel in which nobody makes directories.
_FIXED = ("proc", "sysfs", "devpts")


@cause(
    "MC0432",
    "a mount point is wanted in a file system of the kernel's, where nothing can be made",
    stops=("Bind", "MountEmpty"),
    errnos=(errno.ENOENT, errno.EACCES, errno.EPERM),
)
def in_a_file_system_of_the_kernels(interview: Interview) -> Verdict:
    """/proc, /sys and /dev/pts show what the kernel knows. Their entries come and go with that, and
    no mkdir(2) makes one: a bind can cover what is there, and nothing else.

    Reproduction (an ordinary user):

        minictr exec --bind "$DIRECTORY:/proc/data" "$IMAGE" true

    Fix, user: choose a target elsewhere.

    Fix, administrator: none is needed.

    Not the cause: a missing source, though proc says ENOENT; a missing capability, though sysfs
    says EACCES or EPERM.

    Sources: proc(5); sysfs(5); fs/proc/generic.c, proc_lookup_de; fs/kernfs/dir.c,
    kernfs_iop_mkdir.
    """
    made = making(interview)
    if made is None:
        return none_of_them(interview, _NOTHING)
    if made.mount is None:
        return Unknown(f"the mount of {made.parent} is not in the container's mountinfo")
    if made.mount.kind not in _FIXED:
        return Excluded(f"{made.parent or '/'} is on {made.mount.kind}")
    return Proof(
        f"{wanted(interview)} cannot be made: {made.parent} is the kernel's own {made.mount.kind}",
        (f"mountinfo: {made.mount.line}",),
        fix_user=elsewhere(interview, made),
    )


@cause(
    "MC0430",
    "a mount point is missing in what is mounted read-only",
    stops=("Bind", "MountEmpty"),
    errnos=(errno.EROFS,),
)
def in_what_is_read_only(interview: Interview) -> Verdict:
    """The mount point lies below another bind, so it has to be in what is bound there. It is not,
    and cannot be made: that bind is read-only (:ro), or what it shows is read-only on the host. The
    directory that --workdir names can be read-only as well.

    Reproduction (an ordinary user):

        minictr exec --bind "$DIRECTORY:/data:ro" --bind "$IMAGE:/data/image" "$IMAGE" true

    Fix, user: make the mount point on the host; or choose another target.

    Fix, administrator: none is needed; a file system that is read-only on the host stays so.

    Not the cause: the image, which is never written to; rights on the directory.

    Sources: mkdir(2), EROFS; mount(2), MS_RDONLY; fs/namespace.c, mnt_get_write_access.
    """
    made = making(interview)
    if made is None:
        return none_of_them(interview, _NOTHING)
    if not made.read_only():
        return Excluded(f"{made.parent or '/'} is writable")
    seen = [f"mountinfo: {made.mount.line}"] if made.mount else []
    target = wanted(interview)
    if not below(target, made.way.place.path):
        leads = leads_to(interview, made) or f"{made.way.place.path}, by way of /proc/self"
        seen.append(f"in the container {target} leads to {leads}")
    by = _read_only_bind(interview, made)
    why = f"the bind on {by} is read-only" if by else f"{made.parent or '/'} is mounted read-only"
    return Proof(
        f"{target} cannot be made: {why}",
        (f"statvfs({made.way.named(made.parent)}): ST_RDONLY", *seen),
        fix_user=by_hand(interview, made) or elsewhere(interview, made),
    )


@cause(
    "MC0431",
    "a mount point is missing where this user may not make one",
    stops=("Bind", "MountEmpty"),
    errnos=(errno.EACCES, errno.EPERM),
)
def where_the_user_may_not(interview: Interview) -> Verdict:
    """The mount point lies below another bind, or below the host's /dev, and is not there. minictr
    makes it with the caller's own rights, and the directory belongs to somebody else. The same
    holds for what --workdir needs.

    Reproduction (an ordinary user):

        minictr exec --bind /usr:/data --bind "$DIRECTORY:/data/mine" "$IMAGE" true

    Fix, user: choose a target elsewhere; for --workdir, a directory of your own.

    Fix, administrator: make the mount point on the host.

    Not the cause: a missing capability in the container: those count for files whose owner and
    group have an id in there.

    Sources: mkdir(2), EACCES; user_namespaces(7), "Capabilities"; fs/namei.c, generic_permission,
    which asks kernel/capability.c, capable_wrt_inode_uidgid.
    """
    made = making(interview)
    if made is None:
        return none_of_them(interview, _NOTHING)
    reached = reaches(interview, made.status) if interview.failure.witness else False
    if reached is None:
        return Unknown("/proc/PID/uid_map of the container cannot be read")
    enter = posix.W_OK | posix.X_OK
    if reached or allows(interview, made.way, made.parent, made.status, enter):
        return Excluded(f"{made.parent or '/'} lets the caller make entries")
    host = interview.host
    own = made.status.st_uid == host.uid
    return Proof(
        f"{wanted(interview)} cannot be made: {made.way.named(made.parent)} is not "
        f"{host.user}'s to write to",
        (f"{made.parent or '/'}: {rights(made.status)}; the caller is {host.user} ({host.uid})",),
        fix_user=f"chmod u+wx {quoted(made.parent)}" if own else elsewhere(interview, made),
        fix_administrator="" if own else by_administrator(interview, made),
    )


@cause(
    "MC0434",
    "the file system has no room for a mount point",
    stops=("Bind", "MountEmpty"),
    errnos=(errno.ENOSPC,),
)
def no_room(interview: Interview) -> Verdict:
    r"""The mount point lies below another bind, or the directory belongs below --workdir, and has
    to be made there. The file system has no inode or no block left for it.

    Reproduction (root; an ordinary user starts the launch):

        mount -t tmpfs -o nr_inodes=1,mode=0777 none "$DIRECTORY"
        runuser -u "$USER" -- minictr exec \
          --bind "$DIRECTORY:/data" --bind /usr:/data/host "$IMAGE" true

    Fix, user: remove files there; or choose another target.

    Fix, administrator: make room.

    Not the cause: a limit on namespaces or on mounts, which give ENOSPC as well, to other calls.

    Sources: mkdir(2), ENOSPC; statvfs(3), f_favail, f_bavail; of a tmpfs: mm/shmem.c,
    __shmem_get_inode.
    """
    made = making(interview)
    if made is None:
        return none_of_them(interview, _NOTHING)
    found = made.file_system()
    if found is None:
        return Unknown(f"statvfs({made.parent or '/'}) failed")
    place = made.outside or made.parent or "/"
    if found.f_files and not found.f_favail:
        what, seen = "inodes", f"f_favail is 0 of {found.f_files}"
    elif found.f_blocks and not found.f_bavail:
        what, seen = "blocks", f"f_bavail is 0 of {found.f_blocks}"
    else:
        return Excluded(f"statvfs({place}) counts free blocks and inodes")
    return Proof(
        f"{wanted(interview)} cannot be made: the file system of {place} has no {what} left",
        (f"statvfs({place}): {seen}",),
        fix_user=f"Remove files below {place}.\n{elsewhere(interview, made)}",
    )


def _read_only_bind(interview: Interview, made: Making) -> str:
    """The target of the read-only bind of the user's that the parent lies below, "" for none."""
    steps = [step for step in interview.plan.build if isinstance(step, Bind) and step.read_only]
    inside = [step.target for step in steps if below(made.parent, step.target)]
    return max(inside, key=len, default="") if made.way.inside else ""
