"""Keeps the compiled modules of a launch in one file: one read instead of forty searches.

Finding a module costs the interpreter a dozen system calls, and a launch needs forty modules. The
file lies in the user's own cache, so it also serves where the package's own `__pycache__` cannot be
written. It is trusted as the rest of the cache is: the caller's, and nobody else may write to it.
Each module is used only while its source is the file that it was compiled from.
"""

from __future__ import annotations

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    # (whether it is a package, its file, mtime_ns, size, where its code begins and ends in the
    # block that follows the index; an empty range for an extension)
    Kept = tuple[bool, str, int, int, int, int]

# What a launch imports from beside the package; all else is built into the interpreter.
BESIDE = ("__future__", "_ctypes")
MARSHAL = 4


def cache_directory(environ: dict[str, str]) -> str:
    """The absolute path of the cache: $MINICTR_CACHEDIR, $XDG_CACHE_HOME/minictr or below home."""
    chosen = environ.get("MINICTR_CACHEDIR", "")
    if chosen:
        return chosen if chosen.startswith("/") else f"{posix.getcwd()}/{chosen}"
    base = environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and has to be ignored.
    return f"{base if base.startswith('/') else home_directory(environ) + '/.cache'}/minictr"


def home_directory(environ: dict[str, str]) -> str:
    """$HOME, or what the user database says: workflow engines start us with no environment."""
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return home
    import pwd

    try:
        return pwd.getpwuid(posix.geteuid()).pw_dir
    except KeyError:
        return "/"


class KeptModules:
    """Finder and loader of sys.meta_path for what one file holds.

    missed   whether a module of ours had to be searched for: the file is to be written again
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.kept, self.block = read(path)
        self.missed = False

    @classmethod
    def of(cls, environ: dict[str, str]) -> KeptModules:
        """Serve imports from the file that belongs to this package and this Python."""
        here = posix.stat(__file__)
        name = f"{sys.implementation.cache_tag}-{here.st_dev:x}-{here.st_ino:x}"
        modules = cls(f"{cache_directory(environ)}/code/{name}")
        sys.meta_path.insert(0, modules)
        return modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that is kept and whose file is unchanged."""
        if name not in self.kept or not fresh(self.kept[name]):
            self.missed |= wanted(name)
            return None
        package, origin, _, _, begin, end = self.kept[name]
        if begin == end:
            return ModuleSpec(name, ExtensionFileLoader(name, origin), origin=origin)
        spec = ModuleSpec(name, self, origin=origin, is_package=package)  # type: ignore[arg-type]
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [origin.rpartition("/")[0]]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the import system."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        _, _, _, _, begin, end = self.kept[module.__name__]
        exec(marshal.loads(self.block[begin:end]), module.__dict__)

    def save(self) -> None:
        """Write the file again when something was missing, where there is a cache to write to.

        A launch which had to unpack an image, or failed, has imported what no other will.
        """
        if not self.missed or "minictr.image.cache" in sys.modules:
            return
        kept, block = collect(name for name in list(sys.modules) if wanted(name))
        try:
            write(self.path, marshal.dumps((MAGIC_NUMBER, kept), MARSHAL), block)
        except OSError:  # no cache yet, a full disk, somebody else's: the next launch tries again
            return


def wanted(name: str) -> bool:
    """Whether a module is one that is kept."""
    return name.partition(".")[0] == "minictr" or name in BESIDE


def fresh(kept: Kept) -> bool:
    """Whether the module's file is still the one that was compiled."""
    try:
        status = posix.stat(kept[1])
    except OSError:
        return False
    return (status.st_mtime_ns, status.st_size) == kept[2:4]


def collect(names: Iterable[str]) -> tuple[dict[str, Kept], bytes]:
    """(the index, the block of code) of imported modules, without their docstrings."""
    kept, block = {}, bytearray()
    for name in names:
        spec = sys.modules[name].__spec__
        if spec is None or not spec.origin or not spec.has_location:
            continue
        status = posix.stat(spec.origin)
        begin = len(block)
        if not isinstance(spec.loader, ExtensionFileLoader):
            with open(spec.origin, "rb") as source:
                code = compile(source.read(), spec.origin, "exec", dont_inherit=True, optimize=2)
            block += marshal.dumps(code, MARSHAL)
        package = spec.submodule_search_locations is not None
        times = (status.st_mtime_ns, status.st_size)
        kept[name] = (package, spec.origin, *times, begin, len(block))
    return kept, bytes(block)


def read(path: str) -> tuple[dict[str, Kept], memoryview]:
    """What the file holds; nothing where it is not there, not ours alone, or another Python's."""
    nothing: tuple[dict[str, Kept], memoryview] = ({}, memoryview(b""))
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except OSError:
        return nothing
    try:
        status = posix.fstat(descriptor)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o077:
            return nothing
        content = memoryview(posix.read(descriptor, status.st_size))
        length = int.from_bytes(content[:4], "little")
        magic, kept = marshal.loads(content[4 : 4 + length])
        whole = all(4 + length + record[5] <= len(content) for record in kept.values())
    except (OSError, EOFError, ValueError, TypeError, AttributeError):  # marshal's words for a damaged file
        return nothing
    finally:
        posix.close(descriptor)
    return (kept, content[4 + length :]) if whole and magic == MAGIC_NUMBER else nothing


def write(path: str, index: bytes, block: bytes) -> None:
    """Write a file of the cache whole or not at all."""
    directory = path.rpartition("/")[0]
    status = posix.stat(directory.rpartition("/")[0])  # the cache itself is made by who fills it
    if status.st_uid != posix.geteuid() or status.st_mode & 0o022:
        return
    try:
        posix.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    content = len(index).to_bytes(4, "little") + index + block
    temporary = f"{path}.{posix.getpid()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o600)
    try:
        complete = posix.write(descriptor, content) == len(content)
    finally:
        posix.close(descriptor)
    if complete:
        posix.rename(temporary, path)
    else:
        posix.unlink(temporary)
