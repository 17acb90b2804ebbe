"""The plan: from what was asked, what was found and what this machine is, to steps.

Every choice is made here, where it can be printed; nothing is chosen after the first fork.
"""

from __future__ import annotations

from minictr.refusal import Refusal
from minictr.runtime import identity, idmap, privileges
from minictr.runtime.execute import EvaluateEnvironment, Execute, LoadFilter
from minictr.runtime.launch import Plan
from minictr.runtime.mountpoints import sort_out
from minictr.runtime.mounts import BindFile
from minictr.runtime.namespaces import CreateNamespaces
from minictr.runtime.places import (
    MOUNT_SETATTR,
    Place,
    covers,
    home_of,
    places,
    shown_directory,
)
from minictr.runtime.rootfs import (
    BindRoot,
    ChangeDirectory,
    MakeFiles,
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

_DIGITS = 8  # of a descriptor: fs.nr_open, which bounds them, has seven unless it was raised
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
    build, notes = _build(request, tree, host, cache, warning)
    notes = [f"ids: one line, because {ids.reason}"] * bool(ids.reason) + notes
    return Plan(
        enter=(CreateNamespaces(kinds),),
        map_ids=(idmap.MapIds(ids.uids, ids.gids, ids.helpers),),
        isolate=_isolate(request),
        build=build,
        confine=_confine(request),
        execute=_execute(request, environment, command, program),
        init=request.init_name if "pid" in kinds else "",
        umask=host.umask if request.keep_umask else 0o022,
        notes=tuple(notes),
    )


def _isolate(request: Request) -> tuple[Step, ...]:
    if not (request.hostname or "net" in request.namespaces):
        return ()
    from minictr.runtime.network import RaiseLoopback, SetHostname

    steps: list[Step] = [SetHostname(request.hostname)] if request.hostname else []
    return (*steps, RaiseLoopback()) if "net" in request.namespaces else tuple(steps)


def _execute(
    request: Request, environment: Environment, command: tuple[str, ...], program: bytes
) -> tuple[Step, ...]:
    steps: list[Step] = []
    if request.action == "shell" and "pid" in request.namespaces and foreground() != -1:
        from minictr.runtime.terminal import TakeTerminal

        steps.append(TakeTerminal())
    if program:
        steps.append(LoadFilter(request.seccomp, program))
    return (*steps, EvaluateEnvironment(environment), Execute(command))


def _confine(request: Request) -> tuple[Step, ...]:
    steps: list[Step] = []
    if request.close_descriptors:
        kept = _descriptor_of_a_rank(request)
        steps.append(privileges.CloseDescriptors(kept, 3 + request.preserve_fds))
    if not request.fakeroot:
        steps += [privileges.DropBoundingSet(), privileges.DropCapabilities()]
    return (*steps, privileges.SetNoNewPrivileges())


def _descriptor_of_a_rank(request: Request) -> tuple[int, ...]:
    """The descriptor through which an MPI rank is started."""
    rank = dict(request.host_environment).get("PMI_FD", "")
    given = rank.isdecimal() and len(rank) < _DIGITS and int(rank) > 2
    return (int(rank),) if given else ()


def _build(
    request: Request, tree: Tree, host: Host, cache: str, warning: str
) -> tuple[tuple[Step, ...], list[str]]:
    if request.writable:
        _refuse_what_is_unpacked(request, tree)
    found = places(request, host, cache)
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
        *_protected(host),
        *covers(found, cache),
        PivotRoot(),
        _start_directory(request, host, points.mounted, warning),
    )
    notes = [f"root: {note}", *points.notes]
    if host.uid == 0:
        notes.append("root is the caller: /sys and /proc/sys are read-only inside")
    return steps, notes


def _protected(host: Host) -> tuple[Step, ...]:
    """What root of the host must not write to, with the uid that he is inside as well."""
    if host.uid != 0:
        return ()
    from minictr.runtime.covers import ProtectProc

    return (ProtectProc(),)


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
    from minictr.runtime.overlay import layered

    return layered(request, tree, host, missing)


def _refuse_what_is_unpacked(request: Request, tree: Tree) -> None:
    """Only a directory is written to: what was unpacked from a file is kept for later launches."""
    if tree.kind != "directory":
        raise Refusal(
            "MC0440",
            f"{request.image} cannot be written to: it is not a directory",
            f"it is of the kind {tree.kind}",
            "Use --writable-tmpfs, or unpack it into a directory.",
        )


def _start_directory(
    request: Request, host: Host, mounted: tuple[Place, ...], warning: str
) -> ChangeDirectory:
    if request.pwd:
        return ChangeDirectory((request.pwd,))
    home = home_of(request, host)
    if request.contain or not host.working_directory:
        return ChangeDirectory((home, "/"))
    return ChangeDirectory((*shown_directory(request, host, mounted), home, "/"), warning)
