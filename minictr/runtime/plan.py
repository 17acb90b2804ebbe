"""The plan: from what was asked, what was found and what this machine is, to steps.

Every choice is made here, where it can be printed; nothing is chosen after the first fork.
"""

from __future__ import annotations

import posix

from minictr.image.tree import kind_of, resolve
from minictr.refusal import Refusal
from minictr.runtime import identity, idmap, privileges
from minictr.runtime.execute import EvaluateEnvironment, Execute, LoadFilter, TakeTerminal
from minictr.runtime.launch import Plan
from minictr.runtime.mounts import BindFile
from minictr.runtime.namespaces import CreateNamespaces, SetHostname
from minictr.runtime.network import RaiseLoopback
from minictr.runtime.places import Place, below, home_of, places
from minictr.runtime.rootfs import (
    BindRoot,
    BindTree,
    ChangeDirectory,
    MakeFiles,
    MakeMountsSlave,
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
_STAGING = ("/tmp", "/mnt", "/var", "/usr")  # any directory will do; these are nearly everywhere


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
    return tuple(sorted(asked | {int(rank)} if rank.isdecimal() and int(rank) > 2 else asked))


def _build(
    request: Request, tree: Tree, host: Host, cache: str, warning: str
) -> tuple[tuple[Step, ...], list[str]]:
    found = places(request, host, cache)
    files = identity.files(request, tree, host, home_of(request, host))
    found += [Place(f"/etc/{name}", "file", BindFile(f"/{name}", f"/etc/{name}"))
              for name, _ in files]  # fmt: skip
    staging = next((path for path in _STAGING if host.exists(path)), "/")
    mounts, missing, notes = _sort_out(found, tree, request.writable)
    root, note = _root(request, tree, host, missing)
    steps = (
        MakeMountsSlave(),
        MountStaging(staging),
        *root,
        MakeFiles(tuple(files)),
        *mounts,
        PivotRoot(),
        _start_directory(request, host, warning),
    )
    return steps, [f"root: {note}", *notes]


def _sort_out(
    found: list[Place], tree: Tree, writable: bool
) -> tuple[list[Step], list[Place], list[str]]:
    """(the steps, the places whose mount points the image lacks, what was left out and why)."""
    steps, missing, notes = [], [], []
    covered: list[str] = []
    bound: set[str] = set()
    for place in found:
        inside, kind = _look(tree, place)
        open_to_view = not any(below(inside, outer) for outer in covered)
        if place.cover and inside and open_to_view:
            continue  # nothing shows what it would hide
        why = kind if not inside else ""
        if inside in bound and (place.asked or isinstance(place.step, BindFile)):
            why = "an earlier bind is there"
        elif inside and open_to_view:
            why = _unfit(place, tree.root + inside, kind, writable)
            if not kind and not why:
                missing.append(place.replace(target=inside))
        if why:
            notes.append(f"{place.target}: left out, {why}")
            continue
        covered.append(inside)
        bound |= {inside} if place.asked else set()
        steps.append(place.step.replace(target=inside))
    return steps, missing, notes


def _unfit(place: Place, path: str, kind: str, writable: bool) -> str:
    """Why nothing can be mounted on what the image has at `path`; "" where it can, or is asked."""
    if kind and kind != place.kind and not place.asked:
        return f"the image has a {kind} there"
    if kind or not writable:
        return ""
    if place.asked:
        raise _no_mount_point(place.target, path)
    return "the writable image has no such path"


def _look(tree: Tree, place: Place) -> tuple[str, str]:
    """(where in the image the place is, what is there); ("", why) where nobody gets to."""
    try:
        inside = _inside(tree, place.target)
        return inside, kind_of(tree.root, inside)
    except OSError as error:
        why = posix.strerror(error.errno or 0)
        if place.asked:
            cause = f"{place.target} cannot be reached in the image: {why}"
            raise Refusal("request", cause, f"{tree.root}{place.target}: {why}") from None
        return "", why


def _no_mount_point(target: str, path: str) -> Refusal:
    """A writable image is the user's own: nothing is made in it that the payload did not make."""
    return Refusal(
        "request",
        f"{target} is not in the image, and --writable makes no mount points",
        f"{path} does not exist",
        f"mkdir -p {path}",
    )


def _inside(tree: Tree, path: str) -> str:
    """The path in the image that `path` leads to, every symbolic link of the image followed."""
    return resolve(tree.root, path)[len(tree.root.rstrip("/")) :] or "/"


def _root(
    request: Request, tree: Tree, host: Host, missing: list[Place]
) -> tuple[tuple[Step, ...], str]:
    """The steps that make the root, and the words that say why these."""
    if request.writable:
        return (_writable_root(request, tree),), "the directory itself, writable"
    # Root of the container may remount: a bind of the cache's tree would become writable.
    exposed = request.fakeroot and tree.kind != "directory"
    if not (missing or request.writable_tmpfs or exposed):
        return (BindRoot(tree.root),), "a bind, because the image has every mount point"
    skeleton = _skeleton(tree, missing)
    if host.kernel < OVERLAY:
        if request.writable_tmpfs:
            raise Refusal(
                "request",
                "--writable-tmpfs needs overlayfs in user namespaces: Linux 5.11",
                f"this is Linux {host.kernel[0]}.{host.kernel[1]}",
            )
        why = "binds on a skeleton, because the kernel has no overlayfs in user namespaces (5.11)"
        return (skeleton, BindTree(tree.root, _entries(tree, skeleton))), why
    size = f"{request.tmpfs_mib}m" if request.writable_tmpfs else ""
    why = "root of the container could make a bind of the cache writable"
    if missing:
        why = f"the image lacks {missing[0].target}"
    if size:
        why = "a writable layer was asked for"
    return (skeleton, MountOverlay(tree.root, size)), f"an overlay, because {why}"


def _writable_root(request: Request, tree: Tree) -> BindRoot:
    if tree.kind != "directory":
        # What was unpacked from a file is the cache's: every later launch would see the change.
        raise Refusal(
            "request",
            f"{request.image} cannot be written to: it is not a directory",
            f"it is of the kind {tree.kind}",
            "Use --writable-tmpfs, or unpack it into a directory.",
        )
    return BindRoot(tree.root, read_only=False)


def _skeleton(tree: Tree, missing: list[Place]) -> MakeSkeleton:
    directories: dict[str, int] = {"": _mode(tree.root)}
    files = []
    for place in missing:
        parts = place.target.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            directories.setdefault(above, _mode(tree.root + above))
        if place.kind == "file":
            files.append(place.target)
        else:
            directories.setdefault(place.target, 0o755)
    return MakeSkeleton(tuple(directories.items()), tuple(files))


def _mode(path: str) -> int:
    try:
        return posix.stat(path).st_mode & 0o7777
    except OSError:  # the image lacks this directory too
        return 0o755


def _entries(tree: Tree, skeleton: MakeSkeleton) -> tuple[tuple[str, str], ...]:
    """What BindTree has to bind: the tree's entries beside those of the skeleton."""
    own = {path for path, _ in skeleton.directories} | set(skeleton.files)
    entries = []
    for above in sorted(own - set(skeleton.files)):
        if kind_of(tree.root, above or "/") != "directory":
            continue
        for name in sorted(posix.listdir(tree.root + above or "/")):
            path = f"{above}/{name}"
            if path not in own:
                entries.append((path, _entry_kind(tree.root + path)))
    return tuple(entries)


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
