"""Runs the command under strace(1) and reads along; can hold it at a call that was refused."""

from __future__ import annotations

import os
import posix
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from minictr.diagnosis.watch.interrupts import Interrupted, Interrupts
from minictr.diagnosis.watch.kinds import UNSEEN
from minictr.diagnosis.watch.record import Call, Record
from minictr.diagnosis.watch.run import Outcome, Voice, attend, input_again, send
from minictr.diagnosis.watch.stand_in import StandIns
from minictr.host import read_fact
from minictr.value import Value

_FIFO = "calls"
_PATIENCE = 0.05  # seconds that strace takes at most to stop


class Traced(Value):
    """One run under strace: how it ended, and what was recorded of it."""

    outcome: Outcome
    record: Record
    voice: str  # the name of the pipe that was its standard error
    trouble: str = ""  # why strace could not watch, in its own words
    late: bool = False  # it had not ended at the limit, and was ended


class Strace(Value):
    """How strace is to run.

    program    its path
    directory  where it can write
    held       the system call after which each process waits a little, "" for none
    wait       how long, in milliseconds: within that time strace is stopped itself
    paths      only calls that are given one of these are seen, and wait; () for all
    limit      seconds after which it is to let go
    """

    program: str
    directory: Path
    held: str = ""
    wait: int = 0
    paths: tuple[str, ...] = ()
    limit: float = float("inf")


# Given a call that failed, and whether its process is held.
Watch = Callable[[Call, bool], object]


def find_strace(path: str) -> str:
    """The path of strace, "" where there is none."""
    return shutil.which("strace", path=path) or ""


def unable() -> str:
    """Which call strace does not find working here, "" for none.

    It stops its own first child with kill(2), by what getpid(2) says: refused, that would be every
    process of the user's (-1), or the child would wait for ever.
    """
    own = posix.getpid()
    if own <= 0:
        return "getpid"
    try:
        posix.kill(own, 0)
    except OSError:
        return "kill"
    return ""


def trace(
    strace: Strace,
    command: list[str],
    stand_ins: StandIns,
    interrupts: Interrupts,
    watch: Watch | None = None,
) -> Traced:
    """Run the command once under strace, its standard output discarded. Raises OSError.

    It has a session of its own, and no terminal: what it would ask there it has asked before, and
    a key that interrupts is for us alone. Raises Interrupted where a signal came.

    watch   is given each call that failed, and whether its process stands still meanwhile: where
            the call is `held` strace keeps it, and is stopped itself
    """
    reader, writer = _open(strace.directory / _FIFO)
    try:
        traced = _followed(strace, command, stand_ins, interrupts, watch, reader)
    finally:
        posix.close(reader)
        posix.close(writer)
    if interrupts.came:
        raise Interrupted
    return traced


def _followed(
    strace: Strace,
    command: list[str],
    stand_ins: StandIns,
    interrupts: Interrupts,
    watch: Watch | None,
    reader: int,
) -> Traced:
    voice = Voice(pass_on=False)
    child = _started(strace, command, stand_ins, voice, interrupts)
    os.close(voice.writer)
    lines = _Lines(child, reader, watch, interrupts)
    ears = {reader: lines.read, voice.reader: voice.hear, stand_ins.listener: stand_ins.answer}
    in_time = attend(child, ears, lines.over, strace.limit)
    lines.end(let_go=in_time and not interrupts.came)
    return _outcome(lines.record, voice).replace(late=not in_time)


def _started(
    strace: Strace, command: list[str], stand_ins: StandIns, voice: Voice, interrupts: Interrupts
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [strace.program, *_options(strace), "--", *command],
        stdin=input_again(),
        stdout=subprocess.DEVNULL,
        stderr=voice.writer,
        start_new_session=True,
        preexec_fn=interrupts.let_through,  # noqa: PLW1509  # this program has one thread
        env={**os.environ, "PATH": stand_ins.path},
    )


def _open(fifo: Path) -> tuple[int, int]:
    """A pipe with a name, for strace to write to: a descriptor would be inherited by the command.

    The writer is ours until strace has opened it: without one there would be an end of file.
    """
    os.mkfifo(fifo)
    fifo.chmod(0o600)
    reader = posix.open(str(fifo), posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    return reader, posix.open(str(fifo), posix.O_WRONLY | posix.O_CLOEXEC)


def _outcome(record: Record, voice: Voice) -> Traced:
    said = voice.close()
    end = record.ends.get(record.first)
    if end is None or not record.calls:
        return Traced(Outcome(-1, said), record, voice.name, said.strip() or "it said nothing")
    return Traced(Outcome(end.status, said), record, voice.name)


def _options(strace: Strace) -> list[str]:
    """What strace is asked: follow children, name what descriptors lead to, translate pids."""
    # `?` passes over a call that this machine or this strace does not know.
    calls = "!" + ",".join(f"?{name}" for name in UNSEEN)
    options = [
        "-f",
        "-y",
        "-I2",
        "-s",
        "300",
        "--decode-pids=pidns",
        "-o",
        str(strace.directory / _FIFO),
    ]
    options += [
        "-e",
        f"trace={calls}",
        "-e",
        "signal=!SIGCHLD",
    ]  # else no death of a signal is told
    for path in strace.paths:
        options += ["-P", path]
    delay = f"inject={strace.held}:delay_exit={strace.wait * 1000}"
    return [*options, "-e", delay] if strace.held else options


class _Lines:
    """Takes strace's lines into a record, and stops strace while a failed call is looked at."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        reader: int,
        watch: Watch | None,
        interrupts: Interrupts,
    ) -> None:
        self.record = Record()
        self._child = child
        self._reader = reader
        self._watch = watch
        self._interrupts = interrupts
        self._rest = b""

    def read(self) -> bool:
        part = posix.read(self._reader, 1 << 16)
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._take(line.decode("latin-1"))
        return bool(part)

    def over(self) -> bool:
        """Whether the command itself has ended; strace stays for children in the background.

        Signals that came meanwhile are for everything that is watched.
        """
        for number, _ in self._interrupts.taken():
            self._send(number)
        return self.record.first in self.record.ends or self._interrupts.late()

    def end(self, let_go: bool) -> None:
        """End strace, and what it watches unless it is to be let go."""
        if not let_go:
            self._send(signal.SIGKILL)
            with suppress(ProcessLookupError, PermissionError):  # it has ended; a filter
                posix.killpg(self._child.pid, signal.SIGKILL)
        if self._child.poll() is None:
            send(self._child.pid, signal.SIGTERM)
        self._child.wait()

    def _send(self, number: int) -> None:
        for pid in self.record.alive():
            send(pid, number)

    def _take(self, line: str) -> None:
        call = self.record.feed(line)
        if call and call.failed and self._watch and self._child.poll() is None:
            send(self._child.pid, signal.SIGSTOP)
            try:
                self._watch(call, self._stands_still(call.thread))
            finally:
                send(self._child.pid, signal.SIGCONT)

    def _stands_still(self, thread: int) -> bool:
        """Whether strace has stopped while it kept the thread."""
        late = time.monotonic() + _PATIENCE
        while _state(self._child.pid) != "T" and time.monotonic() < late:
            time.sleep(0.001)
        return _state(self._child.pid) == "T" and _state(thread) == "t"


def _state(pid: int) -> str:
    """The letter of proc_pid_stat(5): T stopped, t by its tracer; "" where it has ended."""
    return read_fact(f"/proc/{pid}/stat").text.rpartition(") ")[2][:1]
