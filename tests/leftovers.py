"""Finds what a launch left behind on the host: mounts, processes, temporary files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ordinary_user import User

TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass(frozen=True)
class Traces:
    """What belongs to the user on the host at one moment."""

    mounts: frozenset[str]
    processes: frozenset[tuple[int, str]]
    files: frozenset[str]

    def minus(self, other: Traces) -> Traces:
        """What is here and was not there."""
        return Traces(
            self.mounts - other.mounts,
            self.processes - other.processes,
            self.files - other.files,
        )

    def __bool__(self) -> bool:
        return bool(self.mounts or self.processes or self.files)


def traces(user: User, cache: Path) -> Traces:
    """Look at the host and at the temporaries of a cache as they are now."""
    temporaries = {str(path) for path in cache.glob("tmp/*")}
    return Traces(
        frozenset(mounts()), frozenset(processes(user)), frozenset(files(user)) | temporaries
    )


def mounts() -> Iterator[str]:
    """Every mount of this mount namespace: its point, kind and source."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        yield f"{before.split()[4]} {after}"


def processes(user: User) -> Iterator[tuple[int, str]]:
    """The user's processes; of a developer's own, those that come from minictr."""
    for pid in user.processes() - {os.getpid()}:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.geteuid() == 0 or b"minictr" in command or name.startswith(("minictr", "appinit")):
            yield pid, command.decode("utf-8", "replace") or name


def files(user: User) -> Iterator[str]:
    """The user's files in the directories for temporary files that carry our name."""
    for directory in TEMPORARY:
        for entry in os.scandir(directory) if os.path.isdir(directory) else ():
            if not entry.name.startswith("minictr"):
                continue
            try:
                if entry.stat(follow_symlinks=False).st_uid == user.uid:
                    yield entry.path
            except FileNotFoundError:
                continue


def left(user: User, cache: Path, before: Traces, patience: float = 3.0) -> Traces:
    """What is there now and was not before; what the kernel is still reaping has its time."""
    end = time.monotonic() + patience
    while rest := traces(user, cache).minus(before):
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    return rest
