"""Mount points that an image lacks are made while it is unpacked, so that a bind serves it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User
from readable import Checkout
from skipping import require_program

Minictr = Callable[..., subprocess.CompletedProcess[str]]


def squashed(tree: Path, image: Path) -> Path:
    """The squashfs of a directory."""
    program = require_program("mksquashfs", "MC0127", "squashfs-tools")
    options = ["-noappend", "-quiet", "-no-progress", "-all-root"]
    subprocess.run([program, tree, image, *options], check=True, capture_output=True)
    return image


def test_an_image_without_mount_points_is_bound(
    run_as_user: RunAsUser, checkout: Checkout, user: User, cache: Path, nothing_left: None
) -> None:
    environ = {"MINICTR_CACHEDIR": str(cache), "HOME": str(user.home)}
    image = checkout.root / "tests/data/images/bb-gzip.sif"
    command = [checkout.program, "-v", "exec", image, "stat", "-c", "%Y", "/etc"]
    done = run_as_user(command, env=environ, cwd=user.home)
    assert "root: a bind, because the image has every mount point" in done.stderr
    tree = next(cache.glob("trees/*/root"))
    assert (tree / str(user.home).lstrip("/")).is_dir()
    # The image's own times are kept: mksquashfs wrote them long ago.
    assert int(done.stdout) < tree.parent.stat().st_ctime - 3600
    verified = run_as_user([checkout.program, "cache", "verify"], env=environ)
    assert (verified.returncode, verified.stdout.split()[-1]) == (0, "unchanged")


def test_what_cannot_be_a_mount_point_is_left_alone(
    minictr: Minictr, directory: Path, user: User, cache: Path
) -> None:
    tree = directory / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "real").mkdir()
    (tree / "var").symlink_to("real")
    (tree / "sys").write_text("a file\n")
    (tree / "etc").mkdir()
    (tree / "etc/localtime").symlink_to("../usr/share/zoneinfo/Etc/UTC")
    done = minictr("exec", squashed(tree, directory / "odd.sqfs"), "true")
    assert done.returncode == 127  # there is no such command in it
    root = next(cache.glob("trees/*/root"))
    assert (root / "sys").read_text() == "a file\n"
    assert not list((root / "real").iterdir())
    assert not (root / "usr").exists()
    assert (root / "etc/hosts").read_text() == ""
    assert (root / "proc").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("home", ["/a/../../../../up", "/home//some/./body", "/home/" + "x" * 300])
def test_a_home_that_leads_up_is_left_alone(
    run_as_user: RunAsUser, checkout: Checkout, directory: Path, cache: Path, home: str
) -> None:
    environ = {"MINICTR_CACHEDIR": str(cache), "HOME": home}
    image = checkout.root / "tests/data/images/bb-gzip.sif"
    run_as_user([checkout.program, "exec", "--no-home", image, "true"], env=environ)
    assert {path.name for path in directory.iterdir()} <= {"cache"}
    assert not list(cache.glob("tmp/*"))
    assert not (cache / "up").exists()
    verified = run_as_user([checkout.program, "cache", "verify"], env=environ)
    assert verified.stdout == "" or verified.stdout.split()[-1] == "unchanged"
