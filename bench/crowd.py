"""Starts many launches, side by side or to stay, and sees what becomes of their processes."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from pathlib import Path
from typing import NamedTuple

from launchers import instead
from stopwatch import Command

PATIENCE = 3.0  # seconds that the kernel gets to reap what has ended
BEGIN = 60.0  # seconds in which a container has to be there
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def adopt_orphans() -> None:
    """Become the parent of whatever a launcher leaves running, so that nothing goes unseen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Batch(NamedTuple):
    """How many launches side by side went."""

    seconds: float  # from the first start to the last end
    failures: int
    said: str  # what the launchers wrote to standard error


def side_by_side(command: Command, launches: int, at_once: int, scratch: Path) -> Batch:
    """Launch so often, a new one as soon as one has ended."""
    words = scratch / "said"
    words.touch()
    running: set[int] = set()
    failures = 0
    begin = time.perf_counter()
    for _ in range(launches):
        if len(running) == at_once:
            failures += one_end(running)
        running.add(start(command, words, os.open("/dev/null", os.O_WRONLY)))
    while running:
        failures += one_end(running)
    seconds = time.perf_counter() - begin
    said = words.read_text(errors="replace")
    words.unlink()
    return Batch(seconds, failures, said)


def start(command: Command, words: Path, output: int) -> int:
    """Start a launcher that appends its messages to the file; closes `output`, its stdout."""
    argv, environ = command
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_OPEN, 2, str(words), os.O_WRONLY | os.O_APPEND, 0),
    )
    try:
        return os.posix_spawn(argv[0], argv, environ, file_actions=actions)
    finally:
        os.close(output)


def one_end(running: set[int]) -> int:
    """Wait until one of the launchers ends; 1 for a failure."""
    while True:
        pid, status = os.wait()  # an orphan that was adopted ends here, too
        if pid in running:
            running.remove(pid)
            return int(status != 0)


class Crowd(NamedTuple):
    """Containers that run at the same time."""

    launchers: list[int]
    seconds: float  # until the last one ran
    said: str  # why there are no more; "" for all that were asked for


def gather(command: Command, number: int, scratch: Path) -> Crowd:
    """Start containers that sleep, one after the other, until one fails or there are enough."""
    words = scratch / "said"
    words.touch()
    sleeper = instead(command, "sh", "-c", "echo; exec sleep 10000")
    pids: list[int] = []
    begin = time.perf_counter()
    said = ""
    while len(pids) < number and not said:
        read, write = os.pipe()
        try:
            pid = start(sleeper, words, write)
        except OSError as error:
            said = f"posix_spawn: {error.strerror}"
            os.close(read)
            break
        pids.append(pid)
        ready, _, _ = select.select([read], [], [], BEGIN)
        if not ready or not os.read(read, 1):
            pids.remove(pid)
            said = words.read_text(errors="replace") or f"nothing to be seen after {BEGIN} s"
        os.close(read)
    seconds = time.perf_counter() - begin
    words.unlink()
    return Crowd(pids, seconds, said)


def parents() -> dict[int, int]:
    """The parent of every process that has not ended."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if after[0] != "Z":
                found[int(entry.name)] = int(after[1])
    return found


def descendants() -> set[int]:
    """Every process that comes from us and has not ended."""
    parent = parents()
    ours = {os.getpid()}
    while more := {pid for pid, above in parent.items() if above in ours} - ours:
        ours |= more
    return ours - {os.getpid()}


def remaining() -> int:
    """How many processes of ours do not end by themselves."""
    end = time.monotonic() + PATIENCE
    while (left := descendants()) and time.monotonic() < end:
        reap()
        time.sleep(0.05)
    reap()
    return len(left)


def disperse(launchers: list[int]) -> int:
    """Kill the launchers alone; gives how many processes outlive them, and ends those."""
    for pid in launchers:
        os.kill(pid, signal.SIGKILL)
    left = remaining()
    end_all()
    return left


def end_all() -> None:
    """Kill every process that comes from us."""
    while survivors := descendants():
        for pid in survivors:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # the end of its parent was its own
        reap()
        time.sleep(0.05)


def reap() -> None:
    """Take note of every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return  # there are none
