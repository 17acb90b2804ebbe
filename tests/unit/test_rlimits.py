"""Who has to change a resource limit: the process that set it, not one that has enough."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.rlimits import Rlimit, remedies

NEEDED = 64
LOW = Rlimit("RLIMIT_NOFILE", 8, 8)


@pytest.fixture
def limited() -> Iterator[int]:
    """The pid of a process that may have eight descriptors, and no more."""
    program = (
        "import resource as r, sys; r.setrlimit(r.RLIMIT_NOFILE, (8, 8)); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-ISc", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        process.communicate()


def test_a_parent_that_has_enough_is_not_to_be_changed() -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= NEEDED
    here = ancestry()[0]
    user, administrator = remedies(LOW, NEEDED, (here.replace(pid=-1), here))
    assert user.startswith(f"Start minictr from {here}, whose limit is ")
    assert administrator == ""


def test_a_parent_that_has_too_little_is(limited: int) -> None:
    here = ancestry()[0]
    chain = (here.replace(pid=-1), here.replace(pid=limited), here)
    user, administrator = remedies(LOW, NEEDED, chain)
    assert user.startswith(f"Start minictr from {here}, whose limit is ")
    assert administrator.startswith(f"prlimit --pid {limited} --nofile=64:64")
