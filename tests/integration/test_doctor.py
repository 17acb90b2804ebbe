"""`minictr doctor` finds what launches find, before they do, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import IMAGES
from lab.bench import tools
from ordinary_user import RunAsUser, User
from readable import Checkout
from skipping import require
from terminal import Terminal

Run = Callable[..., subprocess.CompletedProcess[str]]
LIMIT = 'echo 0 >/proc/sys/user/max_{}_namespaces; exec "$@"'
NEEDED = {"user namespaces", "mount namespaces", "PID namespaces", "root file system", "cache"}


@pytest.fixture
def doctor(run_as_user: RunAsUser, checkout: Checkout, cache: Path, nothing_left: None) -> Run:
    """doctor(*arguments, before=()): `before` is a command that starts it."""

    def run(*arguments: str | Path, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        command = [*before, checkout.program, "doctor", *arguments]
        return run_as_user(command, env={"MINICTR_CACHEDIR": str(cache)})

    return run


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_what_launches_need_works_here(doctor: Run) -> None:
    done = doctor("--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sound"] is True
    found = findings(done)
    assert {name for name, one in found.items() if one["state"] == "works"} >= NEEDED
    assert all(one["state"] == "works" for one in found.values() if one["needed"])


@pytest.mark.parametrize(("kind", "code"), [("user", "MC0201"), ("pid", "MC0202")])
def test_a_limit_is_found_with_its_code_and_its_fix(doctor: Run, kind: str, code: str) -> None:
    done = doctor(before=("unshare", "-Ur", "sh", "-c", LIMIT.format(kind), "sh"))
    assert done.returncode == 1
    (line,) = (
        line for line in done.stdout.splitlines() if line.startswith("FAILS") and code in line
    )
    assert line.endswith(f"user.max_{kind}_namespaces is 0 [{code}]")
    assert f"fix, administrator: sysctl -w user.max_{kind}_namespaces=" in done.stdout
    assert "\n-      root file system" in done.stdout


def test_where_no_file_can_be_written_the_limit_is_named(doctor: Run) -> None:
    done = doctor("--json", before=("prlimit", "--fsize=0"))
    assert (done.returncode, done.stderr) == (1, "")
    found = findings(done)
    for name in ("root file system", "cache"):
        assert found[name]["report"]["code"] == "MC0412", found[name]
    assert found["mount namespaces"]["state"] == "works"


def test_where_no_directory_can_be_made_there_is_one_error(doctor: Run, checkout: Checkout) -> None:
    require(not checkout.root.is_relative_to("/tmp"), "PLACE", "the program lies in /tmp")
    script = (
        'for place in /tmp /var/tmp; do mount -t tmpfs -o ro none $place; done; cd /; exec "$@"'
    )
    done = doctor(before=("unshare", "-Urm", "sh", "-c", script, "sh"))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("minictr: error: ") == 1
    assert "/var/tmp: Read-only file system" in done.stderr


def test_what_only_an_option_needs_is_no_failure(doctor: Run) -> None:
    done = doctor("--json", before=("unshare", "-Ur", "sh", "-c", LIMIT.format("net"), "sh"))
    assert done.returncode == 0
    network = findings(done)["network namespaces"]
    assert (network["state"], network["breaks"]) == ("fails", "--net")
    assert network["report"]["code"] == "MC0202"


def test_an_image_is_launched_up_to_its_command(doctor: Run, directory: Path) -> None:
    image = shutil.copy(IMAGES / "bb-gzip.sif", directory / "good.sif")
    done = doctor("--json", image)
    assert done.returncode == 0, done.stdout
    assert findings(done)[f"launch of {image}"]["state"] == "works"


def test_a_bad_image_is_named(doctor: Run, directory: Path) -> None:
    (directory / "empty.sif").touch()
    done = doctor(directory / "empty.sif")
    assert done.returncode == 1
    assert "[MC0104]" in done.stdout


def test_on_a_terminal_it_is_a_table(
    checkout: Checkout, user: User, cache: Path, directory: Path, nothing_left: None
) -> None:
    env = {"MINICTR_CACHEDIR": str(cache), "HOME": str(user.home), "TERM": "xterm", "PATH": "/bin"}
    terminal = Terminal([checkout.program, "doctor"], user, env, directory)
    terminal.expect(r"what +.*seen")
    terminal.expect(r"\x1b\[32mok *\x1b\[0m +user namespaces")
    terminal.expect("squashfuse_ll")
    assert terminal.process.wait(20) == 0


def test_a_wrong_argument_is_named(doctor: Run) -> None:
    done = doctor("--jsno")
    assert done.returncode == 125
    assert "unexpected argument: --jsno" in done.stderr


def test_a_refused_call_of_the_launcher_itself_is_named(doctor: Run, checkout: Checkout) -> None:
    filtered = tools(checkout.root) / "filtered"
    done = doctor(before=(filtered, "--refuse", "setsockopt", "--"))
    assert done.returncode == 1
    first = done.stdout.splitlines()[0]
    assert first.endswith("a seccomp filter around minictr refuses setsockopt(2) [MC0506]")
