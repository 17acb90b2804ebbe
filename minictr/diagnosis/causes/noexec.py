"""What stops the command: the mount its file lies on, or whoever writes to the file."""

from __future__ import annotations

import errno
import os
import posix
import stat

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import absolute, directory, executed, programs
from minictr.diagnosis.probes.inside import host_path, of_the_image
from minictr.diagnosis.probes.mountinfo import mount_of, mounts
from minictr.diagnosis.probes.permission import Denied, first_denied
from minictr.diagnosis.probes.program import Program, chain, seen_from
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.probes.writers import writers_of
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable, quoted

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
    """A copy where that can be executed; a script needs none where its interpreter can."""
    if of_the_image(interview, found.place.reached):
        return _image_elsewhere(interview)
    request = interview.request
    where = interview.once(directory, interview)
    opened = programs(interview) or chain(interview.container(), found.place.path, where)
    first = next(iter(opened), None)
    if found.role == "loader" or not first:
        return _copy(interview, found.place, outside)
    if first.kind != "script" or not first.wants:
        return _copy(interview, found.place, outside)
    words = (*([first.argument] if first.argument else []), first.real)
    after = opened[1:]
    if not any(_denies(interview, path) for path in _asked_for(after)):
        return again(request, command=(first.wants, *words, *executed(interview)[1:]))
    interpreter = walk(interview.container(), seen_from(where, first.wants))
    alone = len(after) == 1 and not _denies(interview, after[0].wants)
    outside = host_path(interview, interpreter.reached) if alone else ""
    return _copy(interview, interpreter, outside, words)


def _copy(interview: Interview, place: Walk, outside: str, words: tuple[str, ...] = ()) -> str:
    """A copy of the program in the caller's home, bound where that is not seen inside.

    words  what it is given before the arguments: the script of an interpreter
    """
    home, request = interview.host.home.rstrip("/"), interview.request
    copy = f"{home}/{place.path.rpartition('/')[2]}"  # busybox goes by its name
    if outside and _executes(home) and not os.path.lexists(copy):
        bound = () if host_path(interview, copy) == copy else ("--bind", copy)
        launch = again(request, *bound, command=(copy, *words, *executed(interview)[1:]))
        return f"cp {quoted(outside)} {quoted(copy)} && {launch}"
    then = f", and have it run {words[-1]}." if words else "."
    name = outside or place.reached
    return f"Copy {name} to a directory whose mount allows execution, and bind that{then}"


def _image_elsewhere(interview: Interview) -> str:
    """Another place for the whole image, or for the cache that it is unpacked in."""
    host, image = interview.host, interview.request.image
    if stat.S_ISDIR(posix.stat(image).st_mode):
        return f"Copy the image {printable(image)} to a directory whose mount allows execution."
    for place in ("/var/tmp", "/tmp", host.home.rstrip("/")):
        if _executes(place):
            return f"export MINICTR_CACHEDIR={quoted(f'{place}/minictr-{host.user}')}"
    return "export MINICTR_CACHEDIR=DIRECTORY, where DIRECTORY is on a mount that allows execution."


def _asked_for(after: tuple[Program, ...]) -> list[str]:
    """The interpreters that a script leads to, and the loader of the last."""
    return [path for one in after for path in (one.real, one.wants) if path]


def _denies(interview: Interview, path: str) -> bool:
    """Whether a path of the container, "" for none, lies on a mount that denies execution."""
    root = interview.container()
    place = walk(root, seen_from(interview.once(directory, interview), path))
    return place.found and bool(posix.statvfs(root + place.reached).f_flag & _ST_NOEXEC)


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
