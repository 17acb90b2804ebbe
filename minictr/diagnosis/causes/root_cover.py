"""What stops new namespaces: a mount on top of the caller's root directory."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import canonical

# Where nothing lies on top of it, umount(8) would take the root itself.
_UMOUNT = """[ "$(awk '$5 == "/"' /proc/self/mountinfo | wc -l)" -gt 1 ] && umount -l /"""


@cause(
    "MC0411",
    "another mount lies on top of the caller's root directory",
    stops=("CreateNamespaces",),
    errnos=(errno.EPERM,),
    standing=True,
)
def root_covered(interview: Interview) -> Verdict:
    """Something has been mounted on /, or moved there, and the caller still has the directory below
    it as his root: a mount on / does not take along who is there already. To the kernel such a
    process is in a chroot, as its root is not that of its mount namespace; and from there nobody
    may make a user namespace. Scripts that end with `mount --move . /` and forget the chroot leave
    their shell so.

    /proc/self/mountinfo has two lines with the mount point /, one of them mounted on the other. A
    process whose root is the upper one sees no line of the lower one.

    Reproduction (an ordinary user, in a mount namespace of his own):

        unshare -Urm sh -c '
          mount -t tmpfs none /
          minictr exec "$IMAGE" true'

    Fix, user: as the administrator.

    Fix, administrator: go onto it, nsenter --mount=/proc/self/ns/mnt COMMAND; or umount -l / takes
    it off again, as long as it is there: without it that would be the root.

    Not the cause: chroot(2), which gives the same errno for the same reason and was not called; the
    distribution's settings for user namespaces.

    Sources: unshare(2), EPERM; mount(2), MS_MOVE; kernel/user_namespace.c, create_user_ns, which
    asks fs/namespace.c, current_chrooted; nsenter(1).
    """
    table = [mount for mount in interview.once(mounts) if mount.point == "/"]
    if not table:
        return Unknown("/proc/self/mountinfo has no line of /")
    below = {mount.identity for mount in table}
    upper = [mount for mount in table if mount.parent in below and mount.parent != mount.identity]
    if not upper:
        return Excluded("/proc/self/mountinfo has no mount that lies on top of /")
    return Proof(
        f"{_named(upper[-1].kind)} is mounted on /, and the caller's root is the directory below",
        tuple(f"/proc/self/mountinfo: {mount.line}" for mount in table),
        fix_administrator=_uncovered(interview),
    )


def _uncovered(interview: Interview) -> str:
    """The launch there, where what was mounted has the same image; else the mount taken off."""
    where = "Run this as root of the mount namespace in which minictr is started"
    try:
        posix.stat("/.." + canonical(interview.request.image))
    except OSError:
        return f"{_UMOUNT}\n{where}."
    entered = f"nsenter --mount=/proc/self/ns/mnt {again(interview.request)}"
    return f"{entered}\n{where}. It takes what was mounted there for the root."


def _named(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeio" else f"a {kind}"
