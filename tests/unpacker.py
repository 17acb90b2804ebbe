"""A process that unpacks an image into a cache, and what the tests look at afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from ordinary_user import User, credentials

from minictr.image import inventory

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
ROOT = os.geteuid() == 0

# Prints the tree or the refusal as JSON; with "hold" it keeps the tree until its stdin ends.
DRIVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from minictr.image.cache import ensure
from minictr.refusal import Refusal
def say(text):
    print(text, file=sys.stderr, flush=True)
try:
    tree = ensure(sys.argv[2], sys.argv[3], say, False)
except Refusal as refusal:
    names = ("code", "cause", "proof", "fix")
    print(json.dumps({name: getattr(refusal, name) for name in names}))
    sys.exit(125)
print(json.dumps({"root": tree.root, "name": tree.name}), flush=True)
if "hold" in sys.argv:
    sys.stdin.read()
"""

Start = Callable[..., "subprocess.Popen[str]"]
Answer = dict[str, str]


def answer(process: subprocess.Popen[str]) -> Answer:
    """What the driver printed, once it has ended."""
    out, err = process.communicate(timeout=120)
    assert out, err
    result: Answer = json.loads(out)
    return result


def trees(cache: Path) -> list[Path]:
    return sorted((cache / "trees").glob("*"))


def leftovers(cache: Path) -> list[str]:
    return [str(path) for part in ("tmp", "locks") for path in (cache / part).glob("*")]


def entry(name: str, paths: Iterator[Path]) -> inventory.Cached:
    directory = next(path for path in paths if path.name == name)
    return inventory.Cached(name, str(directory), 0, 0, 0.0, False, (), True)


def wrapped_unsquashfs(directory: Path, script: str) -> Path:
    """A directory with an `unsquashfs` that does something first, then runs the real one."""
    real = shutil.which("unsquashfs", path=SYSTEM_PATH)
    place = directory / "wrapped"
    place.mkdir()
    program = place / "unsquashfs"
    program.write_text(f'#!/bin/sh\n{script}\nexec {real} "$@"\n')
    program.chmod(0o755)
    return place


def shutil_remove(path: Path) -> None:
    from minictr.image.removal import remove

    remove(str(path))


def mounted(options: str, then: str = "true") -> tuple[str, ...]:
    """The beginning of a command line that runs the rest with a tmpfs mounted at its last word."""
    script = (
        f'for at; do :; done; mount -t tmpfs -o "{options}" tmpfs "$at" && {then} || exit 99; "$@"'
    )
    script += '; status=$?; find "$at" -mindepth 2 >&2; exit $status'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")


def can_mount(user: User) -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(command, capture_output=True, **credentials(user)).returncode == 0


Command = Callable[..., "subprocess.CompletedProcess[str]"]
