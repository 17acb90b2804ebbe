"""What stops a /proc of the container's own: the caller's does not show as much as it would."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.mountinfo import Mount, mounts
from minictr.diagnosis.probes.proc_mounts import ProcMount, Refusal, proc_mounts, refused_proc
from minictr.diagnosis.probes.surroundings import container_engine
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted

_UNMASK = {
    "docker": "Start the docker container with --security-opt systempaths=unconfined.",
    "podman": "Start the podman container with --security-opt unmask=ALL.",
}


@cause(
    "MC0404",
    "parts of /proc are covered by other mounts",
    stops=("MountProc",),
    errnos=(errno.EPERM,),
    standing=True,
)
def proc_covered(interview: Interview) -> Verdict:
    """A container with a PID namespace gets a /proc of its own. The kernel refuses that where the
    caller's own /proc has mounts on top of parts of it, because the new one would show what they
    hide. Container engines hide such parts by default: this is the usual end of a launch inside
    of another container.

    A child in new namespaces tries the same through the new mount API, and the kernel says which
    of EPERM's reasons it was. /proc/self/mountinfo names the mounts.

    Reproduction (an ordinary user, in a mount namespace of his own):

        unshare -Urm sh -c '
          mount --bind /dev/null /proc/uptime
          minictr exec "$IMAGE" true'

    Fix, user: --no-pid shows the caller's /proc inside, with what covers it; or start minictr from
    a process whose /proc is not covered, which the report names where there is one.

    Fix, administrator: docker: --security-opt systempaths=unconfined; podman: --security-opt
    unmask=ALL; Kubernetes: procMount: Unmasked. Elsewhere: umount what covers it.

    Not the cause: a missing capability; mounts on directories which the kernel keeps empty, such
    as /proc/sys/fs/binfmt_misc.

    Sources: fs/namespace.c, path_mount, and there mount_too_revealing and mnt_already_visible;
    fsmount(2). Linux 7.2 would allow a mount with subset=pid, which minictr does not make:
    programs miss /proc/meminfo.
    """
    found = _shown(interview)
    if not isinstance(found, tuple):
        return found
    fact, whole = found
    covers = tuple(cover for proc in whole for cover in proc.covers)
    if not covers and any("subset=pid" in proc.mount.line for proc in whole):
        return Unknown(f"{fact}; its /proc has subset=pid, which Linux 7.2 counts as covered")
    if not covers:
        return Excluded("no mount is on top of a part of the caller's /proc")
    points = [mount.point for mount in covers]
    free = _uncovered(interview, points)
    started = f"\nStart minictr from {free}, whose /proc has no such mounts." if free else ""
    return Proof(
        "parts of /proc are covered by other mounts, so the kernel refuses a new one",
        (fact, *(f"/proc/self/mountinfo: {mount.line}" for mount in covers)),
        fix_user=again(interview.request, "--no-pid") + started,
        fix_administrator=_uncover(interview, points),
    )


@cause(
    "MC0410",
    "the caller's /proc keeps access times in another way than a new one would",
    stops=("MountProc",),
    errnos=(errno.EPERM,),
    standing=True,
)
def proc_atime(interview: Interview) -> Verdict:
    r"""A container with a PID namespace gets a /proc of its own, mounted as usual: relatime. The
    caller's, of several on /proc the one on top, is mounted noatime, nodiratime or strictatime; to
    a user namespace such flags are locked, and the kernel takes a proc with other flags for one
    that shows more than the caller may see.

    A child in new namespaces tries the same through the new mount API, and the kernel says which
    of EPERM's reasons it was; the flags stand in /proc/self/mountinfo.

    Reproduction (root, in a private mount namespace; an ordinary user starts the launch):

        mount -o remount,bind,noatime /proc
        runuser -u "$USER" -- minictr exec "$IMAGE" true

    Fix, user: --no-pid shows the caller's /proc inside.

    Fix, administrator: mount -o remount,bind,atime,diratime,relatime /proc, and no such option in
    the line of /etc/fstab. Nothing is lost: no file of proc has an access time on a disk.

    Not the cause: mounts on top of /proc, which give the same errno and the same words; a missing
    capability.

    Sources: fs/namespace.c, path_mount, and there mnt_already_visible (MNT_LOCK_ATIME); mount(8);
    fsmount(2).
    """
    found = _shown(interview)
    if not isinstance(found, tuple):
        return found
    fact, whole = found
    others = tuple(proc.mount for proc in whole if proc.atime)
    if len(others) < len(whole):
        return Excluded("a proc of the caller's is mounted relatime, as a new one would be")
    point = quoted(others[0].point)
    lines = [line for line in interview.fact("/etc/fstab").text.splitlines() if _of_proc(line)]
    fix = f"mount -o remount,bind,atime,diratime,relatime {point}"
    if lines:
        fix += "\nTake the option out of that line of /etc/fstab, too."
    return Proof(
        f"the caller's /proc is mounted {_times(others[0])}, and the kernel refuses a new one that "
        "is relatime",
        (
            fact,
            *(f"/proc/self/mountinfo: {mount.line}" for mount in others),
            *(f"/etc/fstab: {line}" for line in lines),
        ),
        fix_user=again(interview.request, "--no-pid"),
        fix_administrator=fix,
    )


def _shown(interview: Interview) -> tuple[str, tuple[ProcMount, ...]] | Verdict:
    """(how the kernel refuses one more proc, those there are); else what is to be answered."""
    refused = interview.once(refused_proc)
    if not isinstance(refused, Refusal):
        return refused
    whole = proc_mounts(interview.once(mounts))
    if not whole:
        return Unknown(f"{refused.fact}; /proc/self/mountinfo shows no whole proc to compare with")
    return refused.fact, whole


def _uncover(interview: Interview, points: list[str]) -> str:
    """Where process 1 sees the covers, too, what started this container has made them."""
    undo = "\n".join(f"umount {quoted(point)}" for point in reversed(points))
    if {mount.point for mount in interview.once(mounts, 1)}.issuperset(points):
        return _UNMASK.get(container_engine(interview.host), undo)
    for one in interview.once(ancestry)[1:]:
        if {mount.point for mount in interview.once(mounts, one.pid)}.issuperset(points):
            there = f"nsenter --mount=/proc/{one.pid}/ns/mnt COMMAND"
            return (
                f"{undo}\nThat is for the mount namespace of {one}: {there} runs a command there."
            )
    return undo


def _uncovered(interview: Interview, points: list[str]) -> Ancestor | None:
    """The nearest process above, of the same user, that sees a proc without the covers."""
    for one in interview.once(ancestry)[1:]:
        table = interview.once(mounts, one.pid)
        seen = {mount.point for mount in table}
        if proc_mounts(table) and not seen & set(points) and _same_user(one):
            return one
    return None


def _same_user(process: Ancestor) -> bool:
    try:
        return posix.stat(f"/proc/{process.pid}").st_uid == posix.geteuid()
    except OSError:  # it has ended
        return False


def _times(mount: Mount) -> str:
    return next((o for o in ("noatime", "nodiratime") if o in mount.options), "strictatime")


def _of_proc(line: str) -> bool:
    fields = line.split()
    return len(fields) > 3 and fields[1] == "/proc" and "atime" in fields[3]
