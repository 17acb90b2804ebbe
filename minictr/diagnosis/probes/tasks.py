"""Counts processes and threads as the kernel counts them for RLIMIT_NPROC."""

from __future__ import annotations

import posix
from contextlib import suppress

from minictr.diagnosis.probes.user_namespaces import INITIAL, inside, own_user_namespace, pids
from minictr.host import read_fact
from minictr.value import Value

_PRIVILEGES = 1 << 21 | 1 << 24  # CAP_SYS_ADMIN and CAP_SYS_RESOURCE, linux/capability.h


class Tasks(Value):
    """How many tasks count for the caller's real uid in his user namespace.

    sure     those that are known to
    unsure   those with his uid of which the user namespace is not shown
    """

    sure: int
    unsure: int


def own_tasks() -> Tasks:
    """Since Linux 5.14 a task counts for (user namespace, real uid), and for who has made that
    namespace in the one around it, and so on (kernel/ucount.c, inc_rlimit_ucounts).
    """
    uid, everything = posix.getuid(), own_user_namespace() == INITIAL
    sure = unsure = 0
    for pid in pids():
        real, threads = _task(pid)
        if not threads:
            continue
        place = inside(pid)
        if place and (place.maker == uid if place.chain else real == uid):
            sure += threads
        elif place is None and real == uid:
            sure, unsure = (sure + threads, unsure) if everything else (sure, unsure + threads)
    return Tasks(sure, unsure)


def startable(most: int) -> int:
    """How many more processes the caller can have now, `most` at most: it starts them."""
    children: list[int] = []
    reader, writer = posix.pipe()
    try:
        while len(children) < most:
            child = posix.fork()
            if child == 0:
                posix.close(writer)
                posix.read(reader, 1)  # until the other end is closed
                posix._exit(0)
            children.append(child)
    except OSError:
        pass
    posix.close(reader)
    posix.close(writer)
    for child in children:
        with suppress(ChildProcessError):  # the caller ignores SIGCHLD
            posix.waitpid(child, 0)
    return len(children)


def unlimited_by_privilege() -> bool:
    """Whether RLIMIT_NPROC is not held against the caller: kernel/fork.c, copy_process.

    It is not for root of the initial user namespace, nor with CAP_SYS_ADMIN or CAP_SYS_RESOURCE
    there.
    """
    if own_user_namespace() != INITIAL:
        return False
    lines = read_fact("/proc/self/status").text.splitlines()
    sets = [line.split()[1] for line in lines if line.startswith("CapEff:")]
    return posix.getuid() == 0 or any(int(text, 16) & _PRIVILEGES for text in sets)


def _task(pid: int) -> tuple[int, int]:
    """(real uid, threads) of a process; (-1, 0) where it has ended."""
    real, threads = -1, 0
    for line in read_fact(f"/proc/{pid}/status").text.splitlines():
        name, _, value = line.partition(":")
        if name == "Uid":
            real = int(value.split()[0])
        if name == "Threads":
            threads = int(value)
    return real, threads
