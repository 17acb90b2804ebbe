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


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("MINICTR_DIAGNOSIS=xml", "--diagnosis is set by MINICTR_DIAGNOSIS=xml"),
        ("MINICTR_UNPACK=maybe", "--unpack is set by MINICTR_UNPACK=maybe"),
        ("MINICTR_CACHE_LIMIT=x", "--cache-limit is set by MINICTR_CACHE_LIMIT=x"),
        ("APPTAINER_BIND=/a:b", "--bind is set by APPTAINER_BIND=/a:b"),
        ("SINGULARITY_MOUNT=type=x", "--mount is set by SINGULARITY_MOUNT=type=x"),
    ],
)
def test_the_variable_that_set_a_value_is_named(
    script: Sh, image: Path, setting: str, text: str
) -> None:
    assert text in script(f"{setting} minictr exec {image} true").stderr


@pytest.mark.parametrize("line", ['unpack = "maybe"', 'bind = "/a:b"'])
def test_the_file_that_set_a_value_is_named(
    script: Sh, directory: Path, image: Path, line: str
) -> None:
    done = script(f"echo '{line}' >c.toml; minictr -c $PWD/c.toml exec {image} true")
    assert f"--{line.split()[0]} is set by {directory}/c.toml" in done.stderr


def test_a_flag_of_the_command_line_is_laid_to_no_variable(script: Sh, image: Path) -> None:
    done = script(f"MINICTR_UNPACK=now minictr exec --unpack maybe {image} true")
    assert "--unpack takes" in done.stderr
    assert "is set by" not in done.stderr


def test_a_command_without_a_name_is_told_so(script: Sh, image: Path) -> None:
    assert "Give the command a name" in script(f"minictr exec {image} ''").stderr


# Runs the rest of its arguments with SIGCHLD ignored, as some daemons start their children.
DEAF = """python3 -c 'import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])' """


def test_doctor_is_well_where_the_caller_ignores_its_children(script: Sh) -> None:
    plain, ignoring = script("minictr doctor"), script(f"{DEAF} minictr doctor")
    assert (ignoring.returncode, ignoring.stderr) == (plain.returncode, plain.stderr)


def test_how_unsquashfs_ended_is_heard_where_the_caller_ignores_its_children(
    script: Sh, sif: Path
) -> None:
    limited = f"ulimit -f 400; %s minictr exec --unpack now {sif} true"
    assert "[MC0412]" in script(limited % "").stderr
    assert "[MC0412]" in script(limited % DEAF).stderr


# Characters at which str.splitlines() parts lines, and the kernel's tables do not.
ODD = r"a\fb\rc\fd"


@pytest.mark.parametrize(
    ("options", "said"), [("-B /usr:/nosuch", ""), ("-B /usr:/tmp/../nosuch", "[MC0430]")]
)
def test_a_mount_point_of_any_name_is_one_line(
    script: Sh, image: Path, options: str, said: str
) -> None:
    launch = f"minictr exec {options} {image} true"
    done = script(
        f'unshare -Urm sh -c \'d=$(printf "$PWD/{ODD}"); mkdir "$d"\n'
        f'mount -t tmpfs none "$d" && {launch}\''
    )
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (125 if said else 0), done.stderr


def test_a_control_group_of_any_name_is_one_line(script: Sh, sif: Path) -> None:
    launch = f"minictr exec --no-pid --unpack now {sif} echo ran"
    done = script(
        f"printf '0::/{ODD}\\377\\n' >group\n"
        f"unshare -Urm sh -c 'mount --bind group /proc/$$/cgroup && exec {launch}'"
    )
    assert (done.stdout, done.stderr) == ("ran\n", "")
