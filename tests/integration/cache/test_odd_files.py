"""Whatever stands where the cache has a file or a directory: no launch waits for it, or breaks."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import User
from readable import Checkout
from small_images import give

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# What a cache holds after a few launches, and what it holds while one unpacks.
DIRECTORIES = ("trees", "index", "code", "filters", "config", "tmp", "locks", "trees/*/root")
FILES = (
    "trees/*/lock", "trees/*/manifest", "trees/*/record", "index/*", "code/*", "filters/*",
    "config/*", "locks/KEY",
)  # fmt: skip
CASES = [
    *((place, kind) for place in (*DIRECTORIES, "trees/*") for kind in ("FIFO", "loop")),
    *((place, kind) for place in FILES for kind in ("FIFO", "directory", "loop")),
    *((place, "socket") for place in ("trees/*/lock", "locks/KEY")),
    *((place, "endless") for place in ("trees/*/manifest", "trees/*/record", "index/*")),
]


@pytest.fixture(scope="module")
def options(room: Path, user: User) -> Path:
    """A configuration file, which every launch here reads."""
    path = room / "options.toml"
    path.write_text("no-home = true\n")
    return give(path, user)


@pytest.fixture(scope="module")
def pattern(
    run_as_user: Run, checkout: Checkout, sif: Path, options: Path, room: Path, user: User
) -> Path:
    """A cache after launches that have kept all there is to keep."""
    cache = room / "pattern-of-a-cache"
    cache.mkdir(mode=0o700)
    give(cache, user)
    for _ in range(3):
        command = [checkout.program, "--config", options, "exec", sif, "true"]
        done = run_as_user(command, env={"MINICTR_CACHEDIR": str(cache)})
        assert done.returncode == 0, done.stderr
    return cache


def put(kind: str, path: Path, user: User) -> None:
    """Something of that kind in the place of what is there."""
    if path.is_dir() and not path.is_symlink():
        subprocess.run(["chmod", "-R", "u+rwx", path], check=True)
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir(mode=0o700)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        os.mknod(path, 0o600 | (stat.S_IFIFO if kind == "FIFO" else stat.S_IFSOCK))
    give(path, user)


@pytest.mark.parametrize(("place", "kind"), CASES)
def test_what_stands_in_the_place_of_a_file_is_replaced_or_named(
    minictr: Run, sif: Path, pattern: Path, options: Path, cache: Path, user: User, place: str,
    kind: str,
) -> None:  # fmt: skip
    subprocess.run(["cp", "-a", pattern, cache], check=True)
    key = next((cache / "index").iterdir()).name
    path = next(cache.glob(place.replace("KEY", key)), cache / place.replace("KEY", key))
    put(kind, path, user)
    if place == "locks/KEY":  # which is asked for where the image has to be unpacked
        (cache / "index" / key).unlink()
    launch = ("--config", options, "exec", sif, "true")
    for words in (launch, ("cache", "list"), ("cache", "verify"), ("cache", "clean"), launch):
        done = minictr(*words, timeout=20)
        said = f"{words}: {done.stdout}{done.stderr}"
        assert "Traceback" not in said, said
        assert "MC0000" not in said, said
        assert done.returncode in (0, 1, 125), said  # 1: verify sees that the cache was changed
        if done.returncode == 125:
            assert str(path) in said, said
            assert said.count("minictr: error: ") == 1, said
    assert not [
        name for part in ("code", "filters", "config") for name in temporaries(cache / part)
    ]


def temporaries(part: Path) -> list[str]:
    """What a writer left that could not put its file in place."""
    if not part.is_dir():
        return []
    names = [path.name for path in part.iterdir() if path.is_file()]
    return [name for name in names if name.startswith(".") or name.rpartition(".")[2].isdigit()]
