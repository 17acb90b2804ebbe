"""Nothing is imported once processes are made: after pivot_root(2) the standard library is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from ordinary_user import RunAsUser
from readable import Checkout

from minictr.scripts import CODE

PYTHON = "/usr/bin/python3"


@pytest.mark.parametrize("image", ["bb-gzip.sif", "docker.sif", "full-gzip.sif"])
@pytest.mark.parametrize("options", [[], ["--env", "WHERE=$HOME"], ["--env", "NOW=$(date)"]])
def test_nothing_is_imported_after_the_first_process_is_made(
    run_as_user: RunAsUser, checkout: Checkout, cache: Path, image: str, options: list[str]
) -> None:
    path = checkout.root / "tests/data/images" / image
    start = [PYTHON, "-X", "importtime", "-X", "utf8", "-I", "-S", "-c", CODE]
    where = [str(checkout.root), str(checkout.site), "minictr"]
    command = [*start, *where, "exec", "--trace", *options, str(path), "true"]
    environment = {"MINICTR_CACHEDIR": str(cache)}
    for _ in range(2):  # unpacking imports much; the second launch is the one that counts
        done = run_as_user(command, env=environment)
        assert done.returncode == 0, done.stderr
    # What is imported when the payload has ended keeps the modules for the next launch.
    _, made, after = done.stderr.partition("CreateNamespaces")
    after, executed, _ = after.partition("Execute")
    assert made
    assert executed
    assert [line for line in after.splitlines() if line.startswith("import time:")] == []
