"""Servers of images that cannot be started, hang, or cannot be ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.bench import tools
from ordinary_user import RunAsUser, User, credentials
from readable import Checkout
from served_images import require_device, squashed
from skipping import require
from small_images import busybox, make_image

from minictr.cli.first import BIG

Wait = Callable[..., None]


@pytest.fixture(scope="module", autouse=True)
def device(fuse: bool) -> None:
    """What serves an image."""
    require_device(fuse)


@pytest.fixture(scope="module")
def big(user: User, room: Path) -> Path:
    """An image that takes long to unpack, by its size."""
    tree = make_image(room / "stuck-tree", user)
    (tree / "filler").write_bytes(random.Random(1).randbytes(BIG + (1 << 20)))
    return squashed(tree, room / "stuck.sqfs")


def test_a_server_that_cannot_be_cloned_gets_its_cause(
    run_as_user: RunAsUser, checkout: Checkout, big: Path, cache: Path, nothing_left: None
) -> None:
    filtered = tools(checkout.root) / "filtered"
    environ = {"MINICTR_CACHEDIR": str(cache)}

    def refused(*rules: str) -> str:
        words = [filtered, *rules, "--", checkout.program, "exec", "--unpack", "never", big, "true"]
        done = run_as_user(words, env=environ)
        assert done.returncode == 125
        return done.stderr

    assert "squashfuse_ll cannot serve" in refused("--refuse", "clone:user")
    assert "refuses clone(2) with CLONE_NEWUSER [MC0204]" in refused("--refuse", "clone:user")
    assert "refuses capset(2) [MC0506]" in refused("--refuse", "capset")
    kernel = refused("--refuse", "clone:user", "--errno", "EINVAL")  # as the kernel's would be
    assert "[MC0000]" in kernel
    assert "ruled out" in kernel
    assert "fsopen: Operation not permitted" in refused("--refuse", "fsopen")


def state(pid: int) -> str:
    """The letter that proc_pid_stat(5) has for it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.fixture
def hanging(
    user: User, checkout: Checkout, big: Path, cache: Path, directory: Path, nothing_left: None
) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """hanging(unpack): a launch whose server stops before it answers; ended after the test."""
    program = directory / "bin/squashfuse_ll"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nkill -STOP $$\nexec /usr/bin/squashfuse_ll "$@"\n')
    program.chmod(0o755)
    environ = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(user.home)}
    started = []

    def launch(unpack: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [checkout.program, "exec", "--unpack", unpack, big, "true"],
            env={**environ, "MINICTR_CACHEDIR": str(cache)},
            stderr=subprocess.PIPE,
            **credentials(user),  # type: ignore[call-overload]
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("unpack", ["background", "never"])
def test_an_interrupt_does_not_wait_for_a_server_that_hangs(
    hanging: Callable[[str], subprocess.Popen[bytes]],
    cache: Path,
    descendants: Callable[[int], dict[int, str]],
    eventually: Wait,
    unpack: str,
) -> None:
    launcher = hanging(unpack)

    def stopped() -> bool:
        return any(state(pid) == "T" for pid in descendants(launcher.pid))

    eventually(stopped, "the server has stopped")
    time.sleep(0.5)  # until the launcher waits for it
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=5)
    assert (launcher.returncode, said) == (-signal.SIGINT, b"")
    assert not list(cache.glob("t*/*"))


@pytest.fixture
def freezer() -> Iterator[Callable[[int, bool], None]]:
    """freezer(pid, frozen): keep a process from running, so that not even SIGKILL ends it."""
    group = Path("/sys/fs/cgroup/freezer") / f"tests-of-minictr-{os.getpid()}"
    require(os.access(group.parent, os.W_OK), "ROOT", "no freezer of version 1 can be used")
    group.mkdir()

    def freeze(pid: int, frozen: bool) -> None:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN" if frozen else "THAWED")

    yield freeze
    (group / "freezer.state").write_text("THAWED")
    while (group / "cgroup.procs").read_text():
        time.sleep(0.05)
    group.rmdir()


def test_a_server_that_cannot_be_ended_is_not_waited_for(
    freezer: Callable[[int, bool], None],
    start: Callable[..., subprocess.Popen[str]],
    big: Path,
    descendants: Callable[[int], dict[int, str]],
) -> None:
    # The host's shell: one of the image's would wait for a page of itself.
    options = ("--unpack", "never", "--bind", f"{busybox()}:/bin/sh")
    launcher = start("echo up; read line; exit 3", *options, image=big)
    assert launcher.stdout
    assert launcher.stdout.readline() == "up\n"
    servers = [pid for pid, name in descendants(launcher.pid).items() if name == "squashfuse_ll"]
    freezer(servers[0], True)
    try:
        _, said = launcher.communicate("\n", timeout=20)
    finally:
        freezer(servers[0], False)
    assert launcher.returncode == 3
    assert f"was killed and has not ended yet: pid {servers[0]}" in said
