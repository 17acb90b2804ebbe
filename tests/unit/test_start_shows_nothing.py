"""scripts/minictr: nothing of it shows to the program, nor to who waits for its status."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from stand_in import (
    BARE,
    PYTHON,
    Told,
    call,
    make_checkout,
    status,
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The stand-in as a checkout."""
    return make_checkout(tmp_path)


@pytest.mark.parametrize("runner", [["scripts/minictr"], ["python", "-m", "minictr"]])
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LC_CTYPE": "POSIX"},
        {"LC_CTYPE": "C", "LANG": "de_DE.UTF-8"},
        {"LC_ALL": "C"},
        {"SHLVL": "4", "_": "/bin/old"},
        {"BASH_FUNC_module%%": "() { echo loaded; }", "not.a-name": "1", "read": "x"},
        {"BASH_FUNC_exec%%": "() { echo taken over; }", "BASH_ENV": "/etc/passwd", "ENV": "/x"},
        {"LINES": "a\nb=c", "EMPTY": "", "LATIN": os.fsdecode(b"\xe9\xff"), "HIGH": "\N{SNOWMAN}"},
    ],
    ids=lambda environ: "-".join(environ) or "none",
)
def test_the_program_sees_the_callers_environment(
    checkout: Path, environ: dict[str, str], runner: list[str]
) -> None:
    runner = [str(PYTHON if runner[0] == "python" else checkout / runner[0]), *runner[1:]]
    told = call(*runner, env={**BARE, "PWD": str(checkout), **environ}, cwd=checkout)
    expected = {**BARE, "PWD": str(checkout), **environ}
    expected.pop("_", None)  # the shell's own word for what it starts
    assert told.environ == expected


def test_the_callers_python_variables_are_for_the_payload_alone(checkout: Path) -> None:
    environ = {"PYTHONHOME": "/nonexistent", "PYTHONPATH": "/x", "PYTHONVERBOSE": "1"}
    told = call(checkout / "scripts/minictr", env={**BARE, **environ})
    assert environ.items() <= told.environ.items()
    assert "/x" not in told.path


def test_a_caller_without_any_variable_leaves_none_but_the_directory(checkout: Path) -> None:
    script = checkout / "scripts/minictr"
    done = subprocess.run([script], env={}, cwd="/usr", capture_output=True, text=True)
    assert Told(done.stdout).environ == {"PWD": "/usr"}


def test_a_module_of_the_working_directory_has_no_say(checkout: Path, tmp_path: Path) -> None:
    for name in ("minictr", "posix", "sys", "json", "site", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')")
    assert call(checkout / "scripts/minictr", cwd=tmp_path).package == checkout


def test_an_argument_that_is_no_text_arrives_as_it_is(checkout: Path) -> None:
    told = call(checkout / "scripts/minictr", os.fsdecode(b"\xff\xe9"))
    assert os.fsencode(told.arguments[0]) == b"\xff\xe9"


@pytest.mark.parametrize("wanted", [0, 1, 125, 255])
def test_the_status_comes_back(checkout: Path, wanted: int) -> None:
    assert status(checkout, "status", str(wanted)) == wanted


def test_a_command_may_end_by_sys_exit(checkout: Path) -> None:
    assert status(checkout, "exit", "number") == 7
    done = subprocess.run(
        [checkout / "scripts/minictr", "exit", "text"], env=BARE, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "said at exit\n")


def test_a_bug_is_a_traceback_and_the_launchers_status(checkout: Path) -> None:
    (checkout / "scripts/apptainer").symlink_to("minictr")
    assert status(checkout, "bug") == 125
    assert status(checkout, "bug", name="scripts/apptainer") == 255


def test_a_closed_pipe_ends_the_program_quietly(checkout: Path) -> None:
    script = checkout / "scripts/minictr"
    with subprocess.Popen(
        [script, "shout"], env=BARE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_an_interrupt_ends_the_program_quietly(checkout: Path) -> None:
    with subprocess.Popen(
        [checkout / "scripts/minictr", "wait"],
        env=BARE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_closed_standard_stream_is_no_obstacle(checkout: Path, closed: tuple[int, ...]) -> None:
    redirections = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" status 3 {redirections}', checkout / "scripts/minictr"],
        env=BARE,
    )
    assert done.returncode == 3
