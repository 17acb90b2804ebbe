"""A launch from the cache imports no more modules, and makes no more system calls, than before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User
from readable import Checkout
from skipping import require, require_program
from small_images import make_image

from minictr.scripts import CODE

PYTHON = "/usr/bin/python3"
BARE = [PYTHON, "-X", "utf8", "-I", "-S"]

# Beyond what the bare interpreter does; a little above what a launch took when these were written
# (43 modules and 573 calls with Python 3.11). Whoever needs one more
# measures first what it costs (bench/launch), then counts the bound up by that, and says why in the
# message of the change.
MODULES = 45
CALLS = 620

Launch = Callable[..., str]


@pytest.fixture
def launch(run_as_user: RunAsUser, checkout: Checkout, cache: Path) -> Launch:
    """launch(*before, python=BARE): exec `true`, started by the words before; gives its stderr."""

    def run(*before: str, python: list[str] = BARE, more: tuple[str, ...] = ()) -> str:
        where = [str(checkout.root), str(checkout.site), "minictr"]
        image = checkout.root / "tests/data/images/bb-gzip.sif"
        command = [*before, *python, "-c", CODE, *where, "exec", *more, "--id-map", "single"]
        done = run_as_user([*command, image, "true"], env={"MINICTR_CACHEDIR": str(cache)})
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


def test_the_modules_that_a_launch_imports(
    launch: Launch, run_as_user: RunAsUser, cache: Path
) -> None:
    """Without the file that keeps them, for importtime does not see those it holds."""
    python = [*BARE, "-X", "importtime"]
    launch()  # unpacks, for which it imports much more
    launch()
    shutil.rmtree(cache / "code")
    bare = run_as_user([*python, "-c", "pass"]).stderr
    own = imported(launch(python=python, more=("--trace",))) - imported(bare)
    assert "minictr.runtime.launch" in own
    assert len(own) <= MODULES, sorted(own)


def imported(said: str) -> set[str]:
    """What -X importtime names."""
    launched, _, _ = said.partition("CreateNamespaces")  # later ones keep them for the next time
    lines = (line for line in launched.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def test_the_system_calls_that_a_launch_makes(
    launch: Launch, run_as_user: RunAsUser, directory: Path
) -> None:
    """Of all its processes, once the cache has the image, the filter and the modules."""
    strace = require_program("strace", "STRACE", "strace")
    count = [strace, "-f", "-qq", "-c", "-o", str(directory / "count")]
    traced = run_as_user([*count, *BARE, "-c", "pass"])
    require(traced.returncode == 0, "STRACE", f"strace cannot trace here: {traced.stderr.strip()}")
    bare = total(directory / "count")
    for _ in range(3):
        launch()
    launch(*count)
    assert 0 < bare < total(directory / "count") <= bare + CALLS


def total(file: Path) -> int:
    """The number of calls in the last line of `strace -c`."""
    return int(file.read_text().splitlines()[-1].split()[3])


def test_a_directory_costs_a_launch_as_little_as_an_image_in_the_cache(
    launch: Launch, run_as_user: RunAsUser, checkout: Checkout, user: User, directory: Path
) -> None:
    """Nothing that unpacks or serves is imported for it, so its modules are kept as well."""
    tree = make_image(directory / "tree", user)
    where = [str(checkout.root), str(checkout.site), "minictr"]
    command = [*BARE, "-X", "importtime", "-c", CODE, *where, "exec", "--trace", tree, "true"]
    for _ in range(2):
        done = run_as_user(command, env={"MINICTR_CACHEDIR": str(directory)})
        assert done.returncode == 0, done.stderr
    dear = {"os", "subprocess", "hashlib", "minictr.image.cache", "minictr.image.open"}
    assert not imported(done.stderr) & dear
