"""The index: which tree an image file leads to, and which entries are not trusted."""

from __future__ import annotations

import marshal
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from skipping import require

from minictr.image import index
from minictr.image.tree import Tree
from minictr.modules import cache_directory

NAME = "ab" * 32
SCRIPTS = (("/.singularity.d/env/90-environment.sh", "export A=\udcff\n"),)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.sif"
    path.write_bytes(b"an image")
    return path


@pytest.fixture
def cache(tmp_path: Path, image: Path) -> Path:
    """A cache that holds the tree of `image`."""
    directory = tmp_path / "cache"
    for part in ("index", f"trees/{NAME}/root"):
        (directory / part).mkdir(parents=True)
    directory.chmod(0o700)
    (directory / f"trees/{NAME}/lock").touch(0o600)
    write_entry(directory, image)
    return directory


def write_entry(cache: Path, image: Path, form: int = index.FORMAT) -> Path:
    entry = (form, NAME, "sif", "own", True, SCRIPTS, str(image))
    path = cache / "index" / index.key_of(index.identity_of(os.stat(image)))
    path.touch(0o600)
    path.write_bytes(marshal.dumps(entry, 4))
    return path


@pytest.fixture
def found(image: Path, cache: Path) -> Iterator[Tree]:
    tree = index.find(str(image), str(cache))
    assert tree
    yield tree
    os.close(tree.lock)


def missed(image: Path, cache: Path) -> bool:
    return index.find(str(image), str(cache)) is None


def test_an_entry_gives_all_that_a_launch_needs(found: Tree, cache: Path) -> None:
    root = f"{cache}/trees/{NAME}/root"
    assert found == Tree(root, "sif", NAME, "own", True, SCRIPTS, found.lock)


def test_the_lock_is_not_inherited_by_the_payload(found: Tree) -> None:
    assert not os.get_inheritable(found.lock)


def test_an_image_without_an_entry_is_a_miss(tmp_path: Path, cache: Path) -> None:
    other = tmp_path / "other.sif"
    other.write_bytes(b"an image")
    assert missed(other, cache)
    assert missed(tmp_path / "absent.sif", cache)


def test_a_file_written_over_is_a_miss_though_size_and_mtime_are_kept(
    image: Path, cache: Path
) -> None:
    before = image.stat()
    time.sleep(0.02)
    image.write_bytes(b"AN IMAGE")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert image.stat().st_mtime_ns == before.st_mtime_ns
    assert missed(image, cache)


def test_a_copy_with_the_same_size_and_times_is_a_miss(image: Path, cache: Path) -> None:
    before = image.stat()
    copy = image.with_name("copy")
    copy.write_bytes(b"an image")
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(copy, image)
    assert missed(image, cache)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_an_entry_that_others_can_reach_is_ignored(image: Path, cache: Path, mode: int) -> None:
    write_entry(cache, image).chmod(mode)
    assert missed(image, cache)


@pytest.mark.parametrize("what", ["entry", "cache"])
def test_what_belongs_to_another_user_is_ignored(image: Path, cache: Path, what: str) -> None:
    require(os.geteuid() == 0, "ROOT", "only root can give a file away")
    os.chown(write_entry(cache, image) if what == "entry" else cache, 65534, 65534)
    assert missed(image, cache)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_cache_that_others_can_write_is_ignored(image: Path, cache: Path, mode: int) -> None:
    cache.chmod(mode)
    assert missed(image, cache)


def test_an_entry_that_is_a_symbolic_link_is_ignored(image: Path, cache: Path) -> None:
    entry = write_entry(cache, image)
    entry.rename(cache / "elsewhere")
    entry.symlink_to(cache / "elsewhere")
    assert missed(image, cache)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"(", marshal.dumps((1, 2)), marshal.dumps(7)]
)
def test_a_damaged_entry_is_a_miss(image: Path, cache: Path, content: bytes) -> None:
    write_entry(cache, image).write_bytes(content)
    assert missed(image, cache)


def test_every_beginning_of_an_entry_is_a_miss(image: Path, cache: Path) -> None:
    entry = write_entry(cache, image)
    whole = entry.read_bytes()
    for length in range(len(whole)):
        entry.write_bytes(whole[:length])
        assert missed(image, cache), length


def test_an_entry_of_another_format_is_a_miss(image: Path, cache: Path) -> None:
    write_entry(cache, image, form=index.FORMAT + 1)
    assert missed(image, cache)


def test_an_entry_whose_tree_is_gone_is_a_miss(image: Path, cache: Path) -> None:
    (cache / "trees" / NAME).rename(cache / "elsewhere")
    assert missed(image, cache)


def test_a_miss_leaves_no_descriptor_open(image: Path, cache: Path) -> None:
    (cache / "trees" / NAME / "lock").unlink()
    before = os.listdir("/proc/self/fd")
    assert missed(image, cache)
    assert os.listdir("/proc/self/fd") == before


def test_a_use_is_noted_when_the_last_note_is_old(image: Path, cache: Path) -> None:
    lock = cache / "trees" / NAME / "lock"
    now = time.time()
    for age in (60, 2 * index.NOTE_AGE):
        os.utime(lock, (now - age, now - age))
        tree = index.find(str(image), str(cache))
        assert tree
        os.close(tree.lock)
        noted = lock.stat().st_mtime > now - 30
        assert noted == (age > index.NOTE_AGE)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MINICTR_CACHEDIR": "/fast/me", "XDG_CACHE_HOME": "/x"}, "/fast/me"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/minictr"),
        ({"XDG_CACHE_HOME": "x"}, "/home/me/.cache/minictr"),
        ({"MINICTR_CACHEDIR": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/minictr"),
        ({}, "/home/me/.cache/minictr"),
    ],
)
def test_the_cache_directory_follows_the_environment(
    environ: dict[str, str], expected: str
) -> None:
    assert cache_directory({"HOME": "/home/me", **environ}) == expected


def test_a_relative_cache_directory_becomes_absolute() -> None:
    assert cache_directory({"MINICTR_CACHEDIR": "c"}) == f"{os.getcwd()}/c"
