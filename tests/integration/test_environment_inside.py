"""The payload's environment, exactly; how it is made is a matter of test_environment."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_environment
from ordinary_user import User
from small_images import add_script, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture
def variables(
    run_as_user: Sh, checkout: object, image: Path, warm: Path, nothing_left: None
) -> Callable[..., dict[str, str]]:
    """variables(*options, caller={...}): what `env` inside shows for exactly this caller."""

    def run(
        *options: str, caller: dict[str, str], image: Path = image, program: object = None
    ) -> dict[str, str]:
        words = [f"{name}={value}" for name, value in caller.items()]
        start = ["env", "-i", f"MINICTR_CACHEDIR={warm}", "PATH=/usr/bin:/bin", *words]
        chosen = program or checkout.program  # type: ignore[attr-defined]
        done = run_as_user([*start, chosen, "exec", *options, image, "env", "-0"], cwd="/tmp")
        assert done.returncode == 0, done.stderr
        return read_environment(done.stdout)

    return run


def test_everything_and_nothing_more(
    variables: Callable[..., dict[str, str]], user: User, image: Path
) -> None:
    caller = {"HOME": "/elsewhere", "LD_LIBRARY_PATH": "/lib/x", "MINE": "a\nb=c $X", "EMPTY": ""}
    caller |= {"APPTAINER_QUIET": "1", "SINGULARITY_NOCOLOR": "1", "FUN%%": "() { :; }"}
    seen = variables(caller=caller)
    search = seen.pop("USER_PATH")
    assert search.startswith("/usr/bin:/bin")
    assert seen == {
        "MINE": "a\nb=c $X", "EMPTY": "", "FUN%%": "() { :; }",
        "HOME": str(user.home), "PATH": PATH, "PWD": "/tmp",
        "LD_LIBRARY_PATH": "/.singularity.d/libs",
        "PS1": "Apptainer> ", "PROMPT_COMMAND": 'PS1="Apptainer> "; unset PROMPT_COMMAND',
        "APPTAINER_NAME": image.name, "SINGULARITY_NAME": image.name,
        "APPTAINER_CONTAINER": str(image), "SINGULARITY_CONTAINER": str(image),
        "APPTAINER_BIND": "", "SINGULARITY_BIND": "",
        "APPTAINER_COMMAND": "exec", "APPTAINER_APPNAME": "",
        "APPTAINER_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
        "SINGULARITY_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
    }  # fmt: skip


def test_cleanenv_keeps_terminal_and_proxies(variables: Callable[..., dict[str, str]]) -> None:
    caller = {"TERM": "vt100", "http_proxy": "p", "MINE": "1", "LANG": "de_DE.UTF-8"}
    seen = variables("--cleanenv", caller={**caller, "SINGULARITYENV_GIVEN": "g"})
    assert seen["TERM"] == "vt100"
    assert seen["http_proxy"] == "p"
    assert seen["LANG"] == "C"
    assert seen["GIVEN"] == "g"
    assert "MINE" not in seen


def test_the_stronger_origin_wins(
    variables: Callable[..., dict[str, str]], directory: Path, user: User
) -> None:
    own = make_image(directory / "own", user)
    add_script(own, "env/90-environment.sh", "export A=image B=image\n", user)
    (directory / "file").write_text("D=file\nE=file\n")
    caller = {"A": "caller", "Z": "caller"}
    caller |= {f"SINGULARITYENV_{name}": "singularity" for name in "BCDE"}
    caller |= {f"APPTAINERENV_{name}": "apptainer" for name in "CDE"}
    options = ("--env-file", str(directory / "file"), "--env", "E=option,F=1", "--env", "G=a b")
    seen = variables(*options, caller=caller, image=own)
    assert {name: seen[name] for name in "ABCDEFGZ"} == {
        "A": "image", "B": "singularity", "C": "apptainer", "D": "file", "E": "option",
        "F": "1", "G": "a b", "Z": "caller",
    }  # fmt: skip


def test_values_are_evaluated_inside_unless_told_not_to(
    variables: Callable[..., dict[str, str]],
) -> None:
    caller = {
        "SINGULARITYENV_V": "$HOME/x",
        "SINGULARITYENV_W": "$(echo in; cat /etc/passwd | wc -l)",
    }
    seen = variables("--home", "/tmp:/hh", caller=caller)
    assert seen["V"] == "/hh/x"
    assert seen["W"].split() == ["in", "3"]
    seen = variables("--no-eval", caller=caller)
    assert seen["V"] == "$HOME/x"
    assert seen["W"].startswith("$(echo")


def test_a_script_of_the_image_is_never_heard_outside(
    variables: Callable[..., dict[str, str]], directory: Path, user: User
) -> None:
    own = make_image(directory / "own", user)
    script = """
    export WHO=$(id -u) PID1=$(cat /proc/1/comm) NNP=$(grep NoNewPrivs /proc/self/status)
    export CAPS=$(grep CapEff /proc/self/status) FILTER=$(grep Seccomp: /proc/self/status)
    export ROOT=$(touch /new 2>&1)
    """
    add_script(own, "env/90-environment.sh", script, user)
    seen = variables(caller={}, image=own)
    assert seen["WHO"] == str(user.uid)
    assert seen["PID1"] == "minictr:init"
    assert seen["NNP"].split()[-1] == "1"
    assert seen["CAPS"].split()[-1].strip("0") == ""
    assert seen["FILTER"].split()[-1] == "2"
    assert "Read-only" in seen["ROOT"]


def test_a_script_that_exits_ends_the_launch_with_its_status(
    sh: Sh, directory: Path, user: User
) -> None:
    own = make_image(directory / "own", user)
    add_script(own, "env/90-environment.sh", "if true; then exit 7; fi\n", user)
    done = sh("echo ran", image=own)
    assert (done.returncode, done.stdout) == (7, "")
    assert "90-environment.sh ends the shell that reads it, with status 7 [MC0632]" in done.stderr


def test_bytes_that_are_no_text_survive(variables: Callable[..., dict[str, str]]) -> None:
    odd = b"\xff\xfe x".decode("utf-8", "surrogateescape")
    assert variables(caller={"ODD": odd})["ODD"] == odd


def test_a_caller_without_home_and_user(
    variables: Callable[..., dict[str, str]], user: User, apptainer: Path
) -> None:
    seen = variables(caller={}, program=apptainer)
    assert seen["HOME"] == str(user.home)
    assert seen["PATH"] == PATH
