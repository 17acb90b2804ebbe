"""Served images that cannot be unpacked: damaged ones, and those the cache has no room for."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User
from readable import Checkout
from served_images import require_device, squashed, with_damaged_data, with_damaged_entry
from skipping import require
from small_images import busybox, give, make_image
from unpacker import can_mount

from minictr.cli.first import BIG

Minictr = Callable[..., subprocess.CompletedProcess[str]]
Wait = Callable[..., None]
MEGABYTE = 1 << 20
# Waits until what unpacks behind a launch has ended.
SETTLED = 'until [ -e "$at"/index/* ] && [ -z "$(ls "$at/tmp")" ]; do sleep 0.1; done'


@pytest.fixture(scope="module", autouse=True)
def device(fuse: bool) -> None:
    """What serves an image."""
    require_device(fuse)


@pytest.fixture(scope="module")
def tree(user: User, room: Path) -> Path:
    """What is in the images: /aaa, a program, is the first file, and nobody else reads it."""
    path = make_image(room / "failing-tree", user)
    (path / "aaa").write_bytes(Path(busybox()).read_bytes() + b"and more")
    (path / "aaa").chmod(0o755)
    (path / "filler").write_bytes(random.Random(1).randbytes(BIG + MEGABYTE))
    return path


@pytest.fixture(scope="module")
def big(tree: Path, room: Path) -> Path:
    """An image that takes long to unpack, by its size."""
    return squashed(tree, room / "failing.sqfs")


@pytest.fixture
def damaged(big: Path, directory: Path) -> Path:
    """The same with a block that cannot be decompressed."""
    return with_damaged_data(big, directory / "damaged.sqfs")


def test_damage_is_told_at_the_next_launch_and_tried_once(
    minictr: Minictr, damaged: Path, cache: Path, eventually: Wait
) -> None:
    first = minictr("exec", damaged, "echo", "ok")
    assert (first.returncode, first.stdout, first.stderr) == (0, "ok\n", "")
    eventually(lambda: list(cache.glob("index/*")), "a note is kept")
    (note,) = cache.glob("index/*")
    kept = note.stat().st_mtime_ns
    told = f"{damaged} is damaged: its root file system cannot be unpacked [MC0120]"
    for _ in range(2):
        again = minictr("exec", damaged, "echo", "ok")
        assert (again.returncode, again.stdout) == (0, "ok\n")
        assert again.stderr.count("\n") == 1
        assert again.stderr.startswith("minictr: warning: ")
        assert told in again.stderr
    assert minictr("--silent", "exec", damaged, "true").stderr == ""
    now = minictr("exec", "--unpack", "now", damaged, "true")
    assert now.returncode == 125
    assert "proof     unsquashfs: " in now.stderr
    assert f"not unpacked: {told}" in minictr("cache", "list").stdout.replace(f"{damaged}: ", "", 1)
    assert not list(cache.glob("tmp/*"))
    assert note.stat().st_mtime_ns == kept


def test_damage_is_told_under_a_drop_in_name(
    run_as_user: RunAsUser, apptainer: Path, damaged: Path, cache: Path, eventually: Wait
) -> None:
    command = [apptainer, "exec", "--pid", damaged, "true"]
    environ = {"MINICTR_CACHEDIR": str(cache)}
    assert run_as_user(command, env=environ).stderr == ""
    eventually(lambda: list(cache.glob("index/*")), "a note is kept")
    again = run_as_user(command, env=environ)
    assert again.returncode == 0
    assert again.stderr.startswith("WARNING: ")
    assert "[MC0120]" in again.stderr


def test_cleaning_the_cache_forgets_what_failed(
    minictr: Minictr, damaged: Path, cache: Path, eventually: Wait
) -> None:
    minictr("exec", damaged, "true")
    eventually(lambda: list(cache.glob("index/*")), "a note is kept")
    assert minictr("cache", "clean").returncode == 0
    assert not list(cache.glob("index/*"))
    assert minictr("exec", damaged, "true").stderr == ""
    eventually(lambda: list(cache.glob("index/*")), "it was tried again")
    eventually(lambda: not list(cache.glob("tmp/*")), "nothing temporary is left")


def test_another_file_of_the_same_name_is_tried(
    minictr: Minictr, damaged: Path, big: Path, cache: Path, eventually: Wait
) -> None:
    minictr("exec", damaged, "true")
    eventually(lambda: list(cache.glob("index/*")), "a note is kept")
    damaged.unlink()
    damaged.write_bytes(big.read_bytes())
    assert minictr("exec", damaged, "true").stderr == ""
    eventually(lambda: list(cache.glob("trees/*")), "it is unpacked", 60)


def test_an_error_from_a_damaged_block_is_laid_to_it(minictr: Minictr, damaged: Path) -> None:
    read = minictr("exec", "--unpack", "never", damaged, "cat", "/aaa")
    assert read.returncode == 1
    assert read.stderr == "cat: read error: I/O error\n" or "nput/output error" in read.stderr
    assert "minictr" not in read.stderr
    executed = minictr("exec", "--unpack", "never", damaged, "/aaa")
    assert executed.returncode == 126
    assert "= EIO" in executed.stderr
    assert "/aaa is damaged in " in executed.stderr
    assert "[MC0648]" in executed.stderr


def test_what_a_command_lacked_is_looked_for_in_a_served_image_too(
    minictr: Minictr, directory: Path, user: User, nothing_left: None
) -> None:
    """The container is built a second time, for which the image is served a second time."""
    own = make_image(directory / "tree", user)
    (own / "bin/greet").write_text("#!/bin/env nosuch\n")
    (own / "bin/greet").chmod(0o755)
    image = squashed(own, directory / "image.sqfs")
    done = minictr("exec", "--unpack", "never", image, "greet")
    assert done.returncode == 127
    assert "env does not find 'nosuch'" in done.stderr
    assert "[MC0642]" in done.stderr
    assert "served the image" not in done.stderr
    own_end = minictr("exec", "--unpack", "never", image, "sh", "-c", "exit 127")
    assert (own_end.returncode, own_end.stderr) == (127, "")


@pytest.mark.parametrize("name", [".singularity.d", "true"])
def test_what_cannot_be_looked_up_is_damaged_and_not_missing(
    minictr: Minictr, tree: Path, directory: Path, user: User, name: str
) -> None:
    """squashfuse answers ENOENT for an entry that it cannot read."""
    small = make_image(directory / "tree", user)
    (small / ".singularity.d").mkdir()
    image = squashed(small, directory / "sound.sqfs", "-all-root", "-noI")
    script = ("exec", "--unpack", "never")
    assert minictr(*script, image, "true").returncode == 0
    image = with_damaged_entry(image, directory / "image.sqfs", name)
    done = minictr(*script, image, "true")
    assert done.returncode == (127 if name == "true" else 125)
    assert "[MC0120]" in done.stderr
    assert "proof     unsquashfs: " in done.stderr
    absent = minictr(*script, directory / "sound.sqfs", "nosuch")
    assert absent.returncode == 127
    assert "[MC0602]" in absent.stderr


@pytest.fixture
def with_room(
    run_as_user: RunAsUser, user: User, checkout: Checkout, cache: Path, big: Path
) -> Callable[[str, str], list[str]]:
    """with_room(size, script): run it with a cache on a disk of that size; what it printed."""
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    cache.mkdir()
    give(cache, user)

    def run(size: str, script: str) -> list[str]:
        start = f'mount -t tmpfs -o size={size},mode=700 none "$at" || exit 99'
        launch = f'launch() {{ {checkout.program} "$@" 2>&1; }}; settled() {{ {SETTLED}; }}'
        environ = {"MINICTR_CACHEDIR": str(cache), "at": str(cache), "IMAGE": str(big)}
        prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        done = run_as_user([*prefix, f"{start}; {launch}; {script}"], env=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_a_full_disk_is_told_and_tried_again_once_there_is_room(
    with_room: Callable[[str, str], list[str]], nothing_left: None
) -> None:
    first, again, more, tree = with_room(
        "64m",
        'head -c 50M /dev/zero >"$at/filler"\n'
        'launch exec "$IMAGE" echo first; settled; kept=$(ls -i "$at/index")\n'
        'launch exec "$IMAGE" true; settled; test "$kept" = "$(ls -i "$at/index")" || exit 9\n'
        'truncate -s 30M "$at/filler"; launch exec "$IMAGE" echo more\n'
        'until [ -e "$at"/trees/* ]; do sleep 0.1; done; settled\n'
        'launch -v exec "$IMAGE" true | grep -c serves || true',
    )
    assert first == "first"
    assert again.startswith("minictr: warning: ")
    assert "no space is left for the cache directory" in again
    assert "[MC0121]" in again
    assert more == "more"
    assert tree == "0"


def test_a_disk_without_room_for_a_note_is_told_at_once(
    with_room: Callable[[str, str], list[str]], nothing_left: None
) -> None:
    said, ran = with_room(
        "1m",
        'launch cache list >/dev/null; head -c 2M /dev/zero >"$at/filler" 2>/dev/null\n'
        'launch exec "$IMAGE" echo ran; ls "$at/tmp"',
    )
    assert "no space is left for the cache directory" in said
    assert "[MC0121]" in said
    assert ran == "ran"


def test_a_missing_unsquashfs_is_told_until_it_is_there(
    with_room: Callable[[str, str], list[str]], nothing_left: None
) -> None:
    first, again, found, last = with_room(
        "64m",
        'places=$(for p in /usr/local/bin /usr/bin /bin; do ls "$p/unsquashfs"; done 2>/dev/null)\n'
        'for p in $places; do mount --bind /dev/null "$p"; done\n'
        'launch exec "$IMAGE" echo first; settled; launch exec "$IMAGE" true\n'
        'for p in $places; do umount "$p"; done\n'
        'launch exec "$IMAGE" echo found; until [ -e "$at"/trees/* ]; do sleep 0.1; done; settled\n'
        'launch -v exec "$IMAGE" true | grep -c serves || true',
    )
    assert (first, found, last) == ("first", "found", "0")
    assert "unsquashfs is missing, which unpacks the image [MC0118]" in again
