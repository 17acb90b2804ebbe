"""Walks the paths again that a failing call was given, on the host and in the container."""

from __future__ import annotations

import errno
import posix
import stat

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mountinfo import Mount, mount_of, mounts
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Excluded, Unknown
from minictr.host import Fact, read_fact
from minictr.image.tree import may
from minictr.runtime.mounts import ROOT
from minictr.value import Value


class Way(Value):
    """One path of a call.

    place    where it leads
    root     the directory below which it was walked: "" for the host's own
    inside   it is a path of the container
    staged   what the mount table has before a path of the container's: "/root" until PivotRoot
    """

    place: Walk
    root: str = ""
    inside: bool = False
    staged: str = ""

    def named(self, path: str) -> str:
        """A path as the report shows it."""
        return f"{path or '/'} in the container" if self.inside else path or "/"


def ways(interview: Interview) -> tuple[Way, ...]:
    """The paths that the failing call followed; of those in the container none that is unseen."""
    return interview.once(_ways, interview)


def none_of_them(interview: Interview, how: str) -> Excluded | Unknown:
    """What it means that no way tells anything: they were all looked at, or one was not."""
    witness = interview.failure.witness
    if witness and _inside(interview) and not interview.container():
        return Unknown("the container's files cannot be seen")
    return Excluded(how)


def mount_under(interview: Interview, way: Way, path: str) -> Mount | None:
    """The mount that a path on the way lies on, as its own process sees it."""
    table = interview.once(mounts, interview.failure.witness if way.inside else "self")
    return mount_of((way.staged + path).rstrip("/") or "/", table)


def reaches(interview: Interview, status: posix.stat_result) -> bool | None:
    """Whether the rights of a file do not bind the container's root; None where nobody can say.

    Its capabilities count where owner and group both have an id in the container: kernel/
    capability.c, capable_wrt_inode_uidgid.
    """
    answers = []
    for name, number in (("uid_map", status.st_uid), ("gid_map", status.st_gid)):
        fact = interview.once(read_fact, f"/proc/{interview.failure.witness}/{name}")
        if fact.errno:
            return None
        answers.append(_maps(fact, number))
    return all(answers)


def allows(interview: Interview, way: Way, path: str, status: posix.stat_result, mode: int) -> bool:
    """Whether who made the call may do `mode` (R_OK, W_OK, X_OK together) to a directory.

    The launcher can ask for an ordinary user, whose id it has. As root it has capabilities over
    every file, which end where the container begins.
    """
    host = interview.host
    if host.uid or not interview.failure.witness:
        return may((way.root + path) or "/", mode)
    bits = status.st_mode
    if status.st_uid == host.uid:
        bits >>= 6
    elif status.st_gid in (host.gid, *host.groups):
        bits >>= 3
    return bool(reaches(interview, status)) or bits & mode == mode


def closed(
    interview: Interview, way: Way, last: bool = False
) -> tuple[str, posix.stat_result] | None:
    """(path, status) of the directory on the way that may not be searched; None for none.

    last   the directory that the way leads to has to be searched as well
    """
    place = way.place
    if place.errno == errno.EACCES and place.status:
        refused = not allows(interview, way, place.reached, place.status, posix.X_OK)
        return (place.reached or "/", place.status) if refused else None
    parts = place.reached.strip("/").split("/")
    first = 1 if interview.host.uid == 0 else len(parts)  # the launcher has come through the others
    for length in range(first, len(parts) + (last or not place.found)):
        above = "/" + "/".join(parts[:length])
        status = posix.stat(way.root + above)
        if stat.S_ISDIR(status.st_mode) and not allows(interview, way, above, status, posix.X_OK):
            return above, status
    return None


def _maps(fact: Fact, number: int) -> bool:
    for line in fact.text.splitlines():
        _, first, count = (int(word) for word in line.split())
        if first <= number < first + count:
            return True
    return False


def _ways(interview: Interview) -> tuple[Way, ...]:
    failure, inside, outside = interview.failure, _inside(interview), ""
    if failure.call == "mount":
        outside = _asked(interview)
    elif failure.call in ("mkdir", "open") and not failure.witness:
        outside = str(failure.arguments[0])
    found = [Way(walk("", outside))] if outside else []
    root = interview.container() if inside and failure.witness else ""
    if root:
        staged = "" if failure.step.verb() == "ChangeDirectory" else ROOT
        found.append(Way(walk(root + staged, inside), root + staged, True, staged))
    return tuple(found)


def _inside(interview: Interview) -> str:
    """The path of the container that the call was given, "" for none."""
    failure = interview.failure
    if failure.call == "mount":
        return str(failure.step.__dict__.get("target", ""))
    if failure.call == "readlink":
        return str(failure.arguments[1])
    if failure.call == "chdir" and failure.step.verb() == "ChangeDirectory":
        return str(failure.arguments[0])
    if failure.call in ("mkdir", "open") and failure.witness:
        return str(failure.arguments[0]).removeprefix(ROOT)
    return ""


def _asked(interview: Interview) -> str:
    """The source of a bind as the user wrote it; "" for a step that has none."""
    step = interview.failure.step
    if step.verb() != "Bind":
        return ""
    asked = (b.source for b in interview.request.binds if b.target == step.__dict__["target"])
    return next(asked, str(step.__dict__["source"]))
