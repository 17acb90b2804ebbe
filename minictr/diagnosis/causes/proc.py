"""What stops a /proc of the container's own: mounts that cover parts of the caller's."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.calls import MountAnswer, try_mount
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.probes.surroundings import container_engine
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.image.refusals import quoted

_REVEALING = "VFS: Mount too revealing"
_UNMASK = {
    "docker": "Start the docker container with --security-opt systempaths=unconfined.",
    "podman": "Start the podman container with --security-opt unmask=ALL.",
}


@cause(
    "MC0404",
    "parts of /proc are covered by other mounts",
    stops=("MountProc",),
    errnos=(errno.EPERM,),
)
def proc_covered(interview: Interview) -> Verdict:
    """A container with a PID namespace gets a /proc of its own. The kernel refuses that where the
    caller's own /proc has mounts on top of parts of it, because the new one would show what they
    hide. Container engines hide such parts by default: this is the usual end of a launch inside
    of another container.

    A child in new namespaces tries the same through the new mount API, and the kernel says which
    of EPERM's reasons it was.

    Reproduction (an ordinary user, in a mount namespace of his own):

        unshare -Urm sh -c '
          mount --bind /dev/null /proc/uptime
          minictr exec "$IMAGE" true'

    Fix, user: --no-pid shows the caller's /proc inside, with what covers it.

    Fix, administrator: docker: --security-opt systempaths=unconfined; podman: --security-opt
    unmask=ALL; Kubernetes: procMount: Unmasked. Elsewhere: umount what covers it.

    Not the cause: a missing capability; mounts on directories which the kernel keeps empty, such
    as /proc/sys/fs/binfmt_misc.

    Sources: fs/namespace.c, mount_too_revealing and mnt_already_visible; fsmount(2).
    """
    answer = interview.once(ask_for_proc)
    if isinstance(answer, str):
        return Unknown(f"a mount of proc in new namespaces: {answer}")
    if answer.words != _REVEALING:
        return Excluded(f"the kernel does not say {_REVEALING!r} of a mount of proc")
    covers = tuple(m for m in interview.once(mounts) if m.point.startswith("/proc/"))
    points = [mount.point for mount in covers]
    engine = container_engine(interview.host) if _from_outside(points) else ""
    undo = "\n".join(f"umount {quoted(point)}" for point in reversed(points))
    return Proof(
        "parts of /proc are covered by other mounts, so the kernel refuses a new one",
        (
            f'fsmount(2) of proc gives {errno_name(answer.errno)}, and the kernel says "'
            f'{answer.words}"',
            *(f"/proc/self/mountinfo: {mount.line}" for mount in covers),
        ),
        fix_user=again(interview.request, "--no-pid"),
        fix_administrator=_UNMASK.get(engine, undo),
    )


def _from_outside(points: list[str]) -> bool:
    """Whether process 1 sees the covers, too: then what started this container made them."""
    first = {mount.point for mount in mounts(1)}
    return bool(points) and first.issuperset(points)


def ask_for_proc() -> MountAnswer | str:
    """How a mount of proc ends in namespaces like the container's; words where nobody can say."""
    answer = ask(_proc_fields, namespaces=("user", "mnt", "pid"))
    if answer.trouble or not isinstance(answer.value, tuple):
        return answer.trouble
    tried = MountAnswer(*answer.value)
    if tried.errno == errno.ENOSYS:
        return f"the kernel has no {tried.call}(2), or a filter hides it"
    return tried


def _proc_fields() -> tuple[str, int, str]:
    answer = try_mount("proc")
    return answer.call, answer.errno, answer.words
