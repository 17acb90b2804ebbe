"""Asks whether this process is in a Landlock domain: no file says so, but the kernel counts."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.probes.ancestry import Ancestor
from minictr.diagnosis.probes.mount_calls import number_of
from minictr.host import read_fact
from minictr.runtime.syscalls import prctl, raw
from minictr.value import Value

_OPEN_TREE, _MOVE_MOUNT, _CREATE_RULESET, _RESTRICT_SELF = 428, 429, 444, 446
_AT_FDCWD, _EMPTY_PATH = -100, 4  # MOVE_MOUNT_F_EMPTY_PATH
_COPY = 0x8000 | 1  # AT_RECURSIVE, as a part would show what mounts cover; OPEN_TREE_CLONE
_MAKE_SOCK = (1 << 9).to_bytes(8, "little")  # struct landlock_ruleset_attr: handled_access_fs
MOST = 16  # LANDLOCK_MAX_NUM_LAYERS, security/landlock/limits.h
_CONTRADICTION = (1 << 20) | (1 << 18)  # MS_SHARED, MS_PRIVATE


class Refusals(Value):
    """What calls in a mount namespace of one's own are answered with; 0 for success.

    capability  whether one that asks for CAP_SYS_ADMIN before all else came further than that
    mount       mount(2) with flags that contradict each other: EINVAL where no module refuses
    pivot       pivot_root(2) of / to itself: EBUSY or EINVAL
    move        move_mount(2) of a copy of / onto /: success
    """

    capability: bool
    mount: int
    pivot: int
    move: int

    @property
    def by_landlock(self) -> bool:
        """Two hooks of a module refuse, with the errno that Landlock gives.

        A filter may answer one of the calls, so that the hook behind it is not seen.
        """
        second = errno.EPERM in (self.pivot, self.move)
        return self.capability and self.mount == errno.EPERM and second


def layers_left() -> int:
    """How many more domains fit into this one; minus the errno. For a child: it is left in them."""
    ruleset = raw(_CREATE_RULESET, _MAKE_SOCK, len(_MAKE_SOCK), 0)
    if ruleset < 0:
        return ruleset
    prctl("PR_SET_NO_NEW_PRIVS", 1)
    for layer in range(4 * MOST):
        answer = raw(_RESTRICT_SELF, ruleset, 0)
        if answer < 0:
            return layer if answer == -errno.E2BIG else answer
    return 4 * MOST


def refusals() -> tuple[bool, int, int, int]:
    """The values of Refusals; for a child in new user and mount namespaces."""
    mount, pivot_root = number_of("mount"), number_of("pivot_root")
    tree = raw(_OPEN_TREE, _AT_FDCWD, b"/\0", _COPY)
    capability = raw(pivot_root, 1, 1) == -errno.EFAULT
    return (
        capability or tree >= 0,
        -raw(mount, 0, b"/\0", 0, _CONTRADICTION, 0),
        -raw(pivot_root, b"/\0", b"/\0") if capability else 0,
        -raw(_MOVE_MOUNT, tree, b"\0", _AT_FDCWD, b"/\0", _EMPTY_PATH) if tree >= 0 else 0,
    )


def outside(chain: tuple[Ancestor, ...]) -> Ancestor | None:
    """The nearest process above whose domain is not ours, None where nobody can say.

    A process in a domain may look at those of its own domain only (PTRACE_MODE_READ). So one of the
    same user, without more capabilities, into which it may not look is outside. It might be in one
    around that domain; without no_new_privs it is in none, as a domain asks for that.
    """
    own = _permitted(chain[0].pid) if chain else 0
    for one in chain[1:]:
        try:
            same_user = posix.stat(f"/proc/{one.pid}").st_uid == posix.geteuid()
            if not same_user or one.no_new_privs or _permitted(one.pid) & ~own:
                continue
            posix.readlink(f"/proc/{one.pid}/ns/user")
        except PermissionError:
            return one
        except OSError:  # it has ended
            continue
    return None


def _permitted(pid: int) -> int:
    """Its permitted capabilities; all of them where they cannot be read."""
    for line in read_fact(f"/proc/{pid}/status").text.splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return -1
