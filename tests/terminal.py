"""A pseudo-terminal with a program on it, as a user at a keyboard has it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ordinary_user import User, credentials

INTERRUPT, SUSPEND, END, QUIT = "\x03", "\x1a", "\x04", "\x1c"


class Terminal:
    """Starts a program as the leader of a session whose terminal we hold the other end of."""

    def __init__(
        self, command: Sequence[str | Path], user: User, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.end, slave = os.openpty()
        self.seen = ""
        if os.geteuid() == 0:
            os.fchown(slave, user.uid, user.gid)
        self.resize(24, 80)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *map(str, command)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            cwd=cwd,
            **credentials(user),
        )
        os.close(slave)

    def send(self, text: str) -> None:
        """Type."""
        os.write(self.end, text.encode())

    def expect(self, pattern: str, seconds: float = 20) -> str:
        """Wait until what is shown matches; give it, and begin anew behind it."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not come; shown: {self.seen!r}"
            if select.select([self.end], [], [], left)[0]:
                self.seen += self._read()
        self.seen = self.seen[match.end() :]
        return match.group(0)

    def _read(self) -> str:
        try:
            return os.read(self.end, 4096).decode("utf-8", "replace").replace("\r\n", "\n")
        except OSError as error:  # EIO: nobody has the terminal open any more
            raise AssertionError(f"the terminal was closed; shown: {self.seen!r}") from error

    def foreground(self) -> int:
        """The foreground process group."""
        return os.tcgetpgrp(self.end)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; the kernel sends SIGWINCH to the foreground process group."""
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        os.close(self.end)
        self.end = -1

    def close(self) -> None:
        """End everything on the terminal."""
        if self.end != -1:
            self.hang_up()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
