"""What stops pivot_root(2): a root directory that cannot be exchanged for another."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted


@cause(
    "MC0413",
    "the root directory is the kernel's initial ramfs, which pivot_root cannot exchange",
    stops=("MountStaging",),
    errnos=(errno.EINVAL,),
    standing=True,
)
def initial_root(interview: Interview) -> Verdict:
    """A kernel begins with a ramfs for its root, filled from the initramfs. Systems that stay in it
    (netboot images, rescue shells, small virtual machines) have a root that is mounted on nothing.
    pivot_root(2) hangs the old root elsewhere, and cannot take this one away: EINVAL. Linux 7.2
    can.

    In /proc/self/mountinfo the mount of such a root is its own parent.

    Reproduction (root, who becomes the user; initial-root is in tests/lab/tools):

        initial-root runuser -u "$USER" -- minictr exec "$IMAGE" true

    Fix, user: have the root bound onto itself, which gives it a mount below, in a mount namespace
    of one's own: the command in the report does so and starts the launch there.

    Fix, administrator: leave the initial ramfs as systems do, by switch_root(8), which moves a
    mount onto / and makes it the root: `mount --move . /`, then `chroot .`.

    Not the cause: the other six reasons that pivot_root(2) lists for EINVAL; the image, which has
    not been looked at yet; a missing capability.

    Sources: pivot_root(2), EINVAL and NOTES; fs/namespace.c, path_pivot_root (mnt_has_parent);
    Documentation/filesystems/ramfs-rootfs-initramfs.rst.
    """
    failure = interview.failure
    if failure.errno == errno.EINVAL and failure.call != "pivot_root":
        return None
    roots = [mount for mount in interview.once(mounts) if mount.point == "/"]
    if not roots:
        return Unknown("/proc/self/mountinfo has no line of /")
    root = roots[-1]
    if root.parent != root.identity:
        return Excluded("the root is mounted on something: mountinfo names another mount's id")
    return Proof(
        f"the root directory is the kernel's initial {root.kind}, which pivot_root cannot exchange",
        (
            f"/proc/self/mountinfo: {root.line}",
            "its first two numbers, the mount's and that of its parent, are the same",
        ),
        fix_user=_moved(interview),
        fix_administrator="Start the session by switch_root(8), on a root that is mounted.",
    )


def _moved(interview: Interview) -> str:
    """The launch in a mount namespace in which the root has been bound and moved onto itself.

    The user namespace of that one has a single id.
    """
    place = quoted(str(getattr(interview.failure.step, "directory", "/tmp")))
    moved = f"mount --rbind / {place}; cd {place}; mount --move . /"
    inner = f"{moved}; exec chroot . {with_single_map(interview.request)}"
    return f"unshare --map-current-user --keep-caps --mount sh -c {quoted(inner)}"
