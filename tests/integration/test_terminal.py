"""The caller's terminal: job control inside and outside, sizes, and its return to the caller."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from ordinary_user import User, credentials
from readable import Checkout
from terminal import END, INTERRUPT, SUSPEND, Terminal

Opened = Callable[..., Terminal]
Job = Callable[[Terminal, str], None]
PROMPT = "Apptainer> "
HOST = "host> "


@pytest.fixture
def opened(user: User, warm: Path, checkout: Checkout, nothing_left: None) -> Iterator[Opened]:
    """opened(*command): a terminal with that program on it, else with an interactive bash."""
    terminals: list[Terminal] = []

    def open_one(*command: str | Path) -> Terminal:
        env = {
            "HOME": str(user.home),
            "PATH": f"{checkout.program.parent}:/usr/bin:/bin:/usr/sbin:/sbin",
            "PS1": HOST,
            "TERM": "dumb",
            "MINICTR_CACHEDIR": str(warm),
        }
        shell = ("/bin/bash", "--norc", "--noprofile", "-i")
        terminals.append(Terminal(command or shell, user, env, user.home))
        if not command:
            terminals[-1].expect(HOST)
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def job(eventually: Callable[..., None]) -> Callable[[Terminal, str], None]:
    """job(terminal, command): start it from the shell there and wait until it has the terminal."""

    def begin(terminal: Terminal, command: str) -> None:
        shell = terminal.foreground()
        terminal.send(f"{command}\n")
        eventually(lambda: terminal.foreground() != shell, f"{command} is in the foreground")

    return begin


@pytest.fixture
def program(checkout: Checkout) -> str:
    return str(checkout.program)


@pytest.mark.parametrize("options", [[], ["--no-pid"], ["--contain"], ["--fakeroot"]])
def test_a_shell_prompts_and_gives_the_terminal_back(
    opened: Opened, program: str, image: Path, options: list[str]
) -> None:
    terminal = opened()
    shell = terminal.foreground()
    terminal.send(f"{program} shell {' '.join(options)} {image}\n")
    terminal.expect(PROMPT)
    terminal.send("tty -s && echo on=$((40+2))\n")
    terminal.expect("on=42")
    terminal.expect(PROMPT)
    terminal.send("exit 5\n")
    terminal.expect(HOST)
    assert terminal.foreground() == shell
    terminal.send("echo status=$?\n")
    terminal.expect("status=5")


def test_the_apptainer_name_gives_an_interactive_shell_too(
    opened: Opened, apptainer: Path, image: Path, job: Job
) -> None:
    for options in ("", "--pid"):
        terminal = opened()
        terminal.send(f"{apptainer} shell {options} {image}\n")
        terminal.expect(PROMPT)
        job(terminal, "sleep 1000")
        terminal.send(INTERRUPT)
        terminal.expect(PROMPT)
        terminal.send("exit\n")
        terminal.expect(HOST)


def test_ctrl_c_interrupts_the_command_and_not_the_shell(
    opened: Opened, program: str, image: Path, job: Job
) -> None:
    terminal = opened()
    terminal.send(f"{program} shell {image}\n")
    terminal.expect(PROMPT)
    inner = terminal.foreground()
    job(terminal, "sleep 1000")
    terminal.send(INTERRUPT)
    terminal.expect(PROMPT)
    assert terminal.foreground() == inner
    terminal.send("echo status=$?; exit\n")
    terminal.expect("status=130")
    terminal.expect(HOST)


def test_ctrl_z_stops_a_job_of_the_shell_inside(
    opened: Opened, program: str, image: Path, job: Job
) -> None:
    terminal = opened()
    terminal.send(f"{program} shell {image}\n")
    terminal.expect(PROMPT)
    job(terminal, "cat")
    terminal.send(SUSPEND)
    terminal.expect("Stopped")
    terminal.expect(PROMPT)
    job(terminal, "fg")
    terminal.send("through=cat\n")
    terminal.expect("through=cat\n(.*\n)*through=cat\n")
    terminal.send(END)
    terminal.expect(PROMPT)
    terminal.send("exit\n")
    terminal.expect(HOST)


def test_the_window_size_and_its_changes_are_seen_inside(
    opened: Opened, program: str, image: Path
) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    for action in ("exec", "exec --contain"):
        terminal = opened()
        terminal.send(f'{program} {action} {image} sh -c "{script}"\n')
        terminal.expect("\n24 80\n")
        terminal.resize(50, 132)
        terminal.expect("50 132\n")
        terminal.send(INTERRUPT)
        terminal.expect(HOST)


def test_ctrl_c_ends_a_command_with_130(opened: Opened, program: str, image: Path) -> None:
    for options in ("", "--no-pid", "--contain"):
        terminal = opened()
        terminal.send(f"{program} exec {options} {image} sh -c 'echo up; exec cat'\n")
        terminal.expect("\nup\n")
        terminal.send(INTERRUPT)
        terminal.expect(HOST)
        terminal.send("echo status=$?\n")
        terminal.expect("status=130")


def test_ctrl_c_reaches_the_payload_once(
    opened: Opened, program: str, image: Path, descendants: Callable[..., dict[int, str]]
) -> None:
    script = (
        "n=0; trap 'n=$((n+1)); echo got $n' INT; trap 'echo total $n; exit' TERM; "
        "echo up; while :; do sleep 0.02; done"
    )
    for options in ("", "--no-pid"):
        terminal = opened()
        terminal.send(f'{program} exec {options} {image} sh -c "{quoted(script)}"\n')
        terminal.expect("\nup\n")
        for count in (1, 2, 3):
            terminal.send(INTERRUPT)
            terminal.expect(f"got {count}\n")
        launcher = min(descendants(terminal.process.pid))
        os.kill(launcher, 15)
        terminal.expect("total 3\n")
        terminal.expect(HOST)


def quoted(script: str) -> str:
    """A script between double quotes."""
    return re.sub(r"([$\"\\])", r"\\\1", script)


def stopped(session: int, *names: str) -> bool:
    """Whether the processes of these names in a terminal's session are, proc_pid_stat(5)."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = path.read_text().partition("(")
        except (FileNotFoundError, ProcessLookupError):
            continue
        command, _, fields = rest.rpartition(") ")
        if command in names and int(fields.split()[3]) == session:
            found.add(fields[0])
    return found == {"T"}


def test_ctrl_z_stops_the_launcher_and_fg_continues(
    opened: Opened, program: str, image: Path, eventually: Callable[..., None]
) -> None:
    for options in ("", "--no-pid"):
        terminal = opened()
        shell = terminal.foreground()
        terminal.send(f"{program} exec {options} {image} sh -c 'echo up; exec cat'\n")
        terminal.expect("\nup\n")
        terminal.send(SUSPEND)
        terminal.expect("Stopped")
        terminal.expect(HOST)
        assert terminal.foreground() == shell
        # On a busy machine the shell is faster than cat, which would still read the next line.
        # (busybox starts its applets as /proc/self/exe.)
        eventually(partial(stopped, shell, "sh", "exe", "cat"), "cat is stopped")
        terminal.send("fg\n")
        terminal.expect("exec cat'\n")
        terminal.send("line=1\n")
        terminal.expect("line=1\n(.*\n)*line=1\n")
        terminal.send(END)
        terminal.expect(HOST)
        terminal.send("echo status=$?\n")
        terminal.expect("status=0")


@pytest.mark.parametrize("command", ["sh", "sh -i"])
def test_an_interactive_shell_by_way_of_exec_and_run(
    opened: Opened, program: str, image: Path, job: Job, command: str
) -> None:
    for action in ("exec", "run"):
        terminal = opened()
        shell = terminal.foreground()
        terminal.send(f"{program} {action} {image} {command}\n")
        terminal.expect(PROMPT)
        job(terminal, "sleep 1000")
        terminal.send(INTERRUPT)
        terminal.expect(PROMPT)
        terminal.send("exit 3\n")
        said = terminal.expect("exit 3\n[^$]*?host> ")
        assert "can't" not in said
        assert terminal.foreground() == shell
        terminal.send("echo status=$?\n")
        terminal.expect("status=3")


def test_a_lost_terminal_ends_the_launch(
    opened: Opened, program: str, image: Path, user: User, eventually: Callable[..., None]
) -> None:
    """Whether the launcher leads the session, as under ssh, or a shell does."""
    before = user.processes()
    for command in (
        (program, "exec", image, "sh", "-c", "echo up; exec sleep 1000"),
        (program, "exec", "--no-pid", image, "sh", "-c", "echo up; exec sleep 1000"),
        (program, "shell", image),
    ):
        terminal = opened(*command)
        terminal.expect(PROMPT if "shell" in command else "up\n")
        terminal.hang_up()
        terminal.process.wait(20)
        eventually(lambda: not user.processes() - before, "every process has ended")
    terminal = opened()
    terminal.send(f"{program} exec {image} sh -c 'echo up; exec sleep 1000'\n")
    terminal.expect("\nup\n")
    terminal.hang_up()
    terminal.process.wait(20)
    eventually(lambda: not user.processes() - before, "every process has ended")


def test_the_terminal_is_the_console_of_a_contained_payload(
    opened: Opened, program: str, image: Path
) -> None:
    terminal = opened()
    script = "test -t 0 && test -c /dev/console && echo there > /dev/console"
    terminal.send(f"{program} exec --contain {image} sh -c '{script}'\n")
    terminal.expect("\nthere\n")
    terminal.expect(HOST)


def test_a_launch_in_the_background_is_no_business_of_the_terminal(
    user: User, program: str, image: Path, warm: Path, nothing_left: None
) -> None:
    done = subprocess.run(
        ["setsid", "--wait", program, "exec", image, "sh", "-c", "tty; echo $?"],
        env={"MINICTR_CACHEDIR": str(warm), "PATH": "/usr/bin:/bin", "HOME": str(user.home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **credentials(user),
    )
    assert done.stdout == "not a tty\n1\n"
