"""Commands that are called with streams or directories that are not as usual."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser
from readable import Checkout
from skipping import require_program

Sh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(run_as_user: RunAsUser, checkout: Checkout, cache: Path, directory: Path) -> Sh:
    """script(text): run by a shell in the directory; minictr is in its PATH."""

    def run(text: str) -> subprocess.CompletedProcess[str]:
        env = {"MINICTR_CACHEDIR": str(cache)}
        return run_as_user(["sh", "-c", text], env=env, cwd=directory)

    return run


@pytest.mark.parametrize("redirect", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_an_image_is_built_where_nobody_listens(
    script: Sh, directory: Path, image: Path, redirect: str
) -> None:
    require_program("mksquashfs", "MC0127", "squashfs-tools")
    assert script(f"minictr build out.sif {image} {redirect}").returncode == 0
    assert (directory / "out.sif").exists()


@pytest.mark.parametrize("command", ["cache list", "cache list --json", "cache", "build", "plan"])
def test_a_standard_output_that_takes_nothing_is_named(script: Sh, command: str) -> None:
    done = script(f"minictr {command} --help >/dev/full")
    assert done.returncode == 125
    assert "standard output cannot be written: No space left on device" in done.stderr


def test_a_list_that_cannot_be_written_is_a_failure(script: Sh) -> None:
    done = script("minictr cache list >/dev/full")
    assert done.returncode == 125
    assert "standard output cannot be written: No space left on device" in done.stderr


def test_an_output_in_a_directory_that_is_gone_is_named(script: Sh, image: Path) -> None:
    require_program("mksquashfs", "MC0127", "squashfs-tools")
    done = script(f"mkdir gone; cd gone; rmdir ../gone; minictr build out.sif {image}")
    assert done.returncode == 125
    assert "[MC0139]" in done.stderr
    assert "getcwd(2): ENOENT" in done.stderr


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_place_of_drop_in_s_directory_is_named(
    script: Sh, directory: Path, place: str
) -> None:
    done = script(f": >file; minictr drop-in {place}")
    assert done.returncode == 125
    assert f"{directory}/file is a regular file" in done.stderr


def test_an_entry_that_nothing_is_recorded_of_is_listed_below_the_headings(script: Sh) -> None:
    script('umask 077; mkdir -p "$MINICTR_CACHEDIR/trees/odd"')
    head, line = script("minictr cache list").stdout.splitlines()
    assert line.split()[:3] == ["odd", "?", "?"]
    assert line.index("no") == head.index("IN USE")


CLOSED = "mkdir -p closed/.config/minictr; chmod 0 closed; trap 'chmod 700 closed' EXIT; "


@pytest.mark.parametrize("variable", ["HOME=$PWD/closed", "XDG_CONFIG_HOME=$PWD/closed"])
def test_the_configuration_of_a_home_that_is_closed_is_left_out(
    script: Sh, directory: Path, image: Path, variable: str
) -> None:
    silent = script(f"{CLOSED} {variable} minictr exec --no-home {image} echo ran")
    assert (silent.stdout, silent.stderr) == ("ran\n", "")
    told = script(f"{CLOSED} {variable} minictr -v exec --no-home {image} echo ran")
    assert f"is left out: {directory}/closed denies search" in told.stderr


def test_a_configuration_that_was_asked_for_has_to_be_read(
    script: Sh, directory: Path, image: Path
) -> None:
    done = script(f"{CLOSED} minictr --config $PWD/closed/x exec {image} true")
    assert done.returncode == 125
    assert f"{directory}/closed/x cannot be read: Permission denied" in done.stderr
    assert f"fix: chmod u+x {directory}/closed" in done.stderr
