"""Probes of mounts: calls in vain, the kernel's words, tables of mounts, layers of Landlock."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator

import pytest
from skipping import require

from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.kernel_words import kernel_words
from minictr.diagnosis.probes.landlock import MOST, Refusals, layers_left, refusals
from minictr.diagnosis.probes.mount_calls import EXPECTED, in_vain
from minictr.diagnosis.probes.mount_table import count_mounts, mounts_below
from minictr.diagnosis.probes.mountinfo import mounts, parsed
from minictr.diagnosis.probes.proc_mounts import proc_mounts
from minictr.runtime.covers import MountEmpty
from minictr.runtime.launch import Failure
from minictr.runtime.namespaces import FLAGS
from minictr.runtime.syscalls import clone

TABLE = """\
20 1 8:1 / / rw,relatime - ext4 /dev/vda rw
21 20 0:21 / /proc rw,noatime - proc proc rw
22 21 0:30 / /proc/sys/fs/binfmt_misc rw,relatime - binfmt_misc none rw
23 21 0:6 /null /proc/kcore rw,relatime - devtmpfs dev rw
24 20 0:21 /sys /mnt rw,relatime - proc proc rw
25 20 0:40 / /jail/proc rw,relatime - proc proc rw
"""


@pytest.fixture
def witness() -> Iterator[int]:
    """A process in a user and a mount namespace of its own."""
    child = clone(FLAGS["user"] | FLAGS["mnt"])
    if child == 0:
        time.sleep(30)
        os._exit(0)
    yield child
    os.kill(child, 9)
    os.waitpid(child, 0)


def mount_failed(witness: int, options: str, number: int) -> Failure:
    arguments = ("tmpfs", "/root/x", "tmpfs", "0x6", options)
    return Failure("build", 0, MountEmpty("/x"), "mount", arguments, number, witness=witness)


@pytest.mark.parametrize("call", EXPECTED)
def test_a_call_in_vain_is_answered_by_the_kernel(call: str) -> None:
    answer = in_vain(call, 0x5000 if call == "mount" else 0)
    assert (answer.errno, answer.signal, answer.trouble) == (EXPECTED[call], 0, "")


def test_the_kernel_says_what_it_has_against_an_option(witness: int) -> None:
    assert "size" in kernel_words(mount_failed(witness, "mode=0755,size=x", errno.EINVAL))


def test_words_of_another_failure_are_not_quoted(witness: int) -> None:
    assert kernel_words(mount_failed(witness, "mode=0755,size=x", errno.EPERM)) == ""
    assert kernel_words(mount_failed(witness, "mode=0755", errno.EINVAL)) == ""


def test_mounts_are_counted_as_mountinfo_lists_them(witness: int) -> None:
    counted = count_mounts(witness)
    assert counted
    assert counted.number >= len(mounts(witness))
    assert mounts_below(witness, "/") == len(mounts(witness))
    assert mounts_below(witness, "/no/such/place") == 1


def test_a_whole_proc_is_told_from_a_part_and_its_covers_from_harmless_mounts() -> None:
    own, jail = proc_mounts(parsed(TABLE))
    assert (own.mount.point, jail.mount.point) == ("/proc", "/jail/proc")
    assert [cover.point for cover in own.covers] == ["/proc/kcore"]
    assert (own.atime, jail.atime, jail.covers) == (True, False, ())


def test_outside_of_landlock_every_layer_is_left_and_no_hook_refuses() -> None:
    left = int(str(ask(layers_left).value))
    require(left > 0, "MC0408", "the kernel has no Landlock, or it is off")
    assert left == MOST
    answer = ask(refusals, namespaces=("user", "mnt")).value
    assert isinstance(answer, tuple)
    refused = Refusals(*answer)
    assert refused.capability
    assert not refused.by_landlock
    assert refused.mount == errno.EINVAL
