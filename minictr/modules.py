"""Keeps the compiled modules of a launch in one file: one read instead of three dozen searches.

Finding and loading a module costs the interpreter a dozen system calls and 150 µs, and a launch
needs three dozen of them. The file lies in the user's own cache, so it also serves where the
package's own `__pycache__` cannot be written. It is trusted as the rest of the cache is: when it is
the caller's and nobody else may write to it. It is used only while every source in it is the file
that it was compiled from.

(No `from __future__` here and in start.py: that module is one of those which the file holds.)
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec, _load  # type: ignore[attr-defined]
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import TypeAlias

    # (name, whether it is a package, its file, mtime_ns and size of that, its code; that of a
    # module which only some launches need as marshal(3) writes it; b"" for an extension module)
    Kept: TypeAlias = tuple[str, bool, str, int, int, CodeType | bytes]
    Form: TypeAlias = tuple[bytes, int, str, str]  # form_of()

# What a launch imports from beside the package; all else is built into the interpreter.
BESIDE = ("_ctypes",)
# Every launch runs what is imported up to this module; what comes later only some launches need.
LAST = "minictr.cli.actions"
# Imported by a launch that unpacked an image, did not find the filter, parsed a configuration file
# or failed: not worth keeping.
UNUSUAL = (
    "minictr.image.cache", "minictr.runtime.new_filter", "minictr.toml", "minictr.diagnosis",
)  # fmt: skip
# What may have been imported before anybody looks.
BEFORE = ("minictr", "minictr.modules", "minictr.start", "minictr.__main__")


def cache_directory(environ: dict[str, str]) -> str:
    """The absolute path of the cache: $MINICTR_CACHEDIR, $XDG_CACHE_HOME/minictr or below home."""
    chosen = environ.get("MINICTR_CACHEDIR", "")
    if chosen:
        return chosen if chosen.startswith("/") else f"{working_directory()}/{chosen}"
    base = environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and has to be ignored.
    return f"{base if base.startswith('/') else home_directory(environ) + '/.cache'}/minictr"


def working_directory() -> str:
    """The physical path of the working directory; "" where that was removed."""
    try:
        return posix.getcwd()
    except OSError:
        return ""


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

    kept    what the file holds, in the order in which it can be run
    found   what had to be searched for: the file is to be written again
    form    what the file has to begin with: form_of()
    partly  whether more than BEFORE was imported unseen: what would be kept leans on it
    """

    def __init__(self, path: str, form: "Form") -> None:
        self.path = path
        self.form = form
        self.kept = read(path, form)
        unseen = [] if self.kept else [name for name in sys.modules if of_the_package(name)]
        self.partly = not all(name in BEFORE for name in unseen)
        self.found = [name for name in unseen if name == "minictr"]

    @classmethod
    def of(cls, environ: "dict[str, str]") -> "KeptModules":
        """Load what this Python's launches need of this package, and serve what is left."""
        here = posix.stat(__file__)
        name = f"{sys.implementation.cache_tag}-{here.st_dev:x}-{here.st_ino:x}"
        modules = cls(f"{cache_directory(environ)}/code/{name}", form_of(here))
        if LAST in modules.kept:
            for record in modules.kept.values():
                load(record, modules)
                if record[0] == LAST:
                    break
        sys.meta_path.insert(0, modules)
        return modules

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> ModuleSpec | None:
        """Find a module that is kept; note one that should be."""
        if name in self.kept:
            return spec_of(self.kept[name], self)
        if not wanted(name):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_note(module: "ModuleType") -> None:
                run(module)
                self.found.append(name)  # after those which it imports itself

            spec.loader.exec_module = run_and_note  # type: ignore[method-assign]
        return spec

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
        """Leave it to the import system."""
        return None

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code in it."""
        code = self.kept[module.__name__][5]
        if code:
            exec(marshal.loads(code) if isinstance(code, bytes) else code, module.__dict__)

    def save(self) -> None:
        """Write the file again when something was missing, where there is a cache to write to."""
        if not self.found or self.partly or not sys.modules.keys().isdisjoint(UNUSUAL):
            return
        if LAST not in sys.modules:  # a command line that was refused: no launch can run these
            return
        found = tuple(self.found)  # what is imported here is none of them
        try:
            from minictr.keep import keep

            keep(self, found)
        except Exception:  # no cache yet, a full disk, a package that was replaced meanwhile: the
            return  # next launch tries again, and this one has its payload's status to tell


def form_of(here: posix.stat_result) -> "Form":
    """What tells whether a file was written by this code, for this interpreter and this package.

    The magic number is that of a minor version, and an extension module belongs to one build. The
    file is named by the inode of this one, which two packages may share: hard links.

    here    the status of this very file
    """
    return MAGIC_NUMBER, here.st_mtime_ns, sys.version, __file__ if here.st_nlink > 1 else ""


def of_the_package(name: str) -> bool:
    """Whether a module is one of this package."""
    return name.partition(".")[0] == "minictr"


def wanted(name: str) -> bool:
    """Whether a module is one that is kept."""
    return of_the_package(name) or name in BESIDE


def load(record: "Kept", loader: KeptModules) -> None:
    """Put one module into sys.modules and run it, without the import system's bookkeeping."""
    name, package, origin, _, _, code = record
    if name in sys.modules:
        return
    if not code:
        _load(spec_of(record, loader))
        return
    parent, _, last = name.rpartition(".")
    module = sys.modules[name] = type(sys)(name)
    names = module.__dict__
    names["__file__"] = origin
    names["__package__"] = name if package else parent
    if package:
        names["__path__"] = [origin.rpartition("/")[0]]
    names["__modules__"] = sys.modules  # compact.py has it read this
    if parent:
        setattr(sys.modules[parent], last, module)
    exec(code, names)


def spec_of(record: "Kept", loader: KeptModules) -> ModuleSpec:
    """What the import system wants to know of a kept module."""
    name, package, origin, _, _, code = record
    if not code:
        return ModuleSpec(name, ExtensionFileLoader(name, origin), origin=origin)
    spec = ModuleSpec(name, loader, origin=origin, is_package=package)  # type: ignore[arg-type]
    spec.has_location = True
    if package:
        spec.submodule_search_locations = [origin.rpartition("/")[0]]
    return spec


def read(path: str, form: "Form") -> "dict[str, Kept]":
    """What the file holds; nothing where it is not there, not ours alone, damaged or stale."""
    try:
        # O_NONBLOCK, as wherever the cache is read: a FIFO is damage, too, and nothing to wait for.
        flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK
        descriptor = posix.open(path, flags)
    except OSError:
        return {}
    try:
        status = posix.fstat(descriptor)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o077:
            return {}
        written, kept = marshal.loads(posix.read(descriptor, status.st_size))
        usable = written == form and all(fresh(record) for record in kept)
        return {record[0]: record for record in kept} if usable else {}
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
    ):  # marshal's words for a damaged file
        return {}
    finally:
        posix.close(descriptor)


def fresh(kept: "Kept") -> bool:
    """Whether the module's file is still the one that was compiled. Raises OSError."""
    status = posix.stat(kept[2])
    return (status.st_mtime_ns, status.st_size) == kept[3:5]
