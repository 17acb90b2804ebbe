"""Tells in a few words what has no report, because the report lacks memory or descriptors, too.

Every line has to be affordable, so nothing is imported that the interpreter has not got already,
and what the report of MC0705 says is said here a second time.
"""

import posix

# What the kernel calls a limit in /proc/self/limits, what we call it, the option of the shells'
# ulimit, and what counts against it in /proc/self/status.
_LIMITS = (
    ("Max address space", "RLIMIT_AS", "-v", "VmSize:"),
    ("Max data size", "RLIMIT_DATA", "-d", "VmData:"),
)
_ROOM = 16 << 20  # bytes; nothing that a launch or a report takes at once is larger
# What the interpreter's compiler and its loader of libraries say, where they forget what it was.
_WORDS = ("without setting an exception", "without exception set", "failed to map segment",
          "annot allocate memory")  # fmt: skip
_ENOMEM = 12
_TITLE = "minictr has as much memory as RLIMIT_AS or RLIMIT_DATA allows"
_HAPPENED = "minictr cannot go on"


def is_shortage(error: BaseException) -> bool:
    """Whether an exception says that memory was refused."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == _ENOMEM:
        return True
    said = str(error)
    return isinstance(error, (ImportError, SystemError)) and any(word in said for word in _WORDS)


def tell(
    label: str, status: int, as_object: bool, error: BaseException, missing: BaseException | None
) -> None:
    """Report an error on standard error.

    label      what a fatal line begins with
    status     the launcher's exit status
    as_object  whether JSON is asked for, which only a shortage of memory has here
    missing    what a longer report met
    """
    text = ""
    if is_shortage(error) or (missing and is_shortage(missing)):
        text = report(label, status, as_object)
    said = "no memory is left" if isinstance(error, MemoryError) else str(error)
    text = text or f"{label}{type(error).__name__}: {said}\n"
    posix.write(2, text.encode("utf-8", "surrogateescape"))


def report(label: str, status: int, as_object: bool) -> str:
    """The report of a limit on memory, as text or as one JSON object; "" where none is near."""
    limits, used = _read("/proc/self/limits"), _read("/proc/self/status")
    for line, name, option, field in _LIMITS:
        soft, hard = limits.partition(line)[2].split()[:2]
        own = int(used.partition(field)[2].split()[0])  # kB
        if soft == "unlimited" or int(soft) - 1024 * own >= _ROOM:
            continue
        cause = f"{name} leaves minictr and what it starts too little memory"
        proof = f"/proc/self/limits: {name} is {soft} (soft), {hard} (hard)"
        fix = "" if hard == soft else f"ulimit -S {option} {_in_kilobytes(hard)}"
        facts = (cause, proof, f"/proc/self/status: {field} {own} kB", fix)
        return _object(status, *facts) if as_object else _text(label, *facts)
    return ""


def _text(label: str, cause: str, proof: str, used: str, fix: str) -> str:
    lines = (
        f"{label}{_HAPPENED}\n  cause     {cause} [MC0705]\n  proof     {proof}\n{'':12}{used}\n"
    )
    return lines + (f"  fix       {fix}\n" if fix else "") + "  more      minictr explain MC0705\n"


def _object(status: int, cause: str, proof: str, used: str, fix: str) -> str:
    system = posix.uname()
    return (
        f'{{"code": "MC0705", "title": "{_TITLE}", "happened": "{_HAPPENED}", "status": {status}, '
        f'"cause": "{cause}", "proof": ["{proof}", "{used}"], '
        f'"fix": {{"user": [{fix and chr(34) + fix + chr(34)}], "administrator": []}}, '
        '"then": [], "ruled_out": [], "still_open": [], "could_not_look": [], "step": null, '
        f'"kernel": {{"release": "{system.release}", "machine": "{system.machine}"}}, '
        '"explain": "minictr explain MC0705"}\n'
    )


def _in_kilobytes(limit: str) -> str:
    return limit if limit == "unlimited" else str(int(limit) // 1024)


def _read(path: str) -> str:
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 4096).decode()
    finally:
        posix.close(descriptor)
