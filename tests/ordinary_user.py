"""Makes the ordinary user whom the tests run the program as, and runs commands as that user."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = "minictr-test-"
SUBORDINATE_IDS = 65536


@dataclass(frozen=True)
class User:
    """An account with subordinate ids, where the host grants them."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def subuid(self) -> tuple[int, int] | None:
        """The first range of /etc/subuid as (first id, count)."""
        return subordinate_range("/etc/subuid", self.name)

    @property
    def subgid(self) -> tuple[int, int] | None:
        """The first range of /etc/subgid as (first id, count)."""
        return subordinate_range("/etc/subgid", self.name)

    def processes(self) -> set[int]:
        """The pids of the user's living processes."""
        return {pid for pid in all_processes() if owner(pid) == self.uid}

    def wait_until_idle(self) -> None:
        """Wait until usermod(8) would not find the user in use: it counts zombies as well.

        Whose parent has ended the system's first process waits for, in its own time.
        """
        end = time.monotonic() + 5
        pids = all_processes()
        while any(owner(pid, ended=True) == self.uid for pid in pids) and time.monotonic() < end:
            time.sleep(0.02)
            pids = all_processes()


def current_user() -> User:
    """The developer at work."""
    entry = pwd.getpwuid(os.geteuid())
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def make_user() -> User:
    """Add an account of this test run's own; root only. Its name carries our pid."""
    remove_stale_users()
    name = f"{NAME}{os.getpid()}"
    for _ in range(50):  # useradd gives up at once where another one holds the lock
        done = subprocess.run(
            ["useradd", "--create-home", "--shell", "/bin/sh", name], capture_output=True, text=True
        )
        if done.returncode == 0:
            break
        time.sleep(0.1)
    assert done.returncode == 0, done.stderr
    grant_subordinate_ids(name)
    entry = pwd.getpwnam(name)
    return User(name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def remove_user(name: str) -> None:
    """End the account's processes and remove it with its home."""
    uid = pwd.getpwnam(name).pw_uid
    for pid in [pid for pid in all_processes() if owner(pid) == uid]:
        os.kill(pid, signal.SIGKILL)
    for _ in range(50):
        done = subprocess.run(["userdel", "--remove", name], capture_output=True, text=True)
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"userdel {name}: {done.stderr}")


def remove_stale_users() -> None:
    """Remove the accounts of test runs that were killed."""
    for entry in pwd.getpwall():
        pid = entry.pw_name.removeprefix(NAME)
        if entry.pw_name.startswith(NAME) and not Path("/proc", pid).exists():
            remove_user(entry.pw_name)


def grant_subordinate_ids(name: str) -> None:
    """Add a range to /etc/subuid and /etc/subgid where useradd did not."""
    for path, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        Path(path).touch()
        if subordinate_range(path, name):
            continue
        fields = [line.split(":") for line in Path(path).read_text().splitlines()]
        first = max([100000, *(int(start) + int(count) for _, start, count in fields)])
        last = first + SUBORDINATE_IDS - 1
        subprocess.run(["usermod", option, f"{first}-{last}", name], check=True)


def subordinate_range(path: str, name: str) -> tuple[int, int] | None:
    """The first range that a subuid(5) file gives to a login name."""
    if not Path(path).exists():
        return None
    for line in Path(path).read_text().splitlines():
        owner_name, first, count = line.split(":")
        if owner_name == name:
            return int(first), int(count)
    return None


def all_processes() -> list[int]:
    """The pids of every process that is there."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def owner(pid: int, ended: bool = False) -> int:
    """The real uid of a process; -1 of one that is gone, or has ended and does not count then."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    state = next(line for line in lines if line.startswith("State:"))
    uid = next(line for line in lines if line.startswith("Uid:"))
    return -1 if "zombie" in state and not ended else int(uid.split()[1])


RunAsUser = Callable[..., "subprocess.CompletedProcess[str]"]


def runner(user: User, path: str) -> RunAsUser:
    """Give a function that runs a command as the user, with a login's environment and this PATH."""
    base = {"HOME": str(user.home), "USER": user.name, "LOGNAME": user.name}
    base |= {"LANG": "C.UTF-8", "PATH": path}

    def run_as_user(
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: str | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the ordinary user; `env` adds to the environment of a login."""
        return subprocess.run(
            [str(word) for word in argv],
            env={**base, **(env or {})},
            cwd=cwd or user.home,
            timeout=timeout,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
            **credentials(user),
        )

    return run_as_user


def credentials(user: User) -> dict[str, object]:
    """The arguments that make subprocess.Popen start a process as the user."""
    if os.geteuid() != 0:
        return {}
    groups = os.getgrouplist(user.name, user.gid)
    return {"user": user.uid, "group": user.gid, "extra_groups": groups, "umask": 0o022}
