"""The build phase: a root of binds, where the kernel allows no overlay."""

from __future__ import annotations

import posix

from minictr.image.tree import kind_of
from minictr.refusal import Refusal
from minictr.runtime.files import symlink
from minictr.runtime.mounts import HOST, ROOT, SKELETON, make_mount_point, restrict
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import MS_BIND, MS_REC, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.image.tree import Tree
    from minictr.runtime.overlay import MakeSkeleton


class BindTree(Step):
    """Assemble the root from binds of the tree's entries on the skeleton.

    For kernels without overlayfs in user namespaces (before 5.11), and for a tree that holds other
    mounts: overlayfs refuses those (EINVAL), because what they cover would show. Where the
    skeleton has a directory of the same name its entries are bound one level deeper.
    """

    calls = "mkdir(2), symlink(2), mount(2) MS_BIND"
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


def entries(tree: Tree, skeleton: MakeSkeleton) -> tuple[tuple[str, str], ...]:
    """What BindTree has to bind: the tree's entries beside those of the skeleton."""
    own = {path for path, _ in skeleton.directories} | set(skeleton.files)
    entries = []
    for above in sorted(own - set(skeleton.files)):
        if kind_of(tree.root, above or "/") != "directory":
            continue
        for name in sorted(_names(tree.root + above or "/")):
            path = f"{above}/{name}"
            if path not in own:
                entries.append((path, _entry_kind(tree.root + path)))
    return tuple(entries)


def _names(directory: str) -> list[str]:
    """What is in a directory that has to be bound entry by entry."""
    try:
        return posix.listdir(directory)
    except OSError as error:
        cause = f"{directory} cannot be listed, and its entries have to be bound one by one"
        proof = f"opendir({directory}): {posix.strerror(error.errno or 0)}"
        fix = f"Have its owner run `setfacl -m u:{posix.geteuid()}:rx {directory}`."
        raise Refusal("MC0444", cause, proof, fix) from None


def _entry_kind(path: str) -> str:
    mode = posix.lstat(path).st_mode & 0o170000
    if mode == 0o120000:
        return "link:" + posix.readlink(path)
    return "directory" if mode == 0o040000 else "file"
