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

from minictr.runtime.files import chdir, mkdir, write_file
from minictr.runtime.mounts import FILES, HOST, ROOT, SKELETON, restrict
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    CallError,
    mount,
    pivot_root,
    umount2,
)


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

    calls = "umask(2), mount(2) tmpfs, chdir(2), mkdir(2), pivot_root(2)"
    directory: str  # any directory that exists: it is covered for an instant

    def run(self, process: Process) -> None:
        posix.umask(0)
        mount("minictr", self.directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        chdir(self.directory)
        made = []
        try:
            for path in (HOST, ROOT, SKELETON, FILES):
                mkdir(path[1:], 0o755)
                made.append(path[1:])
            pivot_root(".", HOST[1:])
            chdir(f"{SKELETON}/..")  # and not to a root without it
        except CallError:  # a filter may only have pretended to mount: then they are the host's
            for name in made:
                try:
                    posix.rmdir(name)
                except OSError:  # in our own tmpfs, which goes by itself
                    break
            raise


class MakeFiles(Step):
    """Write the files that say who you are in here, to be bound over the image's own."""

    calls = "open(2), write(2)"
    files: tuple[tuple[str, str], ...]  # (name, text)

    def run(self, process: Process) -> None:
        for name, text in self.files:
            write_file(f"{FILES}/{name}", text.encode("utf-8", "surrogateescape"))

    def operands(self) -> str:
        return " ".join(name for name, _ in self.files)


class BindRoot(Step):
    """Bind the tree itself: every mount point is there already, and a bind costs nothing inside."""

    calls = "mount(2) MS_BIND; mount_setattr(2), before Linux 5.12 mount(2) MS_REMOUNT"
    tree: str
    read_only: bool = True
    attributes: bool = True  # the kernel has mount_setattr(2): Linux 5.12

    def run(self, process: Process) -> None:
        mount(HOST + self.tree, ROOT, None, MS_BIND | MS_REC)
        restrict(ROOT, self.read_only, True, self.attributes)


class PivotRoot(Step):
    """Make the assembled root the root, and let go of the host's file system.

    With put_old equal to new_root the old root is stacked on the new one, and detaching "."
    takes it off again: no directory is needed for it (pivot_root(2), "pivot_root(".", ".")").
    chroot(2) would leave the host's tree mounted, and a way back. So would a filter that only
    pretends to detach: ".." of the root is what is stacked on it, the old root with all the host.
    """

    calls = "chdir(2), pivot_root(2), umount2(2) MNT_DETACH, stat(2)"

    def run(self, process: Process) -> None:
        chdir(ROOT)
        pivot_root(".", ".")
        umount2(".", MNT_DETACH)
        if not _is_outermost():
            raise CallError("umount2", (".", hex(MNT_DETACH)), 0)


def _is_outermost() -> bool:
    """Whether nothing is stacked on the root: else its ".." is another directory."""
    root, above = posix.stat("/"), posix.stat("/..")
    return (root.st_dev, root.st_ino) == (above.st_dev, above.st_ino)


class ChangeDirectory(Step):
    """Go where the payload is to start; the first of the directories that can be entered."""

    calls = "chdir(2)"
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
        before, _, after = self.warning.rpartition("{}")  # the first may be of a directory's name
        text = f"{before}{directory}{after}".encode("utf-8", "surrogateescape")
        try:
            posix.write(2, text)
        except OSError:  # nobody hears a warning on a full or closed standard error
            return

    def operands(self) -> str:
        return self.directories[0]
