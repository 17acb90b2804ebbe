"""Holds back the signals that are to end this process, for what it runs to be ended first."""

from __future__ import annotations

import signal
import time
from types import TracebackType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM,
           signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)  # fmt: skip
_OF_KEYS = (signal.SIGINT, signal.SIGQUIT)
_SI_KERNEL = 0x80  # sigaction(2): of SIGINT and SIGQUIT, a key of the terminal was pressed
_GRACE = 1.0  # seconds for a watched command to end in


class Interrupted(Exception):
    """A signal came while the command was watched."""


class Interrupts:
    """The signals stay pending while this is open. `came` is the first that did, 0 for none."""

    def __init__(self) -> None:
        self.came = 0
        self._late = float("inf")
        # A signal that is ignored would be kept, too, were it blocked: sigaction(2).
        self._held = {one for one in _ENDING if signal.getsignal(one) != signal.SIG_IGN}
        self._before: set[int] = set()
        self._of_children: Any = signal.SIG_DFL

    def __enter__(self) -> Interrupts:
        self._before = set(signal.pthread_sigmask(signal.SIG_BLOCK, self._held))
        # Where a caller ignores SIGCHLD the kernel keeps no child's status: wait(2).
        self._of_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_through()

    def let_through(self) -> None:
        """Give this process, or a child before its program, what the caller had of signals."""
        signal.signal(signal.SIGCHLD, self._of_children)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def taken(self) -> list[tuple[int, bool]]:
        """What came since; and of each whether the foreground processes have it by a key."""
        found = []
        while one := signal.sigtimedwait(self._held, 0):
            key = one.si_code == _SI_KERNEL and one.si_signo in _OF_KEYS
            found.append((one.si_signo, key))
            if not self.came:
                self.came, self._late = one.si_signo, time.monotonic() + _GRACE
        return found

    def late(self) -> bool:
        """Whether the time has passed that was given to the command to end in."""
        return time.monotonic() > self._late
