"""Launches that the caller's own rules make hard: one clear report, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser, User
from readable import Checkout
from skipping import require

Sh = Callable[..., subprocess.CompletedProcess[str]]
NO_PRCTL = """{"defaultAction": "SCMP_ACT_ALLOW",
 "syscalls": [{"names": ["prctl"], "action": "SCMP_ACT_ERRNO"}]}"""


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
@pytest.mark.parametrize(
    ("command", "status"), [("nonexistent", 127), ("/nonexistent", 127), ("/etc", 126), ("true", 0)]
)
def test_a_profile_without_prctl_does_not_silence_the_report(
    minictr: Sh, image: Path, warm: Path, directory: Path,
    options: tuple[str, ...], command: str, status: int,
) -> None:  # fmt: skip
    profile = directory / "profile.json"
    profile.write_text(NO_PRCTL)
    security = ("--security", f"seccomp:{profile}")
    env = {"MINICTR_CACHEDIR": str(warm)}
    done = minictr("exec", *options, *security, image, command, env=env)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert ("minictr: error: " in done.stderr) == (status != 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["FIFO", "character device", "socket", "directory"])
@pytest.mark.parametrize(
    "options",
    [
        ("--config", "THIS", "exec", "IMAGE", "true"),
        ("exec", "--env-file", "THIS", "IMAGE", "true"),
        ("exec", "--security", "seccomp:THIS", "IMAGE", "true"),
        ("exec", "THIS/", "true"),
        ("build", "--recipe", "THIS", "OUT", "IMAGE"),
    ],
    ids=lambda options: "-".join(options[:2]).strip("-"),
)
def test_what_is_no_file_is_refused_at_once_where_one_is_named(
    minictr: Sh, image: Path, directory: Path, options: tuple[str, ...], kind: str
) -> None:
    path = {"directory": directory, "character device": Path("/dev/zero")}.get(kind)
    if path is None:
        path = directory / "special"
        os.mknod(path, 0o644 | (stat.S_IFIFO if kind == "FIFO" else stat.S_IFSOCK))
    instead = {"THIS": str(path), "THIS/": str(path), "IMAGE": str(image), "OUT": "out.sif"}
    words = [instead.get(word, word.replace("THIS", str(path))) for word in options]
    done = minictr(*words, timeout=10)
    said = f"{done.stdout}{done.stderr}"
    assert "Traceback" not in said
    if (kind, options[1]) == ("directory", "THIS/"):  # it is an image, without a program
        assert done.returncode == 127
        return
    assert (done.returncode, said.count("minictr: error: ")) == (125, 1)
    assert str(path) in said


def test_an_env_file_can_be_what_a_command_writes(
    run_as_user: RunAsUser, checkout: Checkout, image: Path, warm: Path, nothing_left: None
) -> None:
    script = """"$0" exec --env-file <(sleep 0.3; echo 'A=$(echo 1)') "$1" sh -c 'echo $A'"""
    command = ["bash", "-c", script, checkout.program, image]
    done = run_as_user(command, env={"MINICTR_CACHEDIR": str(warm)})
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def in_a_namespace(program: Path, script: str) -> list[str]:
    """The command line of a script whose mounts are its own; minictr is its $0."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(program)]


def test_without_proc_there_is_one_clear_error(
    run_as_user: RunAsUser, checkout: Checkout, user: User, image: Path, warm: Path,
    nothing_left: None,
) -> None:  # fmt: skip
    free = run_as_user(in_a_namespace(checkout.program, "true"))
    require(free.returncode == 0, "MC0201", "user namespaces are refused here")
    script = f"mount -t tmpfs none /proc; exec $0 exec {image} true"
    done = run_as_user(
        in_a_namespace(checkout.program, script), env={"MINICTR_CACHEDIR": str(warm)}
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("minictr: error: ") == 1
    assert "/proc" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_launches_nothing_works_without_proc(
    run_as_user: RunAsUser, checkout: Checkout, warm: Path
) -> None:
    free = run_as_user(in_a_namespace(checkout.program, "true"))
    require(free.returncode == 0, "MC0201", "user namespaces are refused here")
    script = "mount -t tmpfs none /proc; $0 version && $0 explain MC0101 && $0 cache list"
    done = run_as_user(
        in_a_namespace(checkout.program, script), env={"MINICTR_CACHEDIR": str(warm)}
    )
    assert done.returncode == 0, done.stderr
    assert "MC0101" in done.stdout


@pytest.fixture
def unreadably(user: User, checkout: Checkout, directory: Path) -> Sh:
    """Runs minictr by an interpreter that the caller may not read.

    Such a process is not dumpable, and its files in /proc are root's.
    """
    require(os.geteuid() == 0, "ROOT", "only root can cover the interpreter by another")
    python, closed = os.path.realpath(sys.executable), directory / "python"
    shutil.copy(python, closed)
    closed.chmod(0o711)
    covered = f'mount --bind {closed} {python}; exec runuser -u {user.name} -- "$0" "$@"'

    def run(*arguments: str | Path, cache: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", covered, checkout.program, *arguments],
            env={"PATH": os.environ["PATH"], "MINICTR_CACHEDIR": str(cache), "MINE": "1"},
            capture_output=True,
            text=True,
        )

    return run


def test_an_interpreter_that_the_caller_may_not_read_is_no_obstacle(
    unreadably: Sh, image: Path, warm: Path, nothing_left: None
) -> None:
    done = unreadably("exec", image, "env", cache=warm)
    assert done.returncode == 0, done.stderr
    assert "MINE=1" in done.stdout
    assert "LC_CTYPE" not in done.stdout


def test_what_such_an_interpreter_keeps_serves_another(
    unreadably: Sh, minictr: Sh, sif: Path, cache: Path
) -> None:
    for _ in range(2):  # the first unpacks, and keeps nothing
        assert unreadably("exec", sif, "true", cache=cache).returncode == 0
    assert list((cache / "code").iterdir())
    done = minictr("exec", sif, "true", env={"MINICTR_CACHEDIR": str(cache)})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("blocks", [0, 4])
def test_the_filter_is_compiled_where_no_file_may_grow(
    run_as_user: RunAsUser, checkout: Checkout, image: Path, cache: Path, blocks: int
) -> None:
    script = (
        f'ulimit -f {blocks}; exec "$0" exec --no-mount home "$1" grep ^Seccomp: /proc/self/status'
    )
    done = run_as_user(
        ["sh", "-c", script, checkout.program, image], env={"MINICTR_CACHEDIR": str(cache)}
    )
    if blocks:
        assert (done.returncode, done.stdout.split()) == (0, ["Seccomp:", "2"]), done.stderr
    assert "Traceback" not in done.stderr


# What the interpreter says that runs none of our lines; the latter from 3.12 on.
NOT_BEGUN = ("Fatal Python error", "Failed checking if argv[0] is an import path entry")


@pytest.mark.parametrize(
    ("option", "name", "values"),
    [("-d", "RLIMIT_DATA", (2900, 6000, 150)), ("-v", "RLIMIT_AS", (12000, 16000, 200))],
)
def test_no_limit_on_memory_makes_a_traceback(
    run_as_user: RunAsUser, checkout: Checkout, image: Path, warm: Path, nothing_left: None,
    option: str, name: str, values: tuple[int, int, int],
) -> None:  # fmt: skip
    script = f'ulimit {option} $2; exec "$0" exec "$1" true'
    named = 0
    for kilobytes in range(*values):
        command = ["sh", "-c", script, checkout.program, image, str(kilobytes)]
        try:
            done = run_as_user(command, env={"MINICTR_CACHEDIR": str(warm)}, timeout=20)
        except subprocess.TimeoutExpired:  # where the interpreter has no memory to leave a loop
            continue
        if any(words in done.stderr for words in NOT_BEGUN):
            continue
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode == 125:
            assert done.stderr.startswith("minictr: error: ")
            assert "no memory is left" in done.stderr or f"{name} leaves minictr" in done.stderr
        named += name in done.stderr
    assert named, "no value was low enough for the limit to be named"
