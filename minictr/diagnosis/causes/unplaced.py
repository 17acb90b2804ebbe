"""What stops a bind: a source that is no place in the host's tree of files."""

from __future__ import annotations

import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import read_fact
from minictr.image.refusals import quoted
from minictr.value import Value

_DELETED = " (deleted)"
_KINDS = {"pipe": "a pipe", "socket": "a socket", "anon_inode": "a descriptor without a file"}


class _Opened(Value):
    """What opening a path gave: its name as the kernel has it, its mount, and its status."""

    name: str
    mount: int
    status: posix.stat_result


@cause(
    "MC0428",
    "the source of a bind is no place in the host's tree of files",
    stops=("Bind",),
)
def source_without_a_place(interview: Interview) -> Verdict:
    """The source can be opened, and yet no path leads to it: it is a pipe, which is what <(COMMAND)
    of bash gives; a file that was deleted while somebody has it open; or it is seen through
    /proc/PID/root and lies in the mount namespace of another process, another container. The kernel
    binds only what lies in the mount namespace that the container begins with.

    Reproduction (an ordinary user):

        bash -c 'minictr exec --bind <(echo text):/data "$IMAGE" true'

    Fix, user: write the content to a file, or copy it out of the other container, and bind that.

    Fix, administrator: none is needed.

    Not the cause: rights on the source, which opens.

    Sources: mount(2), EINVAL; proc_pid_fd(5); proc_pid_root(5); fs/namespace.c, do_loopback and
    check_mnt; fs/namei.c, step_into.
    """
    if interview.failure.call != "mount":
        return None
    target = interview.failure.step.__dict__["target"]
    asked = next((b.source for b in interview.request.binds if b.target == target), "")
    if not asked:
        return None
    opened = _open(asked)
    table = interview.once(mounts)
    if opened is None:
        return Excluded(f"{asked} does not lead anywhere")
    if not table:
        return Unknown("/proc/self/mountinfo cannot be read")
    what, seen = _without(opened, {mount.identity for mount in table})
    if not what:
        return Excluded(f"{asked} is in the tree of files, at {opened.name}")
    fix = f"Copy what it gives to a file (`cat {quoted(asked)} >FILE`), and bind that."
    if opened.status.st_mode & 0o170000 == 0o040000:
        fix = f"Copy it (`cp -a {quoted(asked)} DIRECTORY`), and bind the copy."
    return Proof(
        f"the source of the bind on {target} is {what}: {asked}",
        (f"{asked} opens as {opened.name}", seen),
        fix_user=fix,
    )


def _without(opened: _Opened, known: set[int]) -> tuple[str, str]:
    """(what it is, the fact that says so) where it has no place; ("", "") where it has one."""
    mounted = "it is on no mount of /proc/self/mountinfo"
    if opened.name.endswith(_DELETED) and opened.status.st_nlink == 0:
        return "a file that no directory has", "it has 0 links"
    if opened.mount in known:
        return "", ""
    if opened.name.startswith("/"):
        return "in another mount namespace", mounted
    return _KINDS.get(opened.name.partition(":")[0], "a file of the kernel's own"), mounted


def _open(path: str) -> _Opened | None:
    try:
        descriptor = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        name = posix.readlink(f"/proc/self/fd/{descriptor}")
        lines = read_fact(f"/proc/self/fdinfo/{descriptor}").text.splitlines()
        status = posix.fstat(descriptor)
    finally:
        posix.close(descriptor)
    mount = next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")
    return _Opened(name, int(mount), status) if mount else None
