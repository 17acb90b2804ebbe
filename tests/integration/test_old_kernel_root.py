"""The root on kernels before 5.11, which have no overlayfs for users: binds on a skeleton."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_mounts
from ordinary_user import User
from readable import Checkout
from small_images import contents, give, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = "tests/integration/launch_on_old_kernel.py"


@pytest.fixture
def old(
    run_as_user: Sh, checkout: Checkout, warm: Path, nothing_left: None
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """old(*arguments): exec or plan as on Linux 5.10."""

    def run(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        python = ["/usr/bin/python3", "-I"]
        site = f"import sys; sys.path.append({str(checkout.site)!r}); "
        code = f"{site}sys.argv[0] = {PROGRAM!r}; exec(open(sys.argv.pop(1)).read())"
        words = [checkout.root / PROGRAM, "5", "10", checkout.root, *arguments]
        env = {"MINICTR_CACHEDIR": str(warm)}
        return run_as_user([*python, "-c", code, *words], env=env, **more)

    return run


@pytest.fixture
def own(directory: Path, user: User) -> Path:
    """An image with a file, a link and a directory beside every new mount point."""
    image = make_image(directory / "own", user)
    (image / "var/lib").mkdir()
    (image / "var/file").write_text("file\n")
    (image / "var/link").symlink_to("file")
    (image / "var/a b").mkdir()
    (image / "top").write_text("top\n")
    (image / "dangling").symlink_to("/nowhere")
    return give(image, user)


def test_the_plan_says_which_root_and_why(old: Sh, own: Path) -> None:
    shown = old("plan", own, "true").stdout
    assert "BindTree" in shown
    assert "MountOverlay" not in shown
    assert "because the kernel has no overlayfs in user namespaces" in shown


def test_everything_of_the_image_is_there_and_read_only(
    old: Sh, own: Path, directory: Path, user: User
) -> None:
    before = contents(own)
    script = """
    ls -A /; ls -A /var; cat /var/file /var/link /top /x/y/f; readlink /dangling; id -un
    touch /new /var/new /etc/new /bin/new "/var/a b/new" /var/lib/new 2>&1 | grep -c Read-only
    """
    (directory / "f").write_text("bound\n")
    options = ("-B", f"{directory}:/x/y", "-B", f"{directory}:/var/bound")
    done = old("exec", *options, own, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in own.iterdir()} | {"x"}
    lines = done.stdout.splitlines()
    assert set(lines[: len(names)]) == names
    below = {path.name for path in (own / "var").iterdir()}
    assert set(lines[len(names) : -7]) == below | {"bound"}
    assert lines[-7:] == ["file", "file", "top", "bound", "/nowhere", user.name, "6"]
    assert contents(own) == before


def test_every_mount_of_the_image_is_read_only_without_set_ids(old: Sh, own: Path) -> None:
    done = old("exec", "-C", own, "sh", "-c", "cat /proc/self/mountinfo")
    mounts = read_mounts(done.stdout)
    for point in ("/", "/bin", "/var", "/top", "/root"):
        assert mounts[point].options >= {"ro", "nosuid", "nodev"}
    assert not any(point.startswith(("/host", "/skeleton", "/files")) for point in mounts)


def test_a_sif_runs(old: Sh, sif: Path) -> None:
    done = old("exec", sif, "sh", "-c", "echo ok; id -u > /dev/null && touch /etc/x")
    assert done.stdout == "ok\n"
    assert "Read-only" in done.stderr


def test_options_work_as_on_a_new_kernel(old: Sh, own: Path, directory: Path) -> None:
    (directory / "f").write_text("bound\n")
    done = old("exec", "-f", "-B", f"{directory}:/b:ro", "--pwd", "/b", own, "sh", "-c",
               "id -u; cat f; touch n; pwd")  # fmt: skip
    assert done.stdout == "0\nbound\n/b\n"
    assert "Read-only" in done.stderr


def test_links_of_the_image_at_mount_points(
    old: Sh, own: Path, user: User, directory: Path
) -> None:
    shutil.rmtree(own / "tmp")
    (own / "tmp").symlink_to("var/lib")
    (own / "etc/resolv.conf").symlink_to("/run/nowhere/resolv.conf")
    give(own, user)
    done = old("exec", own, "sh", "-c", f"ls -ld /tmp | cut -c1; test -d {directory} && echo ok")
    assert done.stdout == "l\nok\n", done.stderr


def test_memory_above_the_image_is_refused(old: Sh, own: Path) -> None:
    done = old("exec", "--writable-tmpfs", own, "true")
    assert done.returncode == 125
    assert "5.11" in done.stderr
