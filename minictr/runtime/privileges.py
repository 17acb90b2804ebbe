"""Privileges: what the container's processes hold, and the steps that take it from them."""

from __future__ import annotations

from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import CallError, capset_none, close_range, prctl

_LAST_DESCRIPTOR = 0x7FFFFFFF
_MAX_CAPABILITIES = 64  # bits of a set: no capability has this number
_SIGKILL = 9
_EINVAL = 22
_SECBIT_NOROOT = 1
# What a setuid newuidmap uses, in one build of shadow or another.
_HELPERS_NEED = (
    ("CAP_SETUID", 7), ("CAP_SETGID", 6), ("CAP_DAC_OVERRIDE", 1), ("CAP_SYS_ADMIN", 21),
)  # fmt: skip


class DropBoundingSet(Step):
    """Empty the capability bounding set, so that no execve(2) can bring a capability back.

    Dropping from it takes CAP_SETPCAP, so this comes before the sets themselves are emptied. A
    caller who is uid 0 in the container would otherwise get every capability again at execve(2):
    capabilities(7), "Capabilities and execution of programs by root". no_new_privs, set later,
    prevents that as well (security/commoncap.c, cap_bprm_creds_from_file): either alone would do.
    The kernel ends the list with EINVAL: its last capability differs from version to version.
    """

    calls = "prctl(2) PR_CAPBSET_DROP, once for each capability"

    def run(self, process: Process) -> None:
        for capability in range(_MAX_CAPABILITIES + 1):
            try:
                prctl("PR_CAPBSET_DROP", capability)
            except CallError as refused:
                if refused.errno == _EINVAL and capability:
                    return
                raise
        raise CallError("prctl", ("PR_CAPBSET_DROP", _MAX_CAPABILITIES), 0, "success")


class DropCapabilities(Step):
    """Empty the effective, permitted and inheritable capability sets.

    execve(2) as a uid other than 0 would empty the first two anyway; but PID 1 never execs, and
    would keep every capability over the container for its whole life. The ambient set follows by
    itself: the kernel keeps it within permitted and inheritable.
    """

    calls = "capset(2)"

    def run(self, process: Process) -> None:
        capset_none()


class SetNoNewPrivileges(Step):
    """Set no_new_privs: from here on execve(2) never adds a privilege.

    It is what allows an unprivileged process to load a seccomp filter (seccomp(2), EACCES), and
    it cannot be unset. newuidmap(1) would lose its setuid bit by it, so it comes after the maps.
    """

    calls = "prctl(2) PR_SET_NO_NEW_PRIVS"

    def run(self, process: Process) -> None:
        prctl("PR_SET_NO_NEW_PRIVS", 1)


class CloseDescriptors(Step):
    """Close every inherited descriptor but the standard three and those that were asked for.

    A descriptor of the host's file system is a way out of the container, whatever the root is
    (CVE-2024-21626). They are closed and not just marked: PID 1 never execs. The channel's own stay
    until the payload runs.
    """

    calls = "close_range(2)"
    keep: tuple[int, ...] = ()  # descriptors which stay open
    first: int = 3  # and so do those below

    def run(self, process: Process) -> None:
        first = self.first
        for kept in sorted({*self.keep, *process.channel}):
            if kept > first:
                close_range(first, kept - 1)
            first = max(first, kept + 1)
        close_range(first, _LAST_DESCRIPTOR)


def die_with_parent() -> None:
    """SIGKILL for this process when the thread that made it ends: PR_SET_PDEATHSIG(2const)."""
    prctl("PR_SET_PDEATHSIG", _SIGKILL)


def set_name(name: str) -> None:
    """The name ps(1) shows: 15 bytes, PR_SET_NAME(2const)."""
    prctl("PR_SET_NAME", name)


def has_no_new_privileges() -> bool:
    """Whether this process, and all it starts, gains nothing at execve(2)."""
    return prctl("PR_GET_NO_NEW_PRIVS") == 1


def gains_nothing() -> str:
    """Why a setuid helper started from here would gain nothing at execve(2); "" where it would."""
    try:
        if has_no_new_privileges():
            return "no_new_privs is set"
        if prctl("PR_GET_SECUREBITS") & _SECBIT_NOROOT:
            return "the securebit noroot is set"
        missing = [name for name, bit in _HELPERS_NEED if not prctl("PR_CAPBSET_READ", bit)]
    except CallError:  # a filter refuses it, and so the container's privileges cannot be dropped
        return "prctl(2) is refused"
    return f"the bounding set lacks {' '.join(missing)}" if missing else ""


def be_readable() -> None:
    """Let the owner of this process read and write its /proc files: PR_SET_DUMPABLE(2const).

    The launcher, before ids are mapped; a process that failed, before its witness is heard.

    A program file the caller may not read (mode 0711) makes a process non-dumpable: its
    /proc/PID/uid_map belongs to root then, and cannot be written.
    """
    if prctl("PR_GET_DUMPABLE") != 1:
        prctl("PR_SET_DUMPABLE", 1)


def be_unreadable() -> None:
    """Close /proc/PID/{environ,mem,root} to everybody else: PR_SET_DUMPABLE(2const).

    PID 1 still holds the caller's whole environment; the payload must not read it there. What
    execve(2) makes of the payload is readable again.
    """
    prctl("PR_SET_DUMPABLE", 0)
