"""Inside you are who you are outside: ids, their maps, and the files that name them."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_maps, read_status
from ordinary_user import User, credentials
from readable import Checkout
from skipping import require
from small_images import give

Sh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ranges(user: User) -> tuple[tuple[int, int], tuple[int, int]]:
    """The user's subordinate ids, where the host grants them and the helpers can write them."""
    for name in ("newuidmap", "newgidmap"):
        path = shutil.which(name)
        require(path, "MC0305", f"{name} is not installed (Debian package uidmap)")
        assert path
        mode = os.stat(path).st_mode
        capable = mode & stat.S_ISUID or "security.capability" in os.listxattr(path)
        require(capable, "MC0308", f"{path} is neither setuid nor has it file capabilities")
    require(user.subuid and user.subgid, "MC0303", f"{user.name} has no subordinate ids")
    assert user.subuid
    assert user.subgid
    return user.subuid, user.subgid


def test_ids_inside_are_those_outside(inside: Callable[..., str], user: User) -> None:
    assert inside("id -u; id -g; id -un; id -gn").split() == [
        str(user.uid),
        str(user.gid),
        user.name,
        grp.getgrgid(user.gid).gr_name,
    ]


def test_a_single_map_holds_the_users_own_id(inside: Callable[..., str], user: User) -> None:
    text = inside("cat /proc/self/uid_map; cat /proc/self/gid_map", "--id-map", "single")
    assert read_maps(text) == [(user.uid, user.uid, 1), (user.gid, user.gid, 1)]


def test_the_drop_in_names_have_a_single_map(
    inside: Callable[..., str], user: User, apptainer: Path
) -> None:
    text = inside("cat /proc/self/uid_map", program=apptainer)
    assert read_maps(text) == [(user.uid, user.uid, 1)]


@pytest.mark.parametrize("mode", ["auto", "helpers"])
def test_the_helpers_map_the_subordinate_ids_around_the_users_own(
    inside: Callable[..., str],
    user: User,
    ranges: tuple[tuple[int, int], tuple[int, int]],
    mode: str,
) -> None:
    for kind, own, (first, count) in (
        ("uid", user.uid, ranges[0]),
        ("gid", user.gid, ranges[1]),
    ):
        lines = read_maps(inside(f"cat /proc/self/{kind}_map", "--id-map", mode))
        assert (own, own, 1) in lines
        others = sorted(line for line in lines if line != (own, own, 1))
        assert others[0][:2] == (0, first)
        assert sum(line[2] for line in others) == count
        assert {line[1] for line in others} <= set(range(first, first + count))


def test_mapped_ids_own_files_by_their_number_inside(
    inside: Callable[..., str], ranges: object, image: Path, user: User
) -> None:
    shown = inside("stat -c '%u %g' /bin/busybox /proc/1").split("\n")
    assert shown[0] == f"{user.uid} {user.gid}"


def test_setgroups_is_denied_where_the_map_is_written_without_helpers(
    inside: Callable[..., str],
) -> None:
    assert inside("cat /proc/self/setgroups", "--id-map", "single") == "deny\n"


def test_passwd_names_the_user_and_keeps_the_images_own(
    inside: Callable[..., str], user: User
) -> None:
    lines = inside("cat /etc/passwd").splitlines()
    assert "somebody:x:4242:4242:Some Body:/home/somebody:/bin/sh" in lines
    own = next(line for line in lines if line.startswith(f"{user.name}:"))
    assert own.split(":")[2:4] == [str(user.uid), str(user.gid)]
    assert own.split(":")[5] == str(user.home)
    assert f":{user.gid}:" in inside("cat /etc/group")


def test_an_entry_of_the_image_with_the_users_number_gives_way(
    inside: Callable[..., str], user: User, directory: Path, image: Path
) -> None:
    other = directory / "image"
    shutil.copytree(image, other, symlinks=True)
    (other / "etc/passwd").write_text(f"imposter:x:{user.uid}:7:::/bin/false\n")
    give(other, user)
    assert inside("id -un; wc -l < /etc/passwd", image=other).split() == [user.name, "1"]


def test_an_image_without_etc_names_the_user_all_the_same(
    inside: Callable[..., str], user: User, directory: Path, image: Path
) -> None:
    other = directory / "image"
    (other / "bin").mkdir(parents=True)
    shutil.copytree(image / "bin", other / "bin", symlinks=True, dirs_exist_ok=True)
    give(other, user)
    assert inside("id -un", image=other) == f"{user.name}\n"


def test_a_supplementary_group_opens_files_and_has_its_name(
    start: Callable[..., subprocess.Popen[str]], user: User, directory: Path
) -> None:
    require(os.geteuid() == 0, "ROOT", "only root can give a process another group")
    group = next(entry for entry in grp.getgrall() if entry.gr_gid not in (0, user.gid))
    secret = directory / "secret"
    secret.write_text("shared\n")
    os.chown(secret, 0, group.gr_gid)
    secret.chmod(0o640)
    options = {**credentials(user), "extra_groups": [user.gid, group.gr_gid]}
    for id_map in ("single", "auto"):
        script = f"cat {secret}; grep '^{group.gr_name}:' /etc/group"
        process = start(script, "--id-map", id_map, **options)
        said, error = process.communicate(timeout=30)
        assert said == f"shared\n{group.gr_name}:x:{group.gr_gid}:\n", error


def test_files_made_inside_belong_to_the_user_outside(
    inside: Callable[..., str], user: User, directory: Path
) -> None:
    inside(f"umask 027; echo hi > {directory}/made")
    status = (directory / "made").stat()
    assert (status.st_uid, status.st_gid) == (user.uid, user.gid)
    assert status.st_mode & 0o777 == 0o640


def test_root_may_call_too_and_is_as_confined(
    checkout: Checkout, image: Path, tmp_path: Path
) -> None:
    require(os.geteuid() == 0, "ROOT", "root is the caller here")
    env = {"PATH": "/usr/bin:/bin", "HOME": "/root", "MINICTR_CACHEDIR": str(tmp_path / "cache")}
    script = "id -u; cat /proc/self/uid_map /proc/self/status; touch /new"
    sif = checkout.root / "tests/data/images/bb-gzip.sif"
    for options in ((), ("--fakeroot",), ("--id-map", "single")):
        for which in (image, sif):
            command = [checkout.program, "exec", *options, which, "sh", "-c", script]
            done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True)
            assert "Read-only" in done.stderr
            number, line, rest = done.stdout.split("\n", 2)
            assert number == "0"
            assert read_maps(line)[0][:2] == (0, 0)
            status = read_status(rest)
            assert status["NoNewPrivs"] == "1"
            if not options:
                assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert (tmp_path / "cache").stat().st_uid == 0


def test_the_helpers_are_left_out_where_the_callers_namespace_lacks_the_ids(
    run_as_user: Sh, checkout: Checkout, image: Path, cache: Path, ranges: object
) -> None:
    launch = [checkout.program, "-v", "exec", image, "cat", "/proc/self/uid_map"]
    nested = ["unshare", "--user", "--map-current-user", *launch]
    done = run_as_user(nested, env={"MINICTR_CACHEDIR": str(cache)})
    assert done.returncode == 0, done.stderr
    assert len(read_maps(done.stdout)) == 1
    assert "ids: one line, because /proc/self/uid_map lacks the ids " in done.stderr
