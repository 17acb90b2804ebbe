"""System calls made under the real filters, and what the kernel answers."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
from pathlib import Path

import pyseccomp
import pytest
from under_filters import (
    MACHINE,
    UNCONFINED,
    run,
)

from minictr.runtime import bpf
from minictr.runtime.profile import abis_of

# Makes one system call for each line of its input and prints the errnos, 0 for success.
CALLER = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
for number, *arguments in json.load(sys.stdin):
    ctypes.set_errno(0)
    result = libc.syscall(number, *(ctypes.c_long(a) for a in arguments))
    print(ctypes.get_errno() if result == -1 else 0)
"""

# uretprobe and uprobe on x86_64: Linux 6.18 answers them without asking a filter, with
# SIGILL where the kernel did not put them into the program itself.
UNASKED = (335, 336)
EBADF, EPERM, EFAULT, EINVAL, ENOSYS, EOPNOTSUPP = 9, 1, 14, 22, 38, 95


def errnos(program: Path, *calls: tuple[str | int, *tuple[int, ...]]) -> list[int]:
    """What system calls answer under a filter."""
    native = pyseccomp.Arch.NATIVE
    numbered = [
        (pyseccomp.resolve_syscall(native, call) if isinstance(call, str) else call, *arguments)
        for call, *arguments in calls
    ]
    done = run(program, sys.executable, "-c", CALLER, text=json.dumps(numbered))
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


# Calls that cannot succeed and change nothing, and what a kernel without a filter answers before
# it looks at privileges; then under each filter.
INERT = [
    (("unshare", 1), EINVAL, EPERM, EINVAL, EINVAL),
    (("setns", -1, 0), EBADF, EPERM, EBADF, EBADF),
    (("mount", 0, 0, 0, 1 << 31, 0), EFAULT, EPERM, EFAULT, EFAULT),
    (("clone3", 0, 0), EINVAL, ENOSYS, EINVAL, EINVAL),
    (("clone", 0x10000000 | 0x200), EINVAL, EPERM, EINVAL, EINVAL),  # CLONE_NEWUSER | CLONE_FS
    (("keyctl", 9999), EOPNOTSUPP, EPERM, EPERM, EPERM),
    (("personality", 0xFFFFFFFF), 0, 0, 0, 0),
    (("open_by_handle_at", -1, 0, 0x200000), None, EPERM, EPERM, EPERM),
    (("io_uring_setup", 0, 0), None, ENOSYS, ENOSYS, None),
    (("userfaultfd", 0x7), None, EPERM, EPERM, None),
    ((9999,), ENOSYS, ENOSYS, ENOSYS, ENOSYS),
    (("socket", 99, 0, 0), None, None, None, None),
]


@pytest.mark.parametrize(
    ("at", "name"), [(1, "unconfined"), (2, "default"), (3, "kept"), (4, "compat")]
)
def test_inert_calls_answer_as_the_profile_says(
    filters: dict[str, Path], at: int, name: str
) -> None:
    found = errnos(filters[name], *(line[0] for line in INERT))
    for line, answer in zip(INERT, found, strict=True):
        if line[at] is not None:
            assert answer == line[at], f"{line[0]} under {name}"


def test_socket_families_are_refused_by_the_filter(filters: dict[str, Path]) -> None:
    families = [("socket", 38, 5, 0), ("socket", 40, 1, 0), ("socket", 1, 1, 0)]
    assert errnos(filters["default"], *families) == [EPERM, EPERM, 0]
    assert EPERM not in errnos(filters[UNCONFINED], *families)


@pytest.mark.parametrize("name", ["default", "compat"])
def test_the_kernel_and_our_reading_of_a_filter_agree_on_every_call(
    filters: dict[str, Path], name: str
) -> None:
    # What the filter allows becomes an errno no call has, so that nothing of what follows is
    # done; the few calls Python needs meanwhile are answered by a program in front.
    allowed = 777
    needed = ("exit_group", "mmap", "munmap", "brk", "futex", "rt_sigaction", "madvise")
    native = abis_of(MACHINE)[0]
    free = {pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call) for call in needed}
    inert = harmless(filters[name].read_bytes(), bpf.SECCOMP_RET_ERRNO | allowed)
    undecided = bpf.SECCOMP_RET_TRACE | 1
    front = bpf.by_number((native,), dict.fromkeys(free, bpf.SECCOMP_RET_ALLOW), undecided)
    program = bpf.in_order([front, inert], undecided)
    calls = [
        (number, arguments)
        for number in range(600)
        if number not in free and number not in UNASKED
        for arguments in [(0, 0, 0), (2**32 + 0x5412, 2**32 + 0x5412, 9), (0x10000000, 40, 9)]
    ]
    seen = answers(program, calls)
    told = [bpf.verdict(program, bpf.AUDIT_ARCH[native], *call) & 0xFFFF for call in calls]
    assert seen == told
    assert allowed in seen


def harmless(program: bytes, instead: int) -> bytes:
    """The program with `instead` for every permission."""
    allow = b"\x06\x00\x00\x00" + bpf.SECCOMP_RET_ALLOW.to_bytes(4, "little")
    other = b"\x06\x00\x00\x00" + instead.to_bytes(4, "little")
    steps = [program[at : at + 8] for at in range(0, len(program), 8)]
    return b"".join(other if step == allow else step for step in steps)


def answers(program: bytes, calls: list[tuple[int, tuple[int, ...]]]) -> list[int]:
    """The errno of each call in a child under `program`, told through shared memory."""
    from minictr.runtime.syscalls import seccomp_load

    libc = ctypes.CDLL(None, use_errno=True)
    shared = mmap.mmap(-1, 2 * len(calls))
    pid = os.fork()
    if pid == 0:
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        seccomp_load(program)
        for at, (number, arguments) in enumerate(calls):
            libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
            shared[2 * at : 2 * at + 2] = ctypes.get_errno().to_bytes(2, "little")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    found = shared[:]
    return [int.from_bytes(found[at : at + 2], "little") for at in range(0, len(found), 2)]
