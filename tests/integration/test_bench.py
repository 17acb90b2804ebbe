"""The benchmarks measure, keep what they measured, and notice a launch that has become slow."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User
from readable import Checkout
from skipping import require, require_program

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(run_as_user: RunAsUser, checkout: Checkout) -> Bench:
    """bench(*arguments, of="launch", env=None): run it as the user, the modules compiled."""
    if os.access(checkout.root / "minictr", os.W_OK):
        compileall.compile_dir(checkout.root / "minictr", quiet=1)

    def run(
        *arguments: str | Path, of: str = "launch", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        program = checkout.root / "bench" / of
        command = [program, "--program", checkout.program, *arguments]
        return run_as_user(command, env=env, timeout=300)

    return run


def test_a_launch_is_within_its_multiple_of_the_bare_interpreter(
    bench: Bench, directory: Path
) -> None:
    """2.2 times, with newuidmap 2.6; a machine that runs other tests gets many attempts."""
    file = directory / "results.json"
    done = bench("--rounds", "10", "--attempts", "12", "--json", file)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(file.read_text())
    times = results["milliseconds"]
    assert {len(taken) for taken in times.values()} == {10}
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


def test_every_stage_of_a_launch_is_timed(bench: Bench, directory: Path) -> None:
    file = directory / "results.json"
    done = bench("--short", "--json", file, of="stages")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(file.read_text())
    for label, stages in results["milliseconds"].items():
        assert len(stages) == 12
        assert all(taken > 0 for each in stages.values() for taken in each)
        assert sum(map(min, stages.values())) < max(results["whole"][label]) * 2


def test_launches_side_by_side_succeed_and_leave_nothing(bench: Bench, directory: Path) -> None:
    file = directory / "results.json"
    done = bench("--rounds", "32", "--json", file, of="parallel")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(file.read_text())
    ours = [row for row in results["launches"] if row["launcher"].startswith("minictr")]
    assert {row["at_once"] for row in ours} == {1, 2, 8, 32}
    assert {row["failures"] for row in ours} == {0}
    (limited,) = (row for row in results["sleeping"] if row["limit"] != "none")
    assert limited["reached"] < limited["asked"]
    # The limit counts the user's processes wherever they are; /proc may not show them all.
    assert limited["code"] in ("MC0701", "MC0000"), limited
    assert limited["outlived"] == 0


def test_root_weighs_running_containers(user: User, checkout: Checkout, directory: Path) -> None:
    require(os.geteuid() == 0, "ROOT", "minictr's init is non-dumpable")
    file = directory / "results.json"
    command = [sys.executable, checkout.root / "bench/memory", "--user", user.name]
    command += ["--program", checkout.program, "--rounds", "2", "--json", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    weight = json.loads(file.read_text())["containers"]["minictr, one id"]["2"]
    assert weight["processes"] == 3
    assert 1000 < weight["kib"] < 50_000


def test_it_times_system_calls_under_each_filter(bench: Bench, directory: Path) -> None:
    require_program("cc", "CC", "gcc")
    file = directory / "results.json"
    done = bench("--short", "--json", file, of="calls")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(file.read_text())
    expected = {"no container", "minictr, no filter", "minictr, default profile"}
    assert expected <= set(results["nanoseconds"])
    for calls in results["nanoseconds"].values():
        assert set(calls) == {"getppid", "read", "openat+close"}


def test_the_big_image_is_named_where_it_is_missing(bench: Bench, directory: Path) -> None:
    done = bench(of="big", env={"MINICTR_BENCH_IMAGES": str(directory)})
    assert done.returncode == 2
    assert f"there is no {directory}/big-gzip.sif; bench/images makes it" in done.stdout


def test_the_page_is_that_of_the_kept_results(checkout: Checkout) -> None:
    done = report(checkout, "--check")
    kept = set((checkout.root / "bench/results").glob("*.json"))
    nothing = kept <= {checkout.root / "bench/results/causes.json"}
    assert done.returncode == (2 if nothing else 0), done.stdout + done.stderr


def report(checkout: Checkout, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, checkout.root / "bench/report", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_page_of_other_results_is_stale(
    bench: Bench, checkout: Checkout, directory: Path
) -> None:
    file = directory / "launch.json"
    bench("--rounds", "2", "--attempts", "1", "--json", file)
    where = ("--results", directory, "--docs", directory)
    report(checkout, *where)
    page = f"{directory / 'performance.md'} is not that of the results"
    assert page not in report(checkout, "--check", *where).stdout
    results = json.loads(file.read_text())
    results["milliseconds"]["minictr, one id"] = [1.0, 1.0]
    file.write_text(json.dumps(results))
    done = report(checkout, "--check", *where)
    assert done.returncode == 1
    assert page in done.stdout
