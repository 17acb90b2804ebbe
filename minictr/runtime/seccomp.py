"""Find the compiled seccomp filter of a profile in the cache, or have it compiled and kept.

Those of the built-in profiles are compiled already, shipped.py, as long as nobody changes these.

A cached filter is found by the identity of the profile's file, not by its content: reading 19 kB
of TOML at every launch, and importing what hashes it, would cost more than the whole lookup.
"""

from __future__ import annotations

import marshal
import posix
from _imp import source_hash

from minictr.host import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Of a cached file, and of what filter.py makes of a profile: raise it when either changes.
FORMAT = 4
BUILT_IN = ("default", "compat")
PROFILES = __file__.rpartition("/runtime/")[0] + "/profiles/"
_LARGEST = 65536  # bytes of a cached file: 4096 instructions and what is said of them


def filter_for(
    profile: str,
    keep_capabilities: bool,
    cache: str,
    say: Callable[[str], None] | None = None,
) -> bytes:
    """The BPF to load for `profile`: "default", "compat", "unconfined" (b"") or a file's path.

    cache  the cache directory, "" for none; what cannot be read or kept there is compiled again
    say    is told, in one sentence each, what -v prints
    Refusals: MC0501 to MC0504, from profile.py and filter.py, MC0505 and MC0507.
    """
    if profile == "unconfined":
        return b""
    path = path_of(profile)
    kernel = posix.uname()
    try:
        name = name_of(posix.stat(path), native(kernel.machine), keep_capabilities)
    except (OSError, ValueError):
        name = ""  # the compiler says what is wrong with the path
    if cache and name:
        bpf = _cached(f"{cache}/filters/{name}", name, kernel.release)
        if bpf:
            return bpf
    from minictr.runtime.new_filter import compiled

    return compiled(path, keep_capabilities, cache, name, say)


def path_of(profile: str) -> str:
    """The file of a profile."""
    return PROFILES + profile + ".toml" if profile in BUILT_IN else profile


def name_of(identity: posix.stat_result, machine: str, keep_capabilities: bool) -> str:
    """The name of a cached filter: which profile, as which file it is known, and for what."""
    numbers = (
        identity.st_dev,
        identity.st_ino,
        identity.st_size,
        identity.st_mtime_ns,
        identity.st_ctime_ns,
    )
    kept = "kept" if keep_capabilities else "none"
    return "-".join([f"{number:x}" for number in numbers] + [machine, kept])


def _cached(file: str, name: str, release: str) -> bytes:
    """The filter in `file`; b"" if there is none that this user wrote for this kernel.

    `name` stands in the file too, so that a file renamed over another one is a miss, and the
    kernel's release, because profiles can depend on it (minKernel). Owner and mode keep out
    what other users wrote; they do not keep out another process of this user.
    """
    try:
        flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK
        descriptor = posix.open(file, flags)
    except OSError:
        return b""
    try:
        status = posix.fstat(descriptor)
        if status.st_uid != posix.geteuid() or status.st_mode & 0o170077 != 0o100000:
            return b""
        kept = marshal.loads(posix.read(descriptor, _LARGEST))
        head, bpf = (*kept[:3], kept[8]), kept[3]
        wanted = (FORMAT, name, release, source_hash(FORMAT, bpf))
    except (OSError, ValueError, EOFError, TypeError, IndexError, KeyError, MemoryError):
        return b""  # a write cut short by a full disk or a crash: marshal says so in many ways
    finally:
        posix.close(descriptor)
    return bpf if head == wanted else b""
