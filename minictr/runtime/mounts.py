"""The build phase: steps that mount something on the container's root to be."""

from __future__ import annotations

import posix

from minictr.image import tree
from minictr.runtime.files import chmod, keeping, mkdir, statvfs, write_file
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    CallError,
    mount,
    mount_setattr,
)

HOST, ROOT, FILES, SKELETON = "/host", "/root", "/files", "/skeleton"
resolve = keeping("readlink", tree.resolve)
_ENOENT = 2
# statvfs(3) reports mount flags by its own numbers, these four equal to the kernel's.
_LOCKED = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
_ST_RELATIME_ETC = {1024: 1024, 2048: 2048, 4096: 1 << 21}  # ST_NOATIME, NODIRATIME, RELATIME


class MountProc(Step):
    """Mount a proc of the container's own PID namespace.

    The kernel refuses it (EPERM, "Mount too revealing") where the caller's own /proc is partly
    covered by other mounts: a fresh one would show what they hide (fs/namespace.c,
    mount_too_revealing).
    """

    calls = "mount(2) proc"
    target: str = "/proc"

    def run(self, process: Process) -> None:
        mount("proc", resolve(ROOT, self.target), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


class Bind(Step):
    """Show a file or directory of the host inside, with all that is mounted below it.

    Recursive, because a user namespace may not bind a tree without the mounts which cover parts
    of it (EINVAL: they are locked). Below another bind a missing mount point is made in what is
    bound there, with the caller's own rights.
    """

    calls = "mount(2) MS_BIND; where it is restricted mount_setattr(2) or MS_REMOUNT"
    source: str
    target: str
    read_only: bool = False
    attributes: bool = True  # the kernel has mount_setattr(2): Linux 5.12
    harden: bool = False  # nosuid, nodev
    create: int = 0  # the mode of a directory to be made on the host first: --workdir

    def prepare(self) -> None:
        if self.create and not exists(self.source):
            make_mount_point(self.source, True)
            chmod(self.source, self.create)

    def run(self, process: Process) -> None:
        source, target = HOST + self.source, resolve(ROOT, self.target)
        try:
            mount(source, target, None, MS_BIND | MS_REC)
        except CallError as refused:
            if refused.errno != _ENOENT or not exists(source) or exists(target):
                raise
            make_mount_point(target, _is_directory(source))
            mount(source, target, None, MS_BIND | MS_REC)
        if self.read_only or self.harden:
            restrict(target, self.read_only, self.harden, self.attributes)

    def operands(self) -> str:
        return f"{self.source} on {self.target}" + (" read-only" if self.read_only else "")


class BindFile(Bind):
    """Show a generated file at its place in /etc."""

    calls = "mount(2) MS_BIND"

    def run(self, process: Process) -> None:
        mount(FILES + self.source, resolve(ROOT, self.target), None, MS_BIND)


class CoverCache(Step):
    """Cover the cache of unpacked images, where a bind of the host shows it.

    Its path is followed here and not in the plan: below a bind the host's directories count and
    not the image's, which could lead the cover astray by a symbolic link. A payload of the same
    user can still rename a directory above it; docs/design.md says what the cover is worth.
    """

    calls = "mount(2) tmpfs"
    target: str

    def run(self, process: Process) -> None:
        target = resolve(ROOT, self.target)
        if exists(target):
            mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")


def exists(path: str) -> bool:
    """Whether there is something at `path`, links followed."""
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _is_directory(path: str) -> bool:
    return posix.stat(path).st_mode & 0o170000 == 0o040000


def make_mount_point(path: str, directory: bool) -> None:
    """A mount point, and the directories it lies in."""
    parent = path.rpartition("/")[0]
    if parent and not exists(parent):
        make_mount_point(parent, True)
    if directory:
        mkdir(path, 0o755)
    else:
        write_file(path, b"")


def restrict(target: str, read_only: bool, harden: bool, attributes: bool) -> None:
    """Make a mount read-only, or nosuid and nodev, and all below it where the kernel can."""
    if attributes:
        locks = (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) if harden else 0
        mount_setattr(target, locks | (MOUNT_ATTR_RDONLY if read_only else 0))
    else:
        flags = (MS_NOSUID | MS_NODEV) if harden else 0
        remount(target, flags | (MS_RDONLY if read_only else 0))


def remount(target: str, flags: int) -> None:
    """Change a bind's flags, keeping those that the host set: they are locked (EPERM)."""
    present = statvfs(target).f_flag
    kept = present & _LOCKED
    for reported, wanted in _ST_RELATIME_ETC.items():
        kept |= wanted if present & reported else 0
    mount(None, target, None, MS_REMOUNT | MS_BIND | kept | flags)
