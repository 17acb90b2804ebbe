"""What stops one more mount: the kernel's limit on how many a mount namespace may have."""

from __future__ import annotations

import errno

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mount_table import count_mounts, crowded, mounts_below
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.probes.surroundings import sysctl_files
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.image.refusals import quoted

_LIMIT = "/proc/sys/fs/mount-max"
_MS_REC_BIND = 0x5000
_USUAL = 100000
_CAP_SYS_ADMIN = 21


@cause(
    "MC0409",
    "the mount namespace has as many mounts as fs.mount-max allows",
    stops=(
        "MountStaging", "MountOverlay", "BindRoot", "BindTree", "MountProc", "MountMinimalDev",
        "MountEmpty", "Bind", "BindFile", "CoverCache", "ProtectProc",
    ),
    errnos=(errno.ENOSPC,),
)  # fmt: skip
def mount_table_full(interview: Interview) -> Verdict:
    r"""A mount namespace may have fs.mount-max mounts: 100000, unless somebody changed it. That of
    a container begins as a copy of the caller's, and the launch adds to it; a recursive bind adds
    as many as lie below its source. A directory that was bound into itself again and again, or
    mounts that a program leaks, use them up. The kernel says ENOSPC.

    What the container's namespace has is asked of the kernel (NS_MNT_GET_INFO, Linux 6.12) or
    counted in mountinfo; what the mount that failed would add is counted below its source. The
    sum is above the limit.

    Reproduction (an ordinary user, who is the administrator of a user namespace of his own):

        unshare -Urm sh -c '
          mount -t tmpfs none "$DIRECTORY"
          until [ "$full" ]; do
            i=$((i + 1)); mkdir "$DIRECTORY/$i"
            mount --rbind "$DIRECTORY" "$DIRECTORY/$i" 2>/dev/null || full=yes
          done
          minictr exec --bind "$DIRECTORY" "$IMAGE" true'

    Fix, user: umount -l the directory below which they are, where the mounts are your own.

    Fix, administrator: the same; or sysctl -w fs.mount-max=N.

    Not the cause: a full disk or tmpfs, whatever ENOSPC is called; user.max_mnt_namespaces, which
    limits namespaces, not mounts.

    Sources: proc_sys_fs(5), mount-max; fs/namespace.c, count_mounts; ioctl_nsfs(2).
    """
    failure = interview.failure
    if failure.call != "mount":
        return None
    fact = interview.fact(_LIMIT)
    if fact.errno:
        return Unknown(f"{_LIMIT} cannot be read: {errno_name(fact.errno)}")
    limit = int(fact.text)
    present = interview.once(count_mounts, failure.witness)
    if present is None:
        return Unknown("the container's mounts cannot be counted")
    source, _, _, flags = failure.arguments[:4]
    added = 1
    if int(str(flags), 16) == _MS_REC_BIND:
        added = interview.once(mounts_below, failure.witness, str(source))
    sums = f"{present.number} mounts there ({present.source}) and {added} more"
    if present.number + added <= limit:
        return Excluded(f"{sums}: fs.mount-max is {limit}")
    files = sysctl_files(interview.host, "fs.mount-max")
    inside, undo = _crowd(interview)
    raised = f"sysctl -w fs.mount-max={max(_USUAL, 2 * (present.number + added))}"
    own = _may_unmount(interview)
    return Proof(
        f"the container would have {present.number + added} mounts, and fs.mount-max is {limit}",
        (sums, f"{_LIMIT} reads {limit}", *files, inside),
        fix_user=undo if own else "",
        fix_administrator=raised if own else f"{undo}\n{raised}",
    )


def _crowd(interview: Interview) -> tuple[str, str]:
    """Where most of the caller's mounts are: (the fact in words, what ends them)."""
    place, number = interview.once(crowded)
    inside = f"/proc/self/mountinfo: {number} mounts at or below {place}"
    if place != "/" and any(mount.point == place for mount in interview.once(mounts)):
        return inside, f"umount -l {quoted(place)}"
    return inside, f"Unmount what is not needed of the {number} mounts below {place}."


def _may_unmount(interview: Interview) -> bool:
    """Whether the caller is the administrator of his own namespaces: he has CAP_SYS_ADMIN."""
    for line in interview.fact("/proc/self/status").text.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False
