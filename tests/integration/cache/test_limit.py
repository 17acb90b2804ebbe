"""The limit of the cache: what was used least recently goes first, and nothing in use."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from readable import Checkout
from unpacker import Start

Minictr = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def images(checkout: Checkout) -> Path:
    """Where the images are that apptainer made, and the user may read them."""
    return checkout.root / "tests/data/images"


@pytest.fixture
def launched(minictr: Minictr, cache: Path, images: Path) -> Callable[..., set[str]]:
    """launched(image, *options): launch the image; the names of the trees that it leaves."""

    def launch(image: str, *options: str) -> set[str]:
        done = minictr("exec", *options, images / image, "true")
        assert done.returncode == 0, done.stderr
        return {path.name for path in cache.glob("trees/*")}

    return launch


def age(cache: Path, names: set[str], hours: int) -> None:
    """Have trees been used last so many hours ago."""
    for name in names:
        path = cache / "trees" / name / "lock"
        seconds = path.stat().st_mtime - 3600 * hours
        os.utime(path, (seconds, seconds))


def test_the_least_recently_used_goes_first(launched: Callable[..., set[str]], cache: Path) -> None:
    gzip = launched("bb-gzip.sif")
    xz = launched("bb-xz.sif") - gzip
    age(cache, gzip, 2)
    age(cache, xz, 3)
    size = sum(path.lstat().st_size for path in cache.glob("trees/*/root/bin/busybox")) // 2
    # Room for two of three: all of them hold the same files.
    third = launched("bb-zstd.sif", "--cache-limit", str(size * 5 // 2))
    assert gzip < third
    assert not third & xz
    assert len(third) == 2
    assert not list(cache.glob("tmp/*"))


def test_what_is_in_use_and_what_is_wanted_stays(
    launched: Callable[..., set[str]], start: Start, cache: Path, images: Path
) -> None:
    holder = start(images / "bb-gzip.sif", cache, "hold")
    assert holder.stdout
    name = json.loads(holder.stdout.readline())["name"]
    age(cache, {name}, 2)
    both = launched("bb-xz.sif", "--cache-limit", "1K")
    assert name in both
    assert len(both) == 2
    holder.communicate("")
    age(cache, {name}, 2)
    assert name not in launched("bb-zstd.sif", "--cache-limit", "1K")


def test_no_limit_and_a_wrong_one(
    launched: Callable[..., set[str]], minictr: Minictr, images: Path
) -> None:
    launched("bb-gzip.sif")
    assert len(launched("bb-xz.sif", "--cache-limit", "0")) == 2
    done = minictr("exec", "--cache-limit", "5 GB", images / "bb-gzip.sif", "true")
    assert done.returncode == 125
    assert "--cache-limit takes a number" in done.stderr
