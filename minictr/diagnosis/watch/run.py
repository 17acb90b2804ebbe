"""Runs the command as it is, and hears what it says on standard error."""

from __future__ import annotations

import os
import posix
import re
import select
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from minictr.diagnosis.watch.interrupts import Interrupts
from minictr.value import Value

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Pids, times, rates with their units, the names of temporary files.
_CHANGING = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?(?: ?[kKMGT]?i?B/s)?|\b[0-9a-fA-F]{8,}\b")
_OFTEN = 0.1  # seconds between two looks for signals
GRACE = 0.5  # seconds in which what the command leaves in the background can still be heard


class Outcome(Value):
    """How the command ended: `status`, 128+N for signal N, what it wrote to standard error, and
    how long it took.
    """

    status: int
    said: str
    seconds: float = 0.0

    @property
    def last(self) -> str:
        """The last line of what it said."""
        lines = [line.strip() for line in _COLOURS.sub("", self.said).splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def same_as(self, other: Outcome) -> bool:
        """Whether two runs ended alike; numbers in what they said may differ."""
        lines = [_CHANGING.sub("#", one.last) for one in (self, other)]
        return self.status == other.status and lines[0] == lines[1]


class Voice:
    """The pipe that stands for the command's standard error; `pass_on` shows it as it comes."""

    def __init__(self, pass_on: bool) -> None:
        self.reader, self.writer = os.pipe()
        self.name = f"pipe:[{os.fstat(self.writer).st_ino}]"
        self._pass_on = pass_on
        self._parts: list[bytes] = []

    def hear(self) -> bool:
        """Read what is there; False at the end, when nobody has the pipe any more."""
        part = os.read(self.reader, 1 << 16)
        self._parts.append(part)
        if self._pass_on:
            try:
                _write_all(part)
            except OSError:  # a full device, a reader that has gone: there is nobody to tell
                self._pass_on = False
        return bool(part)

    def close(self) -> str:
        """Everything that was said."""
        os.close(self.reader)
        return b"".join(self._parts).decode("utf-8", "replace")


# By descriptor: what to do when there is something to read; False where nothing more will come.
Ears = dict[int, Callable[[], bool]]


def run(command: list[str], path: str, interrupts: Interrupts) -> Outcome:
    """Run the command with the caller's terminal and input; `path` is its file. Raises OSError."""
    voice, begun = Voice(pass_on=True), time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            executable=path,
            stderr=voice.writer,
            preexec_fn=interrupts.let_through,  # noqa: PLW1509  # this program has one thread
        )
    except OSError:
        os.close(voice.writer)
        voice.close()
        raise
    os.close(voice.writer)

    def hand_on() -> bool:
        for number, pressed in interrupts.taken():
            if not pressed and child.poll() is None:
                send(child.pid, number)
        return False

    attend(child, {voice.reader: voice.hear}, hand_on)
    code = child.wait()
    status = code if code >= 0 else 128 - code
    return Outcome(status, voice.close(), time.monotonic() - begun)


def send(pid: int, number: int) -> None:
    """Send a signal to what may have ended, or be another's since it was started."""
    with suppress(OSError):
        posix.kill(pid, number)


def attend(
    child: subprocess.Popen[bytes],
    ears: Ears,
    over: Callable[[], bool],
    limit: float = float("inf"),
) -> bool:
    """Listen until the child has ended or `over` says so, and a moment longer for the rest.

    False where the limit was reached before.

    over    is asked again and again: it is the place to look for signals
    limit   the most seconds that this may take
    One loop in place of threads: under a limit on processes there may be none.
    """
    end = _end_of(child)
    late = time.monotonic() + limit
    last = False
    while (left := late - time.monotonic()) > 0:
        waiting = list(ears) if last or end < 0 else [*ears, end]
        ready, _, _ = select.select(waiting, [], [], min(left, _OFTEN))
        for descriptor in ready:
            if descriptor != end and not ears[descriptor]():
                del ears[descriptor]
        ended = over() or (child.poll() is not None if end < 0 else end in ready)
        if not last and ended:
            last, late = True, time.monotonic() + GRACE
        if last and not ears:
            break
    if end >= 0:
        os.close(end)
    return last


def _end_of(child: subprocess.Popen[bytes]) -> int:
    """A descriptor that can be read once the child has ended; -1 where there can be none."""
    try:
        return os.pidfd_open(child.pid)
    except OSError:  # a filter refuses it, or it would be one too many: it is asked now and then
        return -1


def input_again() -> int | None:
    """The standard input of a further run: a file, or else nothing; None for the first one's.

    The first run has read what was typed or came through a pipe: a further one would wait in vain.
    """
    try:
        return None if stat.S_ISREG(posix.fstat(0).st_mode) else subprocess.DEVNULL
    except OSError:  # it is closed
        return None


@contextmanager
def input_kept() -> Iterator[None]:
    """Set a file on standard input back to where it was: the next run is to read the same."""
    try:
        status = posix.fstat(0)
        start = posix.lseek(0, 0, os.SEEK_CUR) if stat.S_ISREG(status.st_mode) else -1
    except OSError:  # it is closed
        start = -1
    yield
    if start >= 0:
        posix.lseek(0, start, os.SEEK_SET)


def _write_all(part: bytes) -> None:
    while part:
        part = part[posix.write(2, part) :]
