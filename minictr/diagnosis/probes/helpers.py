"""Looks at newuidmap and newgidmap: whether they are there, and what privilege they bring."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Unknown
from minictr.host import read_fact
from minictr.runtime.idmap import KILLED
from minictr.value import Value

# The capability each needs, and its bit: include/uapi/linux/capability.h.
CAPABILITY = {"newuidmap": ("CAP_SETUID", 7), "newgidmap": ("CAP_SETGID", 6)}
# The options of usermod(8) that grant what each reads, and the file.
GRANTS = {"newuidmap": ("--add-subuids", "subuid"), "newgidmap": ("--add-subgids", "subgid")}
_ST_NOSUID = 2
# What they say, newuidmap or newgidmap before it, when the kernel finds too little privilege.
_REFUSED = (
    ("write to ", "Operation not permitted"),
    ("open of ", "Permission denied"),
    ("Could not set caps", ""),
    ("Could not seteuid", ""),
)
_EFFECTIVE = 0x000001  # VFS_CAP_FLAGS_EFFECTIVE, vfs_caps of include/uapi/linux/capability.h
_OF_A_NAMESPACE = 3  # VFS_CAP_REVISION_3 >> 24


class Stored(Value):
    """File capabilities, as the attribute security.capability holds them; capabilities(7).

    there      whether the file has the attribute at all
    permitted  a bit for each capability
    effective  whether the program begins with them in its effective set
    root       the id, as seen here, of the root of the user namespace in which they count; -1
               where they count in this one
    """

    there: bool = False
    permitted: int = 0
    effective: bool = False
    root: int = -1


class Helper(Value):
    """A helper's file.

    owner       st_uid
    setuid      its mode has the setuid bit; only as root's it is of use
    stored      its file capabilities
    capable     the one it needs is among them, and they count here
    script      it begins with #!: neither the bit nor capabilities count
    described   owner, mode and capabilities in words
    nosuid      it lies on a mount where neither counts
    """

    path: str
    name: str
    owner: int
    setuid: bool
    stored: Stored
    capable: bool
    script: bool
    described: str
    nosuid: bool


def look_at_helper(path: str) -> Helper | str:
    """The helper at `path`; words where it cannot be looked at."""
    name = path.rpartition("/")[2]
    try:
        status = posix.stat(path)
        nosuid = bool(posix.statvfs(path).f_flag & _ST_NOSUID)
        stored = _stored(path)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    wanted, bit = CAPABILITY.get(name, ("", 0))
    capable = bool(stored.permitted >> bit & 1) and stored.root < 0
    return Helper(
        path=path,
        name=name,
        owner=status.st_uid,
        setuid=bool(status.st_mode & 0o4000),
        stored=stored,
        capable=capable,
        script=read_fact(path).text.startswith("#!"),
        described=f"owner {status.st_uid}, mode {status.st_mode & 0o7777:04o}, "
        + _capability_words(stored, wanted, capable),
        nosuid=nosuid,
    )


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


def in_question(interview: Interview) -> tuple[str, ...]:
    """The paths of the helpers that the failure is about; both, where none was started yet."""
    failure = interview.failure
    if failure.call in CAPABILITY or failure.call == "execve":
        return (str(failure.arguments[0]),)
    if failure.call == "getsubids":
        return tuple(interview.plan.map_ids[0].__dict__["helpers"])
    return ()


def not_executed(interview: Interview, *errnos: int) -> tuple[str, ...]:
    """The helpers that execve(2) refused with one of these errnos, or may come to refuse."""
    failure = interview.failure
    if failure.call == "getsubids" or (failure.call == "execve" and failure.errno in errnos):
        return in_question(interview)
    return ()


def otherwise(interview: Interview, number: int, how: str) -> Excluded | None:
    """The answer where no helper has the fault: none at all to a failure of another kind."""
    failure = interview.failure
    about = not_executed(interview, number) or KILLED in failure.said
    return Excluded(how) if about else None


def needed(helper: Helper) -> tuple[str, ...]:
    """The capabilities that the helper has to get at execve(2).

    The one over ids is enough for a process of the caller's own, which owns the map's file and the
    new namespace. A helper that stays root owns neither: it opens the file by CAP_DAC_OVERRIDE,
    and writes it by CAP_SYS_ADMIN (kernel/user_namespace.c, map_write).
    """
    own = CAPABILITY[helper.name][0]
    if helper.setuid and not helper.capable and stays_root(helper.path):
        return (own, "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN")
    return (own,)


def stays_root(path: str) -> bool:
    """Whether this build of shadow lacks the step back to the caller's id, and its message."""
    program = read_fact(path)
    return not program.unreadable and "Could not seteuid" not in program.text


def where_is_it_not(name: str) -> tuple[str, ...] | str:
    """What was looked at for a file that is nowhere: directories, and links that lead nowhere.

    () where one has it. Words where a directory could not be looked into: not found there is not
    absent.
    """
    path = posix.environ.get(b"PATH", b"").decode("utf-8", "surrogateescape")
    places = ("/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin", *path.split(":"))
    looked, hidden = [], []
    for place in dict.fromkeys(places):
        if not place.startswith("/"):
            continue
        ended = walk("", f"{place}/{name}")
        if ended.missing:
            broken = ended.link.rpartition("/")[2] == name
            looked.append(place + (f" (a link to {ended.target}, which is missing)" * broken))
        elif ended.found:
            return ()
        else:
            hidden.append(f"{place} cannot be searched")
    return hidden[0] if hidden else tuple(looked)


def _stored(path: str) -> Stored:
    """The attribute: magic, then two words for 32 capabilities each, then the root's id."""
    try:
        value = posix.getxattr(path, "security.capability")
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return Stored()
        raise
    words = [int.from_bytes(value[at : at + 4], "little") for at in range(0, len(value), 4)]
    root = words[5] if words[0] >> 24 == _OF_A_NAMESPACE and len(words) > 5 else -1
    high = words[3] << 32 if len(words) > 3 else 0
    return Stored(True, words[1] | high, bool(words[0] & _EFFECTIVE), root)


def _capability_words(stored: Stored, wanted: str, capable: bool) -> str:
    if not stored.there:
        return "no file capabilities"
    if stored.root >= 0:
        return f"file capabilities {stored.permitted:#x} of the root with id {stored.root}"
    if not capable:
        return f"file capabilities {stored.permitted:#x}, without {wanted}"
    return f"file capability {wanted}" + ("" if stored.effective else ", not effective")
