"""The mount table inside: the image read-only, and the places of the host that belong there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import Mount, read_mounts
from ordinary_user import User
from small_images import complete, contents, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]
READ_ONLY = {"ro", "nosuid", "nodev"}
TABLE = "cat /proc/self/mountinfo"


def points(mounts: dict[str, Mount], *but: str) -> set[str]:
    """The mount points, without what lies below one of `but`."""
    return {point for point in mounts if not any(point.startswith(f"{top}/") for top in but)}


def etc_files() -> set[str]:
    """The files of the host that are seen at their own place."""
    names = ("hosts", "localtime", "resolv.conf")
    return {f"/etc/{name}" for name in names if Path("/etc", name).exists()}


@pytest.fixture
def whole_image(directory: Path, user: User) -> Path:
    """An image that has every mount point a default launch needs."""
    return complete(make_image(directory / "whole", user), user, str(user.home), str(directory))


def test_the_root_is_a_read_only_overlay_where_the_image_lacks_a_mount_point(
    inside: Callable[..., str],
) -> None:
    root = read_mounts(inside(TABLE))["/"]
    assert root.kind == "overlay"
    assert root.options >= READ_ONLY
    assert not any(option.startswith("upperdir") for option in root.super_options)


def test_the_root_is_a_read_only_bind_where_the_image_lacks_nothing(
    inside: Callable[..., str], whole_image: Path
) -> None:
    root = read_mounts(inside(TABLE, image=whole_image))["/"]
    assert root.kind != "overlay"
    assert root.options >= READ_ONLY
    assert root.root.endswith(str(whole_image).removeprefix("/tmp"))


@pytest.mark.parametrize("whole", [False, True])
def test_the_image_cannot_be_written_to(
    sh: Sh, image: Path, whole_image: Path, whole: bool
) -> None:
    chosen = whole_image if whole else image
    before = contents(chosen)
    attempts = ("touch /new", "echo x > /bin/busybox", "rm /bin/ls", "mkdir /etc/d", "chmod 0 /bin")
    for attempt in attempts:
        done = sh(attempt, image=chosen)
        assert done.returncode != 0
        assert "Read-only file system" in done.stderr
    assert contents(chosen) == before


def test_nothing_is_mounted_but_what_belongs_there(
    inside: Callable[..., str], user: User, image: Path, tmp_path_factory: object
) -> None:
    mounts = read_mounts(inside(TABLE, cwd=user.home))
    assert points(mounts, "/dev", "/sys", "/tmp", "/var/tmp", str(user.home)) == {
        "/", "/dev", "/proc", "/sys", "/tmp", "/var/tmp", str(user.home),
        "/etc/passwd", "/etc/group", *etc_files(),
    }  # fmt: skip


def test_under_contain_every_mount_is_one_of_a_few(inside: Callable[..., str], user: User) -> None:
    mounts = read_mounts(inside(TABLE, "--contain"))
    nodes = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    assert points(mounts, "/sys") == {
        "/", "/dev", "/dev/pts", "/dev/shm", *nodes, "/proc", "/sys", "/tmp", "/var/tmp",
        str(user.home), "/etc/passwd", "/etc/group", *etc_files(),
    }  # fmt: skip
    for point in ("/tmp", "/var/tmp", str(user.home), "/dev", "/dev/shm"):
        assert mounts[point].kind == "tmpfs"
        assert "nosuid" in mounts[point].options


def test_the_root_directory_shows_the_image_and_the_mount_points(
    inside: Callable[..., str], image: Path, user: User
) -> None:
    top = {path.name for path in image.iterdir()}
    assert set(inside("ls -A /").split()) == top | {user.home.parts[1]}


def test_no_way_leads_to_the_root_of_the_host(inside: Callable[..., str], room: Path) -> None:
    mark = f"{room}"
    way_up = "/".join([".."] * 40)
    script = f"cd {way_up}; pwd; ls -A; cd /proc/1/root 2>&1; ls /host /staging 2>&1"
    shown = inside(f"{script}; true", "--contain")
    assert shown.startswith("/\n")
    assert mark not in shown
    assert "boot" not in shown.split()


def test_proc_is_the_containers_own(inside: Callable[..., str]) -> None:
    mounts = read_mounts(inside(TABLE))
    assert mounts["/proc"].kind == "proc"
    assert mounts["/proc"].options >= {"nosuid", "nodev", "noexec"}
    assert len(inside("ls -d /proc/[0-9]*").split()) <= 3


def test_the_cache_is_covered_inside(
    minictr: Callable[..., subprocess.CompletedProcess[str]], cache: Path, sif: Path
) -> None:
    for _ in ("unpacked", "found"):
        assert minictr("exec", sif, "true").returncode == 0
    assert {path.name for path in cache.iterdir()} >= {"trees", "index"}
    before = contents(cache)
    script = f"cd {cache} && ls -A && touch trees && echo written"
    done = minictr("exec", sif, "sh", "-c", script)
    assert (done.stdout, done.returncode) == ("written\n", 0)
    assert contents(cache).keys() == before.keys()


def test_no_name_of_the_working_directory_shows_the_cache(
    minictr: Callable[..., subprocess.CompletedProcess[str]],
    cache: Path, sif: Path, directory: Path,
) -> None:  # fmt: skip
    for _ in ("unpacked", "found"):
        assert minictr("exec", sif, "true").returncode == 0
    link = directory / "link"
    link.symlink_to(cache / "trees")
    before = contents(cache)
    for where in (link, cache / "trees"):
        options = ("--no-mount", "tmp,home")
        script = f"touch {where}/written . && ls -A {where}"
        done = minictr(
            "exec", *options, sif, "sh", "-c", script, cwd=where, env={"PWD": str(where)}
        )
        assert "written" not in done.stdout
    assert contents(cache).keys() == before.keys()


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("proc", "/proc"),
        ("sys", "/sys"),
        ("dev", "/dev"),
        ("tmp", "/tmp"),
        ("home", "HOME"),
        ("bind-paths", "/etc/hosts"),
        ("/etc/hosts", "/etc/hosts"),
    ],
)
def test_no_mount_leaves_one_out(
    inside: Callable[..., str], user: User, name: str, point: str
) -> None:
    point = point.replace("HOME", str(user.home))
    script = TABLE if name != "proc" else "ls /proc"
    shown = inside(script, "--no-mount", name, cwd="/")
    if name == "proc":
        assert shown == ""
        return
    assert point not in read_mounts(shown)


def test_no_mount_cwd_and_several_at_once(
    sh: Sh, inside: Callable[..., str], directory: Path, user: User
) -> None:
    where = directory / "work"
    where.mkdir()
    options = ("--no-mount", "tmp,home", "--no-mount", "cwd")
    done = sh("pwd; ls -d /tmp/*", *options, cwd=where)
    assert done.stdout == "/\n"
    assert str(where) in done.stderr
    assert inside("pwd", "--no-mount", "tmp", cwd=where) == f"{where}\n"


def test_an_unknown_mount_is_named_and_passed_over(sh: Sh) -> None:
    done = sh("echo ran", "--no-mount", "nonsense")
    assert done.stdout == "ran\n"
    assert "nonsense" in done.stderr


def test_devices_of_the_minimal_dev_work(inside: Callable[..., str]) -> None:
    script = """
    echo $(ls /dev)
    echo gone > /dev/null; head -c 3 /dev/zero | od -An -tx1
    test "$(head -c 8 /dev/urandom | wc -c)" = 8 && echo random
    echo shared > /dev/shm/x && cat /dev/shm/x; { echo out > /dev/stdout; } | cat; ls /dev/pts
    stat -c %a /tmp /var/tmp /dev/shm; stat -c %a ~
    """
    lines = inside(script, "--contain").splitlines()
    assert lines[0].split() == [
        "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ]  # fmt: skip
    assert lines[1:] == [
        " 00 00 00", "random", "shared", "out", "ptmx", "1777", "1777", "1777", "700",
    ]  # fmt: skip


def test_a_pseudo_terminal_can_be_opened_inside(
    minictr: Callable[..., subprocess.CompletedProcess[str]], python_image: Path, warm: Path
) -> None:
    code = "import os; master, slave = os.openpty(); print(os.ttyname(slave))"
    for options in ((), ("--contain",)):
        command = ("exec", "-B", "/usr", *options, python_image, "python3", "-c", code)
        done = minictr(*command, env={"MINICTR_CACHEDIR": str(warm)})
        assert done.stdout.startswith("/dev/pts/"), done.stderr


def test_the_choice_of_the_root_is_said_with_v_and_in_the_plan(
    sh: Sh,
    minictr: Callable[..., subprocess.CompletedProcess[str]],
    image: Path,
    whole_image: Path,
) -> None:
    assert "root: an overlay, because the image lacks" in sh("true", "-v").stderr
    assert "root: a bind, because" in sh("true", "-v", image=whole_image).stderr
    assert sh("true").stderr == ""
    plan = minictr("plan", whole_image, "true").stdout
    assert "BindRoot" in plan
    assert "MountOverlay" not in plan
    assert "MountOverlay" in minictr("plan", image, "true").stdout


def test_plan_launches_nothing(
    minictr: Callable[..., subprocess.CompletedProcess[str]], image: Path, directory: Path
) -> None:
    done = minictr("plan", "-B", f"{directory}:/x", image, "touch", "/x/ran")
    assert done.returncode == 0
    for phase in ("enter", "map_ids", "isolate", "build", "confine", "execute"):
        assert f"\n{phase}   " in done.stdout
    assert "touch /x/ran" in done.stdout
    assert not (directory / "ran").exists()


def test_trace_tells_every_step_of_the_plan_in_order(
    minictr: Callable[..., subprocess.CompletedProcess[str]], image: Path
) -> None:
    plan = minictr("plan", image, "true").stdout
    planned = [line.split()[0] for line in plan.splitlines() if line[:2] == "  " != line[2:4]]
    done = minictr("exec", "--trace", image, "true")
    traced = [line.split()[3] for line in done.stderr.splitlines() if "µs" in line]
    assert traced == [name for name in planned if name[0].isupper()]
