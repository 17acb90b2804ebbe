"""--fakeroot: root inside, with every capability over the container and none over the host."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_maps, read_status
from ordinary_user import User
from skipping import require
from small_images import contents, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]


def test_root_inside_is_the_user_outside(
    inside: Callable[..., str], user: User, directory: Path
) -> None:
    script = f"id -u; id -g; id -un; id -gn; echo $HOME; touch {directory}/made"
    assert inside(script, "--fakeroot").split() == ["0", "0", "root", "root", "/root"]
    status = (directory / "made").stat()
    assert (status.st_uid, status.st_gid) == (user.uid, user.gid)


@pytest.mark.parametrize("options", [["-f"], ["-f", "--id-map", "single"]])
def test_every_capability_is_held_over_the_namespace(
    inside: Callable[..., str], apptainer: Path, options: list[str]
) -> None:
    for program in ({}, {"program": apptainer}):
        status = read_status(inside("cat /proc/self/status", *options, **program))
        every = int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1
        assert int(status["CapEff"], 16) == (1 << every) - 1
        assert int(status["CapBnd"], 16) == (1 << every) - 1
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_the_capabilities_reach_no_further_than_the_container(sh: Sh) -> None:
    for attempt in (
        "echo 1 > /proc/sys/kernel/panic",
        "dmesg -c",
        "mknod /tmp/node c 1 3",
        "cat /etc/host-shadow",
    ):
        done = sh(attempt, "-f", "--contain", "-B", "/etc/shadow:/etc/host-shadow")
        assert done.returncode != 0, attempt


def test_the_map_starts_with_the_user(inside: Callable[..., str], user: User) -> None:
    require(user.subuid, "MC0303", f"{user.name} has no subordinate ids")
    assert user.subuid
    first, count = user.subuid
    seen = read_maps(inside("cat /proc/self/uid_map", "-f"))
    assert seen == [(0, user.uid, 1), (1, first, count)]


def test_a_single_map_has_one_line(inside: Callable[..., str], user: User) -> None:
    for option in ("--id-map=single", "--ignore-subuid"):
        assert read_maps(inside("cat /proc/self/uid_map", "-f", option)) == [(0, user.uid, 1)]


def test_files_can_be_given_to_mapped_ids(
    inside: Callable[..., str], user: User, directory: Path
) -> None:
    require(user.subuid, "MC0303", f"{user.name} has no subordinate ids")
    assert user.subuid
    script = f"cd {directory}; touch f; chown 5:7 f; stat -c '%u %g' f; rm f; touch g; chown 5 g"
    assert inside(script, "-f") == "5 7\n"
    assert (directory / "g").stat().st_uid == user.subuid[0] + 4
    inside(f"rm {directory}/g", "-f")


def test_the_home_is_at_root(inside: Callable[..., str], user: User) -> None:
    assert inside("cd; pwd; stat -c %i .; grep ^root: /etc/passwd", "-f").splitlines() == [
        "/root",
        str(user.home.stat().st_ino),
        "root:x:0:0:root:/root:/bin/sh",
    ]


def test_mounts_can_be_made_inside_and_the_host_does_not_see_them(
    sh: Sh, inside: Callable[..., str]
) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    allowed = ("-f", "--security", "seccomp:compat")
    assert inside("mount -t tmpfs new /mnt && echo x > /mnt/f && cat /mnt/f",
                  *allowed, "-S", "/mnt") == "x\n"  # fmt: skip
    assert Path("/proc/self/mountinfo").read_text() == before


@pytest.mark.parametrize("whole", [False, True])
def test_the_image_of_the_cache_stays_as_it_is(
    minictr: Sh, sif: Path, cache: Path, whole: bool
) -> None:
    """Root of the container may remount: what the next launch runs must not depend on it."""
    assert minictr("exec", sif, "true").returncode == 0
    tree = next(cache.glob("trees/*/root"))
    before = contents(tree)
    script = """
    mount -o remount,rw,bind / 2>/dev/null; mount -o remount,rw / 2>/dev/null
    echo bad > /bin/evil; touch /evil
    """
    options = ("-f", "--security", "seccomp:unconfined")
    cover = ("--no-mount", "home,tmp,sys,dev,cwd,bind-paths") if whole else ()
    minictr("exec", *options, *cover, sif, "sh", "-c", script, cwd="/")
    assert contents(tree) == before


def test_an_image_of_the_users_own_with_fakeroot_and_writable_keeps_its_passwd(
    inside: Callable[..., str], directory: Path, user: User
) -> None:
    image = make_image(directory / "image", user)
    script = "echo new:x:9:9::/:/bin/sh >> /etc/passwd; id -u"
    assert inside(script, "-f", "-w", image=image, cwd="/") == "0\n"
    assert "new:x:9:9" in (image / "etc/passwd").read_text()
