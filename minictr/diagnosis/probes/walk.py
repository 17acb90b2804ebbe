"""Walks a path as the kernel did, below any root, to the component that ends the way."""

from __future__ import annotations

import errno
import posix
import stat

from minictr.value import Value

MAXSYMLINKS = 40  # include/linux/namei.h
NOT_OURS = -1  # stands for an errno: only the processes in there can go on
_PROC_ROOT_INO = 1  # include/linux/proc_ns.h


class Walk(Value):
    """How far a path leads.

    path    what was asked for
    errno   0 where it leads somewhere; else ENOENT, ENOTDIR, EACCES, ELOOP, ... as for stat(2);
            NOT_OURS where a container's proc shows each of its processes something else, and us
            nothing: no absence follows from that
    reached without symbolic links, below the root: what was found, or the directory in which
            the walk ended
    name    the component that is missing there, "" where nothing is
    link, target   the symbolic link that led there, and what it says; "" for none
    status  of what was found, or of the directory that cannot be searched; else None
    """

    path: str
    errno: int
    reached: str
    name: str = ""
    link: str = ""
    target: str = ""
    status: posix.stat_result | None = None

    @property
    def found(self) -> bool:
        return self.errno == 0

    @property
    def missing(self) -> bool:
        return self.errno in (errno.ENOENT, errno.ENOTDIR)

    def is_directory(self) -> bool:
        return self.found and self.status is not None and stat.S_ISDIR(self.status.st_mode)

    def is_file(self) -> bool:
        return self.found and self.status is not None and stat.S_ISREG(self.status.st_mode)

    def is_program(self) -> bool:
        """A file that somebody may execute."""
        return self.is_file() and self.status is not None and bool(self.status.st_mode & 0o111)

    def end(self) -> str:
        """Where the walk ended, in words: for a proof."""
        place = self.reached or "/"
        by = f"; the symbolic link {self.link} points to {self.target}" if self.link else ""
        if self.errno == errno.ENOENT:
            return f"{place} has no entry {self.name}{by}"
        if self.errno == errno.ENOTDIR:
            return f"{place} is not a directory{by}"
        if self.errno == NOT_OURS:
            return f"{place}/{self.name} leads on for the container's own processes alone{by}"
        return f"{place}: {errno.errorcode.get(self.errno, self.errno)}{by}"


def walk(root: str, path: str) -> Walk:
    """Follow an absolute path below `root`: "" for the host, /proc/PID/root for a container."""
    reached: list[str] = []
    pending = path.split("/")[::-1]
    link, left, links, directory = ("", ""), -1, 0, True
    while pending:
        name = pending.pop()
        if not directory:  # whatever comes after a file, be it only a slash
            return _ended(root, path, reached, name, link, errno.ENOTDIR)
        if len(pending) < left:
            link, left = ("", ""), -1  # past what the last link said: it is not to blame
        if name in ("", ".", ".."):
            del reached[-1 if name == ".." else len(reached) :]
            continue
        here = "/".join(("", *reached, name))
        mode, target, number = _look(root, here, bool(pending))
        if number:
            return _ended(root, path, reached, name, link, number)
        if not stat.S_ISLNK(mode):
            reached.append(name)
            directory = stat.S_ISDIR(mode)
            continue
        link, left, links = (here, target), len(pending), links + 1
        if links > MAXSYMLINKS:
            return Walk(path, errno.ELOOP, here, name, *link)
        reached = [] if target.startswith("/") else reached
        pending += target.split("/")[::-1]
    place = "/".join(("", *reached)) or "/"
    return Walk(path, 0, place, "", *link, posix.stat(root + place))


def _of_each_process(path: str, more: bool) -> bool:
    """Whether this is an entry of a proc that leads each process elsewhere, or on to such ones.

    more   the way goes on behind it
    """
    directory, _, name = path.rpartition("/")
    if name not in ("self", "thread-self") and not (more and name.isdecimal()):
        return False
    try:
        links = [posix.lstat(f"{directory}/{one}").st_mode for one in ("self", "thread-self")]
        return posix.stat(directory).st_ino == _PROC_ROOT_INO and all(map(stat.S_ISLNK, links))
    except OSError:
        return False


def _look(root: str, path: str, more: bool) -> tuple[int, str, int]:
    """(st_mode, what a symbolic link says, errno) of the path itself; `more` comes after it."""
    if root and _of_each_process(root + path, more):
        return 0, "", NOT_OURS
    path = root + path
    try:
        mode = posix.lstat(path).st_mode
        return mode, posix.readlink(path) if stat.S_ISLNK(mode) else "", 0
    except OSError as error:
        return 0, "", error.errno or 0


def _ended(
    root: str, path: str, reached: list[str], name: str, link: tuple[str, str], number: int
) -> Walk:
    place = "/".join(("", *reached)) or "/"
    try:
        status = posix.stat(root + place)
    except OSError:  # it cannot even be looked at; the errno says as much
        status = None
    return Walk(path, number, place, name, *link, status)
