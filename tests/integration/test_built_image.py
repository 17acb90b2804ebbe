"""What `minictr build` wrote, listed and run by apptainer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from image_files import shared
from readable import Checkout
from skipping import require, require_program
from unpacker import (
    ROOT,
)


def apptainer() -> Callable[[Path, str], subprocess.CompletedProcess[str]]:
    """run(image, words): real apptainer, installed or in the peers' root; skips without one."""
    if shutil.which("apptainer"):
        return lambda image, words: subprocess.run(
            ["apptainer", *words.replace("IMAGE", str(image)).split()],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    folder = shared()
    peers = Path(os.environ.get("PEERS_ROOT", "/var/lib/peers"), "usr/bin/apptainer")
    require(folder and peers.exists(), "PEERS", "neither apptainer nor the peers' root is here")
    require(ROOT, "ROOT", "only root enters the peers' root")

    def run(image: Path, words: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", f"{folder}/lab/peers", "run", "-u", "tester", "apptainer"]
        environ = {**os.environ, "LAB": str(image.parent)}
        words = words.replace("IMAGE", f"/lab/{image.name}")
        return subprocess.run(
            [*command, *words.split()], capture_output=True, text=True, check=False, env=environ
        )

    return run


def test_apptainer_lists_and_runs_the_example_image(checkout: Checkout, room: Path) -> None:
    run = apptainer()
    require_program("mksquashfs", "MC0127", "squashfs-tools")
    require(Path("/bin/busybox").exists(), "BUSYBOX", "busybox-static is not installed")
    place = room / "example"
    shutil.copytree(
        checkout.root / "images", place / "images", ignore=shutil.ignore_patterns("*.sif")
    )
    (place / "minictr").symlink_to(checkout.root / "minictr")
    subprocess.run([sys.executable, place / "images" / "build"], check=True, capture_output=True)
    image = place / "images" / "hello.sif"
    place.joinpath("images").chmod(0o755)
    listed = run(image, "sif list IMAGE").stdout
    for kind in ("Def.FILE", "JSON.Generic", "FS (Squashfs/*System/"):
        assert kind in listed
    assert "Hello from hello.sif" in run(image, "run IMAGE one two").stdout
    assert run(image, "run IMAGE one two").stdout.endswith(": one two\n")
    assert run(image, "exec IMAGE cat /.singularity.d/labels.json").returncode == 0
    inspected = run(image, "inspect IMAGE")
    assert "org.opencontainers.image.title: hello" in inspected.stdout
    assert "No SIF metadata" not in inspected.stderr
