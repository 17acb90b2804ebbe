"""Gives the tests of the cache images, a process that unpacks them and `minictr cache`."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import IMAGES
from ordinary_user import User, credentials
from readable import Checkout
from skipping import require_program
from unpacker import (
    DRIVER,
    SYSTEM_PATH,
    Start,
)


@pytest.fixture
def start(user: User, checkout: Checkout, directory: Path) -> Start:
    """start(image, cache, *words, prefix=(), path=""): the driver as the ordinary user."""
    require_program("unsquashfs", "MC0118", "squashfs-tools")
    python = os.path.realpath(sys.executable)

    def run(
        image: Path, cache: Path, *words: str, prefix: tuple[str, ...] = (), path: str = ""
    ) -> subprocess.Popen[str]:
        command = [*prefix, python, "-I", "-S", "-c", DRIVER, str(checkout.root)]
        return subprocess.Popen(
            [*command, str(image), str(cache), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env={"PATH": f"{path}:{SYSTEM_PATH}", "HOME": str(directory)},
            **credentials(user),  # type: ignore[arg-type]
        )

    return run


@pytest.fixture(scope="session")
def large(room: Path) -> Path:
    """A squashfs of 3000 files with directories of mode 0555 and 0000, and device nodes."""
    program = require_program("mksquashfs", "MC0127", "squashfs-tools")
    source = room / "large"
    for number in range(3000):
        path = source / f"d{number % 50}" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(2000))
    devices = ["null c 666 0 0 1 3", "disk b 600 0 0 7 0", "d1 m 555 0 0", "d2 m 0 0 0"]
    pseudo = [word for device in devices for word in ("-p", device)]
    image = room / "large.sqfs"
    subprocess.run(
        [program, source, image, "-noappend", "-quiet", "-no-progress", *pseudo],
        check=True,
        capture_output=True,
    )
    return image


@pytest.fixture
def image(directory: Path, user: User) -> Path:
    """A small SIF of the user's own."""
    path = directory / "image.sif"
    shutil.copy(IMAGES / "bb-gzip.sif", path)
    os.chown(path, user.uid, user.gid)
    return path


@pytest.fixture
def command(
    user: User, checkout: Checkout, cache: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """command(*words): `minictr cache WORDS` as the user; a refusal gives status 125."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from minictr.cli import cache; from minictr.refusal import Refusal\n"
        "try: sys.exit(cache.main(sys.argv[3:], {'MINICTR_CACHEDIR': sys.argv[2]}))\n"
        "except Refusal as refusal: sys.exit(125 if refusal.code == 'usage' else 126)\n"
    )
    base = [os.path.realpath(sys.executable), "-I", "-S", "-c", code, str(checkout.root)]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, str(cache), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **credentials(user),  # type: ignore[arg-type]
        )

    return run
