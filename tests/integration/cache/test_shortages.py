"""The cache where it cannot be written: what stops it is named, and nothing is left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ordinary_user import User
from readable import Checkout
from skipping import require
from unpacker import (
    Start,
    answer,
    can_mount,
    mounted,
    wrapped_unsquashfs,
)


@pytest.mark.parametrize(
    ("options", "then", "code", "words"),
    [
        ("size=600k,mode=700", "true", "MC0121", "bytes are free"),
        ("nr_inodes=100,mode=700", "true", "MC0122", "superblock"),
        ("mode=700", 'mount -o remount,bind,ro "$at"', "MC0125", "ST_RDONLY"),
        ("mode=777", "true", "MC0126", "mode 0777"),
    ],
)
def test_what_stops_the_cache_is_named_and_nothing_is_left(
    start: Start,
    user: User,
    cache: Path,
    image: Path,
    options: str,
    then: str,
    code: str,
    words: str,
) -> None:
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    cache.mkdir()
    os.chown(cache, user.uid, user.gid)
    process = start(image, cache, prefix=mounted(options, then))
    out, err = process.communicate(timeout=60)
    refusal = json.loads(out)
    assert refusal["code"] == code, refusal
    assert str(cache) in refusal["cause"]
    assert words in refusal["proof"]
    assert "MINICTR_CACHEDIR" in refusal["fix"] or "chmod" in refusal["fix"]
    assert err == ""


def test_inodes_that_run_out_on_the_way_are_told_from_space(
    start: Start, user: User, cache: Path, image: Path, directory: Path
) -> None:
    """Another process takes the inodes after the look at them, before they are used."""
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    cache.mkdir()
    os.chown(cache, user.uid, user.gid)
    path = wrapped_unsquashfs(
        directory, f'n=0; while [ $n -lt 300 ]; do : > "{cache}/f$n" || break; n=$((n+1)); done'
    )
    process = start(image, cache, prefix=mounted("nr_inodes=500,mode=700"), path=str(path))
    out, _ = process.communicate(timeout=60)
    refusal = json.loads(out)
    assert refusal["code"] == "MC0122", refusal
    assert "0 of 500 inodes" in refusal["proof"]


def test_a_directory_that_is_not_writable_is_refused(
    start: Start, directory: Path, image: Path, user: User
) -> None:
    require(user.uid != 0, "ROOT", "a user who is root may write everywhere")
    closed = directory / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    refusal = answer(start(image, closed / "cache"))
    assert refusal["code"] == "MC0124"
    assert "mode 0555" in refusal["proof"]


def test_a_missing_unsquashfs_is_named(
    start: Start, cache: Path, image: Path, checkout: Checkout, user: User
) -> None:
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    hide = 'for p in /usr/local/bin /usr/bin /bin; do test -e "$p/unsquashfs" && '
    hide += 'mount --bind /dev/null "$p/unsquashfs"; done; exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hide, "sh")
    refusal = answer(start(image, cache, prefix=prefix))
    assert refusal["code"] == "MC0118"
    assert "/usr/bin" in refusal["proof"]
    assert "squashfs-tools" in refusal["fix"]
