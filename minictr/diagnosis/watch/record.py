"""Reads what strace(1) writes: the calls of a program and its children, and how they ended."""

from __future__ import annotations

import errno
import re
import signal

from minictr.diagnosis.watch.arguments import split
from minictr.value import Value

_LINE = re.compile(r"(\d+) +(.*)")
_DONE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)(.*)", re.S)
_UNFINISHED = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.S)
_ENDED = re.compile(r"\+\+\+ (?:exited with (\d+)|killed by (\w+).*) \+\+\+")
_OUTSIDE = re.compile(r"/\* (\d+) in strace's PID NS \*/")
_ERRNO = re.compile(r" (E[A-Z0-9]+)\b")

# What is kept though it succeeded; of every other call only that it failed is of use.
_KEPT = (
    "clone", "clone3", "fork", "vfork", "unshare", "setns", "execve", "execveat",
    "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick",
    "move_mount", "open_tree", "mount_setattr", "sethostname", "ioctl",
    "prctl", "seccomp", "capset", "setgroups", "setuid", "setgid", "setresuid", "setresgid",
    "open", "openat", "openat2", "write", "writev", "mkdir", "mkdirat", "chdir",
    "stat", "lstat", "newfstatat", "statx", "statfs", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat",
)  # fmt: skip
FORKS = ("clone", "clone3", "fork", "vfork")


class Call(Value):
    """One system call that returned.

    number     its place in the record
    process    the pid, as seen from outside; a thread's calls are its process's
    thread     the thread that made it
    arguments  as strace writes them
    result     what it gave; -1 where it failed, with errno
    line       the whole of it
    """

    number: int
    process: int
    thread: int
    name: str
    arguments: tuple[str, ...]
    result: int
    errno: int
    line: str

    @property
    def failed(self) -> bool:
        return self.errno != 0


class End(Value):
    """How a process ended: `number` is its place in the record, `status` 128+N for signal N."""

    number: int
    status: int
    killed: bool = False


class Record:
    """The calls in their order, who started whom, and how each process ended."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.parents: dict[int, int] = {}
        self.ends: dict[int, End] = {}
        self.first = 0  # the pid of the program itself
        self._threads: dict[int, int] = {}
        self._begun: dict[int, str] = {}
        self._known: set[int] = set()
        self._number = 0

    def feed(self, text: str) -> Call | None:
        """Take in one line; the call that has returned with it."""
        found = _LINE.fullmatch(text)
        if not found:
            return None
        self._number += 1
        thread, event = int(found[1]), found[2]
        self._seen(thread)
        if ended := _ENDED.match(event):
            self._end(thread, ended)
            return None
        if begun := _UNFINISHED.fullmatch(event):
            self._begun[thread] = f"{begun[1]}({begun[2]}"
            return None
        if resumed := _RESUMED.fullmatch(event):
            event = self._begun.pop(thread, "") + resumed[2]
        done = _DONE.fullmatch(event)
        return self._keep(thread, done) if done else None

    def process(self, thread: int) -> int:
        """The process that a thread belongs to."""
        while thread in self._threads:
            thread = self._threads[thread]
        return thread

    def of(self, process: int) -> list[Call]:
        """The calls of one process; those made before its threads were known to be its too."""
        return [call for call in self.calls if self.process(call.process) == process]

    def children(self, process: int) -> list[int]:
        return [child for child, parent in self.parents.items() if self.process(parent) == process]

    def alive(self) -> set[int]:
        """The processes that have not ended."""
        known = self._known | set(self.parents)
        return {self.process(one) for one in known} - set(self.ends)

    def _seen(self, thread: int) -> None:
        """A new thread: started by a call which has not returned yet, where it is not known."""
        if self.first and thread not in self._known:
            pending = [one for one, begun in self._begun.items() if begun.startswith(FORKS)]
            if pending and thread not in self.parents and thread not in self._threads:
                self._born(thread, pending[-1], self._begun[pending[-1]])
        self.first = self.first or thread
        self._known.add(thread)

    def _end(self, thread: int, ended: re.Match[str]) -> None:
        status = int(ended[1]) if ended[1] else 128 + getattr(signal, ended[2], 0)
        self.ends[thread] = End(self._number, status, killed=not ended[1])

    def _keep(self, thread: int, done: re.Match[str]) -> Call:
        name, rest = done[1], done[4]
        failed = done[3] == "-1" and _ERRNO.match(rest)
        number = getattr(errno, failed[1], 0) if failed else 0
        base = 16 if done[3].startswith("0x") else 10  # umask(2) is told as 022
        result = 0 if done[3] == "?" else int(done[3], base)
        outside = _OUTSIDE.search(rest)
        arguments = tuple(split(done[2]))
        if name in FORKS and result > 0:
            child = int(outside[1]) if outside else result
            self._born(child, thread, done[2])
        process = self.process(thread)
        line = f"{name}({done[2]}) = {done[3]}{rest}".replace(" (DELAYED)", "")
        call = Call(self._number, process, thread, name, arguments, result, number, line)
        if number or name in _KEPT:
            self.calls.append(call)
        return call

    def _born(self, child: int, thread: int, flags: str) -> None:
        self.parents.pop(child, None)
        self._threads.pop(child, None)
        (self._threads if "CLONE_THREAD" in flags else self.parents)[child] = thread
