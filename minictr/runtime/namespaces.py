"""The enter phase: makes the namespaces."""

from __future__ import annotations

from minictr.runtime.step import Step
from minictr.runtime.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    SIGCHLD,
    CallError,
    clone,
)

FLAGS = {
    "user": CLONE_NEWUSER,
    "mnt": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "net": CLONE_NEWNET,
    "cgroup": CLONE_NEWCGROUP,
}


class CreateNamespaces(Step):
    """Start the container's first process in new namespaces, with one clone(2).

    The kernel makes the user namespace first whatever the order of the flags; the process then
    has every capability over it and over the other namespaces, which it owns, and none over
    anything else (user_namespaces(7)). clone rather than unshare, because a new PID namespace is
    for children only: unshare(2) would cost one more process. When the kernel refuses it does not
    say which kind it refused: the interview asks again, one kind at a time.
    """

    calls = "clone(2)"
    kinds: tuple[str, ...]

    def create(self) -> int:
        """The child's pid; 0 in the child."""
        return clone(self._flags())

    def pretended(self) -> CallError:
        """What to tell where create() gave 0 in the process that called it."""
        said = "it returned 0, as in a new process, and there is none"
        return CallError("clone", (hex(self._flags() | SIGCHLD),), 0, said)

    def _flags(self) -> int:
        return sum(FLAGS[kind] for kind in self.kinds)

    def operands(self) -> str:
        return " ".join(self.kinds)
