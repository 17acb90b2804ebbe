"""run, exec, shell and test: what each executes, for images with scripts of their own or none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import User
from small_images import add_script, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]
DEFAULT = '#!/bin/sh\necho "There is no runscript defined for this container\\n";\n'


@pytest.fixture
def own(directory: Path, user: User) -> Path:
    """An image directory of the test's own."""
    return make_image(directory / "own", user)


@pytest.fixture
def launch(
    run_as_user: Sh, checkout: object, apptainer: Path, warm: Path, nothing_left: None
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """launch(name, *arguments): under our own name ("minictr") or a drop-in one."""

    def run(name: str, *arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        own_name: Path = checkout.program  # type: ignore[attr-defined]
        program = own_name if name == "minictr" else apptainer.parent / name
        env = {"MINICTR_CACHEDIR": str(warm)}
        return run_as_user([program, *map(str, arguments)], env=env, **more)

    return run


NAMES = ["minictr", "apptainer", "singularity"]


@pytest.mark.parametrize("name", NAMES)
def test_run_gives_the_runscript_the_arguments_as_they_are(
    launch: Sh, own: Path, user: User, name: str
) -> None:
    add_script(own, "runscript", '#!/bin/sh\nprintf "<%s>" "$#" "$@"\n', user)
    done = launch(name, "run", own, "a b", "", "-x", "*", "$HOME", "new\nline")
    assert done.stdout == "<6><a b><><-x><*><$HOME><new\nline>", done.stderr
    assert launch(name, "run", own).stdout == "<0>"


@pytest.mark.parametrize("name", NAMES)
def test_the_status_of_a_runscript(launch: Sh, own: Path, user: User, name: str) -> None:
    add_script(own, "runscript", "#!/bin/sh\nexit $1\n", user)
    assert launch(name, "run", own, "9").returncode == 9


def test_without_a_runscript_our_own_name_executes_the_command(launch: Sh, own: Path) -> None:
    done = launch("minictr", "run", own, "echo", "hi there")
    assert (done.stdout, done.stderr) == ("hi there\n", "")
    assert launch("minictr", "run", own, "nosuch").returncode == 127


def test_without_a_runscript_a_drop_in_name_starts_a_shell(launch: Sh, own: Path) -> None:
    done = launch("apptainer", "run", own, "-c", "echo hi $0")
    assert done.stdout.startswith("hi")
    assert "INFO:    No runscript found in container, executing /bin/sh" in done.stderr
    quiet = launch("apptainer", "-q", "run", own, "-c", "echo hi")
    assert (quiet.stdout, quiet.stderr) == ("hi\n", "")


def test_a_default_runscript_under_both_kinds_of_name(launch: Sh, own: Path, user: User) -> None:
    add_script(own, "runscript", DEFAULT, user)
    assert launch("minictr", "run", own, "echo", "hi").stdout == "hi\n"
    said = launch("apptainer", "run", own, "echo", "hi").stdout
    assert said.startswith("There is no runscript defined")


def test_run_without_a_command_and_without_a_runscript_is_a_shell(launch: Sh, own: Path) -> None:
    done = launch("minictr", "run", own, stdin="echo from stdin; exit 4\n")
    assert (done.stdout, done.returncode) == ("from stdin\n", 4)


@pytest.mark.parametrize("name", NAMES)
def test_exec_leaves_the_runscript_aside(launch: Sh, own: Path, user: User, name: str) -> None:
    add_script(own, "runscript", "#!/bin/sh\necho runscript\n", user)
    assert launch(name, "exec", own, "echo", "a  b", "$HOME").stdout == "a  b $HOME\n"


def test_flags_end_at_the_image(launch: Sh, own: Path) -> None:
    assert launch("minictr", "exec", own, "echo", "-e", "--", "-v").stdout == "-- -v\n"
    assert launch("minictr", "exec", "--", own, "echo", "x").stdout == "x\n"


@pytest.mark.parametrize("name", NAMES)
def test_shell_reads_from_a_pipe(launch: Sh, own: Path, name: str) -> None:
    done = launch(name, "shell", own, stdin="echo hi $SHELL; exit 3\n")
    assert done.returncode == 3
    assert done.stdout == "hi /bin/sh\n"


def test_shell_prefers_bash_and_takes_the_one_named(launch: Sh, own: Path, user: User) -> None:
    (own / "bin/bash").write_text('#!/bin/sh\necho bash "$@"\n')
    (own / "bin/bash").chmod(0o755)
    assert launch("minictr", "shell", own).stdout == "bash --norc\n"
    assert launch("minictr", "shell", "-s", "/bin/sh", own, stdin="echo $0\n").stdout == "/bin/sh\n"


def test_parameters_to_shell_are_ignored(launch: Sh, own: Path) -> None:
    done = launch("apptainer", "shell", own, "-c", "echo ran", stdin="")
    assert done.stdout == ""
    assert "WARNING: Parameters to shell command are ignored" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_test_runs_the_test_script(launch: Sh, own: Path, user: User, name: str) -> None:
    add_script(own, "test", '#!/bin/sh\necho "testing $*"; exit 6\n', user)
    done = launch(name, "test", own, "a")
    assert (done.stdout, done.returncode) == ("testing a\n", 6)


@pytest.mark.parametrize("name", NAMES)
def test_test_without_a_script_succeeds(launch: Sh, own: Path, name: str) -> None:
    done = launch(name, "test", own)
    assert (done.stdout, done.returncode) == ("", 0)
    assert "No test script found" in done.stderr


def test_run_singularity_runs_an_image(launch: Sh, own: Path, user: User) -> None:
    add_script(own, "runscript", '#!/bin/sh\necho "ran $*"\n', user)
    assert launch("run-singularity", own, "a", "-b").stdout == "ran a -b\n"
