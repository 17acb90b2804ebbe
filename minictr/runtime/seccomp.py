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
    from types import ModuleType

    # sha256 of the profile's text, what it was compiled by, calls that this did not know.
    Origin = tuple[str, str, tuple[str, ...]]

# Of a cached file, and of what filter.py makes of a profile: raise it when either changes.
FORMAT = 4
BUILT_IN = ("default", "compat")
_PROFILES = __file__.rpartition("/runtime/")[0] + "/profiles/"
_LARGEST = 65536  # bytes of a cached file: 4096 instructions and what is said of them
_ALLOW = 0x7FFF0000  # SECCOMP_RET_ALLOW
_RACY = 50_000_000  # nanoseconds; longer than the tick that file times are counted in


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
    return _compiled(path, keep_capabilities, cache, name, say or _quiet)


def path_of(profile: str) -> str:
    """The file of a profile."""
    return _PROFILES + profile + ".toml" if profile in BUILT_IN else profile


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


def _compiled(path: str, keep: bool, cache: str, name: str, say: Callable[[str], None]) -> bytes:
    import time

    began = time.time_ns()
    kernel = posix.uname()
    machine = native(kernel.machine)
    program, origin = _shipped(path, machine, keep) or _compile(path, machine, keep)
    say(f"seccomp profile {path}: {len(program) // 8} BPF instructions, {origin[1]}")
    if origin[2]:
        say(f"libseccomp does not know {', '.join(origin[2])}: added by number")
    identity = posix.stat(path)
    # A change while it was read, or a second one within a tick of the clock files are dated by,
    # would keep the old text's filter under the new text's identity.
    if name_of(identity, machine, keep) != name or began - identity.st_ctime_ns < _RACY:
        say(f"seccomp filter not cached: {path} changed this very moment")
    elif cache:
        ends = path, source_hash(FORMAT, program)
        record = marshal.dumps((FORMAT, name, kernel.release, program, *origin, *ends))
        _keep(f"{cache}/filters", name, record, say)
    return program


def _shipped(path: str, machine: str, keep: bool) -> tuple[bytes, Origin] | None:
    if not path.startswith(_PROFILES):
        return None
    from minictr.runtime.shipped import shipped

    program = shipped(path, machine, keep, FORMAT)
    return (program, ("", "compiled beforehand", ())) if program else None


def _compile(path: str, machine: str, keep: bool) -> tuple[bytes, Origin]:
    from minictr.runtime.profile import read_profile

    profile = read_profile(path)
    compiler = _compiler(path.startswith(_PROFILES))
    try:
        compiled = compiler.compile_filter(profile, machine, keep)
    except OSError as error:
        raise _not_asked(error) from None
    made_by = f"compiled by {compiler.libseccomp_version()}"
    return compiled.bpf, (profile.digest, made_by, compiled.by_number)


def _not_asked(error: OSError) -> Exception:
    """MC0507 where libseccomp could not ask the kernel what it knows; else the error itself."""
    from minictr.refusal import Refusal
    from minictr.runtime.syscalls import seccomp_action

    answer = seccomp_action(_ALLOW)
    if not answer:
        return error
    return Refusal(
        "MC0507",
        "The seccomp profile cannot be compiled",
        f"seccomp(SECCOMP_GET_ACTION_AVAIL) of SECCOMP_RET_ALLOW gives {posix.strerror(answer)}, "
        "where every kernel has that action",
        "Start minictr from outside of the program that loaded the filter.",
    )


def _compiler(built_in: bool) -> ModuleType:
    """filter.py, which alone imports pyseccomp; MC0505 where that or its C library is absent."""
    try:
        from minictr.runtime import filter as compiler
    except (ImportError, RuntimeError, OSError) as error:  # pyseccomp raises all three
        from minictr.refusal import Refusal

        cause, proof = "The seccomp profile cannot be compiled", f"import pyseccomp: {error}"
        module = isinstance(error, ImportError)
        library = "" if module else _library()
        if library:  # pyseccomp starts a program to find it, which can fail for any reason
            raise Refusal("MC0000", cause, f"{proof}; {library} is there") from None
        missing, fix = "libseccomp", "apt-get install libseccomp2"
        if module:
            missing, fix = "pyseccomp", "python3 -m pip install pyseccomp"
        without = "Leave the profile out: minictr's own is compiled already."
        if built_in:  # and was changed
            without = "Add --security seccomp:unconfined to do without a filter."
        cause = f"{cause}: {missing} is not installed"
        raise Refusal("MC0505", cause, proof, f"{fix}\n{without}") from None
    return compiler


def _library() -> str:
    """The path of libseccomp in the system's directories, "" where none has it."""
    import glob
    import os

    for pattern in ("/usr/lib*/libseccomp.so.2", "/usr/lib/*/libseccomp.so.2", "/lib*/libsecc*.2"):
        for path in glob.glob(pattern):
            if os.path.isfile(path):
                return path
    return ""


def _keep(directory: str, name: str, record: bytes, say: Callable[[str], None]) -> None:
    """Publish by one rename: a reader finds a whole file or none, whoever else writes."""
    temporary = f"{directory}/.{posix.urandom(8).hex()}"
    try:
        _make_directories(directory)
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC | posix.O_NOFOLLOW
        descriptor = posix.open(temporary, flags, 0o600)
        kept = False
        try:
            if posix.write(descriptor, record) == len(record):
                posix.fsync(descriptor)  # renamed before it is written it could be empty later
                posix.rename(temporary, f"{directory}/{name}")
                kept = True
        finally:
            posix.close(descriptor)
            if not kept:
                posix.unlink(temporary)
        if not kept:
            say(f"seccomp filter not cached: {directory} is full")
    except OSError as error:
        say(f"seccomp filter not cached: {directory}: {error.strerror}")


def _make_directories(path: str) -> None:
    """mkdir -p, mode 0700."""
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_directories(path.rpartition("/")[0])
        posix.mkdir(path, 0o700)


def _quiet(_sentence: str) -> None:
    pass
