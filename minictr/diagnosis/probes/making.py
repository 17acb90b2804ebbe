"""What a step wanted to make: a mount point, or a directory for --workdir."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.inside import host_path, writable
from minictr.diagnosis.probes.mountinfo import Mount
from minictr.diagnosis.probes.ways import Way, mount_under, ways
from minictr.image.refusals import quoted
from minictr.image.tree import resolve
from minictr.runtime.files import statvfs
from minictr.runtime.places import below
from minictr.runtime.syscalls import CallError
from minictr.value import Value

_ST_RDONLY = 1


class Making(Value):
    """mkdir(2) or open(2) of something that is not there.

    way      to it
    parent   the directory that was to get an entry
    status   of that
    mount    what the parent lies on; None where its line is not to be seen
    outside  the parent's path on the host, "" where it has none
    """

    way: Way
    parent: str
    status: posix.stat_result
    mount: Mount | None
    outside: str

    def file_system(self) -> posix.statvfs_result | None:
        """Of the parent; None where it cannot be asked for."""
        try:
            return statvfs((self.way.root + self.parent) or "/")
        except CallError:
            return None

    def read_only(self) -> bool:
        found = self.file_system()
        return found is not None and bool(found.f_flag & _ST_RDONLY)


def making(interview: Interview) -> Making | None:
    """What the failing call wanted to make; None where it is there, or nobody can look."""
    if interview.failure.call not in ("mkdir", "open"):
        return None
    for way in ways(interview):
        place = way.place
        if place.errno != errno.ENOENT or place.status is None:
            continue
        outside = host_path(interview, place.reached) if way.inside else place.reached
        mount = mount_under(interview, way, place.reached)
        return Making(way, place.reached, place.status, mount, outside)
    return None


def wanted(interview: Interview) -> str:
    """The mount point that the step is about, or the directory of --workdir, as the user knows it.

    The call made a directory on the way to it, where several are missing.
    """
    step = interview.failure.step.__dict__
    return str(step["target"] if interview.failure.witness else step["source"])


def leads_to(interview: Interview, made: Making) -> str:
    """Where the mount point is, the symbolic links of the container followed.

    "" where one of them is /proc/self, which leads nobody but the container's processes.
    """
    try:
        return resolve(made.way.root, wanted(interview))[len(made.way.root) :]
    except FileNotFoundError:  # there is no such process in that PID namespace
        return ""


def by_hand(interview: Interview, made: Making) -> str:
    """The command that makes on the host what the step could not; "" where the user may not."""
    may = bool(made.outside) and writable(made.outside)
    return by_administrator(interview, made) if may else ""


def by_administrator(interview: Interview, made: Making) -> str:
    """The same for one who may write everywhere; "" where the host has no path for it."""
    target = wanted(interview)
    if not made.outside or not made.way.inside or not below(target, made.way.place.path):
        return ""
    path = f"{made.outside.rstrip('/')}/{target[len(made.parent.rstrip('/')) + 1 :]}"
    if _is_file(interview):
        return f"mkdir -p {quoted(path.rpartition('/')[0])} && touch {quoted(path)}"
    return f"mkdir -p {quoted(path)}"


def elsewhere(interview: Interview, made: Making) -> str:
    """What the user can do without that directory."""
    step = interview.failure.step.__dict__
    if not made.way.inside:
        return f"Give --workdir a directory that {interview.host.user} may write to."
    target = wanted(interview)
    if not below(target, made.way.place.path):
        leads = leads_to(interview, made)
        if not leads:
            return f"Bind {step['source']} at a path that no symbolic link leads away from."
        return f"Name the mount point by the path that {target} leads to: {leads}."
    what = f"Bind {step['source']}" if step.get("source") else "Ask for it"
    return f"{what} at a path outside of {made.parent}."


def _is_file(interview: Interview) -> bool:
    source = interview.failure.step.__dict__.get("source", "")
    try:
        return bool(source) and posix.stat(source).st_mode & 0o170000 != 0o040000
    except OSError:
        return False
