"""`minictr cache` beside containers that run: list, clean, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unpacker import (
    Command,
    Start,
    answer,
    leftovers,
    trees,
)


def test_the_list_names_tree_image_and_use(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    holder = start(image, cache, "hold")
    assert holder.stdout
    name = json.loads(holder.stdout.readline())["name"]
    listed = json.loads(command("list", "--json").stdout)
    assert [(each["name"], each["in_use"], each["images"]) for each in listed] == [
        (name, True, [str(image)])
    ]
    assert (listed[0]["inodes"], listed[0]["bytes"] > 1_000_000) == (326, True)
    holder.communicate("")
    table = command("list").stdout
    assert table.splitlines()[1].split()[0] == name[:12]
    assert str(image) in table


def test_clean_removes_no_tree_that_a_container_uses(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    holder = start(image, cache, "hold")
    assert holder.stdout
    name = json.loads(holder.stdout.readline())["name"]
    everything, named = command("clean", "--all"), command("clean", name[:8])
    assert (everything.returncode, named.returncode) == (0, 1)
    assert "in use" in everything.stderr
    assert len(trees(cache)) == 1
    holder.communicate("")
    assert command("clean", name[:8]).returncode == 0
    assert trees(cache) == []
    assert list((cache / "index").iterdir()) == []
    assert leftovers(cache) == []


def test_clean_alone_keeps_what_an_image_still_leads_to(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    answer(start(image, cache))
    assert command("clean").stdout == ""
    assert len(trees(cache)) == 1
    image.unlink()
    assert "removed" in command("clean").stdout
    assert trees(cache) == []


def test_verify_names_the_first_difference(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    tree = Path(answer(start(image, cache))["root"])
    unchanged = command("verify")
    assert (unchanged.returncode, unchanged.stdout.split()[-1]) == (0, "unchanged")
    (tree / "bin" / "busybox").write_bytes(b"evil")
    differs = command("verify")
    assert differs.returncode == 1
    assert "  bin/busybox was changed: size, mtime, ctime" in differs.stdout.splitlines()


def test_a_tree_is_found_again_after_clean(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    first = answer(start(image, cache))
    command("clean", "--all")
    assert answer(start(image, cache)) == first


@pytest.mark.parametrize(
    "words", [("what",), ("clean", "--some"), ("list", "x"), ("clean", "ff"), ("verify", "--all")]
)
def test_a_wrong_command_line_is_a_usage_error(
    start: Start, command: Command, cache: Path, image: Path, words: tuple[str, ...]
) -> None:
    answer(start(image, cache))
    assert command(*words).returncode == 125


def test_an_absent_cache_is_an_empty_one(command: Command, cache: Path) -> None:
    assert json.loads(command("list", "--json").stdout) == []
    assert command("clean", "--all").returncode == 0
    assert command("verify").returncode == 0
    assert not cache.exists()
