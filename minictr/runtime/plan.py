"""The plan: from what was asked, what was found and what this machine is, to steps.

Every choice is made here, where it can be printed; nothing is chosen after the first fork.
"""

from __future__ import annotations

import posix

from minictr.image.tree import kind_of
from minictr.refusal import Refusal
from minictr.runtime import identity, idmap, privileges
from minictr.runtime.execute import EvaluateEnvironment, Execute, LoadFilter, TakeTerminal
from minictr.runtime.launch import Plan
from minictr.runtime.mountpoints import sort_out
from minictr.runtime.mounts import BindFile, ProtectProc
from minictr.runtime.namespaces import CreateNamespaces, SetHostname
from minictr.runtime.network import RaiseLoopback
from minictr.runtime.places import MOUNT_SETATTR, Place, below, covers, home_of, places
from minictr.runtime.rootfs import (
    BindRoot,
    BindTree,
    ChangeDirectory,
    MakeFiles,
    MakeSkeleton,
    MountOverlay,
    MountStaging,
    PivotRoot,
)
from minictr.runtime.signals import foreground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.host import Host
    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.environment import Environment
    from minictr.runtime.step import Step

OVERLAY = (5, 11)  # the kernel that allows overlayfs in a user namespace
_S_IFMT, _S_IFDIR = 0o170000, 0o040000
_DIGITS = 8  # of a descriptor: fs.nr_open, the largest limit there can be, has seven
_STAGING = (
    "/tmp",
    "/mnt",
    "/var",
    "/usr",
    "/dev",
    "/proc",
)  # any directory will do; these are nearly everywhere


def make_plan(
    request: Request,
    tree: Tree,
    host: Host,
    cache: str,
    environment: Environment,
    command: tuple[str, ...],
    program: bytes,
    warning: str = "",
) -> Plan:
    """The launch of `command` in `tree`.

    program   the compiled seccomp filter, b"" for none
    warning   the line to be printed where the working directory is not to be had inside, with
              "{}" for the directory taken instead
    """
    ids = idmap.choose(host, request.id_map, request.fakeroot)
    kinds = ("user", "mnt", *request.namespaces)
    isolate: list[Step] = [SetHostname(request.hostname)] if request.hostname else []
    if "net" in kinds:
        isolate.append(RaiseLoopback())
    build, notes = _build(request, tree, host, cache, warning)
    notes = [f"ids: one line, because {ids.reason}"] * bool(ids.reason) + notes
    return Plan(
        enter=(CreateNamespaces(kinds),),
        map_ids=(idmap.MapIds(ids.uids, ids.gids, ids.helpers),),
        isolate=tuple(isolate),
        build=build,
        confine=_confine(request),
        execute=_execute(request, environment, command, program),
        init=request.init_name if "pid" in kinds else "",
        umask=host.umask if request.keep_umask else 0o022,
        notes=tuple(notes),
    )


def _execute(
    request: Request, environment: Environment, command: tuple[str, ...], program: bytes
) -> tuple[Step, ...]:
    steps: list[Step] = []
    if request.action == "shell" and "pid" in request.namespaces and foreground() != -1:
        steps.append(TakeTerminal())
    if program:
        steps.append(LoadFilter(request.seccomp, program))
    return (*steps, EvaluateEnvironment(environment), Execute(command))


def _confine(request: Request) -> tuple[Step, ...]:
    steps: list[Step] = []
    if request.close_descriptors:
        steps.append(privileges.CloseDescriptors(_kept_descriptors(request)))
    if not request.fakeroot:
        steps += [privileges.DropBoundingSet(), privileges.DropCapabilities()]
    return (*steps, privileges.SetNoNewPrivileges())


def _kept_descriptors(request: Request) -> tuple[int, ...]:
    """The first --preserve-fds above 2, and the one through which an MPI rank is started."""
    asked = set(range(3, 3 + request.preserve_fds))
    rank = dict(request.host_environment).get("PMI_FD", "")
    if rank.isdecimal() and len(rank) < _DIGITS and int(rank) > 2:
        asked.add(int(rank))
    return tuple(sorted(asked))


def _build(
    request: Request, tree: Tree, host: Host, cache: str, warning: str
) -> tuple[tuple[Step, ...], list[str]]:
    if request.writable:
        _refuse_what_is_unpacked(request, tree)
    found = places(request, host)
    files = identity.files(request, tree, host, home_of(request, host))
    found += [
        Place(f"/etc/{name}", "file", BindFile(f"/{name}", f"/etc/{name}")) for name, _ in files
    ]
    staging = next((path for path in _STAGING if host.exists(path)), "/")
    points = sort_out(found, tree, request.writable)
    root, note = _root(request, tree, host, list(points.missing))
    steps = (
        MountStaging(staging),
        *_attached(tree),
        *root,
        MakeFiles(tuple(files)),
        *points.steps,
        *((ProtectProc(),) if host.uid == 0 else ()),
        *covers(found, cache),
        PivotRoot(),
        _start_directory(request, host, warning),
    )
    notes = [f"root: {note}", *points.notes]
    if host.uid == 0:
        notes.append("root is the caller: /sys and /proc/sys are read-only inside")
    return steps, notes


def _attached(tree: Tree) -> tuple[Step, ...]:
    """The step that brings the mount of a served image in."""
    if not tree.served:
        return ()
    from minictr.runtime.serve import AttachImage

    return (AttachImage(tree.served.mount),)


def _root(
    request: Request, tree: Tree, host: Host, missing: list[Place]
) -> tuple[tuple[Step, ...], str]:
    """The steps that make the root, and the words that say why these."""
    new = host.kernel >= MOUNT_SETATTR
    if request.writable:
        return (BindRoot(tree.root, False, new),), "the directory itself, writable"
    # Root of the container may remount: a bind of the cache's tree would become writable.
    exposed = request.fakeroot and tree.kind != "directory"
    if not (missing or request.writable_tmpfs or exposed):
        return (BindRoot(tree.root, True, new),), "a bind, because the image has every mount point"
    skeleton = _skeleton(tree, missing)
    hindrance = _no_overlay(tree, host)
    if hindrance:
        if request.writable_tmpfs:
            cause = f"--writable-tmpfs needs an overlay, and there is none: {hindrance}"
            fix = "Leave --writable-tmpfs out."
            raise Refusal("MC0441", cause, f"the image's tree is {tree.root}", fix)
        step = BindTree(tree.root, _entries(tree, skeleton), new)
        return (skeleton, step), f"binds on a skeleton, because {hindrance}"
    size = f"{request.tmpfs_mib}m" if request.writable_tmpfs else ""
    why = f"the image lacks {missing[0].target}" if missing else "root in it could remount a bind"
    why = "a writable layer was asked for" if size else why
    return (skeleton, MountOverlay(tree.root, size)), f"an overlay, because {why}"


def _no_overlay(tree: Tree, host: Host) -> str:
    """What keeps overlayfs from this image on this kernel; "" for nothing."""
    if host.kernel < OVERLAY:
        return "the kernel has no overlayfs in user namespaces (Linux 5.11)"
    if tree.kind != "directory":
        return ""
    root = tree.root
    for character in "\\ \t\n":  # the kernel writes these in octal: fs/proc_namespace.c, mangle
        root = root.replace(character, f"\\{ord(character):03o}")
    mounts = (line.split(" ")[4] for line in host.fact("/proc/self/mountinfo").text.splitlines())
    inner = next((path for path in mounts if path != root and below(path, root)), "")
    return f"{inner} is a mount inside the image" if inner else ""


def _refuse_what_is_unpacked(request: Request, tree: Tree) -> None:
    """Only a directory is written to: what was unpacked from a file is kept for later launches."""
    if tree.kind != "directory":
        raise Refusal(
            "MC0440",
            f"{request.image} cannot be written to: it is not a directory",
            f"it is of the kind {tree.kind}",
            "Use --writable-tmpfs, or unpack it into a directory.",
        )


def _skeleton(tree: Tree, missing: list[Place]) -> MakeSkeleton:
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


def _entries(tree: Tree, skeleton: MakeSkeleton) -> tuple[tuple[str, str], ...]:
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


def _start_directory(request: Request, host: Host, warning: str) -> ChangeDirectory:
    if request.pwd:
        return ChangeDirectory((request.pwd,))
    home = home_of(request, host)
    if request.contain or not host.working_directory:
        return ChangeDirectory((home, "/"))
    return ChangeDirectory((host.working_directory, home, "/"), warning)
