"""Every call that the kernel refuses raises, with its own name and errno."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from minictr.runtime import syscalls
from minictr.runtime.files import write_file
from minictr.runtime.syscalls import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NOWHERE = "/proc/self/no-such-directory"
# Calls which are refused whoever makes them: with EPERM first where the caller has no right.
REFUSED: dict[str, tuple[Callable[[], object], int]] = {
    "prctl": (lambda: syscalls.prctl("PR_CAPBSET_DROP", 63), errno.EINVAL),
    "mount": (lambda: syscalls.mount(None, NOWHERE, "tmpfs", 0), errno.ENOENT),
    "umount2": (lambda: syscalls.umount2(NOWHERE, 0), errno.ENOENT),
    "sethostname": (lambda: syscalls.sethostname("x" * 65), errno.EINVAL),
    "pivot_root": (lambda: syscalls.pivot_root(NOWHERE, NOWHERE), errno.ENOENT),
    "mount_setattr": (lambda: syscalls.mount_setattr(NOWHERE, 1), errno.ENOENT),
    "seccomp": (lambda: syscalls.seccomp_load(b""), errno.EINVAL),
    "clone": (lambda: syscalls.clone(syscalls.CLONE_NEWUSER | 0x200), errno.EINVAL),
}


@pytest.mark.parametrize("call", REFUSED)
def test_a_refused_call_raises_its_own_name_and_errno(call: str) -> None:
    refused, number = REFUSED[call]
    with pytest.raises(CallError) as caught:
        refused()
    assert caught.value.call == call
    assert caught.value.errno in (number, errno.EPERM)


def test_a_file_that_is_written_in_part_is_not_taken_for_whole(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            write_file(str(tmp_path / "file"), b"eleven bytes")
        except CallError as refused:
            os._exit(refused.errno)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EFBIG
