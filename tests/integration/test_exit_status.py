"""Exit statuses: the payload's unchanged, 128+N for a signal, and the launcher's own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import User
from readable import Checkout
from small_images import give, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("status", [0, 1, 7, 125, 126, 127, 255])
def test_the_status_of_the_payload_comes_back(sh: Sh, apptainer: Path, status: int) -> None:
    assert sh(f"exit {status}").returncode == status
    assert sh(f"exit {status}", program=apptainer).returncode == status


@pytest.mark.parametrize("options", [[], ["--no-pid"]])
@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "INT", "HUP", "PIPE"])
def test_a_payload_ended_by_a_signal(sh: Sh, options: list[str], name: str) -> None:
    number = signal.Signals[f"SIG{name}"].value
    assert sh(f"kill -{name} $$; sleep 20", *options).returncode == 128 + number


def test_a_core_dump_makes_no_difference(sh: Sh, apptainer: Path) -> None:
    assert sh("kill -ABRT $$", "--no-pid").returncode == 134
    assert sh("kill -ABRT $$", program=apptainer).returncode == -signal.SIGABRT


@pytest.mark.parametrize(
    ("command", "own"),
    [
        (["nosuch"], 127),
        (["/bin/nosuch"], 127),
        (["bin/nosuch"], 127),
        ([""], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_a_command_that_cannot_be_executed(
    minictr: Sh, run_as_user: Sh, apptainer: Path, image: Path, warm: Path,
    command: list[str], own: int,
) -> None:  # fmt: skip
    env = {"MINICTR_CACHEDIR": str(warm)}
    done = minictr("exec", image, *command, env=env)
    assert (done.returncode, done.stdout) == (own, "")
    assert "Traceback" not in done.stderr
    done = run_as_user([apptainer, "exec", image, *command], env=env)
    assert (done.returncode, done.stdout) == (255, "")
    assert "FATAL:   " in done.stderr


def test_the_words_clients_look_for(run_as_user: Sh, apptainer: Path, image: Path) -> None:
    done = run_as_user([apptainer, "exec", image, "nosuch"])
    assert 'FATAL:   "nosuch": executable file not found in $PATH\n' in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "status", "said"),
    [
        ("plain", "echo plain $1\n", 0, "plain x\n"),
        ("shebang", "#!/bin/sh\necho shebang $1\n", 0, "shebang x\n"),
        ("option", "#!/bin/busybox sh\necho option $1\n", 0, "option x\n"),
        ("lost", "#!/bin/lost\n", 126, ""),
        ("binary", "\x7fELF\x02\x01\x01\0\0\0\0\0\0", 126, ""),
    ],
)
def test_what_the_payload_may_be(
    minictr: Sh, directory: Path, user: User, warm: Path,
    name: str, text: str, status: int, said: str,
) -> None:  # fmt: skip
    image = make_image(directory / "image", user)
    (image / "bin" / name).write_text(text)
    (image / "bin" / name).chmod(0o755)
    give(image, user)
    done = minictr("exec", image, name, "x", env={"MINICTR_CACHEDIR": str(warm)})
    assert done.stdout == said
    assert (done.returncode == 0) == (status == 0)
    if status:
        assert done.returncode in (126, 127)
        assert "Traceback" not in done.stderr


def test_a_missing_image(minictr: Sh, run_as_user: Sh, apptainer: Path, directory: Path) -> None:
    assert minictr("exec", directory / "no.sif", "true").returncode == 125
    done = run_as_user([apptainer, "exec", directory / "no.sif", "true"])
    assert done.returncode == 255
    assert done.stderr.startswith("FATAL:   ")


def test_a_command_line_that_cannot_be_read(
    minictr: Sh, run_as_user: Sh, apptainer: Path, image: Path
) -> None:
    assert minictr("exec", image).returncode == 125
    assert minictr("exec", "--nosuch", image, "true").returncode == 125
    assert run_as_user([apptainer, "exec", image]).returncode == 1
    assert run_as_user([apptainer, "exec", "--nosuch", image, "true"]).returncode == 1


def test_nothing_of_the_launcher_is_on_standard_output(sh: Sh) -> None:
    done = sh("echo only", "-v", "--trace")
    assert done.stdout == "only\n"
    assert done.stderr


def test_the_status_of_a_launch_whose_caller_ignores_its_children(
    run_as_user: Sh, checkout: object, image: Path, warm: Path
) -> None:
    program = checkout.program  # type: ignore[attr-defined]
    code = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = ["/usr/bin/python3", "-c", code, program, "exec", image, "sh", "-c", "exit 9"]
    assert run_as_user(command, env={"MINICTR_CACHEDIR": str(warm)}).returncode == 9


@pytest.mark.parametrize("command", ["version", "explain MC0301", "plan", "doctor"])
def test_what_cannot_be_written_is_no_success(
    run_as_user: Sh, checkout: Checkout, image: Path, command: str
) -> None:
    words = f"plan {image} true" if command == "plan" else command
    program = checkout.program
    done = run_as_user(["sh", "-c", f"{program} {words} >/dev/full"])
    assert done.returncode == 125
    assert "standard output cannot be written: No space left on device" in done.stderr
