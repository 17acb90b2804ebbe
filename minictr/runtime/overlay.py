"""The build phase: a root of layers, where a bind of the image's tree will not do."""

from __future__ import annotations

import posix

from minictr.refusal import Refusal
from minictr.runtime.files import chdir, chmod, mkdir, write_file
from minictr.runtime.mounts import HOST, ROOT, SKELETON
from minictr.runtime.places import MOUNT_SETATTR, below
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import MS_NODEV, MS_NOSUID, MS_RDONLY, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.host import Host
    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.places import Place

OVERLAY = (5, 11)  # the kernel that allows overlayfs in a user namespace
_S_IFMT, _S_IFDIR = 0o170000, 0o040000


class MakeSkeleton(Step):
    """Create the mount points that the image lacks.

    They lie in a layer of their own, so the image is never written to and it does not matter who
    owns it (mkdir in an upper layer fails below a directory whose owner has no id in here). A
    directory that image and skeleton both have takes mode and owner from the skeleton: so it is
    given the image's mode.
    """

    calls = "mkdir(2), chmod(2), open(2)"
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


class MountOverlay(Step):
    """Lay the skeleton over the image's tree: overlayfs, allowed in user namespaces since 5.11.

    Two lower layers and no upper one: read-only, and nothing is copied up. `userxattr` keeps
    overlayfs to attributes an unprivileged owner may set; without it removing a directory in a
    writable layer fails with EIO. The tree is named by "." because a path could hold `:` or `,`,
    which mean something to the option parser.
    """

    calls = "chdir(2), mount(2) overlay"
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


def layered(
    request: Request, tree: Tree, host: Host, missing: list[Place]
) -> tuple[tuple[Step, ...], str]:
    """The steps that lay mount points, or a writable layer, over the tree; and why these."""
    below_it = skeleton(tree, missing)
    hindrance = no_overlay(tree, host)
    if hindrance:
        if request.writable_tmpfs:
            cause = f"--writable-tmpfs needs an overlay, and there is none: {hindrance}"
            fix = "Leave --writable-tmpfs out."
            raise Refusal("MC0441", cause, f"the image's tree is {tree.root}", fix)
        from minictr.runtime.bindtree import BindTree, entries

        step = BindTree(tree.root, entries(tree, below_it), host.kernel >= MOUNT_SETATTR)
        return (below_it, step), f"binds on a skeleton, because {hindrance}"
    size = f"{request.tmpfs_mib}m" if request.writable_tmpfs else ""
    why = f"the image lacks {missing[0].target}" if missing else "root in it could remount a bind"
    why = "a writable layer was asked for" if size else why
    return (below_it, MountOverlay(tree.root, size)), f"an overlay, because {why}"


def no_overlay(tree: Tree, host: Host) -> str:
    """What keeps overlayfs from this image on this kernel; "" for nothing."""
    if host.kernel < OVERLAY:
        return "the kernel has no overlayfs in user namespaces (Linux 5.11)"
    if tree.kind != "directory":
        return ""
    root = tree.root
    for character in "\\ \t\n":  # the kernel writes these in octal: fs/proc_namespace.c, mangle
        root = root.replace(character, f"\\{ord(character):03o}")
    lines = host.fact("/proc/self/mountinfo").text.split("\n")  # a form feed is of a name's own
    mounts = (line.split(" ")[4] for line in lines if line)
    inner = next((path for path in mounts if path != root and below(path, root)), "")
    return f"{inner} is a mount inside the image" if inner else ""


def skeleton(tree: Tree, missing: list[Place]) -> MakeSkeleton:
    """The layer of mount points for `missing`; directories with the modes that the tree has."""
    directories: dict[str, int] = {"": _mode(tree.root) & 0o7777}
    files = []
    for place in missing:
        parts = place.target.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            mode = _mode(tree.root + above)
            if place.asked and mode & _S_IFMT != _S_IFDIR:
                raise _below_a_file(place.target, tree.root + above)
            directories.setdefault(above, mode & 0o7777)
        if place.kind == "file":
            files.append(place.target)
        else:
            directories.setdefault(place.target, 0o755)
    return MakeSkeleton(tuple(directories.items()), tuple(files))


def _mode(path: str) -> int:
    try:
        return posix.stat(path).st_mode
    except OSError:  # the image lacks this directory too
        return _S_IFDIR | 0o755


def _below_a_file(target: str, file: str) -> Refusal:
    cause = f"{target} lies below what is a file in the image"
    fix = "Choose a path that is not below a file."
    return Refusal("MC0433", cause, f"stat({file}): not a directory", fix)
