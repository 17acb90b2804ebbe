"""Removes from the cache the compiled modules and filters that no launch would use again."""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import time
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER

from minictr import modules
from minictr.image.inventory import same_file
from minictr.image.records import opened
from minictr.image.removal import remove
from minictr.runtime import seccomp

# What another version of Python compiled cannot be read by this one: it goes when nobody has read
# it for so long, in seconds. (relatime notes one reading a day.)
UNREAD = 30 * 86400


def remove_stale(cache: str, every: bool = False) -> int:
    """Remove stale files and temporaries from CACHE/code and CACHE/filters; how many there were.

    A writer that lives loses at most its temporary: then the next launch compiles again.

    every   whatever was compiled or parsed, and not looked into: a disk may have damaged it
    """
    if every:
        parts = ("code", "filters", "config")
        stale = [entry.path for part in parts for entry in entries(f"{cache}/{part}")]
    else:
        stale = [*stale_modules(f"{cache}/code"), *stale_filters(f"{cache}/filters")]
    for path in stale:
        remove(path)  # a file, or what stands in its place
    return len(stale)


def stale_modules(directory: str) -> Iterator[str]:
    """Files of modules.py: TAG-DEVICE-INODE, of the package's modules.py, and NAME.PID."""
    for entry in entries(directory):
        tag, *identity = entry.name.rsplit("-", 2)
        if "." in entry.name:
            yield entry.path
        elif tag != sys.implementation.cache_tag:
            if time.time() - max(entry.stat().st_atime, entry.stat().st_mtime) > UNREAD:
                yield entry.path
        elif not any(leads_here(origin, "-".join(identity)) for origin in origins(entry.path)):
            yield entry.path


def leads_here(origin: str, identity: str) -> bool:
    """Whether a module's package still has the modules.py of that device and inode."""
    package, _, _ = origin.rpartition("/minictr/")
    try:
        status = os.stat(f"{package}/minictr/modules.py")
    except OSError:
        return False
    return same_file(f"{status.st_dev:x}-{status.st_ino:x}", identity)


def origins(path: str) -> list[str]:
    """The files of the modules which a file of modules.py holds; none where one has changed."""
    with contextlib.suppress(OSError, EOFError, ValueError, TypeError, LookupError):
        with opened(path) as file:
            form, kept = marshal.load(file)
        if MAGIC_NUMBER in (form, form[0]) and all(modules.fresh(record) for record in kept):
            return [record[2] for record in kept]
    return []


def stale_filters(directory: str) -> Iterator[str]:
    """Files of seccomp.py, named by the identity of the profile whose path they hold, and .HEX."""
    for entry in entries(directory):
        if entry.name.startswith(".") or not is_current_filter(entry):
            yield entry.path


def is_current_filter(entry: os.DirEntry[str]) -> bool:
    """Whether the profile that was compiled is still there as it was."""
    with contextlib.suppress(OSError, EOFError, ValueError, TypeError, LookupError):
        _, machine, kept = entry.name.rsplit("-", 2)
        with opened(entry.path) as file:
            record = marshal.load(file)
        name = seccomp.name_of(os.stat(record[7]), machine, kept == "kept")
        return record[0] == seccomp.FORMAT and same_file(name, entry.name)
    return False


def entries(directory: str) -> list[os.DirEntry[str]]:
    """What is in a directory; nothing where there is none."""
    try:
        with os.scandir(directory) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
