"""Served images with files of other ids than root's: they are the caller's, as once unpacked."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User
from readable import Checkout
from served_images import require_device, squashed
from skipping import require, require_program
from small_images import make_image
from unpacker import can_mount

from minictr.cli.first import BIG

Minictr = Callable[..., subprocess.CompletedProcess[str]]
# As a Dockerfile leaves them: a home directory, a spool that only its group may enter, a secret.
OTHERS = ("home/somebody m 700 4242 4242", "spool d 770 0 8", "secret f 600 7 7 echo secret")
LIST = "cat /secret; ls /home/somebody; stat -c '%n %a %u %g' /secret /home/somebody /spool"
# Mounts nothing over the programs that follow, then runs what is behind --.
WITHOUT = 'while [ "$1" != -- ]; do mount --bind /dev/null "$1"; shift; done; shift; exec "$@"'


@pytest.fixture(scope="module", autouse=True)
def device(fuse: bool) -> None:
    """What serves an image."""
    require_device(fuse)


@pytest.fixture(scope="module")
def big(user: User, room: Path) -> Path:
    """A big image which root has built: not all in it is root's."""
    tree = make_image(room / "ids-tree", user)
    (tree / "filler").write_bytes(random.Random(1).randbytes(BIG + (1 << 20)))
    (tree / "home/somebody").mkdir()
    (tree / "home/somebody/file").write_text("inside\n")
    owners = [word for path in sorted(tree.rglob("*")) for word in owned(path, tree)]
    others = [word for line in OTHERS for word in ("-p", line)]
    return squashed(tree, room / "ids.sqfs", *owners, *others)


def owned(path: Path, tree: Path) -> tuple[str, ...]:
    """The words for mksquashfs that give a file or directory to root, which need no root."""
    if path.is_symlink() or path.name == "somebody":
        return ()
    mode = path.stat().st_mode & 0o7777
    return "-p", f"{path.relative_to(tree)} m {mode:o} 0 0"


@pytest.mark.parametrize("options", [(), ("--fakeroot",), ("--no-home", "--contain")])
def test_every_file_is_the_callers_served_as_unpacked(
    minictr: Minictr, big: Path, options: tuple[str, ...]
) -> None:
    require_program("squashfuse", "MC0140", "squashfuse")
    seen = [
        minictr("-v", "exec", *options, "--unpack", unpack, big, "sh", "-c", LIST)
        for unpack in ("never", "now")
    ]
    assert "serves it" in seen[0].stderr
    assert "serves it" not in seen[1].stderr
    assert "secret\nfile\n" in seen[0].stdout
    assert seen[0].stdout == seen[1].stdout


def test_it_is_unpacked_at_once_where_nothing_can_give_the_files_to_the_caller(
    run_as_user: RunAsUser, checkout: Checkout, user: User, big: Path, cache: Path
) -> None:
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    hidden = require_program("squashfuse", "MC0140", "squashfuse")
    require(knows_no_uid(), "MC0140", "squashfuse_ll is of release 0.2 or later")
    before = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", WITHOUT, "sh"]

    def launch(*options: str) -> subprocess.CompletedProcess[str]:
        words = [checkout.program, "-v", "exec", *options, big, "sh", "-c", LIST]
        return run_as_user([*before, hidden, "--", *words], env={"MINICTR_CACHEDIR": str(cache)})

    never = launch("--unpack", "never")
    assert "squashfuse_ll serves it" in never.stderr
    assert "secret" not in never.stdout.splitlines()
    done = launch()
    assert "unpack: at once, because" in done.stderr
    assert "secret\nfile\n" in done.stdout


def knows_no_uid() -> bool:
    """Whether squashfuse_ll is a release before 0.2."""
    said = subprocess.run(["squashfuse_ll", "--version"], capture_output=True, text=True)
    return " 0.1." in said.stdout + said.stderr
