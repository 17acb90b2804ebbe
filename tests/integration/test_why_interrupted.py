"""`minictr why` ends where a signal says so, and never waits for what was typed before."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asked_why import Why
from lab.bench import SYSTEM_PATH
from ordinary_user import User, credentials
from readable import Checkout
from skipping import require_program
from terminal import INTERRUPT, Terminal

from minictr.host import read_fact

OnTerminal = Callable[[str], Terminal]


@pytest.fixture
def on_terminal(
    checkout: Checkout, user: User, directory: Path, nothing_left: None
) -> Iterator[OnTerminal]:
    """Start `minictr why -- sh -c SCRIPT` on a terminal of its own."""
    require_program("strace", "STRACE", "strace")
    opened = []

    def start(script: str) -> Terminal:
        command = [checkout.program, "why", "--", "sh", "-c", script]
        opened.append(Terminal(command, user, {"PATH": SYSTEM_PATH}, directory))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def wait_for(runs: Path, count: int) -> None:
    """Wait until a command has begun that often: each run adds a line to a file."""
    late = time.monotonic() + 20
    while not runs.exists() or len(runs.read_text().splitlines()) < count:
        assert time.monotonic() < late, "it did not begin"
        time.sleep(0.02)
    time.sleep(0.2)


def left(user: User) -> list[str]:
    """The directories of a user's runs; processes are looked for by `nothing_left`."""
    return [
        str(path) for path in Path("/tmp").glob("minictr-why-*") if path.stat().st_uid == user.uid
    ]


def command_line(pid: int) -> str:
    return read_fact(f"/proc/{pid}/cmdline").text.replace("\0", " ")


READS = "minictr why -- sh -c 'read x; exit 3'"
SLOW = "echo run >>runs; {}; exit 3"


@pytest.mark.parametrize(
    ("count", "wait"), [(1, "sleep 30"), (2, "[ $(wc -l <runs) = 1 ] || sleep 30")]
)
def test_an_interrupt_from_the_terminal_ends_it(
    on_terminal: OnTerminal, user: User, directory: Path, count: int, wait: str
) -> None:
    terminal = on_terminal(SLOW.format(wait))
    wait_for(directory / "runs", count)
    terminal.send(INTERRUPT)
    terminal.expect("sh was interrupted")
    assert terminal.process.wait(timeout=5) == 128 + signal.SIGINT
    assert len((directory / "runs").read_text().splitlines()) == count
    assert not left(user)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("count", "script"),
    [
        (1, "echo run >>runs; exec sleep 31"),
        (2, SLOW.format("[ $(wc -l <runs) = 1 ] || { setsid sleep 32 & sleep 33; }")),
        (2, SLOW.format("trap '' INT TERM HUP; [ $(wc -l <runs) = 1 ] || sleep 34")),
    ],
)
def test_a_signal_to_it_alone_ends_it_and_what_it_watches(
    checkout: Checkout, user: User, directory: Path, nothing_left: None,
    number: int, count: int, script: str,
) -> None:  # fmt: skip
    require_program("strace", "STRACE", "strace")
    why = subprocess.Popen(
        [checkout.program, "why", "--", "sh", "-c", script],
        env={"PATH": SYSTEM_PATH}, cwd=directory, stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, **credentials(user),
    )  # fmt: skip
    wait_for(directory / "runs", count)
    why.send_signal(number)
    assert why.wait(timeout=5) == 128 + number
    assert len((directory / "runs").read_text().splitlines()) == count
    assert not left(user)
    assert not [pid for pid in user.processes() if re.match(r"sleep 3\d ", command_line(pid))]


def test_what_was_typed_for_the_first_run_is_not_waited_for_by_the_second(
    on_terminal: OnTerminal,
) -> None:
    terminal = on_terminal("read x; exit 3")
    terminal.send("hello\n")
    terminal.expect("sh ended with status 3|ends otherwise when it is watched")
    assert terminal.process.wait(timeout=5) == 3


def test_what_came_through_a_pipe_is_not_waited_for_by_the_second(why: Why) -> None:
    begun = time.monotonic()
    why(f"mkfifo in; (echo hello; exec sleep 8) >in 2>/dev/null & {READS} <in; kill $!")
    assert time.monotonic() - begun < 7


def test_a_closed_standard_error_and_no_file_to_write_keep_the_commands_status(why: Why) -> None:
    assert why("minictr why -- true 2>&-").status == 0
    assert why("minictr why -- sh -c 'exit 3' <&- >&- 2>&-").status == 3
    answer = why("ulimit -f 0; minictr why -- unshare -n true 2>&1 | cat >&2")
    assert (answer["verdict"], answer["status"]) == ("unwatched", 1)
    assert "strace needs a directory to write to" in answer.why
