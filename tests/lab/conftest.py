"""Gives each test of the lab an image, an empty directory and a clean host around them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from conftest import remove_tree
from image_files import IMAGES
from lab.bench import SYSTEM_PATH, Lab, tools
from lab.table import write
from ordinary_user import RunAsUser, User
from readable import Checkout
from small_images import give, make_image

from minictr.diagnosis.catalogue import all_causes


@pytest.fixture(scope="session")
def pattern(user: User, room: Path) -> Path:
    """The image that the images of the tests are copies of: busybox and nothing else."""
    place = tempfile.mkdtemp(dir=room)  # the golden tests have this fixture a second time
    os.chmod(place, 0o755)
    return make_image(Path(place, "pattern"), user, mount_points=())


@pytest.fixture
def lab(
    user: User,
    directory: Path,
    cache: Path,
    checkout: Checkout,
    run_as_user: RunAsUser,
    pattern: Path,
    nothing_left: None,
    fuse: bool,
) -> Lab:
    """The lab: $IMAGE, $SIF, $DIRECTORY, $CHROOT and $USER are set in its scripts."""
    variables = variables_of(directory, cache)

    def reset() -> None:
        if os.geteuid() == 0:
            user.wait_until_idle()
        for name in ("IMAGE", "DIRECTORY", "CHROOT"):
            if Path(variables[name]).exists():
                remove_tree(Path(variables[name]))
        give(shutil.copytree(pattern, variables["IMAGE"], symlinks=True), user)
        give(Path(shutil.copy(IMAGES / "bb-gzip.sif", variables["SIF"])), user)
        for name in ("DIRECTORY", "CHROOT"):
            Path(variables[name]).mkdir()
            give(Path(variables[name]), user)

    reset()
    path = f"{checkout.program.parent}:{tools(checkout.root)}:{SYSTEM_PATH}"
    return Lab(user, run_as_user, variables, path, reset)


def variables_of(directory: Path, cache: Path) -> dict[str, str]:
    """What the scripts find in their environment."""
    return {
        "IMAGE": str(directory / "image"),
        "SIF": str(directory / "good.sif"),
        "DIRECTORY": str(directory / "empty"),
        "CHROOT": str(directory / "chroot"),
        "MINICTR_CACHEDIR": str(cache),
        "MINICTR_DIAGNOSIS": "json",
    }


def pytest_sessionfinish() -> None:
    """Write down what was seen, where that was asked for."""
    write({code: entry.title for code, entry in all_causes().items()})
