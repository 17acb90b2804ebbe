"""The benchmark measures, keeps what it measured, and notices a launch that has become slow."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser
from readable import Checkout
from skipping import require

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(run_as_user: RunAsUser, checkout: Checkout) -> Bench:
    """bench(*arguments): run bench/launch as the user, the modules compiled."""
    if os.access(checkout.root / "minictr", os.W_OK):
        compileall.compile_dir(checkout.root / "minictr", quiet=1)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        program = checkout.root / "bench/launch"
        return run_as_user([program, "--program", checkout.program, *arguments], timeout=300)

    return run


def test_it_compares_a_launch_with_the_bare_interpreter(bench: Bench, directory: Path) -> None:
    """The limits are wide: this is a short run on a machine that runs other tests."""
    file = directory / "results.json"
    limits = ("--limit-single", "4", "--limit-helpers", "4.5")
    done = bench("--rounds", "5", "--json", file, *limits)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(file.read_text())
    times = results["milliseconds"]
    assert {len(taken) for taken in times.values()} == {5}
    assert min(times["minictr, one id"]) > min(times["bare interpreter"])
    measured_or_named = {*times, *results["skipped"]}
    assert measured_or_named >= {"apptainer, the SIF", "ch-run, the SquashFS", "bwrap, the tree"}


def test_a_launch_above_the_limit_fails_it_after_three_attempts(bench: Bench) -> None:
    done = bench("--rounds", "1", "--limit-single", "0.5")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "attempt 3: minictr, one id: more than 0.5 times the bare one" in done.stdout


def test_it_refuses_a_program_that_cannot_launch(bench: Bench) -> None:
    done = bench("--program", "/bin/false")
    assert done.returncode == 2
    assert "bench/launch: `/bin/false exec" in done.stdout


def test_root_is_asked_for_an_ordinary_user(checkout: Checkout) -> None:
    require(os.geteuid() == 0, "ROOT", "this is what root is told")
    program = checkout.root / "bench/launch"
    done = subprocess.run([program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (
        2,
        "bench/launch: root launches nothing here: --user NAME names an ordinary user\n",
    )
