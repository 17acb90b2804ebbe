"""Names processes as a report does."""

from __future__ import annotations

from minictr.host import read_fact


def named(pid: int) -> str:
    """The words sleep (pid 123); the name is what the process calls itself, proc_pid_comm(5)."""
    return f"{read_fact(f'/proc/{pid}/comm').text.strip() or '?'} (pid {pid})"
