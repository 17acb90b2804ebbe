"""The cache when processes are killed in it: no part of a tree is seen, nothing stays."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from ordinary_user import User
from unpacker import (
    ROOT,
    Start,
    answer,
    entry,
    leftovers,
    shutil_remove,
    trees,
    wrapped_unsquashfs,
)

from minictr.image import inventory

KILLS = int(os.environ.get("MINICTR_TEST_KILLS", "20"))


def test_a_kill_at_any_moment_shows_no_part_of_a_tree(
    start: Start, cache: Path, large: Path
) -> None:
    began = time.monotonic()
    whole = answer(start(large, cache))
    duration = time.monotonic() - began
    killed = 0
    for seed in range(KILLS):
        shutil_remove(cache / "trees")
        process = start(large, cache)
        time.sleep(random.Random(seed).uniform(0.02, duration))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        for tree in trees(cache):
            assert tree.name == whole["name"]
            assert list(inventory.verify(entry(tree.name, iter([tree])))) == []
    assert killed > KILLS // 2
    assert answer(start(large, cache)) == whole
    assert leftovers(cache) == []


def test_unsquashfs_ends_with_a_killed_launcher(
    start: Start, cache: Path, image: Path, directory: Path, user: User
) -> None:
    note = directory / "pid"
    note.touch()
    os.chown(note, user.uid, user.gid)
    path = wrapped_unsquashfs(directory, f"echo $$ > {note}; exec sleep 60")
    process = start(image, cache, path=str(path))
    while process.poll() is None and not note.read_text().endswith("\n"):
        time.sleep(0.01)
    unpacker = int(note.read_text())
    assert unpacker in user.processes()
    process.kill()
    process.communicate()
    end = time.monotonic() + 2
    while unpacker in user.processes() and time.monotonic() < end:
        time.sleep(0.01)
    assert unpacker not in user.processes()


def test_a_stale_temporary_is_removed_by_the_next_miss_alone(
    start: Start, cache: Path, image: Path, user: User
) -> None:
    answer(start(image, cache))
    stale = cache / "tmp" / f"1-2-3-4-5.99999-0.{os.uname().nodename}"
    (stale / "root" / "closed" / "deep").mkdir(parents=True)
    for path in (stale / "root" / "closed" / "deep", stale / "root" / "closed", stale):
        os.chown(path, user.uid, user.gid)
        path.chmod(0)
    os.chown(stale / "root", user.uid, user.gid) if ROOT else None
    answer(start(image, cache))
    assert stale.exists()
    shutil_remove(cache / "trees")
    (cache / "trees").mkdir(mode=0o700)
    os.chown(cache / "trees", user.uid, user.gid)
    answer(start(image, cache))
    assert not stale.exists()


def test_a_temporary_in_use_stays(
    start: Start, cache: Path, image: Path, large: Path, directory: Path
) -> None:
    path = wrapped_unsquashfs(directory, "sleep 1.5")
    slow = start(large, cache, path=str(path))
    while not list(cache.glob("tmp/*")):
        time.sleep(0.01)
    answer(start(image, cache))
    assert list(cache.glob("tmp/*"))
    assert "root" in answer(slow)
    assert len(trees(cache)) == 2
