"""--writable-tmpfs writes to memory, --writable to the directory itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_mounts
from ordinary_user import User
from small_images import contents, give, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def own(directory: Path, user: User) -> Path:
    """An image directory of the test's own."""
    return make_image(directory / "own", user)


def test_writing_to_memory_leaves_the_image_as_it_is(
    inside: Callable[..., str], own: Path, user: User
) -> None:
    (own / "etc/keep").write_text("old\n")
    give(own, user)
    before = contents(own)
    script = """
    echo new > /etc/keep; cat /etc/keep
    touch /bin/tool && rm /bin/ls && ! test -e /bin/ls && echo removed
    rm -r /root && mkdir -p /root/deep /new/dir && mv /etc/keep /new && ls /new
    chmod 700 /etc && stat -c %a /etc
    """
    shown = inside(script, "--writable-tmpfs", image=own)
    assert shown.split() == ["new", "removed", "dir", "keep", "700"]
    assert contents(own) == before


def test_memory_is_gone_with_the_launch(inside: Callable[..., str], own: Path) -> None:
    assert inside("touch /x && ls /x", "--writable-tmpfs", image=own) == "/x\n"
    assert inside("ls /x 2>/dev/null || echo gone", "--writable-tmpfs", image=own) == "gone\n"


def test_memory_is_limited(sh: Sh, inside: Callable[..., str], own: Path) -> None:
    script = "dd if=/dev/zero of=/big bs=1M count=6 2>&1"
    done = sh(script, "--writable-tmpfs", "--writable-tmpfs-size", "4", image=own)
    assert done.returncode != 0
    assert "No space left" in done.stdout
    size = "df -k / | tail -n 1 | awk '{print $2}'"
    assert inside(size, "--writable-tmpfs", image=own) == f"{64 * 1024}\n"
    options = ("--writable-tmpfs-size", "0")
    script = "dd if=/dev/zero of=/big bs=1M count=65 2>&1"
    assert sh(script, "--writable-tmpfs", *options, image=own).returncode == 0
    script = "dd if=/dev/zero of=/tmp/big bs=1M count=65 2>&1"
    assert sh(script, "--contain", *options, image=own).returncode == 0
    assert "No space left" in sh(script, "--contain", image=own).stdout


def test_a_sif_can_be_written_above(minictr: Sh, sif: Path, cache: Path) -> None:
    done = minictr("exec", "--writable-tmpfs", sif, "sh", "-c", "echo x > /etc/x; cat /etc/x")
    assert (done.stdout, done.returncode) == ("x\n", 0)
    assert not list(cache.glob("trees/*/root/etc/x"))


def test_compat_writes_to_memory_too(inside: Callable[..., str], own: Path) -> None:
    assert inside("touch /x && umask", "--compat", image=own) == "0022\n"
    assert not (own / "x").exists()


def test_writable_writes_to_the_directory(
    inside: Callable[..., str], own: Path, user: User
) -> None:
    shown = inside("echo new > /made; cat /proc/self/mountinfo", "-w", image=own)
    assert (own / "made").read_text() == "new\n"
    assert (own / "made").stat().st_uid == user.uid
    root = read_mounts(shown)["/"]
    assert root.options >= {"rw", "nosuid", "nodev"}
    assert root.kind != "overlay"


def test_writable_makes_no_mount_point(
    sh: Sh, inside: Callable[..., str], own: Path, directory: Path
) -> None:
    (own / "tmp").rmdir()
    before = set(contents(own))
    done = sh("ls -d /tmp", "-w", "-v", image=own, cwd="/")
    assert done.returncode != 0
    assert "/tmp: left out" in done.stderr
    done = sh("echo ran", "-w", "-B", f"{directory}:/not/there", image=own, cwd="/")
    assert (done.returncode, done.stdout) == (125, "")
    assert "/not/there" in done.stderr
    assert set(contents(own)) == before
    assert inside("ls -d /mnt/x", "-w", "-B", f"{directory}:/home", "-B", f"{own}:/home/own",
                  image=make_mnt(own), cwd="/") == "/mnt/x\n"  # fmt: skip


def make_mnt(image: Path) -> Path:
    (image / "mnt/x").mkdir(parents=True)
    return image


def test_only_a_directory_can_be_written_to(
    minictr: Sh, run_as_user: Sh, sif: Path, cache: Path, apptainer: Path
) -> None:
    done = minictr("exec", "-w", sif, "touch", "/x")
    assert done.returncode == 125
    done = run_as_user(
        [apptainer, "exec", "-w", sif, "touch", "/x"], env={"MINICTR_CACHEDIR": str(cache)}
    )
    assert done.returncode == 255
    assert not list(cache.glob("trees/*/root/x"))


def test_both_exclude_each_other(sh: Sh, own: Path) -> None:
    done = sh("echo ran", "-w", "--writable-tmpfs", image=own)
    assert (done.returncode, done.stdout) == (125, "")


def test_a_directory_that_cannot_be_written_to(
    sh: Sh, inside: Callable[..., str], own: Path, user: User
) -> None:
    own.chmod(0o555)
    assert inside("echo ran", image=own) == "ran\n"
    done = sh("touch /x", "-w", image=own, cwd="/")
    assert done.returncode != 0
    assert "denied" in done.stderr
    own.chmod(0o755)
    give(own, user)
