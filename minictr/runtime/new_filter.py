"""The seccomp filter that the cache does not have: it is compiled, and kept for seccomp.py."""

from __future__ import annotations

import marshal
import posix
import time
from _imp import source_hash

from minictr.host import native
from minictr.runtime.seccomp import FORMAT, PROFILES, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    # sha256 of the profile's text, what it was compiled by, calls that this did not know.
    Origin = tuple[str, str, tuple[str, ...]]

_ALLOW = 0x7FFF0000  # SECCOMP_RET_ALLOW
_RACY = 50_000_000  # nanoseconds; longer than the tick that file times are counted in


def compiled(
    path: str, keep: bool, cache: str, name: str, say: Callable[[str], None] | None
) -> bytes:
    """The BPF of the profile in `path`, kept in the cache as `name`: seccomp.py, filter_for()."""
    say = say or _quiet
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
    if not path.startswith(PROFILES):
        return None
    from minictr.runtime.shipped import shipped

    program = shipped(path, machine, keep, FORMAT)
    return (program, ("", "compiled beforehand", ())) if program else None


def _compile(path: str, machine: str, keep: bool) -> tuple[bytes, Origin]:
    from minictr.runtime.profile import read_profile

    profile = read_profile(path)
    compiler = _compiler(path.startswith(PROFILES))
    try:
        made = compiler.compile_filter(profile, machine, keep)
    except OSError as error:
        raise _not_asked(error) from None
    made_by = f"compiled by {compiler.libseccomp_version()}"
    return made.bpf, (profile.digest, made_by, made.by_number)


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
