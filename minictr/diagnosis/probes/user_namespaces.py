"""User namespaces as the kernel relates them: which lie inside ours, and who has made them."""

from __future__ import annotations

import fcntl
import posix

from minictr.host import read_fact
from minictr.value import Value

_NS_GET_USERNS = 0xB701  # ioctl_nsfs(2)
_NS_GET_PARENT = 0xB702
_NS_GET_OWNER_UID = 0xB704
INITIAL = "user:[4026531837]"  # PROC_USER_INIT_INO, include/linux/proc_ns.h
_DEPTH = 33  # levels below the initial one: kernel/user_namespace.c, create_user_ns


class Inside(Value):
    """A user namespace inside of the launcher's own.

    chain   its inode, that of its parent, and so on to the one whose parent is the launcher's;
            () for the launcher's own
    maker   effective uid of who made the last of them, as the launcher's namespace numbers it
    """

    chain: tuple[int, ...]
    maker: int


def own_user_namespace() -> str:
    """What /proc/self/ns/user links to; "" where it cannot be read."""
    try:
        return posix.readlink("/proc/self/ns/user")
    except OSError:
        return ""


def pids() -> list[int]:
    """Every process that /proc shows."""
    try:
        return [int(name) for name in posix.listdir("/proc") if name.isdecimal()]
    except OSError:  # no /proc
        return []


def inside(pid: int, kind: str = "user") -> Inside | None:
    """Where the user namespace that owns a process's namespace of `kind` lies.

    None where that is outside of the launcher's own, or must not be looked at: the kernel answers
    for namespaces inside of one's own alone (ioctl_nsfs(2), EPERM).
    """
    return place_of(f"/proc/{pid}/ns/{kind}", kind)


def place_of(path: str, kind: str) -> Inside | None:
    """The same of a namespace that is opened by its path."""
    try:
        namespace = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # it has ended, or is somebody else's
        return None
    try:
        own = posix.stat("/proc/self/ns/user").st_ino
        if kind != "user":
            namespace = _instead(namespace, _NS_GET_USERNS)
        chain: list[int] = []
        maker = -1
        while posix.fstat(namespace).st_ino != own and len(chain) <= _DEPTH:
            chain.append(posix.fstat(namespace).st_ino)
            maker = _owner(namespace)
            namespace = _instead(namespace, _NS_GET_PARENT)
        return Inside(tuple(chain), maker)
    except OSError:  # EPERM: it is not inside; ENOTTY, or a filter's answer: cannot tell
        return None
    finally:
        posix.close(namespace)


def _instead(descriptor: int, question: int) -> int:
    """The namespace that answers the question, in place of the one that was asked."""
    answer = fcntl.ioctl(descriptor, question, 0)
    posix.dup2(answer, descriptor, False)
    posix.close(answer)
    return descriptor


def _owner(descriptor: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, _NS_GET_OWNER_UID, bytes(4)), "little")


def single_id() -> bool:
    """Whether this user namespace has one uid alone, so that whatever is in it is that one's."""
    lines = read_fact("/proc/self/uid_map").text.splitlines()
    return [line.split()[2] for line in lines] == ["1"]


def made_by_us(kind: str) -> dict[int, int]:
    """Namespaces of `kind` that count against the caller's own limit: inode -> a pid that has it.

    Those of processes inside of user namespaces that the caller has made, these themselves, and
    what belongs to a user namespace in which there is only the caller. What an open file or a bind
    mount keeps, or a process that cannot be looked at, is not seen: the number is the least there
    can be.
    """
    uid, alone = posix.geteuid(), single_id()
    found: dict[int, int] = {}
    for pid in pids():
        place = inside(pid, kind)
        if place is None or not (place.maker == uid or (alone and not place.chain)):
            continue
        if kind == "user":
            found.update((inode, pid) for inode in place.chain if inode not in found)
            continue
        try:
            found.setdefault(posix.stat(f"/proc/{pid}/ns/{kind}").st_ino, pid)
        except OSError:  # it has ended meanwhile
            continue
    return found
