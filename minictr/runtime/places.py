"""Chooses, before any process is made, what of the host is seen inside and where."""

from __future__ import annotations

import posix

from minictr.host import canonical
from minictr.refusal import Refusal
from minictr.runtime.mounts import (
    Bind,
    BindFile,
    CoverCache,
    MountProc,
)
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.host import Host
    from minictr.request import Bind as AskedBind
    from minictr.request import Request
    from minictr.runtime.step import Step

# A working directory in these is the image's business, not the host's: apptainer's list.
_NOT_BOUND = ("/", "/etc", "/bin", "/mnt", "/usr", "/var", "/opt", "/sbin", "/lib", "/lib64")
_NOT_BELOW = ("/sys", "/proc", "/dev")
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
MOUNT_SETATTR = (5, 12)  # the kernel that brought mount_setattr(2)


class Place(Value):
    """A mount point of the container and the step that mounts there.

    target     absolute path inside, as it is written
    kind       "directory" or "file": what the mount point has to be
    asked      whether the user asked for it; what he did not ask for is left out where it cannot be
    """

    target: str
    kind: str
    step: Step
    asked: bool = False


def home_of(request: Request, host: Host) -> str:
    """Where the caller's home directory is inside."""
    return request.home[1] or ("/root" if request.fakeroot else host.home or "/")


def places(request: Request, host: Host, cache: str = "") -> list[Place]:
    """Everything to be mounted, outer mount points before those that lie in them.

    A bind of the user's on the same mount point replaces what would be there by default.
    cache   the physical path of the cache, which no working directory may show
    """
    if request.workdir and (request.contain or request.scratch):  # else nothing lies in it
        _look_at(request.workdir)
    asked = [_bound(bind, host) for bind in request.binds]
    asked += [_scratch(path, request) for path in request.scratch]
    taken = {place.target for place in asked}
    found = [place for place in _defaults(request, host) if place.target not in taken]
    found += [*asked, *_working_directory(request, host, found + asked, cache)]
    found.sort(key=lambda place: place.target.count("/"))
    return found


def seen_at(path: str, found: list[Place]) -> str:
    """The path inside at which the host's `path` is seen through a bind, "" for nowhere."""
    return next((view for place in reversed(found) for view in _views(path, place)), "")


def below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def within(path: str, directory: str) -> bool:
    """Whether `path` lies in `directory`, and is another one."""
    return path != directory and below(path, directory)


def real(path: str) -> str:
    """The path without symbolic links; as given where it cannot be followed: mount(2) will tell."""
    try:
        return canonical(path)
    except OSError:
        return path


def _look_at(workdir: str) -> None:
    """Refuse a --workdir that is not there or not to be reached."""
    try:
        posix.stat(workdir)
    except OSError as error:
        import errno

        from minictr.image.obstacles import can_be_made
        from minictr.image.refusals import quoted

        why = posix.strerror(error.errno or 0)
        fix, of_administrator = "Name another one.", ""
        if error.errno == errno.ENOENT and can_be_made(workdir):
            fix = f"mkdir -p {quoted(workdir)}"
        elif error.errno == errno.ENOENT:
            of_administrator = f"install -d -o {posix.geteuid()} {quoted(workdir)}"
        cause, proof = f"--workdir {workdir} cannot be reached: {why}", f"stat({workdir}): {why}"
        raise Refusal("MC0443", cause, proof, fix, of_administrator) from None


def _defaults(request: Request, host: Host) -> list[Place]:
    unwanted = set(request.no_mount)
    found = []
    if "dev" not in unwanted:
        found.append(_dev(request, host))
    if "proc" not in unwanted:
        fresh = "pid" in request.namespaces
        step: Step = MountProc() if fresh else Bind("/proc", "/proc")
        found.append(Place("/proc", "directory", step))
    if "sys" not in unwanted and host.exists("/sys"):
        new = host.kernel >= MOUNT_SETATTR
        step = Bind("/sys", "/sys", host.uid == 0, new)  # root's uid opens what rules the kernel
        found.append(Place("/sys", "directory", step))
    if "tmp" not in unwanted:
        found += _temporary(request, host)
    if "home" not in unwanted and not request.no_home:
        found += _home(request, host)
    for path in ("/etc/hosts", "/etc/localtime"):
        if not unwanted & {"bind-paths", path}:
            found += _host_file(path, host)
    return found + _host_file("/etc/resolv.conf", host)


def _dev(request: Request, host: Host) -> Place:
    # Root's uid opens every disk. (Under the drop-in names /dev is what their clients expect.)
    if not (request.contain or (host.uid == 0 and request.close_descriptors)):
        return Place("/dev", "directory", Bind("/dev", "/dev"))
    nodes = tuple(name for name in _NODES if host.exists(f"/dev/{name}"))
    try:
        terminal = posix.ttyname(0)
    except OSError:  # standard input is no terminal, or one of another devpts
        terminal = ""
    pseudo = "devpts" not in request.no_mount
    from minictr.runtime.dev import MountMinimalDev

    return Place("/dev", "directory", MountMinimalDev(nodes, terminal, pseudo))


def _temporary(request: Request, host: Host) -> list[Place]:
    found = []
    for path, name in (("/tmp", "tmp"), ("/var/tmp", "var_tmp")):
        if request.contain and request.workdir:
            step: Step = Bind(f"{real(request.workdir)}/{name}", path, create=0o1777)
        elif request.contain:
            step = _empty(path, 0o1777, request)
        elif host.exists(path):
            step = Bind(real(path), path)
        else:
            continue
        found.append(Place(path, "directory", step))
    return found


def _home(request: Request, host: Host) -> list[Place]:
    target = home_of(request, host)
    if request.home[0]:
        source = request.home[0]
    elif request.contain and request.workdir:
        step: Step = Bind(f"{real(request.workdir)}/home", target, create=0o700)
        return [Place(target, "directory", step)]
    else:
        source = "" if request.contain else host.home
    if target == "/" or source == "/":
        return []
    if source and host.exists(source):
        return [Place(target, "directory", Bind(real(source), target))]
    return [Place(target, "directory", _empty(target, 0o700, request))]


def _host_file(path: str, host: Host) -> list[Place]:
    if not host.exists(path):
        return []
    return [Place(path, "file", Bind(real(path), path))]


def _bound(bind: AskedBind, host: Host) -> Place:
    """A bind the user asked for. Devices must stay devices, so /dev is not made nodev."""
    source, directory = real(bind.source), True
    try:
        asked = posix.stat(bind.source)
        directory = asked.st_mode & 0o170000 == 0o040000
        found = posix.stat(source)
        same = asked.st_ino == found.st_ino and asked.st_dev == found.st_dev
    except OSError:  # mount(2) will say so again, in its place
        same = False
    if not same:  # what /proc/PID/root or a descriptor shows: its path here is another file's
        source = bind.source
    new = host.kernel >= MOUNT_SETATTR
    step = Bind(source, bind.target, bind.read_only, new, not below(source, "/dev"))
    return Place(bind.target, "directory" if directory else "file", step, asked=True)


def _scratch(path: str, request: Request) -> Place:
    if request.workdir:
        source = f"{real(request.workdir)}/scratch{path}"
        return Place(path, "directory", Bind(source, path, create=0o750), asked=True)
    return Place(path, "directory", _empty(path, 0o755, request), asked=True)


def _working_directory(request: Request, host: Host, found: list[Place], cache: str) -> list[Place]:
    path = host.working_directory
    if request.contain or "cwd" in request.no_mount or not path:
        return []
    if _of_the_image(path) or (cache and below(path, cache)):
        return []
    # One that the caller could not come back to (another user's, below a closed directory) cannot
    # be bound; the container starts elsewhere, and says so.
    bound = []
    if seen_at(path, found) != path and host.exists(path):
        bound.append(Place(path, "directory", Bind(path, path)))
    name = name_of_directory(request, host)
    if (
        name
        and not _of_the_image(name)
        and not any(
            below(name, place.target) or (place.asked and below(place.target, name))
            for place in (*found, *bound)
        )
    ):
        bound.append(Place(name, "directory", Bind(path, name)))
    return bound


def _of_the_image(path: str) -> bool:
    """Whether a working directory of that path is the image's, and none of the host's."""
    return path in _NOT_BOUND or any(below(path, top) for top in _NOT_BELOW)


def name_of_directory(request: Request, host: Host) -> str:
    """The working directory's name with the symbolic links in it, "" where it has no such name.

    $PWD has the links that the caller's shell went through (POSIX.1-2024, cd), and so have the
    absolute paths that are made of it for the command.
    """
    name, path = dict(request.host_environment).get("PWD", ""), host.working_directory
    name = name.rstrip("/")
    if name == path or not path or not name.startswith("/"):
        return ""
    if any(part in ("", ".", "..") for part in name[1:].split("/")):
        return ""
    try:
        named, there = posix.stat(host.root + name), posix.stat(host.root + path)
    except OSError:  # a $PWD of another directory's, or one that is gone
        return ""
    return name if (named.st_dev, named.st_ino) == (there.st_dev, there.st_ino) else ""


def shown_directory(request: Request, host: Host, mounted: tuple[Place, ...]) -> tuple[str, ...]:
    """The names that the working directory may have inside, the one to be taken first."""
    path = host.working_directory
    name = name_of_directory(request, host)
    shown = name and any(name in _views(path, place) for place in mounted)
    return (name, path) if shown else (path,)


def covers(found: list[Place], cache: str) -> list[Step]:
    """Cover the cache of unpacked images wherever a bind shows it.

    What the payload could write there, the next launch would run.
    """
    try:
        cache = canonical(cache)
    except OSError:  # there is no cache
        return []
    seen = {path for place in found for path in _views(cache, place)}
    return [CoverCache(path) for path in sorted(seen)]


def _views(path: str, place: Place) -> list[str]:
    """Where inside the host's `path` is seen through this place."""
    step = place.step
    if not isinstance(step, Bind) or isinstance(step, BindFile) or not below(path, step.source):
        return []
    return [place.target + path[len(step.source.rstrip("/")) :]]


def _empty(path: str, mode: int, request: Request) -> Step:
    from minictr.runtime.covers import MountEmpty

    return MountEmpty(path, mode, f"{request.tmpfs_mib}m")
