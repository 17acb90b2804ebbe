"""What stops new namespaces: a root directory that is not the root of a mount namespace."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.calls import is_mount_root
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.mountinfo import Mount, mounts
from minictr.diagnosis.probes.own_root import enter_again, in_first_pids
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict


@cause(
    "MC0203",
    "minictr runs in a chroot",
    stops=("CreateNamespaces",),
    errnos=(errno.EPERM,),
    standing=True,
)
def chrooted(interview: Interview) -> Verdict:
    r"""A process whose root directory was changed by chroot(2) may not make a user namespace: with
    the capabilities over it, it could leave the chroot. The kernel answers EPERM.

    Four facts prove it, each alone: statx(2) of / says that no mount begins there; no line of
    /proc/self/mountinfo has the mount point /; a mount of ours is seen by process 1, or by a
    process we come from, at another place below the directory that is our root; or setns(2) into
    our own mount namespace, which makes its root ours, leads to another one. Where that is refused,
    the root may be a mount that only a chroot makes a root: nothing but the root of the machine's
    process 1 rules that out.

    Reproduction (root; CHROOT is a directory with a system in it):

        chroot "$CHROOT" setpriv --reuid="$USER" --regid="$USER" --init-groups \
          minictr exec "$IMAGE" true

    Fix, user: none inside.

    Fix, administrator: enter the directory by pivot_root(2) instead of chroot(2), as
    systemd-nspawn, bwrap and the command in the report do.

    Not the cause: the distribution's settings for user namespaces, which most programs blame;
    CAP_SYS_ADMIN (root is refused too); setuid or setcap on the launcher.

    Sources: unshare(2), EPERM; user_namespaces(7); kernel/user_namespace.c, create_user_ns, which
    asks fs/namespace.c, current_chrooted.
    """
    seen = []
    own = interview.once(mounts)
    root = interview.once(is_mount_root, "/")
    if root is False:
        seen.append("statx(2) of / lacks STATX_ATTR_MOUNT_ROOT: no mount begins at our root")
    if own and all(mount.point != "/" for mount in own):
        seen.append("/proc/self/mountinfo has no line with the mount point /")
    outside, witnessed = _outer_root(own, interview)
    seen += [witnessed] if witnessed else []
    if not seen:
        if root is None and not own:
            return Unknown("neither statx(2) nor /proc/self/mountinfo tells what / is")
        entered = _entered(own, interview)
        if isinstance(entered, Excluded | Unknown):
            return entered
        outside, fact = entered
        seen.append(fact)
    named = f" at {outside}" if outside else ""
    return Proof(
        f"minictr runs in a chroot{named}, where the kernel makes no user namespaces",
        tuple(seen),
        fix_administrator=_pivot(outside),
    )


def _outer_root(own: tuple[Mount, ...], interview: Interview) -> tuple[str, str]:
    """(our root directory as another process sees it, the fact that says so); ("", "") for none."""
    places = {mount.identity: mount.point for mount in own}
    chain = interview.once(ancestry)
    for pid in dict.fromkeys((1, *(one.pid for one in chain[1:]), posix.getppid())):
        for mount in interview.once(mounts, pid):
            inner = places.get(mount.identity, "")
            suffix = "" if inner == "/" else inner
            outer = mount.point.removesuffix(suffix)
            if inner and mount.point != inner and mount.point.endswith(suffix) and outer:
                fact = f"mount {mount.identity}, here at {inner}, is at {mount.point}"
                return outer, f"{fact} in /proc/{pid}/mountinfo"
    return "", ""


def _entered(own: tuple[Mount, ...], interview: Interview) -> tuple[str, str] | Excluded | Unknown:
    """(our root as that of the mount namespace has it, the fact that there is another)."""
    roots = {mount.identity for mount in own if mount.point == "/"}
    if len(roots) > 1:
        return Excluded("a mount begins at /, and another one lies on top of it")
    answer = interview.once(ask, enter_again)
    found = answer.value if isinstance(answer.value, tuple) else ("", answer.trouble)
    kind, said = (str(word) for word in found)
    if kind == "same":
        return Excluded("setns(2) into our own mount namespace leads to the root that we have")
    if kind == "other":
        place = f"; ours is at {said}" if said else ""
        return said, f"setns(2) into our own mount namespace leads to another root{place}"
    first = {mount.identity for mount in interview.once(mounts, 1) if mount.point == "/"}
    if roots & first and in_first_pids():
        return Excluded("a mount begins at /, and process 1 of the machine has the same root")
    return Unknown(f"a mount begins at /, and nobody tells whether another is above it: {said}")


def _pivot(outside: str) -> str:
    if not outside:
        return "Enter the directory by pivot_root(2): systemd-nspawn -D DIRECTORY, or bwrap."
    from minictr.image.refusals import quoted

    inner = 'cd "$0" && pivot_root . . && umount -l . && exec /bin/sh'
    command = f'unshare --mount sh -c \'mount --rbind "$0" "$0" && {inner}\' {quoted(outside)}'
    return f"{command}\nRun this as root outside of the chroot: it gives a shell in {outside}."
