"""What stops the id maps: a newuidmap or newgidmap that this user may not execute."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import not_executed, otherwise
from minictr.diagnosis.probes.mountinfo import mount_of, mounts
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Proof, Unknown, Verdict
from minictr.image.refusals import quoted
from minictr.image.tree import may

_ST_NOEXEC = 8


@cause(
    "MC0311",
    "newuidmap or newgidmap lies on a mount that is noexec",
    stops=("MapIds",),
    standing=True,
)
def helper_on_noexec(interview: Interview) -> Verdict:
    """The file system on which the helper lies is mounted noexec: execve(2) gives EACCES to
    whoever calls it, and the file's mode has no part in it.

    Reproduction (root, in a private mount namespace):

        mount --bind /usr/bin/newuidmap /usr/bin/newuidmap
        mount -o remount,bind,noexec /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: mount -o remount,bind,exec MOUNT-POINT, or install the helpers elsewhere.

    Not the cause: the helper's mode; its absence, which gives ENOENT.

    Sources: mount(8), noexec; execve(2), EACCES; fs/namei.c, may_open, which asks fs/exec.c,
    path_noexec.
    """
    for path in not_executed(interview, errno.EACCES):
        place = walk("", path)
        if not place.found or not posix.statvfs(path).f_flag & _ST_NOEXEC:
            continue
        mount = mount_of(place.reached, interview.once(mounts))
        if not mount:
            return Unknown(f"{path} is on a noexec mount that /proc/self/mountinfo lacks")
        return Proof(
            f"{path} lies on the mount {mount.point}, which is noexec",
            (f"statvfs({path}) has ST_NOEXEC", f"/proc/self/mountinfo: {mount.line}"),
            fix_user=with_single_map(interview.request),
            fix_administrator=f"mount -o remount,bind,exec {quoted(mount.point)}",
        )
    return otherwise(interview, errno.EACCES, "the helpers lie on mounts that allow execution")


@cause(
    "MC0312",
    "this user may not execute newuidmap or newgidmap",
    stops=("MapIds",),
    standing=True,
)
def helper_closed(interview: Interview) -> Verdict:
    """The helper is there, and its mode, or that of a directory above it, lets others execute it
    and not this user: execve(2) gives EACCES. Mode 4750 is how a site gives the helpers to one
    group.

    Reproduction (root, in a private mount namespace):

        cp -p /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        chmod 4750 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: setfacl -m u:USER:x FILE; or put the user into the group that the file is
    open to.

    Not the cause: a missing package, which gives ENOENT. "newuidmap: not found" is what programs
    say that look for it with access(2).

    Sources: execve(2), EACCES; path_resolution(7); acl(5); fs/namei.c, generic_permission.
    """
    for path in not_executed(interview, errno.EACCES):
        place = walk("", path)
        above = place.errno == errno.EACCES
        if not place.status or not (above or place.is_file()):
            continue
        if not above and not _closed(path):
            continue
        what = place.reached if above else path
        right = "search" if above else "execution"
        seen = f"owner {place.status.st_uid}, group {place.status.st_gid}"
        return Proof(
            f"{what} denies {right} to {interview.host.user}",
            (
                f"{what}: {seen}, mode {place.status.st_mode & 0o7777:04o}",
                f"access({path}, X_OK): EACCES",
            ),
            fix_user=with_single_map(interview.request),
            fix_administrator=f"setfacl -m u:{quoted(interview.host.user)}:x {quoted(what)}",
        )
    return otherwise(interview, errno.EACCES, "the helpers may be executed")


def _closed(path: str) -> bool:
    """Whether the file's mode or access control list forbids execution; a noexec mount does, too.

    access(2) says the same for both: fs/open.c, do_faccessat.
    """
    if posix.statvfs(path).f_flag & _ST_NOEXEC:
        return False
    return not may(path, posix.X_OK)
