"""Big images: served by squashfuse at their first launch, and unpacked behind it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User, credentials
from readable import Checkout
from served_images import require_device, squashed
from small_images import add_script, complete, make_image

from minictr.cli.first import BIG

Minictr = Callable[..., subprocess.CompletedProcess[str]]
Wait = Callable[..., None]
LIST = "find /bin /closed /etc /filler /.singularity.d | sort | xargs stat -c '%n %f %s %u %g %h'"
SERVED = "squashfuse_ll serves it"


@pytest.fixture(scope="module", autouse=True)
def device(fuse: bool) -> None:
    """What serves an image."""
    require_device(fuse)


@pytest.fixture(scope="module")
def tree(user: User, room: Path) -> Path:
    """What is in the big image: with environment scripts, a runscript and a closed directory."""
    path = make_image(room / "big-tree", user)
    (path / "filler").write_bytes(random.Random(1).randbytes(BIG + (1 << 20)))
    (path / "badint").write_text("#!/no/such/interpreter\n")
    (path / "badint").chmod(0o755)
    (path / "closed").mkdir(mode=0o700)
    (path / "closed/file").write_text("inside\n")
    (path / "closed/file").chmod(0o600)
    add_script(path, "env/50-own.sh", "export FROM_IMAGE=$(echo yes)\n", user)
    add_script(path, "runscript", '#!/bin/sh\necho run "$@"\n', user)
    return path


@pytest.fixture(scope="module")
def big(tree: Path, room: Path) -> Path:
    """An image that takes long to unpack, by its size."""
    return squashed(tree, room / "big.sqfs")


@pytest.fixture
def unpacked(cache: Path, eventually: Wait) -> Callable[[], None]:
    """unpacked(): wait until what unpacks behind a launch has ended, with one tree."""

    def wait() -> None:
        eventually(lambda: list(cache.glob("index/*")), "the image is in the cache", 60)
        eventually(lambda: not list(cache.glob("tmp/*")), "nothing temporary is left")
        assert len(list(cache.glob("trees/*"))) == 1

    return wait


def test_the_first_launch_is_served_and_the_next_one_unpacked(
    minictr: Minictr, big: Path, unpacked: Callable[[], None]
) -> None:
    script = "cat /closed/file; echo $FROM_IMAGE"
    first = minictr("-v", "exec", big.name, "sh", "-c", script, cwd=big.parent)
    assert (first.returncode, first.stdout) == (0, "inside\nyes\n")
    assert f"unpack: background, {SERVED}" in first.stderr
    unpacked()
    second = minictr("-v", "run", big, "a", "b")
    assert (second.returncode, second.stdout) == (0, "run a b\n")
    assert SERVED not in second.stderr


@pytest.mark.parametrize("options", [(), ("--fakeroot",), ("--no-pid",), ("--writable-tmpfs",)])
def test_a_served_image_looks_as_it_does_unpacked(
    minictr: Minictr, big: Path, options: tuple[str, ...]
) -> None:
    served = minictr("-v", "exec", "--unpack", "never", *options, big, "sh", "-c", LIST)
    assert SERVED in served.stderr
    unpacked = minictr("-v", "exec", "--unpack", "now", *options, big, "sh", "-c", LIST)
    assert SERVED not in unpacked.stderr

    def regular(text: str) -> list[str]:
        # A file system counts the bytes and links of a directory in its own way.
        words = [line.split() for line in text.splitlines()]
        return [" ".join(w[:2] + w[3:5]) if w[1].startswith("4") else " ".join(w) for w in words]

    assert len(regular(served.stdout)) > 280
    assert regular(served.stdout) == regular(unpacked.stdout)


def test_a_bind_serves_where_every_mount_point_is_there(
    minictr: Minictr, user: User, room: Path
) -> None:
    tree = complete(make_image(room / "whole-tree", user), user, str(user.home))
    image = squashed(tree, room / "whole.sqfs")
    done = minictr(
        "-v", "exec", "--unpack", "never", image, "grep", " / / ", "/proc/self/mountinfo"
    )
    assert "root: a bind" in done.stderr
    assert " ro,nosuid,nodev" in done.stdout
    assert "fuse.squashfuse" in done.stdout


def test_small_images_and_what_may_outlive_the_launcher_are_unpacked_at_once(
    minictr: Minictr, big: Path, sif: Path, cache: Path
) -> None:
    for words in ((sif,), ("--no-pid", big)):
        assert SERVED not in minictr("-v", "exec", *words, "true").stderr
    assert len(list(cache.glob("trees/*"))) == 2


def test_the_first_launch_of_all_covers_the_cache(
    minictr: Minictr, big: Path, directory: Path, unpacked: Callable[[], None]
) -> None:
    options = ("--security", "seccomp:unconfined", "-B", f"{directory}:/x")
    done = minictr("exec", *options, big, "ls", "-A", "/x/cache")
    assert (done.returncode, done.stdout) == (0, "")
    unpacked()


def test_a_cause_is_found_in_a_served_image(minictr: Minictr, big: Path) -> None:
    done = minictr("exec", "--unpack", "never", big, "/badint")
    assert "[MC0608]" in done.stderr


def test_never_unpacks_nothing(minictr: Minictr, big: Path, sif: Path, cache: Path) -> None:
    for image in (big, sif):
        done = minictr("-v", "exec", "--unpack", "never", image, "echo", "ok")
        assert (done.returncode, done.stdout) == (0, "ok\n")
        assert f"unpack: never, {SERVED}" in done.stderr
    assert not list(cache.glob("trees/*"))


@pytest.mark.parametrize("name", ["minictr", "apptainer"])
def test_variables_and_options_of_both_names_choose(
    minictr: Minictr, apptainer: Path, run_as_user: RunAsUser, big: Path, cache: Path, name: str
) -> None:
    environ = {"MINICTR_CACHEDIR": str(cache)}
    program = apptainer if name == "apptainer" else "minictr"
    never = {**environ, "APPTAINER_UNPACK": "never"}
    done = run_as_user([program, "-v", "exec", big, "true"], env=never)
    assert f"unpack: never, {SERVED}" in done.stderr
    done = run_as_user([program, "-v", "exec", "--unsquash", big, "true"], env=environ)
    assert SERVED not in done.stderr
    assert len(list(cache.glob("trees/*"))) == 1


def test_a_configuration_chooses(minictr: Minictr, big: Path, directory: Path) -> None:
    path = directory / "config.toml"
    path.write_text('unpack = "never"\n')
    path.chmod(0o644)
    done = minictr("-v", "--config", path, "exec", big, "true")
    assert f"unpack: never, {SERVED}" in done.stderr
    assert minictr("exec", "--unpack", "later", big, "true").returncode == 125


def slow(directory: Path) -> dict[str, str]:
    """A PATH on which unsquashfs takes its time."""
    program = directory / "bin/unsquashfs"
    if not program.exists():
        program.parent.mkdir()
        program.write_text('#!/bin/sh\nsleep 5\nexec /usr/bin/unsquashfs "$@"\n')
        program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/local/bin:/usr/bin:/bin"}


def test_nobody_waits_for_what_unpacks_behind(
    minictr: Minictr, big: Path, directory: Path, unpacked: Callable[[], None]
) -> None:
    """It holds none of the caller's descriptors: run() would read the pipes until it ends."""
    began = time.monotonic()
    for _ in range(3):  # one of them unpacks
        done = minictr("-v", "exec", big, "echo", "ok", env=slow(directory))
        assert (done.returncode, done.stdout) == (0, "ok\n")
        assert f"unpack: background, {SERVED}" in done.stderr
    assert time.monotonic() - began < 5
    unpacked()


@pytest.fixture
def begun(
    user: User, checkout: Checkout, cache: Path, directory: Path, nothing_left: None
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """begun(image, script): a launch with a slow unsquashfs that goes on; ended after the test."""
    started = []

    def launch(image: Path, script: str) -> subprocess.Popen[str]:
        environ = {"HOME": str(user.home), "MINICTR_CACHEDIR": str(cache), **slow(directory)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [checkout.program, "exec", image, "sh", "-c", script],
            **pipes, text=True, env=environ, cwd=directory, **credentials(user),
        )  # fmt: skip
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def test_nothing_outlives_a_launcher_that_is_killed(
    begun: Callable[..., subprocess.Popen[str]],
    minictr: Minictr,
    big: Path,
    cache: Path,
    descendants: Callable[[int], dict[int, str]],
    eventually: Wait,
) -> None:
    launcher = begun(big, "echo up; exec sleep 1000")
    assert launcher.stdout
    assert launcher.stdout.readline() == "up\n"
    # Server, init, payload, what unpacks and its unsquashfs.
    eventually(lambda: len(descendants(launcher.pid)) >= 5, "what unpacks behind has begun")
    family = descendants(launcher.pid)
    assert "squashfuse_ll" in family.values()
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    eventually(lambda: not any(map(running, family)), "all of it has ended")
    assert not list(cache.glob("trees/*"))
    done = minictr("exec", "--unpack", "now", big, "true")  # and removes what is left
    assert done.returncode == 0
    assert len(list(cache.glob("trees/*"))) == 1
    assert not list(cache.glob("tmp/*"))


def running(pid: int) -> bool:
    """Whether a process is there that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_server_of_a_launch_ends_with_it(
    begun: Callable[..., subprocess.Popen[str]],
    big: Path,
    descendants: Callable[[int], dict[int, str]],
    unpacked: Callable[[], None],
) -> None:
    launcher = begun(big, "echo up; read line")
    assert launcher.stdout
    assert launcher.stdout.readline() == "up\n"
    servers = [pid for pid, name in descendants(launcher.pid).items() if name == "squashfuse_ll"]
    assert len(servers) == 1
    launcher.communicate("\n", timeout=20)
    assert launcher.returncode == 0
    assert not Path(f"/proc/{servers[0]}").exists()
    unpacked()


def test_a_server_that_is_killed_is_told(
    begun: Callable[..., subprocess.Popen[str]],
    big: Path,
    descendants: Callable[[int], dict[int, str]],
    eventually: Wait,
    unpacked: Callable[[], None],
) -> None:
    launcher = begun(big, "echo up; read line; exit 3")
    assert launcher.stdout
    assert launcher.stdout.readline() == "up\n"
    servers = [pid for pid, name in descendants(launcher.pid).items() if name == "squashfuse_ll"]
    os.kill(servers[0], signal.SIGKILL)
    eventually(lambda: not running(servers[0]), "the server has ended")
    _, said = launcher.communicate("\n", timeout=20)
    assert launcher.returncode == 3
    assert "squashfuse_ll, which served the image, ended by signal 9, before the command" in said
    unpacked()


def test_a_plan_leaves_nothing_behind(minictr: Minictr, big: Path, cache: Path) -> None:
    done = minictr("plan", big, "true")
    assert "  AttachImage" in done.stdout
    time.sleep(0.3)
    assert not list(cache.glob("trees/*"))
