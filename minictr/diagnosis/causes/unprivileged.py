"""What stops other programs where they have no capability: `minictr why` alone asks for these.

A launch of minictr's own makes a user namespace first, over which it has every capability.
"""

from __future__ import annotations

import errno
import posix
import stat

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.privileges import gives_privilege
from minictr.diagnosis.probes.user_namespaces import Inside, inside, place_of
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import read_fact
from minictr.image.refusals import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.runtime.launch import Failure

_CAPABILITIES = {"chroot": ("CAP_SYS_CHROOT", 18)}  # include/uapi/linux/capability.h
_OTHERS = ("CAP_SYS_ADMIN", 21)
_MOUNTING = (
    "mount", "umount2", "pivot_root", "fsopen", "fspick", "fsmount", "move_mount", "open_tree",
    "mount_setattr",
)  # fmt: skip
# File systems that root of a user namespace may mount, each with what he has to own besides a
# mount namespace: FS_USERNS_MOUNT in the kernel's sources.
_FILE_SYSTEMS = {
    "proc": "--pid --fork", "sysfs": "--net", "mqueue": "--ipc", "cgroup": "--cgroup",
    "cgroup2": "--cgroup", "tmpfs": "", "ramfs": "", "devpts": "", "overlay": "", "fuse": "",
}  # fmt: skip
_FOR_USERS = {"user", "users", "owner", "group"}  # mount(8), of /etc/fstab
# What takes CAP_SYS_ADMIN to enter, as strace names it. A user namespace takes none in one's own.
_ENTERED = {
    "CLONE_NEWNS": "mnt", "CLONE_NEWNET": "net", "CLONE_NEWPID": "pid", "CLONE_NEWIPC": "ipc",
    "CLONE_NEWUTS": "uts", "CLONE_NEWCGROUP": "cgroup",
}  # fmt: skip
_STOPS = (
    "CreateNamespaces", "SetHostname", "MountStaging", "Bind", "MountEmpty", "MountMinimalDev",
    "MountOverlay", "MountProc", "PivotRoot", "mount", "chroot", "setns",
)  # fmt: skip


@cause(
    "MC0221",
    "the program has no capability for a call that takes one",
    stops=_STOPS,
)
def without_capability(interview: Interview) -> Verdict:
    """To make or enter namespaces other than user namespaces, to mount, to change the root or the
    host name takes a capability, CAP_SYS_ADMIN mostly, over the user namespace that owns what is
    changed. An ordinary user's program has none. In a user namespace of its own it has all of them:
    it has to make that first, or in the same call.

    Reproduction (an ordinary user):

        minictr why -- unshare --net true

    Fix, user: run the command by unshare --map-root-user, where file systems are mounted with
    --mount besides; disks cannot be mounted so. To enter a namespace of a container, enter its user
    namespace first: nsenter --user --preserve-credentials.

    Fix, administrator: run the command as root.

    Not the cause: a setting of the machine; the launcher's file mode, where it has no setuid bit.

    Sources: capabilities(7), CAP_SYS_ADMIN; unshare(2), EPERM; user_namespaces(7), "Capabilities";
    setns(2), EPERM; kernel/nsproxy.c, unshare_nsproxy_namespaces; fs/namespace.c, may_mount.
    """
    failure = interview.failure
    if not _asked(interview):
        return None
    kinds = interview.plan.enter[0].__dict__["kinds"]
    if "user" in kinds or (failure.step.verb() == "CreateNamespaces" and not kinds):
        return None
    if failure.call == "setns" and str(failure.arguments[-1]) not in _ENTERED:
        return None
    name, bit = _CAPABILITIES.get(failure.call, _OTHERS)
    held = _effective(failure.witness)
    if held is None:
        return Unknown("the process that failed could not be held")
    if held >> bit & 1:
        return Excluded(f"/proc/{failure.witness}/status: CapEff {held:016x} has {name}")
    if gives_privilege(f"/proc/{failure.witness}/exe"):
        return Unknown("it has a privilege of its own, which it does not get while it is watched")
    return Proof(
        f"minictr has no {name}, which {failure.call}(2) takes",
        (f"/proc/{failure.witness}/status: CapEff {held:016x} lacks {name}",),
        fix_user=_in_user_namespace(interview),
        fix_administrator="Run the command as root."
        if posix.geteuid()
        else f"Start the container or the unit with {name} in its bounding set.",
    )


@cause(
    "MC0222",
    "the namespace that is to be changed belongs to another user namespace",
    stops=tuple(verb for verb in _STOPS if verb not in ("CreateNamespaces", "chroot", "setns")),
)
def others_namespace(interview: Interview) -> Verdict:
    """A process that has made itself a user namespace has every capability over that, and over the
    namespaces that were made in it. Its mount and UTS namespaces are the old ones, unless it made
    new ones as well: those belong to the outer user namespace, where it has no capability.

    Reproduction (an ordinary user):

        minictr why -- unshare --map-root-user mount -t tmpfs none /mnt

    Fix, user: make the namespace together with the user namespace, or after it.

    Fix, administrator: none is needed.

    Not the cause: the user ids that are mapped; the capabilities of the process, which it has.

    Sources: user_namespaces(7), "Interaction of user namespaces and other types of namespaces";
    fs/namespace.c, may_mount; fs/fsopen.c, fsopen; kernel/sys.c, sethostname.
    """
    failure = interview.failure
    if not _asked(interview):
        return None
    kind, name, option = ("mnt", "mount", "--mount")
    if failure.call == "sethostname":
        kind, name, option = ("uts", "UTS", "--uts")
    owner, user = inside(failure.witness, kind), inside(failure.witness)
    if owner is None or user is None:
        return Unknown(f"the kernel does not tell which user namespace its {name} namespace is of")
    if owner.chain == user.chain:
        return Excluded(f"its {name} namespace belongs to its own user namespace")
    command = interview.request.command
    fix = f"Have it make its {name} namespace together with its user namespace."
    if command[0].rpartition("/")[2] == "unshare":
        fix = _line(command[0], option, *command[1:])
    asked = f"ioctl(NS_GET_USERNS) of /proc/{failure.witness}/ns/{kind}"
    return Proof(
        f"minictr has its capabilities in a user namespace of its own, and its {name} namespace "
        "belongs to another",
        (
            f"/proc/{failure.witness}/ns/user is user:[{_inode(user)}]; "
            f"{asked} gives user:[{_inode(owner)}]",
        ),
        fix_user=fix,
    )


@cause(
    "MC0223",
    "mount(8) mounts for an ordinary user only what /etc/fstab lets him",
    stops=("Bind", "MountEmpty", "MountMinimalDev", "MountOverlay", "MountProc", "mount"),
)
def not_in_fstab(interview: Interview) -> Verdict:
    """mount(8) is setuid root, and asks by itself whether its caller may do what he wants: that is
    what has a line in /etc/fstab with the option user, users, owner or group. Of all else it says
    "must be superuser to use mount", and the kernel is not asked.

    Reproduction (an ordinary user):

        minictr why -- mount -t tmpfs none /mnt

    Fix, user: run the command by unshare --map-root-user --mount. What it mounts is seen by what is
    started in there. Disks cannot be mounted so.

    Fix, administrator: give the file system a line in /etc/fstab with the option user.

    Not the cause: who owns the mount point, and its mode.

    Sources: mount(8), "Non-superuser mounts"; fstab(5); util-linux, libmount/src/context_mount.c,
    evaluate_permissions.
    """
    failure = interview.failure
    if not _asked(interview) or failure.call not in _MOUNTING:
        return None
    program = f"/proc/{failure.witness}/exe"
    try:
        path, status = posix.readlink(program), posix.stat(program)
    except OSError:
        return Unknown("the process that failed could not be held")
    if path.rpartition("/")[2] != "mount" or status.st_uid or not status.st_mode & stat.S_ISUID:
        return Excluded(f"{path} is no mount(8) that is setuid root")
    if not posix.geteuid():
        return Excluded("root may mount whatever he wants")
    table = interview.fact("/etc/fstab")
    lines = [line.split() for line in table.text.splitlines() if not line.startswith("#")]
    if table.unreadable:
        return Unknown("/etc/fstab cannot be read")
    if any(len(line) > 3 and _FOR_USERS & set(line[3].split(",")) for line in lines):
        return Excluded("/etc/fstab has a line that lets users mount")
    return Proof(
        "mount(8) mounts for an ordinary user what /etc/fstab lets him, which is nothing",
        (
            f"{path} is setuid root, mode {status.st_mode & 0o7777:04o}",
            "no line of /etc/fstab has the option user, users, owner or group",
        ),
        fix_user=_in_user_namespace(interview),
        fix_administrator="Give the file system a line in /etc/fstab with the option user.",
    )


def _asked(interview: Interview) -> bool:
    """Whether it is about another program's call, and an errno that these causes have."""
    return interview.request.action == "why" and interview.failure.errno == errno.EPERM


def _inode(place: Inside) -> int:
    """The inode of a user namespace inside of ours, or of ours itself."""
    return place.chain[0] if place.chain else posix.stat("/proc/self/ns/user").st_ino


def _effective(pid: int) -> int | None:
    """The effective capabilities of a process: proc_pid_status(5)."""
    for line in read_fact(f"/proc/{pid}/status").text.splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return None


def _in_user_namespace(interview: Interview) -> str:
    """The command as root of a new user namespace; "" where that does not help."""
    failure = interview.failure
    if failure.call == "setns":
        return _entered_first(failure, interview.request.command)
    options = _options(failure.call, failure.arguments)
    if not options or not interview.once(_makes_user_namespaces):
        return ""
    place, command = inside(failure.witness), interview.request.command
    if command[0].rpartition("/")[2] == "unshare":
        return _line(command[0], *options, *command[1:])
    if place is None or place.chain:
        return (
            "Have it map its user to root in the user namespace that it makes: of any other user "
            "execve(2) takes the capabilities."
        )
    return _line("unshare", *options, *command)


def _entered_first(failure: Failure, command: tuple[str, ...]) -> str:
    """The command, with the user namespace entered that the other namespace belongs to."""
    descriptor = str(failure.arguments[0]).partition("<")[0]
    kind = _ENTERED[str(failure.arguments[-1])]
    whose = _process_of(failure.witness, descriptor)
    if whose:
        place = inside(whose, kind)
    else:
        place = place_of(f"/proc/{failure.witness}/fd/{descriptor}", kind)
    if place is None or not place.chain:
        return ""
    options = ("--user", "--preserve-credentials")
    if command[0].rpartition("/")[2] == "nsenter":
        return _line(command[0], *options, *command[1:])
    return (
        "Have it enter the user namespace first that the other one belongs to: user_namespaces(7)."
    )


def _process_of(pid: int, descriptor: str) -> int:
    """The process that a descriptor of another one stands for, pidfd_open(2); 0 for a file."""
    for line in read_fact(f"/proc/{pid}/fdinfo/{descriptor}").text.splitlines():
        if line.startswith("Pid:"):
            return max(0, int(line.split()[1]))
    return 0


def _line(*words: str) -> str:
    return " ".join(quoted(word) for word in words)


def _options(call: str, arguments: tuple[object, ...]) -> tuple[str, ...]:
    """What unshare(1) has to make; () where root of a user namespace may not do it either."""
    mounted = {"mount": 2, "fsopen": 0}.get(call, len(arguments))
    kind = str(arguments[mounted] or "") if mounted < len(arguments) else ""
    besides = _FILE_SYSTEMS.get(kind.partition(".")[0])  # fuse.sshfs
    if kind and besides is None:
        return ()
    if call == "sethostname":
        return "--map-root-user", "--uts"
    if call in _MOUNTING or call == "chroot":
        return "--map-root-user", "--mount", *(besides or "").split()
    return ("--map-root-user",)


def _makes_user_namespaces() -> bool:
    return ask(bool, namespaces=("user",)).made
