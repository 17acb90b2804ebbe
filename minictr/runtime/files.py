"""The file-system calls of a launch: posix's own, with nothing lost when one is refused."""

from __future__ import annotations

import posix

from minictr.runtime.syscalls import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])


def keeping(call: str, function: Function) -> Function:
    """`function` of posix, with its OSError turned into a CallError."""

    def kept(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except OSError as error:
            raise CallError(call, arguments, error.errno or 0) from None

    return kept  # type: ignore[return-value]


chdir = keeping("chdir", posix.chdir)
chmod = keeping("chmod", posix.chmod)
execve = keeping("execve", posix.execve)
fork = keeping("fork", posix.fork)
mkdir = keeping("mkdir", posix.mkdir)
open_file = keeping("open", posix.open)
readlink = keeping("readlink", posix.readlink)
spawn = keeping("execve", posix.posix_spawn)  # which gives the errno of the child's execve(2)
pipe2 = keeping("pipe2", posix.pipe2)
statvfs = keeping("statvfs", posix.statvfs)
symlink = keeping("symlink", posix.symlink)
write = keeping("write", posix.write)


def write_file(path: str, content: bytes, mode: int = 0o644) -> None:
    """Create or overwrite a file, with one write(2): what the kernel's own files ask for.

    Where that writes a part (RLIMIT_FSIZE), the next one says why.
    """
    descriptor = open_file(path, posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, mode)
    given = path, content.decode("utf-8", "replace")
    try:
        written = posix.write(descriptor, content)
        while written < len(content):
            more = posix.write(descriptor, content[written:])
            if not more:  # which no kernel answers: a filter does
                raise CallError("write", given, 0, f"{written} of {len(content)} bytes")
            written += more
    except OSError as error:
        raise CallError("write", given, error.errno or 0) from None
    finally:
        posix.close(descriptor)
