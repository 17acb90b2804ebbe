"""Compares the root directory with that of the mount namespace, as the kernel does."""

from __future__ import annotations

import posix

from minictr.diagnosis.probes.calls import mount_id
from minictr.diagnosis.probes.mount_calls import number_of
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.words import errno_name
from minictr.runtime.syscalls import raw

_FIRST_PIDS = "pid:[4026531836]"  # include/linux/proc_ns.h, PROC_PID_INIT_INO


def enter_again() -> tuple[str, str]:
    """("same" or "other", where our old root is) of the root that setns(2) gives; ("", why not).

    To be asked in a child. setns(2) into the mount namespace that one is in takes the root and the
    working directory to its root (fs/namespace.c, mntns_install).
    """
    before = _root()
    descriptor = posix.open("/proc/self/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
    refused = -raw(number_of("setns"), descriptor, 0)
    if refused > 0:
        return "", f"setns(2) into our own mount namespace gives {errno_name(refused)}"
    if _root() == before:
        return "same", ""
    return "other", next((one.point for one in mounts() if one.identity == before[0]), "")


def in_first_pids() -> bool:
    """Whether process 1 is that of the machine, and not one of a PID namespace made later."""
    try:
        return posix.readlink("/proc/self/ns/pid") == _FIRST_PIDS
    except OSError:  # there is no /proc
        return False


def _root() -> tuple[int, int, int]:
    status = posix.stat("/")
    return mount_id("/"), status.st_dev, status.st_ino
