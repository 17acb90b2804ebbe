"""Where the payload starts, where its home is, and what --contain, -W and -S put in their place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_mounts
from ordinary_user import RunAsUser, User
from readable import Checkout
from skipping import require

Sh = Callable[..., subprocess.CompletedProcess[str]]


def home_in_passwd(user: User) -> str:
    return f"grep '^{user.name}:' /etc/passwd | cut -d: -f6"


def test_the_working_directory_is_mounted_and_kept(inside: Callable[..., str], place: Path) -> None:
    assert inside("pwd; cat file; touch new", cwd=place) == f"{place}\nhere\n"
    assert (place / "new").exists()


def test_it_is_mounted_without_the_home_and_without_tmp(
    inside: Callable[..., str], place: Path
) -> None:
    options = ("--no-home", "--no-mount", "tmp")
    assert inside("pwd; cat file", *options, cwd=place) == f"{place}\nhere\n"


def test_a_working_directory_behind_a_link_is_the_physical_one(
    inside: Callable[..., str], place: Path
) -> None:
    link = place.parent / "link"
    link.symlink_to(place)
    assert inside("pwd; echo $PWD", cwd=link) == f"{place}\n{place}\n"


@pytest.mark.parametrize("where", ["/etc", "/usr", "/"])
def test_a_working_directory_of_the_system_is_the_images(
    inside: Callable[..., str], where: str
) -> None:
    shown = inside("pwd; cat /proc/self/mountinfo; true", cwd=where).partition("\n")
    assert shown[0] in (where, "/root", "/") or shown[0].startswith("/home")
    if where != "/":
        assert where not in read_mounts(shown[2])


def test_a_working_directory_that_is_not_inside_is_named(
    sh: Sh, apptainer: Path, place: Path, user: User
) -> None:
    for options, expected in (((), str(user.home)), (("--no-home",), "/")):
        done = sh("pwd", "--no-mount", "tmp,cwd", *options, cwd=place)
        assert done.stdout == f"{expected}\n"
        assert str(place) in done.stderr
    done = sh("pwd", "--no-mount", "tmp,cwd", cwd=place, program=apptainer)
    assert done.stderr.startswith("WARNING: ")


def test_a_removed_working_directory(
    run_as_user: Sh, checkout: object, image: Path, warm: Path, place: Path, user: User
) -> None:
    program = checkout.program  # type: ignore[attr-defined]
    script = f'rm file; rmdir "$PWD"; exec {program} exec {image} pwd'
    done = run_as_user(["sh", "-c", script], cwd=place, env={"MINICTR_CACHEDIR": str(warm)})
    assert (done.stdout, done.returncode) == (f"{user.home}\n", 0)


@pytest.mark.parametrize("option", ["--pwd", "--cwd"])
def test_pwd_says_where_to_start(inside: Callable[..., str], option: str) -> None:
    assert inside("pwd; echo $PWD", option, "/var/tmp") == "/var/tmp\n/var/tmp\n"


@pytest.mark.parametrize("where", ["/nowhere", "/bin/busybox", "relative"])
def test_a_pwd_that_cannot_be_entered_ends_the_launch(sh: Sh, apptainer: Path, where: str) -> None:
    done = sh("echo ran", "--pwd", where)
    assert (done.returncode, done.stdout) == (125, "")
    assert where in done.stderr
    done = sh("echo ran", "--pwd", where, program=apptainer)
    assert (done.returncode, done.stdout) == (255, "")


def test_home_is_the_users_and_writable(inside: Callable[..., str], user: User) -> None:
    script = 'test -w ~ && cd && pwd && echo "$HOME"'
    assert inside(script, env={"HOME": "/somewhere"}) == f"{user.home}\n" * 2


def test_home_at_another_place(inside: Callable[..., str], place: Path, user: User) -> None:
    script = f"echo $HOME; cat ~/file; {home_in_passwd(user)}; ls -d {user.home}; pwd"
    done = inside(f"{script}; true", "--home", f"{place}:/hh", cwd="/tmp")
    assert done == "/hh\nhere\n/hh\n/tmp\n"
    assert inside("pwd; ls", "--contain", "-H", f"{place}:/hh") == "/hh\nfile\n"


def test_home_given_alone_is_at_its_own_place(inside: Callable[..., str], place: Path) -> None:
    assert inside("echo $HOME; cat ~/file", "-H", place) == f"{place}\nhere\n"
    assert inside("echo $HOME; cat ~/file", env={"APPTAINER_HOME": f"{place}:/h"}) == "/h\nhere\n"


def test_a_home_that_is_not_there_is_empty(inside: Callable[..., str], directory: Path) -> None:
    script = "echo $HOME; ls -A ~; touch ~/new && echo wrote"
    assert inside(script, "--home", f"{directory}/no:/hh") == "/hh\nwrote\n"
    assert not (directory / "no").exists()


def test_a_relative_home_is_refused(sh: Sh) -> None:
    done = sh("echo ran", "--home", "relative")
    assert (done.returncode, done.stdout) == (125, "")


def test_no_home_mounts_none_and_keeps_the_variable(inside: Callable[..., str], user: User) -> None:
    script = f"echo $HOME; ls -d {user.home} 2>/dev/null; true"
    assert inside(script, "--no-home", cwd="/") == f"{user.home}\n"


def test_no_home_leaves_the_working_directory_in_it(inside: Callable[..., str], user: User) -> None:
    script = "ls -A ~ | wc -l; test -w ~ && echo open || echo closed"
    (user.home / "own").touch()
    assert inside(script, "--no-home", cwd=user.home).split()[1] == "open"
    options = ("--no-home", "--no-mount", "cwd")
    assert inside(script, *options, cwd=user.home).split() == ["0", "closed"]


def test_a_variable_for_home_inside_is_ignored(inside: Callable[..., str], user: User) -> None:
    assert inside("echo $HOME", env={"SINGULARITYENV_HOME": "/x"}) == f"{user.home}\n"


def test_contain_starts_in_an_empty_home_with_an_empty_tmp(
    inside: Callable[..., str], place: Path, user: User
) -> None:
    script = "pwd; ls -A ~ /tmp /var/tmp; touch ~/a /tmp/b /var/tmp/c && echo wrote"
    shown = inside(script, "--contain", cwd=place)
    assert shown == f"{user.home}\n{user.home}:\n\n/tmp:\n\n/var/tmp:\nwrote\n"
    assert not (user.home / "a").exists()
    assert not Path("/tmp/b").exists()


def test_a_workdir_keeps_what_contain_throws_away(
    inside: Callable[..., str], place: Path, user: User
) -> None:
    script = """
    touch /tmp/t /var/tmp/v ~/h /foo/bar/s
    stat -c %a /tmp /var/tmp ~ /foo/bar
    """
    options = ("--contain", "-W", str(place), "-S", "/foo/bar")
    for _ in range(2):
        assert inside(script, *options) == "1777\n1777\n700\n750\n"
    kept = {"tmp/t", "var_tmp/v", "home/h", "scratch/foo/bar/s"}
    assert all((place / name).exists() for name in kept)
    assert (place / "tmp").stat().st_uid == user.uid


def test_a_relative_workdir(inside: Callable[..., str], place: Path) -> None:
    inside("touch /tmp/t", "-c", "-W", place.name, cwd=place.parent)
    assert (place / "tmp/t").exists()


def test_a_workdir_behind_a_symbolic_link(inside: Callable[..., str], place: Path) -> None:
    link = place / "link"
    link.symlink_to(place)
    inside("touch /tmp/kept ~/kept", "-c", "-W", str(link))
    assert (place / "tmp/kept").exists()
    assert (place / "home/kept").exists()


def test_a_workdir_that_is_not_there_ends_the_launch(sh: Sh, place: Path) -> None:
    done = sh("echo ran", "-c", "-W", f"{place}/no")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"{place}/no" in done.stderr
    assert not (place / "no").exists()


def test_a_workdir_without_contain_changes_nothing(inside: Callable[..., str], place: Path) -> None:
    assert inside(f"cat {place}/file", "-W", place) == "here\n"
    assert [path.name for path in place.iterdir()] == ["file"]


def test_a_scratch_directory_in_a_workdir_stays_there(
    inside: Callable[..., str], place: Path
) -> None:
    inside("touch /one/x", "-W", place, "-S", "/one")
    assert (place / "scratch/one/x").exists()
    assert inside("ls /one", "-W", place, "-S", "/one") == "x\n"


def test_scratch_directories_are_empty_and_gone_afterwards(inside: Callable[..., str]) -> None:
    script = "ls -A /s/one /two; touch /s/one/x /two/y && echo wrote; cat /proc/self/mountinfo"
    shown = inside(script, "-S", "/s/one,two").partition("wrote\n")
    assert shown[0] == "/s/one:\n\n/two:\n"
    mounts = read_mounts(shown[2])
    assert mounts["/s/one"].kind == mounts["/two"].kind == "tmpfs"


def test_the_umask_is_the_callers(inside: Callable[..., str], run_as_user: Sh, checkout: object,
                                  image: Path, warm: Path) -> None:  # fmt: skip
    program = checkout.program  # type: ignore[attr-defined]
    env = {"MINICTR_CACHEDIR": str(warm)}
    for options, seen in (("", "0027"), ("--no-umask", "0022")):
        script = f"umask 027; exec {program} exec {options} {image} sh -c umask"
        assert run_as_user(["sh", "-c", script], env=env).stdout == f"{seen}\n"


def test_limits_and_niceness_are_the_callers(
    run_as_user: Sh, checkout: object, image: Path, warm: Path
) -> None:
    program = checkout.program  # type: ignore[attr-defined]
    look = 'ulimit -n; cut -d " " -f 19 /proc/self/stat'
    script = f"ulimit -n 321; exec nice -n 5 {program} exec {image} sh -c '{look}'"
    done = run_as_user(["bash", "-c", script], env={"MINICTR_CACHEDIR": str(warm)})
    assert done.stdout.split() == ["321", "5"]


def test_the_processors_are_the_callers(
    run_as_user: Sh, checkout: object, image: Path, warm: Path
) -> None:
    program = checkout.program  # type: ignore[attr-defined]
    command = ["taskset", "-c", "0", program, "exec", image, "nproc"]
    assert run_as_user(command, env={"MINICTR_CACHEDIR": str(warm)}).stdout == "1\n"


def test_a_working_directory_below_a_closed_one_is_left_out_with_a_warning(
    run_as_user: RunAsUser, checkout: Checkout, cache: Path, image: Path, tmp_path: Path
) -> None:
    require(os.geteuid() == 0, "ROOT", "only root can enter a directory closed to all")
    inner = tmp_path / "closed/inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    program = [checkout.program, "exec", image, "pwd"]
    done = run_as_user(program, env={"MINICTR_CACHEDIR": str(cache)}, cwd=inner)
    assert done.returncode == 0, done.stderr
    assert f"the working directory {inner} is not in the container" in done.stderr
