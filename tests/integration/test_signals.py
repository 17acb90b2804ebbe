"""Signals and deaths: what reaches the payload, and what is left when somebody is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from leftovers import left, traces
from ordinary_user import User, credentials
from readable import Checkout

Start = Callable[..., subprocess.Popen[str]]
Family = Callable[[int], dict[int, str]]
WAIT = "while :; do sleep 0.02; done"


def first_line(process: subprocess.Popen[str]) -> str:
    """What the payload says first: it runs, and its traps are set."""
    assert process.stdout
    return process.stdout.readline()


def state(pid: int) -> str:
    """The state of a process: "T" when it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def payload_in(family: dict[int, str]) -> int:
    """The one of a launch's processes that is not the init."""
    return next(pid for pid, name in family.items() if name != "minictr:init")


@pytest.mark.parametrize("options", [["-v"], ["--no-pid"], ["--id-map", "single"]])
@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "ALRM"])
def test_a_signal_to_the_launcher_reaches_the_payload(
    start: Start, options: list[str], name: str
) -> None:
    process = start(f"trap 'echo got; exit 42' {name}; echo up; {WAIT}", *options)
    assert first_line(process) == "up\n"
    process.send_signal(signal.Signals[f"SIG{name}"])
    assert process.wait(20) == 42
    assert first_line(process) == "got\n"


@pytest.mark.parametrize("options", [[], ["--pid"]])
def test_signals_reach_the_payload_under_a_drop_in_name(
    start: Start, apptainer: Path, options: list[str]
) -> None:
    process = start(f"trap 'exit 42' TERM; echo up; {WAIT}", *options, program=apptainer)
    assert first_line(process) == "up\n"
    process.terminate()
    assert process.wait(20) == 42


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT])
def test_under_a_drop_in_name_the_launcher_ends_by_the_signal_that_ended_the_payload(
    start: Start, apptainer: Path, directory: Path, number: int
) -> None:
    """As apptainer does, whose own process becomes the command; PID 1 has a status for it."""
    script = f"ulimit -c unlimited; cd {directory}; kill -{int(number)} $$"
    assert start(script, program=apptainer).wait(20) == -number
    assert start(script, "--pid", program=apptainer).wait(20) == 128 + number
    assert start(script, "--no-pid").wait(20) == 128 + number
    assert start(f"exit {128 + number}", program=apptainer).wait(20) == 128 + number


@pytest.mark.parametrize("options", [[], ["--no-pid"]])
def test_a_signal_the_payload_does_not_expect_ends_it(start: Start, options: list[str]) -> None:
    process = start("echo up; exec sleep 1000", *options)
    assert first_line(process) == "up\n"
    process.terminate()
    assert process.wait(20) == 143


@pytest.mark.parametrize("options", [[], ["--no-pid"]])
def test_a_signal_in_the_very_first_instant_is_not_lost(start: Start, options: list[str]) -> None:
    """The payload has its say however early the signal comes once it runs."""
    for _ in range(5):
        script = "trap 'exit 42' TERM; echo up; while :; do :; done"
        process = start(script, *options)
        assert first_line(process) == "up\n"
        process.terminate()
        assert process.wait(20) == 42


def test_a_launcher_that_is_told_to_stop_stops_the_payload_too(
    start: Start, descendants: Family, eventually: Callable[..., None]
) -> None:
    # A group of its own, as a shell's job has: the kernel stops nothing in an orphaned one.
    process = start("echo up; exec cat", process_group=0)
    assert first_line(process) == "up\n"
    payload = payload_in(descendants(process.pid))
    process.send_signal(signal.SIGTSTP)
    eventually(lambda: state(process.pid) == "T", "the launcher is stopped")
    eventually(lambda: state(payload) == "T", "the payload is stopped")
    process.send_signal(signal.SIGCONT)
    eventually(lambda: state(payload) != "T", "the payload goes on")
    out, _ = process.communicate("through\n", timeout=20)
    assert (out, process.returncode) == ("through\n", 0)


def test_an_ignored_signal_stays_ignored_and_others_are_as_usual(
    run_as_user: Callable[..., subprocess.CompletedProcess[str]],
    checkout: Checkout,
    image: Path,
    warm: Path,
) -> None:
    look = "grep -E 'Sig(Ign|Blk|Cgt)' /proc/self/status"
    script = f'trap "" HUP; exec {checkout.program} exec {image} sh -c "exec {look}"'
    lines = run_as_user(["sh", "-c", script], env={"MINICTR_CACHEDIR": str(warm)}).stdout
    values = {line.split()[0]: int(line.split()[1], 16) for line in lines.splitlines()}
    assert values["SigBlk:"] == 0
    # posix_spawn(3) leaves the two that libc keeps for its threads ignored: nptl(7).
    assert values["SigIgn:"] & ~(3 << 31) == 1 << (signal.SIGHUP - 1)


def test_a_writer_without_a_reader_ends(
    sh: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert sh("yes | head -n 1").stdout == "y\n"


def test_orphans_are_reaped_by_the_init(
    inside: Callable[..., str],
) -> None:
    script = """
    for n in $(seq 30); do (sleep 0.01 & ) ; done
    until [ "$(ps -o comm | grep -c sleep)" = 0 ]; do sleep 0.02; done
    ps -o stat,comm | grep -c '^Z' || echo clean
    """
    assert inside(script) == "0\nclean\n"


def test_what_runs_in_the_background_ends_with_the_container(start: Start, user: User) -> None:
    before = user.processes()
    process = start("sleep 1000 & setsid sleep 1000 & echo up; exit 3")
    assert process.wait(20) == 3
    assert not user.processes() - before


def test_it_survives_under_a_drop_in_name_where_there_is_no_pid_namespace(
    start: Start, apptainer: Path, eventually: Callable[..., None]
) -> None:
    script = "sleep 1000 > /dev/null 2>&1 < /dev/null & echo $!"
    process = start(script, program=apptainer)
    out, _ = process.communicate(timeout=20)
    pid = int(out)
    comm = Path(f"/proc/{pid}/comm")  # the shell's until its child has executed sleep
    eventually(lambda: comm.read_text() == "sleep\n", "the sleep runs on")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the sleep has ended")


def test_without_a_pid_namespace_it_survives_a_killed_launcher_as_well(
    start: Start, descendants: Family, apptainer: Path, eventually: Callable[..., None]
) -> None:
    script = "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!; exec sleep 2000"
    process = start(script, program=apptainer)
    left = int(first_line(process))
    family = set(descendants(process.pid)) - {left}
    process.kill()
    assert process.wait(20) == -signal.SIGKILL
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "the first ended")
    assert Path(f"/proc/{left}").exists()
    os.kill(left, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{left}").exists(), "the sleep has ended")


@pytest.mark.parametrize("options", [[], ["--no-pid"], ["--fakeroot"]])
def test_a_killed_launcher_takes_everything_with_it(
    start: Start, descendants: Family, eventually: Callable[..., None], options: list[str]
) -> None:
    process = start("echo up; exec sleep 1000", *options)
    assert first_line(process) == "up\n"
    family = descendants(process.pid)
    assert family
    process.kill()
    assert process.wait(20) == -signal.SIGKILL
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "all have ended")


def test_a_killed_init_is_told_and_leaves_nothing(start: Start, descendants: Family) -> None:
    process = start("echo up; exec sleep 1000")
    assert first_line(process) == "up\n"
    family = descendants(process.pid)
    os.kill(next(pid for pid, name in family.items() if name == "minictr:init"), signal.SIGKILL)
    assert process.wait(20) == 137
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)


def test_a_killed_payload_is_told(start: Start, descendants: Family) -> None:
    process = start("echo up; exec sleep 1000")
    assert first_line(process) == "up\n"
    family = descendants(process.pid)
    os.kill(payload_in(family), signal.SIGKILL)
    assert process.wait(20) == 137


def ended_by(process: subprocess.Popen[str], number: int) -> bool:
    """Whether the first of two signals ends a process; where not, the interpreter says why."""
    process.send_signal(number)
    try:
        process.communicate(timeout=20)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert said.startswith("Exception ignored ")  # in a callback of importlib's
        return False
    finally:
        process.kill()


@pytest.fixture
def killed_in_between(
    user: User, checkout: Checkout, cache: Path, sif: Path, image: Path, nothing_left: None
) -> Callable[..., int]:
    """killed_in_between(number, times, image, span): kill launches ever later, up to span s.

    Gives how many forgot the signal: the interpreter does, and says so, before it runs any of ours.
    """

    def kill(number: int, times: int, which: Path, span: float) -> int:
        forgotten = 0
        for count in range(times):
            process = subprocess.Popen(
                [checkout.program, "exec", which, "sleep", "1000"],
                env={"PATH": "/usr/bin:/bin", "MINICTR_CACHEDIR": str(cache)},
                cwd=user.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                **credentials(user),
            )
            time.sleep(span * count / times)  # the moment is the point of the test
            forgotten += not ended_by(process, number)
        return forgotten

    return kill


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_launch_killed_at_any_moment_leaves_nothing(
    killed_in_between: Callable[..., int], image: Path, user: User, cache: Path,
    number: signal.Signals,
) -> None:  # fmt: skip
    before = traces(user, cache)
    killed_in_between(number, 30, image, 0.15)
    assert not left(user, cache, before)


def test_an_interrupt_is_never_forgotten(
    killed_in_between: Callable[..., int], image: Path
) -> None:
    """The interpreter forgets one in a hundred if it may, and one in two thousand anyhow."""
    assert killed_in_between(signal.SIGINT, 300, image, 0.03) < 3


def test_an_unpacking_killed_at_any_moment_leaves_nothing_that_the_next_one_does_not_remove(
    killed_in_between: Callable[..., int],
    minictr: Callable[..., subprocess.CompletedProcess[str]],
    cache: Path,
    sif: Path,
) -> None:
    killed_in_between(signal.SIGKILL, 12, sif, 0.3)
    done = minictr("exec", sif, "echo", "ok")
    assert (done.stdout, done.returncode) == ("ok\n", 0)
    assert len(list(cache.glob("trees/*"))) == 1
    assert not list(cache.glob("tmp/*"))


def test_an_interrupted_unpacking_removes_what_it_made(
    killed_in_between: Callable[..., int], cache: Path, sif: Path
) -> None:
    assert killed_in_between(signal.SIGINT, 20, sif, 0.2) < 2
    assert not list(cache.glob("tmp/*"))
