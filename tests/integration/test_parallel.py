"""Many launches at once from an empty cache: each succeeds, one unpacks, nothing is left."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

LAUNCHES = int(os.environ.get("MINICTR_TEST_LAUNCHES", "60"))
AT_ONCE = 16
Sh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("times", [LAUNCHES])
def test_many_launches_from_an_empty_cache(minictr: Sh, cache: Path, sif: Path, times: int) -> None:
    def launch(number: int) -> tuple[int, str, str]:
        done = minictr("exec", sif, "echo", str(number), timeout=300)
        return done.returncode, done.stdout, done.stderr

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(launch, range(times)))
    assert [(status, out) for status, out, _ in outcomes] == [(0, f"{n}\n") for n in range(times)]
    said = [error for _, _, error in outcomes if error]
    assert all("Waiting for another process" in error for error in said)
    trees = list(cache.glob("trees/*"))
    assert len(trees) == 1
    assert not list(cache.glob("tmp/*"))


def test_only_one_of_many_unpacks(
    minictr: Sh, cache: Path, sif: Path, directory: Path, run_as_user: Sh
) -> None:
    """A stand-in for unsquashfs on PATH counts how often it is called, and calls the real one."""
    count = directory / "count"
    wrapper = directory / "bin/unsquashfs"
    wrapper.parent.mkdir()
    count.touch()
    count.chmod(0o666)
    wrapper.write_text(f'#!/bin/sh\necho called >> {count}\nexec /usr/bin/unsquashfs "$@"\n')
    wrapper.chmod(0o755)
    env = {"PATH": f"{wrapper.parent}:/usr/local/bin:/usr/bin:/bin"}
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(minictr, "exec", sif, "true", env=env) for _ in range(AT_ONCE)]
        statuses = [job.result().returncode for job in jobs]
    assert statuses == [0] * AT_ONCE
    assert count.read_text() == "called\n"


def test_launches_of_one_directory_do_not_disturb_each_other(
    minictr: Sh, image: Path, directory: Path
) -> None:
    script = "touch /x/$0; for n in $(seq 30); do test -e /x/$0 || exit 1; done; rm /x/$0"

    def launch(number: int) -> int:
        bind = f"{directory}:/x"
        return minictr("exec", "-B", bind, image, "sh", "-c", script, f"f{number}").returncode

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(launch, range(AT_ONCE))) == [0] * AT_ONCE
