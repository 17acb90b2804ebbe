"""Why a path leads nowhere: the walk that the kernel did, done again one component at a time."""

from __future__ import annotations

import errno
import posix
import stat

from minictr.image.fuse import stopped_by_fuse
from minictr.image.refusals import printable, quoted, refuse
from minictr.image.tree import may
from minictr.refusal import Refusal

MAXSYMLINKS = 40  # include/linux/namei.h
NAME_MAX = 255  # include/uapi/linux/limits.h, bytes
PATH_MAX = 4096


def explain(path: str, call: str, error: OSError | ValueError) -> Refusal:
    """The refusal for `path` after `call` failed with `error`.

    Walks the path again, so it names the component at fault, which the errno does not.
    """
    if not isinstance(error, OSError):
        return refuse("unnamable", path, str(error), what="it has a NUL byte or is not text")
    if not path:
        return refuse("unnamable", path, f"{call} returned ENOENT", what="it is empty")
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    proof = f"{call}: {posix.strerror(error.errno or 0)}"
    try:
        found = _walk(path)
    except OSError:  # the path changed since `call`: its errno is all that is known
        return refuse("call", path, proof, call=call, errno=name)
    if found:
        return found
    if error.errno == errno.EACCES:
        return refuse("denied elsewhere", path, f"{call} returned {name}; access(2) allows it")
    if error.errno == errno.ENAMETOOLONG:
        size = len(path.encode("utf-8", "surrogateescape"))
        return refuse("unnamable", path, f"PATH_MAX is {PATH_MAX}", what=f"it has {size} bytes")
    return refuse("call", path, proof, call=call, errno=name)


def denied(path: str, component: str, right: int) -> Refusal:
    """The refusal for a component which lacks `right` (posix.R_OK or posix.X_OK) for this user."""
    status = posix.stat(component)
    word, letter = ("search", "x") if right == posix.X_OK else ("reading", "r")
    if stat.S_ISDIR(status.st_mode) and right == posix.R_OK:
        letter = "rx"  # what is listed is looked into next
    owner = status.st_uid == posix.geteuid()
    command = f"chmod {'u' if owner else 'a'}+{letter} {quoted(component)}"
    if not owner and has_list(component):
        command = f"setfacl -m u:{posix.geteuid()}:{letter} {quoted(component)}"
    return refuse(
        "denied",
        path,
        f"{printable(component)}: mode {stat.S_IMODE(status.st_mode):04o}, "
        f"owner {_name(status.st_uid)}, group {status.st_gid}; "
        f"this process: uid {posix.geteuid()}, gid {posix.getegid()}"
        f"{'; it has an access control list' if has_list(component) else ''}",
        use="read" if right == posix.R_OK else "reached",
        component=printable(component),
        right=word,
        remedy=command if owner else f"Have its owner run `{command}`.",
    )


def has_list(path: str) -> bool:
    """Whether it has an access control list: an entry of the caller's own, which chmod(1) leaves.

    acl(5), "Access check algorithm": such an entry counts before those of group and others.
    """
    try:
        return bool(posix.getxattr(path, "system.posix_acl_access"))
    except OSError:  # ENODATA, or ENOTSUP of a file system without lists
        return False


def _walk(path: str) -> Refusal | None:
    """The first thing on the way along `path` that stops this process; None where nothing does."""
    reached = "/" if path.startswith("/") else ""
    pending = _components(path)
    link, rest, links = ("", ""), 0, 0
    while pending:
        here = _join(reached, pending[-1])
        try:
            mode = posix.lstat(here).st_mode
        except OSError as error:
            # Components beyond `rest` come from the link: they are missing because it is wrong.
            blamed = link if len(pending) > rest else ("", "")
            return _stopped(path, reached, pending[-1], blamed, error)
        name = pending.pop()
        if not stat.S_ISLNK(mode):
            reached = reached if name == "." else here
            continue
        links += 1
        if links > MAXSYMLINKS:
            return refuse("loop", path, _link_proof(here), at=quoted(here))
        link, rest = (here, posix.readlink(here)), len(pending)
        reached = "/" if link[1].startswith("/") else reached
        pending += _components(link[1])
    right = posix.X_OK if stat.S_ISDIR(posix.stat(reached or ".").st_mode) else posix.R_OK
    allowed = may(reached or ".", right)
    return None if allowed else denied(path, reached or ".", right)


def _stopped(
    path: str, reached: str, name: str, link: tuple[str, str], error: OSError
) -> Refusal | None:
    """What it means that lstat(2) of `name` in `reached` failed."""
    directory = reached or "."
    proof = f"lstat(2) of {printable(_join(reached, name))}: {errno.errorcode[error.errno or 0]}"
    if error.errno == errno.EACCES and not may(directory, posix.X_OK):
        return denied(path, directory, posix.X_OK)
    if error.errno in (errno.EACCES, errno.ENOTCONN):
        return stopped_by_fuse(path, directory, name, error.errno)
    if error.errno == errno.ENOTDIR:
        return refuse("not a directory", path, proof, directory=printable(directory))
    if error.errno == errno.ENAMETOOLONG:
        return _long(path, name)
    if error.errno != errno.ENOENT:
        return None
    if link[0]:
        words = {"link": printable(link[0]), "target": printable(link[1])}
        return refuse("dangling", path, proof, **words)
    if "://" in path:
        return refuse("address", path, proof, remedy=_without_address(path))
    words = {"name": printable(name), "directory": printable(directory), "at": quoted(directory)}
    return refuse("missing", path, proof, **words)


def _without_address(path: str) -> str:
    """What to give in the place of an address."""
    scheme, _, rest = path.partition("://")
    if scheme == "file":
        return f"Give the path alone: {quoted(rest)}."
    if scheme == "instance":
        return "Give the image that the instance was started from: minictr keeps no instances."
    pull = f"apptainer pull image.sif {quoted(path)}"  # which the drop-in of that name has not
    return f"Store the image in a file first, by apptainer itself: `{pull}`."


def _long(path: str, name: str) -> Refusal | None:
    """The refusal for a component too long; None where the whole path is what is too long."""
    size = len(name.encode("utf-8", "surrogateescape"))
    what = f"a component has {size} bytes"
    return (
        refuse("unnamable", path, f"NAME_MAX is {NAME_MAX}", what=what) if size > NAME_MAX else None
    )


def _components(path: str) -> list[str]:
    """The components of `path`, last first; a slash at the end is a `.`."""
    names = [name for name in path.split("/") if name]
    if path.endswith("/"):
        names.append(".")
    return names[::-1]


def _join(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}" if directory else name


def _link_proof(link: str) -> str:
    return f"link 41 is {printable(link)}, which points to {printable(posix.readlink(link))}"


def _name(uid: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)
