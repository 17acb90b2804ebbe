"""What stops the id maps: a /proc through which they cannot be written."""

from __future__ import annotations

import errno
import posix
from threading import get_native_id

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import CAPABILITY
from minictr.diagnosis.probes.mountinfo import mount_of, mounts
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

_ST_RDONLY = 1
_READ_ONLY = "Read-only file system"  # strerror(EROFS), as a helper says it


@cause("MC0327", "/proc is read-only", stops=("MapIds",), standing=True)
def read_only(interview: Interview) -> Verdict:
    """An id map is written to a file of /proc, and /proc is mounted read-only: opening the file
    gives EROFS, to root as well. Sandboxes and containers do that to hide /proc/sys from writers;
    they can have that directory alone read-only.

    Reproduction (root, in a private mount namespace):

        mount -o remount,bind,ro /proc
        runuser -u "$USER" -- minictr exec --id-map single "$IMAGE" true

    Fix, user: none.

    Fix, administrator: mount -o remount,rw /proc, where minictr is started; the outer container's
    own setting, where it is one's.

    Not the cause: a /proc/sys that is read-only; hidepid= and subset=pid, under which maps are
    written all the same; newuidmap, whose open(2) is the one that is refused.

    Sources: user_namespaces(7), "Defining user and group ID mappings"; proc(5); fs/namespace.c,
    mnt_get_write_access.
    """
    failure = interview.failure
    opened = failure.call == "open" and failure.errno == errno.EROFS
    if not (opened or _READ_ONLY in failure.said or failure.call == "getsubids"):
        return None
    if not posix.statvfs("/proc").f_flag & _ST_RDONLY:
        return Excluded("statvfs(/proc) has no ST_RDONLY")
    mount = mount_of("/proc", interview.once(mounts))
    return Proof(
        "/proc is mounted read-only, and id maps are written to its files",
        (
            "statvfs(/proc) has ST_RDONLY",
            *((f"/proc/self/mountinfo: {mount.line}",) if mount else ()),
        ),
        fix_administrator="mount -o remount,rw /proc",
    )


@cause("MC0328", "/proc belongs to another PID namespace", stops=("MapIds",), standing=True)
def foreign(interview: Interview) -> Verdict:
    r"""The process whose ids are to be mapped is looked for in /proc by its number, and /proc shows
    the numbers of another PID namespace: there is no such file, or it is somebody else's. Whoever
    made the PID namespace in which minictr runs has not mounted a /proc for it.

    /proc/self tells: what it leads to is the reader's number in the namespace of the mount.

    Reproduction (root, in a private mount namespace):

        unshare --pid --fork setpriv --reuid="$USER" --regid="$USER" --init-groups \
            minictr exec --id-map single "$IMAGE" true

    Fix, user: none.

    Fix, administrator: mount -t proc proc /proc, in the PID and mount namespace of minictr;
    unshare does so with --mount-proc.

    Not the cause: newuidmap, which says that the process "is owned by a different user"; hidepid=,
    under which one's own processes are seen.

    Sources: pid_namespaces(7), "/proc and PID namespaces"; fs/proc/self.c, proc_self_get_link.
    """
    failure = interview.failure
    if failure.call not in ("readlink", "open", "write", "getsubids", *CAPABILITY):
        return None
    own = str(posix.getpid())
    try:
        shown = posix.readlink("/proc/self")
        seen = f"readlink(/proc/self) is {shown}"
    except OSError as error:
        shown, seen = "", f"readlink(/proc/self): {errno_name(error.errno or 0)}"
        if error.errno != errno.ENOENT:  # a procfs that lacks this process gives no other
            return Unknown(seen)
    if shown == own:
        return Excluded(f"readlink(/proc/self) and getpid(2) are both {own}")
    if own != str(get_native_id()) or not (shown.isdecimal() or seen.endswith("ENOENT")):
        return Unknown(f"{seen}, getpid(2) gives {own}, and gettid(2) {get_native_id()}")
    return Proof(
        "/proc shows the processes of another PID namespace than the one minictr runs in",
        (f"{seen}, and getpid(2) gives {own}",),
        fix_administrator="mount -t proc proc /proc\n"
        "Run this in the PID and mount namespace in which minictr is started.",
    )
