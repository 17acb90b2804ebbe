"""Images unpacked once, whatever asks for them at the same time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import PARTITION_AT, patched
from ordinary_user import User
from unpacker import (
    Start,
    answer,
    entry,
    leftovers,
    trees,
    wrapped_unsquashfs,
)

from minictr.image import index, inventory


def test_sixteen_at_once_unpack_once(
    start: Start, directory: Path, cache: Path, image: Path, user: User
) -> None:
    log = directory / "log"
    log.touch()
    os.chown(log, user.uid, user.gid)
    path = wrapped_unsquashfs(directory, f"echo run >> {log}; sleep 0.5")
    running = [start(image, cache, path=str(path)) for _ in range(16)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert {status for *_, status in ended} == {0}
    assert len({json.loads(out)["root"] for out, *_ in ended}) == 1
    assert log.read_text() == "run\n"
    assert sum("Waiting for another process" in err for _, err, _ in ended) >= 1
    assert leftovers(cache) == []


def test_two_files_of_one_content_share_a_tree(
    start: Start, cache: Path, image: Path, directory: Path
) -> None:
    shutil.copy2(image, directory / "copy.sif")
    shutil.copymode(image, directory / "copy.sif")
    both = [start(image, cache), start(directory / "copy.sif", cache)]
    assert len({answer(process)["root"] for process in both}) == 1
    assert len(trees(cache)) == 1
    assert len(list((cache / "index").iterdir())) == 2
    assert leftovers(cache) == []


def test_a_known_content_is_not_unpacked_again(
    start: Start, cache: Path, image: Path, directory: Path
) -> None:
    first = answer(start(image, cache))
    path = wrapped_unsquashfs(directory, "exit 99")
    image.chmod(0o600)  # sets the ctime, as touch and cp do
    assert answer(start(image, cache, path=str(path))) == first


def test_a_tampered_copy_gets_its_own_tree(start: Start, cache: Path, image: Path) -> None:
    """Same path, same size, same mtime: the content decides, and it is found again."""
    times = image.stat()
    raw = image.read_bytes()
    names = []
    for content in (raw, patched(raw, PARTITION_AT + 8, b"\1"), raw):  # the time of creation
        image.write_bytes(content)
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
        names.append(answer(start(image, cache))["name"])
    assert names[0] == names[2] != names[1]
    assert len(trees(cache)) == 2


def test_damaged_data_is_refused_and_leaves_nothing(start: Start, cache: Path, image: Path) -> None:
    raw = bytearray(image.read_bytes())
    raw[200_000:200_100] = bytes(100)
    image.write_bytes(raw)
    refusal = answer(start(image, cache))
    assert refusal["code"] == "MC0120"
    assert "uncompress failed" in refusal["proof"]
    assert trees(cache) == []
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    "write", ["truncate -s 700000 {}", "dd if=/dev/zero of={} bs=1000 seek=500 count=20"]
)
def test_an_image_that_is_written_meanwhile_is_not_called_damaged(
    start: Start, cache: Path, image: Path, directory: Path, write: str
) -> None:
    written = write.format(image) + " conv=notrunc" * write.startswith("dd") + " 2>/dev/null"
    path = wrapped_unsquashfs(directory, f"sleep 0.1; {written}")
    refusal = answer(start(image, cache, path=str(path)))
    assert (refusal["code"], "once nothing writes" in refusal["fix"]) == ("MC0103", True)
    assert leftovers(cache) == []
    assert trees(cache) == []
    assert answer(start(image, cache))["code"] in ("MC0112", "MC0120")  # it is damaged by now


def test_device_nodes_and_closed_directories_are_no_obstacle(
    start: Start, cache: Path, large: Path
) -> None:
    tree = Path(answer(start(large, cache))["root"])
    assert list(inventory.verify(entry(tree.parent.name, iter([tree.parent])))) == []
    assert not (tree / "null").exists()
    assert not (tree / "disk").exists()
    assert (tree / "d1").stat().st_mode & 0o777 == 0o555
    assert (tree / "d2").stat().st_mode & 0o777 == 0
    assert len(list((tree / "d1").iterdir())) == 60


def test_a_launch_finds_what_was_unpacked(start: Start, cache: Path, image: Path) -> None:
    name = answer(start(image, cache))["name"]
    if os.geteuid() == os.stat(cache).st_uid:
        tree = index.find(str(image), str(cache))
        assert tree
        assert tree.name == name
        os.close(tree.lock)
    else:
        assert index.find(str(image), str(cache)) is None  # it is not ours to trust


@pytest.mark.parametrize("links", ["cache", "above"])
def test_a_cache_behind_a_symbolic_link_is_used(
    minictr: Callable[..., subprocess.CompletedProcess[str]], user: User, directory: Path,
    image: Path, links: str,
) -> None:  # fmt: skip
    """As where /home or ~/.cache is a link to another disk."""
    real, link = directory / "disk", directory / "link"
    real.mkdir()
    os.chown(real, user.uid, user.gid)
    link.symlink_to(real)
    env = {"MINICTR_CACHEDIR": str(link if links == "cache" else link / "deep/cache")}
    for word in ("unpacked", "found"):
        done = minictr("exec", image, "echo", word, env=env)
        assert (done.returncode, done.stdout) == (0, f"{word}\n"), done.stderr
