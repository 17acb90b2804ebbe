"""Host: facts about this machine and this caller, read and never changed.

A fact is present, absent or unreadable, and the three are kept apart: unreadable is not absent.
"""

from __future__ import annotations

import grp
import posix
import pwd

from minictr.value import Value

_ENOENT, _ENOTDIR = 2, 20  # errno(3); the module is an import that a launch does not need


class Fact(Value):
    """What a file said: `text`; or why it could not be read: `errno` (ENOENT: it is not there)."""

    path: str
    text: str = ""
    errno: int = 0

    @property
    def absent(self) -> bool:
        return self.errno in (_ENOENT, _ENOTDIR)

    @property
    def unreadable(self) -> bool:
        return self.errno != 0 and not self.absent


class Host(Value):
    """This machine, as the caller sees it.

    root           "" or the directory that stands in for `/` (tests)
    uid, gid       effective ids; groups: the supplementary ones
    user           login name, or the uid in digits where the user database has no entry
    home, shell, gecos   from the user database, never from the environment
    kernel         (major, minor), (0, 0) where uname(2) gives no number; machine: as it gives it
    working_directory    physical path; "" where it cannot be had
    umask          the caller's file mode creation mask
    """

    root: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    shell: str
    gecos: str
    kernel: tuple[int, int]
    machine: str
    working_directory: str
    umask: int

    def fact(self, path: str) -> Fact:
        """Read one small file of this machine."""
        return read_fact(self.root + path, path)

    def exists(self, path: str) -> bool:
        try:
            posix.stat(self.root + path)
        except OSError:
            return False
        return True


def read_host(root: str = "") -> Host:
    """Look at this machine. No error: what cannot be known is empty."""
    uid, gid = posix.geteuid(), posix.getegid()
    try:
        entry = pwd.getpwuid(uid)
        user, home, shell, gecos = entry.pw_name, entry.pw_dir, entry.pw_shell, entry.pw_gecos
    except KeyError:
        user, home, shell, gecos = str(uid), "", "", ""
    mask = posix.umask(0)
    posix.umask(mask)
    system = posix.uname()
    return Host(
        root=root, uid=uid, gid=gid, groups=tuple(posix.getgroups()),
        user=user, home=home, shell=shell, gecos=gecos,
        kernel=_version(system.release), machine=system.machine,
        working_directory=_working_directory(), umask=mask,
    )  # fmt: skip


def group_name(gid: int) -> str:
    """The group's name, "" where the group database has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def canonical(path: str) -> str:
    """The path with every symbolic link followed, by asking the kernel. Raises OSError."""
    descriptor = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return posix.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        posix.close(descriptor)


def read_fact(path: str, named: str = "") -> Fact:
    """Read a text file, keeping the reason where that is refused."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError as error:
        return Fact(named or path, "", error.errno or 0)
    try:
        parts = []
        while part := posix.read(descriptor, 1 << 16):
            parts.append(part)
    except OSError as error:
        return Fact(named or path, "", error.errno or 0)
    finally:
        posix.close(descriptor)
    return Fact(named or path, b"".join(parts).decode("utf-8", "surrogateescape"))


def _working_directory() -> str:
    try:
        return posix.getcwd()
    except OSError:  # removed, or behind a directory that may not be searched
        return ""


def _version(release: str) -> tuple[int, int]:
    """The number of a release; of one that has none, which a filter may forge, the oldest."""
    major, _, rest = release.partition(".")
    if not major.isdecimal():
        return 0, 0
    digits = "".join(character if character.isdecimal() else " " for character in rest).split()
    return int(major), int(digits[0]) if digits else 0
