"""Tree: an unpacked root directory, with paths inside it resolved as the container will."""

from __future__ import annotations

import posix

from minictr.value import Value

MAXSYMLINKS = 40  # include/linux/namei.h: the kernel answers ELOOP beyond it

# include/uapi/linux/stat.h; the stat module is an import that a launch does not need.
S_IFMT, S_IFDIR, S_IFREG, S_IFLNK = 0o170000, 0o040000, 0o100000, 0o120000
_ELOOP = 40  # errno(3)
_KINDS = {0: "", S_IFDIR: "directory", S_IFREG: "file"}


class Served(Value):
    """A root that is not unpacked.

    mount    descriptor of the detached mount
    server   pid of the process that serves it
    program  what that is called
    """

    mount: int
    server: int
    program: str


class Tree(Value):
    """What a launch needs to know of an unpacked root.

    root       absolute path of the unpacked root directory
    kind       "sif", "squashfs" or "directory": what it was unpacked from
    name       sha256 (hexadecimal) of the file system's bytes; "" for a directory
    runscript  "own"; "default", which only says that there is none; "" where there is no file
    shell      the image has an executable /bin/sh
    scripts    (path inside the image, text) of each environment script that has an effect, in
               the order in which they are sourced
    lock       descriptor whose shared flock keeps the tree from being removed; -1 for none
    served     who serves it where it is not unpacked
    behind     descriptor that waits for the launcher's end, to go on unpacking; -1 for none
    """

    root: str
    kind: str
    name: str
    runscript: str
    shell: bool
    scripts: tuple[tuple[str, str], ...]
    lock: int = -1
    served: Served | None = None
    behind: int = -1


def may(path: str, rights: int) -> bool:
    """Whether this process has rights (R_OK, W_OK, X_OK together) on what a path leads to.

    faccessat2(2) is what looks at the effective ids, and a seccomp filter made before it was there
    answers EPERM: access(2), which every filter knows, is asked as well where the ids are the same.
    """
    if posix.access(path, rights, effective_ids=True):
        return True
    same = posix.getuid() == posix.geteuid() and posix.getgid() == posix.getegid()
    return same and posix.access(path, rights)


def resolve(root: str, path: str, modes: dict[str, int] | None = None) -> str:
    """The path on the host of what `path` names for a process whose root is `root`.

    Every symbolic link is followed, the last one too: an absolute target starts again at root,
    and `..` in root stays in root (path_resolution(7)). What does not exist is kept as written.
    Raises OSError: ELOOP beyond 40 links, EACCES for a directory that cannot be searched.

    modes   st_mode of what lies in this root, so far as it is known; what is looked at is added
    """
    modes = {} if modes is None else modes
    reached = root = root.rstrip("/")
    pending = path.split("/")[::-1]
    links = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            reached = reached.rpartition("/")[0] if reached != root else root
            continue
        entry = f"{reached}/{name}"
        if entry not in modes:
            modes[entry] = _mode(entry)
        if modes[entry] & S_IFMT != S_IFLNK:
            reached = entry
            continue
        links += 1
        if links > MAXSYMLINKS:
            raise OSError(_ELOOP, "more than 40 symbolic links", path)
        target = posix.readlink(entry)
        if target.startswith("/"):
            reached = root
        pending += target.split("/")[::-1]
    return reached or "/"


def kind_of(root: str, path: str) -> str:
    """What the container finds at `path`: "directory", "file", "other", or "" for nothing.

    A chain of more than 40 links is "other": it is there, and nothing can be mounted on it.
    Raises OSError EACCES where a directory on the way cannot be searched: unreadable is not absent.
    """
    try:
        return kind_at(resolve(root, path))
    except OSError as error:
        if error.errno != _ELOOP:
            raise
        return "other"


def kind_at(path: str) -> str:
    """The same for a path on the host, whose last component is no link that is to be followed."""
    return kind(_mode(path))


def kind(mode: int) -> str:
    """The same of an st_mode; 0 is nothing."""
    return _KINDS.get(mode & S_IFMT, "other")


def _mode(path: str) -> int:
    """st_mode of `path` itself; 0 where nothing is there (also below something not a directory)."""
    try:
        return posix.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
