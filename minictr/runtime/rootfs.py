"""The build phase: steps that assemble the container's root in a private mount namespace.

While they run the tree of mounts looks like this; after PivotRoot only `/root` is left:

    /            the staging tmpfs
    /host        the caller's whole file system: where binds come from
    /skeleton    the mount points that the image lacks, and nothing else
    /files       generated files, to be bound into /etc
    /layer       the writable layer, if there is one: upper and work
    /root        the container's root to be
"""

from __future__ import annotations

import posix

from minictr.runtime.files import chdir, chmod, mkdir, symlink, write_file
from minictr.runtime.mounts import FILES, HOST, ROOT, make_mount_point, restrict
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    CallError,
    mount,
    pivot_root,
    umount2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

SKELETON = "/skeleton"


class MountStaging(Step):
    """Mount a tmpfs, make it the root, and hang the host's file system below it.

    None of our mounts appears on the host, and those of the host appear here (an automounted home,
    say) while its file system is at hand: another user namespace owns this mount namespace, and
    the kernel has made every shared mount of it a slave (mount_namespaces(7), restrictions).

    Everything that follows is built where nobody has looked yet and no path of the host can be
    hidden by it: had the new root grown on, say, /tmp, a recursive bind of /tmp would have carried
    it along. The files made here take the modes they are given, so the umask is set to 0; it is
    given back before the payload starts.
    """

    calls: ClassVar[str] = "mount(2) tmpfs, mkdir(2), pivot_root(2)"
    directory: str  # any directory that exists: it is covered for an instant

    def run(self, process: Process) -> None:
        posix.umask(0)
        mount("minictr", self.directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        chdir(self.directory)
        for path in (HOST, ROOT, SKELETON, FILES):
            mkdir(path[1:], 0o755)
        pivot_root(".", HOST[1:])
        chdir("/")


class MakeSkeleton(Step):
    """Create the mount points that the image lacks.

    They lie in a layer of their own, so the image is never written to and it does not matter who
    owns it (mkdir in an upper layer fails below a directory whose owner has no id in here). A
    directory that image and skeleton both have takes mode and owner from the skeleton: so it is
    given the image's mode.
    """

    calls: ClassVar[str] = "mkdir(2), open(2)"
    directories: tuple[tuple[str, int], ...] = ()  # (path, mode), parents first; "" is the root
    files: tuple[str, ...] = ()
    below: str = SKELETON

    def run(self, process: Process) -> None:
        for path, mode in self.directories:
            if path:
                mkdir(self.below + path, mode)
            else:
                chmod(self.below, mode)
        for path in self.files:
            write_file(self.below + path, b"")

    def operands(self) -> str:
        directories = (f"{path or '/'} {mode:04o}" for path, mode in self.directories)
        return " ".join((*directories, *self.files))


class MakeFiles(Step):
    """Write the files that say who you are in here, to be bound over the image's own."""

    calls: ClassVar[str] = "open(2), write(2)"
    files: tuple[tuple[str, str], ...]  # (name, text)

    def run(self, process: Process) -> None:
        for name, text in self.files:
            write_file(f"{FILES}/{name}", text.encode("utf-8", "surrogateescape"))

    def operands(self) -> str:
        return " ".join(name for name, _ in self.files)


class MountOverlay(Step):
    """Lay the skeleton over the image's tree: overlayfs, allowed in user namespaces since 5.11.

    Two lower layers and no upper one: read-only, and nothing is copied up. `userxattr` keeps
    overlayfs to attributes an unprivileged owner may set; without it removing a directory in a
    writable layer fails with EIO. The tree is named by "." because a path could hold `:` or `,`,
    which mean something to the option parser.
    """

    calls: ClassVar[str] = "chdir(2), mount(2) overlay"
    tree: str
    writable: str = ""  # size of the tmpfs for the writable layer ("64m"); "" mounts read-only

    def run(self, process: Process) -> None:
        options, flags = f"lowerdir={SKELETON}:.,userxattr", MS_NOSUID | MS_NODEV
        if self.writable:
            mkdir("/layer", 0o755)
            mount("minictr", "/layer", "tmpfs", flags, f"mode=0755,size={self.writable}")
            mkdir("/layer/upper", posix.stat(HOST + self.tree).st_mode & 0o7777)
            mkdir("/layer/work", 0o755)
            options += ",upperdir=/layer/upper,workdir=/layer/work"
        else:
            flags |= MS_RDONLY
        chdir(HOST + self.tree)
        mount("overlay", ROOT, "overlay", flags, options)
        chdir("/")


class BindRoot(Step):
    """Bind the tree itself: every mount point is there already, and a bind costs nothing inside."""

    calls: ClassVar[str] = "mount(2) MS_BIND, mount_setattr(2)"
    tree: str
    read_only: bool = True
    attributes: bool = True  # the kernel has mount_setattr(2): Linux 5.12

    def run(self, process: Process) -> None:
        mount(HOST + self.tree, ROOT, None, MS_BIND | MS_REC)
        restrict(ROOT, self.read_only, True, self.attributes)


class BindTree(Step):
    """Assemble the root from binds of the tree's entries on the skeleton.

    For kernels without overlayfs in user namespaces (before 5.11), and for a tree that holds other
    mounts: overlayfs refuses those (EINVAL), because what they cover would show. Where the
    skeleton has a directory of the same name its entries are bound one level deeper.
    """

    calls: ClassVar[str] = "mkdir(2), symlink(2), mount(2) MS_BIND"
    tree: str
    entries: tuple[tuple[str, str], ...]  # (path, kind): "directory", "file" or a link's target
    attributes: bool = True  # the kernel has mount_setattr(2): Linux 5.12

    def run(self, process: Process) -> None:
        mount(SKELETON, ROOT, None, MS_BIND)
        for path, kind in self.entries:
            if kind not in ("directory", "file"):
                symlink(kind.removeprefix("link:"), ROOT + path)
                continue
            make_mount_point(ROOT + path, kind == "directory")
            mount(HOST + self.tree + path, ROOT + path, None, MS_BIND | MS_REC)
            restrict(ROOT + path, True, True, self.attributes)
        restrict(ROOT, True, True, False)


class PivotRoot(Step):
    """Make the assembled root the root, and let go of the host's file system.

    With put_old equal to new_root the old root is stacked on the new one, and detaching "."
    takes it off again: no directory is needed for it (pivot_root(2), "pivot_root(".", ".")").
    chroot(2) would leave the host's tree mounted, and a way back.
    """

    calls: ClassVar[str] = "chdir(2), pivot_root(2), umount2(2) MNT_DETACH"

    def run(self, process: Process) -> None:
        chdir(ROOT)
        pivot_root(".", ".")
        umount2(".", MNT_DETACH)
        chdir("/")


class ChangeDirectory(Step):
    """Go where the payload is to start; the first of the directories that can be entered."""

    calls: ClassVar[str] = "chdir(2)"
    directories: tuple[str, ...]
    warning: str = ""  # printed when it is not the first; "{}" stands for the one taken

    def run(self, process: Process) -> None:
        for directory in self.directories[:-1]:
            try:
                chdir(directory)
            except CallError:
                continue  # refused by the kernel for any reason: the next one is asked for
            return self._warn(directory)
        chdir(self.directories[-1])
        return self._warn(self.directories[-1])

    def _warn(self, directory: str) -> None:
        if not self.warning or directory == self.directories[0]:
            return
        text = self.warning.replace("{}", directory).encode("utf-8", "surrogateescape")
        try:
            posix.write(2, text)
        except OSError:  # nobody hears a warning on a full or closed standard error
            return

    def operands(self) -> str:
        return self.directories[0]
