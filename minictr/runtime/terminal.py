"""The execute phase: the step that gives an interactive shell the caller's terminal."""

from __future__ import annotations

from minictr.runtime import signals
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import CallError


class TakeTerminal(Step):
    """Put an interactive shell in a process group of its own and make it the foreground one.

    The shell would otherwise start in the caller's group, which has no number in its PID
    namespace: it reads 0 as its own group, and cannot hand the terminal back when it ends. The
    launcher takes the terminal back itself.
    """

    calls = "setpgid(2), tcsetpgrp(3)"
    descriptor: int = 0

    def run(self, process: Process) -> None:
        try:
            signals.take_terminal(self.descriptor)
        except OSError as error:
            raise CallError("tcsetpgrp", (self.descriptor,), error.errno or 0) from None
