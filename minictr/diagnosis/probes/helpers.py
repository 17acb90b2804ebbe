"""Looks at newuidmap and newgidmap: whether they are there, and what privilege they bring."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.values import Unknown
from minictr.host import read_fact
from minictr.value import Value

# The capability each needs, and its bit: include/uapi/linux/capability.h.
CAPABILITY = {"newuidmap": ("CAP_SETUID", 7), "newgidmap": ("CAP_SETGID", 6)}
_ST_NOSUID = 2
# What they say, newuidmap or newgidmap before it, when the kernel finds too little privilege.
_REFUSED = (
    ("write to ", "Operation not permitted"),
    ("open of ", "Permission denied"),
    ("Could not set caps", ""),
)


class Helper(Value):
    """A helper's file.

    setuid      its mode has the setuid bit; only as root's it is of use
    capable     it has the file capability it needs
    described   owner, mode and capabilities in words
    nosuid      it lies on a mount where neither counts
    """

    path: str
    name: str
    setuid: bool
    capable: bool
    described: str
    nosuid: bool


def look_at_helper(path: str) -> Helper | str:
    """The helper at `path`; words where it cannot be looked at."""
    try:
        status = posix.stat(path)
        nosuid = bool(posix.statvfs(path).f_flag & _ST_NOSUID)
        has, words = _capabilities(path)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    setuid = bool(status.st_mode & 0o4000)
    described = f"owner {status.st_uid}, mode {status.st_mode & 0o7777:04o}, {words}"
    return Helper(path, path.rpartition("/")[2], setuid, has, described, nosuid)


def powerless(interview: Interview) -> Helper | Unknown | None:
    """The helper that had too little privilege to write the map; None where that did not happen.

    It ran, passed the ranges of /etc/subuid, and was refused; or it has a file capability which
    the caller may not have, and execve(2) gave EPERM. A launch that has not come as far asks for
    newuidmap.
    """
    failure = interview.failure
    if failure.call in CAPABILITY:
        if not any(a in failure.said and b in failure.said for a, b in _REFUSED):
            return None
        path = str(failure.arguments[0])
    elif failure.call == "execve" and failure.errno == errno.EPERM:
        path = str(failure.arguments[0])
    elif failure.call == "getsubids":
        path = interview.plan.map_ids[0].__dict__["helpers"][0]
    else:
        return None
    helper = interview.once(look_at_helper, path)
    return helper if isinstance(helper, Helper) else Unknown(f"{path}: {helper}")


def needed(helper: Helper) -> tuple[str, ...]:
    """The capabilities that the helper has to get at execve(2).

    The one over ids is enough for a process of the caller's own, which owns the map's file and the
    new namespace. A helper that stays root owns neither: it opens the file by CAP_DAC_OVERRIDE,
    and writes it by CAP_SYS_ADMIN (kernel/user_namespace.c, map_write).
    """
    own = CAPABILITY[helper.name][0]
    if helper.setuid and not helper.capable and _stays_root(helper.path):
        return (own, "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN")
    return (own,)


def _stays_root(path: str) -> bool:
    """Whether this build of shadow lacks the step back to the caller's id, and its message."""
    program = read_fact(path)
    return not program.unreadable and "Could not seteuid" not in program.text


def where_is_it_not(name: str) -> tuple[str, ...] | str:
    """The directories in which there is no such file; () where one has it.

    Words where a directory could not be looked into: not found there is not absent.
    """
    path = posix.environ.get(b"PATH", b"").decode("utf-8", "surrogateescape")
    places = ("/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin", *path.split(":"))
    looked = [place for place in dict.fromkeys(places) if place.startswith("/")]
    hidden = []
    for place in looked:
        try:
            posix.stat(f"{place}/{name}")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                hidden.append(f"{place} cannot be searched")
            continue
        return ()
    return hidden[0] if hidden else tuple(looked)


def _capabilities(path: str) -> tuple[bool, str]:
    """(whether the file brings what it needs, the words for it); capabilities(7)."""
    name = path.rpartition("/")[2]
    wanted, bit = CAPABILITY.get(name, ("", 0))
    try:
        stored = posix.getxattr(path, "security.capability")
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False, "no file capabilities"
        raise
    permitted = int.from_bytes(stored[4:8], "little")
    if permitted >> bit & 1:
        return True, f"file capability {wanted}"
    return False, f"file capabilities {permitted:#x}, without {wanted}"
