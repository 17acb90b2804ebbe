"""The execute phase: the payload's last steps, up to the execve(2) that ends our part."""

from __future__ import annotations

import posix

from minictr.image.tree import may
from minictr.runtime import environment, seccomp, signals
from minictr.runtime.files import execve, spawn
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import CallError, seccomp_load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ENOENT, _E2BIG, _EAGAIN, _EACCES, _ENOEXEC, _ENOTDIR = 2, 7, 11, 13, 8, 20


class LoadFilter(Step):
    """Load the seccomp filter on this process, and so on all that it starts.

    It comes when only the image's scripts and the command are left, for which it is meant:
    other steps need calls that it refuses. A profile of the user's is for the payload: PID 1
    could not reap under one that refuses wait4(2). The built-in profiles
    let PID 1 do its work. The program was compiled before: loading it is one call and needs no
    library.
    """

    calls = "seccomp(2) SECCOMP_SET_MODE_FILTER"
    profile: str
    program: bytes

    def run(self, process: Process) -> None:
        seccomp_load(self.program)

    def by_init(self) -> bool:
        return self.profile in seccomp.BUILT_IN

    def operands(self) -> str:
        return f"{self.profile}, {len(self.program) // 8} instructions"


class EvaluateEnvironment(Step):
    """Work out the environment: the caller's, the image's scripts', the user's own, in that order.

    The scripts are the image's code. They run here, in the confined payload, and nowhere else.
    """

    calls = "where scripts need a shell: memfd_create(2), posix_spawn(3), wait4(2)"
    environment: environment.Environment

    def run(self, process: Process) -> None:
        process.environment = environment.evaluate(self.environment)

    def by_init(self) -> bool:
        return self.environment.method != "shell"  # Ctrl-C ends a script, and must not end PID 1

    def operands(self) -> str:
        return self.environment.method


class Execute(Step):
    """Become the command.

    The command is searched in the container's own PATH, and execve(2) is called rather than
    execvp(3): that one answers ENOEXEC by handing the file to a shell, whatever it is, and hides a
    foreign or damaged program behind a syntax error. Only a text without a `#!` line goes to
    /bin/sh, as it would from a shell.
    """

    calls = "execve(2)"
    command: tuple[str, ...]

    def run(self, process: Process) -> None:
        self._start(process, execve)

    def spawn(self, process: Process, blocked: set[int]) -> int:
        """The same in a child that shares our memory until then: its pid. posix_spawn(3)."""

        def start(path: str, words: list[str], variables: dict[str, str]) -> int:
            return spawn(path, words, variables, setsigmask=blocked, setsigdef=signals.IGNORED)

        try:
            return self._start(process, start)
        except CallError as refused:
            if refused.errno == _EAGAIN:  # execve(2) gives that only after a change of the uid
                raise CallError("fork", (), _EAGAIN) from None
            raise

    def by_init(self) -> bool:
        return True

    def _start(
        self, process: Process, start: Callable[[str, list[str], dict[str, str]], int]
    ) -> int:
        variables = process.environment
        path = self.command[0]
        if "/" not in path:
            path = search(path, variables.get("PATH", ""))
        try:
            return start(path, list(self.command), variables)
        except CallError as refused:
            if refused.errno == _E2BIG:  # only this process knows what scripts made of it
                sizes = measure(path, self.command, variables)
                raise CallError("execve", (path, sizes), _E2BIG) from None
            if refused.errno != _ENOEXEC or not _is_text(path):
                raise
            return start("/bin/sh", ["/bin/sh", path, *self.command[1:]], variables)

    def operands(self) -> str:
        return " ".join(self.command)


def search(name: str, path: str) -> str:
    """The first executable file of that name in PATH, as execvp(3) looks for it.

    Raises CallError("search", (name, path)): EACCES where a file of that name is there but not
    executable, ENOENT where there is none.
    """
    seen = _ENOENT
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            kind = posix.stat(candidate).st_mode & 0o170000
        except OSError as error:
            seen = _EACCES if error.errno == _EACCES else seen
            continue
        if kind == 0o100000:
            if may(candidate, posix.X_OK):
                return candidate
            seen = _EACCES
    raise CallError("search", (name, path), seen)


def measure(
    path: str, command: tuple[str, ...], variables: dict[str, str]
) -> tuple[int, int, int, str]:
    """(bytes that execve(2) counts, strings, bytes of the longest with its NUL, which that is).

    A variable is told by its name and "=", an argument by its number.
    """
    strings = [
        (len(text.encode("utf-8", "surrogateescape")) + 1, str(number))
        for number, text in enumerate(command)
    ]
    strings += [
        (len(f"{name}={value}".encode("utf-8", "surrogateescape")) + 1, f"{name}=")
        for name, value in variables.items()
    ]
    longest, which = max(strings)
    total = sum(size for size, _ in strings) + 8 * len(strings)  # a pointer to each
    return total + len(path.encode("utf-8", "surrogateescape")) + 1, len(strings), longest, which


def _is_text(path: str) -> bool:
    """Whether it is a text without `#!`: no ELF magic, no NUL byte in its first line; bash(1).

    A script with `#!` gives ENOEXEC where its interpreter is damaged or foreign: not a shell's.
    """
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # executable but not readable: nobody can say
        return False
    start = posix.read(descriptor, 80)
    posix.close(descriptor)
    marked = start[:2] == b"#!" or start[:4] == b"\x7fELF"
    return bool(start) and not marked and b"\0" not in start.partition(b"\n")[0]
