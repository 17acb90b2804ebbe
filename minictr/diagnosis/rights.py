"""The words for what a file is and whose."""

from __future__ import annotations

import errno
import grp
import posix
import pwd
import stat

from minictr.image.refusals import quoted


def rights(status: posix.stat_result | None) -> str:
    """Kind, owner, group and mode."""
    if status is None:
        return "nothing is known of it"
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
    owner, group = user_name(status.st_uid), group_name(status.st_gid)
    return f"{kind}, owner {owner}, group {group}, mode {status.st_mode & 0o7777:04o}"


def mode_of(path: str) -> str:
    """Owner and mode of a file, in numbers; why they cannot be had."""
    try:
        status = posix.stat(path)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "")
    return f"owner {status.st_uid}, mode {status.st_mode & 0o7777:04o}"


def user_name(uid: int) -> str:
    """The name with the number, or the number alone."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The same for a group."""
    try:
        return f"{grp.getgrgid(gid).gr_name} ({gid})"
    except KeyError:
        return str(gid)


def let_through(user: str, path: str) -> str:
    """The command that lets a user search a directory of the host, or execute a file of it.

    It takes nothing away: an entry of the user's own replaces what the group or everybody else may
    do, acl(5).
    """
    letters = "rx" if posix.access(path, posix.R_OK) else "x"
    return f"setfacl -m u:{quoted(user)}:{letters} {quoted(path)}"
