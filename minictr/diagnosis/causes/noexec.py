"""What stops the command: the mount its file lies on, or whoever writes to the file."""

from __future__ import annotations

import errno
import os
import posix

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import absolute, programs
from minictr.diagnosis.probes.inside import host_path
from minictr.diagnosis.probes.mountinfo import mount_of, mounts
from minictr.diagnosis.probes.permission import Denied, first_denied
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.probes.writers import writers_of
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted

_ST_NOEXEC = 8


@cause(
    "MC0619",
    "the command lies on a mount that denies execution",
    stops=("Execute",),
    errnos=(errno.EACCES,),
)
def noexec(interview: Interview) -> Verdict:
    """The file lies on a mount with the flag noexec, which the administrator of the host gave it:
    /tmp, /home and removable disks often have it. A bind hands the flag on, and an unprivileged
    user namespace cannot take it off (it is locked). The same holds for the interpreter of a
    script.

    Reproduction (an ordinary user, who is the administrator of a mount namespace of his own):

        unshare --user --map-current-user --keep-caps --mount sh -c '
          mount -t tmpfs -o noexec none /mnt
          cp "$IMAGE/bin/busybox" /mnt/true
          minictr exec --id-map single --bind /mnt "$IMAGE" /mnt/true'

    Fix, user: copy the program to a directory whose mount allows execution; give a script to its
    interpreter, which only reads it.

    Fix, administrator: none is needed; mount -o remount,exec would allow it for everybody.

    Not the cause: the file's mode, whatever it is.

    Sources: mount(8), noexec; execve(2), EACCES; fs/exec.c, path_noexec;
    mount_namespaces(7), "Restrictions on mount namespaces".
    """
    found = first_denied(interview)
    if not isinstance(found, Denied):
        return found
    if found.why != "noexec":
        return Excluded("no file that execve(2) opens lies on a noexec mount")
    name = found.place.reached
    mount = mount_of(name, mounts(interview.failure.witness))
    outside = host_path(interview, name)
    seen = [found.by, f"statvfs({name}) in the container: ST_NOEXEC"]
    if mount:
        seen.append(f"{mount.point} in the container is mounted {','.join(mount.options)}")
    on_host = mount_of(outside, mounts()) if outside else None
    if on_host and "noexec" in on_host.options:
        seen.append(f"it is {outside} of the host, where {on_host.point} is mounted noexec")
    return Proof(
        f"{name} lies on a mount that denies execution: {mount.point if mount else name}",
        tuple(fact for fact in seen if fact),
        fix_user=_elsewhere(interview, found, outside),
    )


@cause(
    "MC0615",
    "a process has the command's file open for writing",
    stops=("Execute",),
    errnos=(errno.ETXTBSY,),
)
def being_written(interview: Interview) -> Verdict:
    """A file that is open for writing is not executed: a copy or a download that is not finished, a
    linker at work, or a program that forgot to close it. The kernel says ETXTBSY.

    Reproduction (an ordinary user; DIRECTORY is bound):

        cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
        sleep 2 >/dev/null 2>&1 9>>"$DIRECTORY/true" &
        sleep 0.1
        minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/true"

    Fix, user: wait for the process that writes, or end it; the report names it where it can be
    seen. A copy of the file can be executed at once.

    Fix, administrator: none is needed.

    Not the cause: another process that executes the same file, which stops writers, not readers.

    Sources: execve(2), ETXTBSY; fs/exec.c, exe_file_deny_write_access.
    """
    if interview.failure.call != "execve":
        return None
    root = interview.container()
    if not root:
        return Unknown("the container's files cannot be seen")
    found = programs(interview)
    files = [one.real for one in found]
    files += [walk(root, one.wants).reached for one in found if one.kind == "elf" and one.wants]
    busy = [(name, writers_of(posix.stat(root + name))) for name in files]
    held = next((one for one in busy if one[1]), None)
    if held is None:
        return Unknown(f"no process that can be seen has {absolute(interview)} open for writing")
    name, writers = held
    return Proof(
        f"{name} is open for writing by {writers[0]}",
        tuple(f"/proc/{one.pid}/fd/{one.descriptor} of {one.name} is {name}, open for writing"
              for one in writers),
        fix_user=_after(interview, name, [one.pid for one in writers]),
    )  # fmt: skip


def _elsewhere(interview: Interview, found: Denied, outside: str) -> str:
    """A copy in the caller's home, where that allows execution; a script needs none."""
    host, request = interview.host, interview.request
    first = next(iter(programs(interview)), None)
    if first and found.role == "command" and first.kind == "script" and first.wants:
        words = (first.wants, *([first.argument] if first.argument else []), first.real)
        return again(request, command=(*words, *request.command[1:]))
    name = found.place.reached
    home = host.home
    if (
        outside
        and found.role == "command"
        and _executes(home)
        and walk(interview.container(), home).is_directory()
    ):
        copy = f"{home.rstrip('/')}/{name.rpartition('/')[2]}"
        if not os.path.lexists(copy):
            launch = again(request, command=(copy, *request.command[1:]))
            return f"cp {quoted(outside)} {quoted(copy)} && {launch}"
    return f"Copy {outside or name} to a directory whose mount allows execution, and bind that."


def _executes(directory: str) -> bool:
    try:
        allowed = not posix.statvfs(directory).f_flag & _ST_NOEXEC
    except OSError:  # there is no home
        return False
    return allowed and posix.access(directory, posix.W_OK | posix.X_OK)


def _after(interview: Interview, name: str, pids: list[int]) -> str:
    ours = posix.getpid() in pids or posix.getppid() in pids
    lines = []
    outside = host_path(interview, name)
    if outside and not ours:
        waiting = " && ".join(f"tail --pid={pid} -f /dev/null" for pid in dict.fromkeys(pids))
        lines.append(f"{waiting}; {again(interview.request)}")
    if ours:
        lines.append(f"Close {outside or name} before minictr is started: the caller holds it.")
    return "\n".join(lines) or f"Wait until nobody writes to {name}."
