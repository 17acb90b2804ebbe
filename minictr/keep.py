"""Writes the file of a launch's compiled modules, which modules.py reads."""

from __future__ import annotations

import marshal
import posix
import sys
from _frozen_importlib_external import ExtensionFileLoader

from minictr.compact import compact
from minictr.modules import LAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from minictr.modules import Kept, KeptModules


def keep(modules: KeptModules, found: tuple[str, ...]) -> None:
    """Write the file again, with the modules that had to be searched for. Raises whatever fails."""
    kept = [*modules.kept.values(), *_added(LAST not in modules.kept, found)]
    write(modules.path, marshal.dumps((modules.form, kept), marshal.version))


def _added(every: bool, found: tuple[str, ...]) -> Iterator[Kept]:
    """What is to be kept of these; `every`: each launch runs them, up to the last one of those."""
    for name in found:
        yield compiled(name, whole=every)
        every = every and name != LAST


def compiled(name: str, whole: bool) -> Kept:
    """What is to be kept of an imported module; `whole`: with its code as every launch runs it."""
    spec = sys.modules[name].__spec__
    origin = str(spec.origin if spec else "")
    status = posix.stat(origin)
    code: CodeType | bytes = b""
    if spec and not isinstance(spec.loader, ExtensionFileLoader):
        with open(origin, "rb") as source:
            code = compact(source.read(), origin, resolved=whole)
        code = code if whole else marshal.dumps(code)
    package = bool(spec and spec.submodule_search_locations is not None)
    return name, package, origin, status.st_mtime_ns, status.st_size, code


def write(path: str, content: bytes) -> None:
    """Write a file of the cache whole or not at all."""
    directory = path.rpartition("/")[0]
    status = posix.stat(directory.rpartition("/")[0])  # the cache itself is made by who fills it
    if status.st_uid != posix.geteuid() or status.st_mode & 0o022:
        return
    try:
        posix.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    temporary = f"{path}.{posix.getpid()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o600)
    complete = False
    try:
        if posix.write(descriptor, content) == len(content):
            posix.fsync(descriptor)  # renamed before it is written it could be empty after a crash
            posix.rename(temporary, path)
            complete = True
    finally:
        posix.close(descriptor)
        if not complete:
            posix.unlink(temporary)
