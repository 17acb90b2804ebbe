"""Paths inside a tree: resolved as a process will see them whose root it is."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from minictr.image.tree import Tree, kind_of, resolve


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with links of every kind, and a file outside it."""
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/sh").write_text("")
    (tree / "etc").mkdir()
    (tree / "bin").symlink_to("usr/bin")
    (tree / "absolute").symlink_to("/usr/bin")
    (tree / "above").symlink_to("../../../../../../etc")
    (tree / "dangling").symlink_to("/gone/away")
    (tree / "loop").symlink_to("loop")
    (tree / "usr/up").symlink_to("../etc")
    (tree / "self").symlink_to("/")
    (tmp_path / "outside").write_text("")
    return tree


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", ""),
        ("", ""),
        ("/usr/bin/sh", "/usr/bin/sh"),
        ("usr//./bin/sh", "/usr/bin/sh"),
        ("/bin/sh", "/usr/bin/sh"),
        ("/absolute/sh", "/usr/bin/sh"),
        ("/above/passwd", "/etc/passwd"),
        ("/usr/up/passwd", "/etc/passwd"),
        ("/bin/..", "/usr"),
        ("/../../outside", "/outside"),
        ("/self/self/bin", "/usr/bin"),
        ("/dangling", "/gone/away"),
        ("/dangling/more", "/gone/away/more"),
        ("/new/dir", "/new/dir"),
        ("/new/../etc", "/etc"),
        ("/usr/bin/sh/below", "/usr/bin/sh/below"),
    ],
)
def test_a_path_is_resolved_inside_the_tree(root: Path, path: str, target: str) -> None:
    assert resolve(str(root), path) == str(root) + target
    assert resolve(f"{root}/", path) == str(root) + target


def test_the_hosts_root_is_a_tree_too(tmp_path: Path) -> None:
    assert resolve("/", "/") == "/"
    assert resolve("/", str(tmp_path)) == os.path.realpath(tmp_path)


def test_what_was_looked_at_is_not_looked_at_again(root: Path) -> None:
    """What is known of the paths decides, and gives the same answers as a new look."""
    modes: dict[str, int] = {}
    paths = ("/usr/bin/sh", "/bin/sh", "/absolute/sh", "/above", "/usr/up/passwd", "/self/etc")
    fresh = [resolve(str(root), path) for path in paths]
    assert [resolve(str(root), path, modes) for path in paths] == fresh
    assert stat.S_ISLNK(modes[f"{root}/bin"])
    assert modes[f"{root}/etc/passwd"] == 0
    (root / "bin").unlink()
    (root / "bin").mkdir()
    modes = {path: mode for path, mode in modes.items() if path != f"{root}/bin"}
    (root / "usr/up").unlink()
    assert resolve(str(root), "/bin/sh", modes) == f"{root}/bin/sh"
    with pytest.raises(FileNotFoundError):
        resolve(str(root), "/usr/up/passwd", modes)  # still a link for all that is known


def test_a_loop_raises_eloop(root: Path) -> None:
    with pytest.raises(OSError, match="more than 40") as caught:
        resolve(str(root), "/loop/x")
    assert caught.value.errno == errno.ELOOP


def test_forty_links_are_followed_and_the_next_is_not(root: Path) -> None:
    (root / "0").symlink_to("/etc")
    for number in range(1, 41):
        (root / str(number)).symlink_to(str(number - 1))
    assert resolve(str(root), "/39") == f"{root}/etc"
    with pytest.raises(OSError, match="more than 40"):
        resolve(str(root), "/40")


def test_the_kind_is_that_of_the_target(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(root / "socket"))
    expected = {
        "/": "directory",
        "/bin": "directory",
        "/absolute/sh": "file",
        "/dangling": "",
        "/gone": "",
        "/usr/bin/sh/below": "",
        "/loop": "other",
        "/fifo": "other",
        "/socket": "other",
        "/../outside": "",
    }
    assert {path: kind_of(str(root), path) for path in expected} == expected


def test_a_name_too_long_is_not_taken_for_absent(root: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        kind_of(str(root), "/" + "x" * 256)
    assert caught.value.errno == errno.ENAMETOOLONG


def test_a_tree_has_no_lock_unless_it_is_given() -> None:
    tree = Tree("/root", "sif", "00", "own", True, (("/.singularity.d/env/01", "x=1"),))
    assert tree.lock == -1
    assert tree.replace(lock=3).lock == 3


def test_a_launch_imports_nothing_heavy_for_it() -> None:
    code = "import sys; import minictr.image.tree; print(*sorted(sys.modules))"
    root = Path(sys.modules["minictr"].__path__[0]).parent
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(root)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(said.stdout.split())
    assert "minictr.image.tree" in loaded
    assert not loaded & {"os", "stat", "re", "enum", "typing", "struct", "minictr.image.sif"}
