"""Follows execve(2) from file to file, to the first that the payload may not execute."""

from __future__ import annotations

import os
import posix
import stat

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import absolute, candidates, directory, programs
from minictr.diagnosis.probes.program import seen_from
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Excluded, Unknown
from minictr.host import group_name
from minictr.image.tree import may
from minictr.value import Value

_ST_NOEXEC = 8


class Denied(Value):
    """A file that execve(2) came to and was not allowed to execute.

    role    "command", "interpreter" of a script, or "loader": the ELF interpreter
    by      what asks for it: a line `#!` or PT_INTERP, as a fact; "" for the command
    why     "search" (of a directory above), "directory", "special", "noexec" or "mode"
    place   where the path leads; for "search" the directory, which `place.status` is of, too
    """

    role: str
    by: str
    why: str
    place: Walk

    @property
    def status(self) -> os.stat_result:
        assert self.place.status
        return self.place.status

    def owner(self) -> str:
        """Mode, owner and group in words."""
        found = self.status
        return f"mode {found.st_mode & 0o7777:04o}, owner {found.st_uid}, group {found.st_gid}"


def first_denied(interview: Interview) -> Denied | Excluded | Unknown | None:
    """The file that stopped execve(2), or the search for the command, by denying execution."""
    if interview.failure.call not in ("execve", "search"):
        return None
    if not interview.container():
        return Unknown("the container's files cannot be seen")
    found, root = interview.once(denied, interview), interview.container()
    if found:
        return found
    places = [walk(root, path) for _, _, path in _files(interview, root)]
    unseen = next((one for one in places if not (one.found or one.missing)), None)
    if unseen:
        return Unknown(f"the way to {unseen.path} in the container: {unseen.end()}")
    names = " and ".join(dict.fromkeys(one.reached for one in places if one.found))
    return Excluded(f"the payload may execute {names or 'what is there: nothing'}")


def denied(interview: Interview) -> Denied | None:
    """The first one, in the order in which fs/exec.c opens them; None where each may be executed.

    Of one file fs/namei.c, may_open, looks at the way there, its kind, its mount and its mode.
    """
    root = interview.container()
    if not root:
        return None
    searched = interview.failure.call == "search"
    for role, by, path in _files(interview, root):
        place = walk(root, path)
        closed = _closed(interview, root, place)
        if closed:
            return Denied(role, by, "search", closed)
        why = _why(interview, root, place) if place.found else ""
        if why and not (searched and why in ("directory", "special")):  # it is passed over then
            return Denied(role, by, why, place)
    return None


def may_execute(interview: Interview, path: str, status: os.stat_result) -> bool:
    """Whether the payload may: it has the caller's ids and no capability over files."""
    if not status.st_mode & 0o111:
        return False
    if interview.host.uid:
        return may(path, posix.X_OK)
    return interview.request.fakeroot or bool(_bits(interview, status) & 1)


def whose(status: os.stat_result) -> str:
    """Owner and group by name, where they have one here."""
    import pwd

    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return f"{owner}:{group_name(status.st_gid) or status.st_gid}"


def _files(interview: Interview, root: str) -> list[tuple[str, str, str]]:
    """(role, by, path) of what the kernel opens, or the search in PATH looks at."""
    if interview.failure.call == "search":
        return [("command", "", place.path) for place in candidates(interview, root)]
    where = interview.once(directory, interview)
    files = [("command", "", absolute(interview))]
    for one in programs(interview):
        wanted = seen_from(where, one.wants) if one.wants else ""
        if wanted and one.kind == "script":
            files.append(("interpreter", f"{one.real} begins with #!{one.wants}", wanted))
        elif wanted:
            files.append(("loader", f"PT_INTERP of {one.real} is {one.wants}", wanted))
    return files


def _closed(interview: Interview, root: str, place: Walk) -> Walk | None:
    """The directory on the way that may not be searched.

    Root looks into every directory from here; the payload, without capabilities, does not.
    """
    if place.status and place.errno == 13:
        return place
    if interview.host.uid or interview.request.fakeroot:
        return None
    parts = place.reached.strip("/").split("/")
    for length in range(len(parts)):
        above = "/" + "/".join(parts[:length])
        status = posix.stat(root + above)
        if stat.S_ISDIR(status.st_mode) and not _bits(interview, status) & 1:
            return place.replace(reached=above, status=status)
    return None


def _why(interview: Interview, root: str, place: Walk) -> str:
    assert place.status
    if place.is_directory():
        return "directory"
    if not place.is_file():
        return "special"
    if posix.statvfs(root + place.reached).f_flag & _ST_NOEXEC:
        return "noexec"
    return "" if may_execute(interview, root + place.reached, place.status) else "mode"


def _bits(interview: Interview, status: os.stat_result) -> int:
    """The rwx bits that count for root without capabilities."""
    if status.st_uid == 0:
        return status.st_mode >> 6
    groups = (interview.host.gid, *interview.host.groups)
    return status.st_mode >> 3 if status.st_gid in groups else status.st_mode
