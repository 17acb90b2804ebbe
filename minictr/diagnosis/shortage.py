"""Finds the limit or filter behind an error that was met before any step of a launch."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from minictr.diagnosis.causes.confinement import locking_refused
from minictr.diagnosis.causes.descriptors import descriptors_used_up
from minictr.diagnosis.causes.fork import group_used_up, processes_used_up, threads_used_up
from minictr.diagnosis.causes.sizes import files_limited, memory_used_up
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.values import Proof, Verdict
from minictr.refusal import Refusal

_THREADS = 3  # of unsquashfs at least: it reads, decompresses and writes side by side
_OF_ERRNO = {
    errno.EMFILE: ("descriptors",),
    errno.EAGAIN: ("processes", "memory"),
    errno.ENOMEM: ("memory",),
    errno.EFBIG: ("files",),
}
# What is said where no errno is told: by the interpreter, the dynamic linker, unsquashfs, and by us
# of a program that was ended by SIGXFSZ.
_OF_WORDS = {
    "flock(a new memfd)": ("locks",),
    "can't start new thread": ("processes", "memory"),
    "Failed to create thread": ("threads", "stacks"),
    "unsquashfs cannot be started: EAGAIN": ("threads", "memory"),
    "Unable to find libseccomp": ("processes", "memory", "descriptors"),
    "failed to map segment": ("memory",),
    "cannot allocate memory": ("memory",),
    "Out of memory": ("memory",),
    # What its compiler and its loader say where they forget that it was memory.
    "without exception set": ("memory",),
    "without setting an exception": ("memory",),
    "Too many open files": ("descriptors",),
    "ended by signal 25": ("files",),
}


def limit_behind(error: BaseException) -> tuple[str, Proof] | None:
    """(code, proof) of the limit or filter that gives such an error; None for none."""
    chain = ancestry()
    for resource in _resources(error):
        for code, verdict in _verdicts(resource, chain):
            if isinstance(verdict, Proof):
                return code, verdict
    return None


def _verdicts(resource: str, chain: tuple[Ancestor, ...]) -> Iterator[tuple[str, Verdict]]:
    if resource == "descriptors":
        yield "MC0704", descriptors_used_up(chain)
    if resource == "processes":
        yield "MC0701", processes_used_up(chain)
        yield "MC0702", group_used_up()
    if resource == "threads":
        yield "MC0701", threads_used_up(chain)
        yield "MC0702", group_used_up()
    if resource == "stacks":
        yield "MC0705", memory_used_up(chain, _THREADS)
    if resource == "memory":
        yield "MC0705", memory_used_up(chain)
    if resource == "files":
        yield "MC0412", files_limited(chain)
    if resource == "locks":
        yield "MC0506", locking_refused(chain)


def _resources(error: BaseException | None) -> list[str]:
    """What may have run out, by the error and by those that led to it."""
    found: list[str] = []
    for one in _led_to(error):
        words = str(one)
        if isinstance(one, Refusal):
            words = f"{one.cause} {one.proof}"
        if isinstance(one, MemoryError):
            found.append("memory")
        if isinstance(one, OSError):
            found += _OF_ERRNO.get(one.errno or 0, ())
        for part, resources in _OF_WORDS.items():
            if part in words:
                found += resources
    return list(dict.fromkeys(found))


def _led_to(error: BaseException | None) -> list[BaseException]:
    """The error and those that led to it, each once: `raise error from error` makes a ring."""
    chain: list[BaseException] = []
    while error and not any(error is seen for seen in chain):
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
