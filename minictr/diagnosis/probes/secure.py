"""Asks whether a program's setuid bit counts, by what the kernel tells the program."""

from __future__ import annotations

import subprocess

_SHOWN = "AT_SECURE:"
_PLAIN = ("/proc/self/exe", "-I", "-S", "-c", "pass")  # this interpreter, which has no such bit
_PATIENCE = 3  # seconds


def is_ignored(path: str) -> bool | None:
    """Whether execve(2) takes no account of the program's setuid bit; None where nothing shows it.

    The loader of glibc prints the auxiliary vector where LD_SHOW_AUXV asks for it, but not in a
    program that runs with more privilege than its caller: ld.so(8), "Secure-execution mode". The
    program gets no arguments, which newuidmap(1) answers with its usage.
    """
    shown = _shows(path)
    return shown if shown or _shows(*_PLAIN) else None


def _shows(*command: str) -> bool:
    try:
        done = subprocess.run(
            command, env={"LD_SHOW_AUXV": "1"}, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return _SHOWN.encode() in done.stdout
