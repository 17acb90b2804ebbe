"""Write and read the small files that the cache keeps beside a tree."""

from __future__ import annotations

import errno
import marshal
import os
import stat

from minictr.image.index import FORMAT, READ
from minictr.image.manifest import Entry, Manifest
from minictr.image.open import Image
from minictr.image.tree import Tree
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

# Version 4 is read by every Python from 3.4 on: all of them on a machine share the cache.
MARSHAL = 4


class Record(Value):
    """What is known of a tree without looking at it.

    bytes    size of the root file system in the image, as it was compressed
    inodes   entries of the tree, hard links counted once
    size     bytes in its regular files
    image    absolute path of the image that was unpacked
    """

    bytes: int
    inodes: int
    size: int
    image: str


def write_entry(path: str, tree: Tree, image: Image) -> None:
    """Write an index entry, which index.read_entry() reads."""
    source = os.path.abspath(image.path)
    entry = (FORMAT, tree.name, tree.kind, tree.runscript, tree.shell, tree.scripts, source)
    write(path, entry)


def write_tree_files(directory: str, image: Image, manifest: Manifest) -> None:
    """Write lock, manifest and record beside the root of a tree."""
    write(f"{directory}/manifest", (FORMAT, manifest.entries))
    source = os.path.abspath(image.path)
    write(f"{directory}/record", (FORMAT, image.size, manifest.inodes, manifest.size, source))
    write(f"{directory}/lock", ())


def read_record(directory: str) -> Record | None:
    """The record of a tree; None where it is missing or of another format."""
    fields = read(f"{directory}/record")
    return Record(*fields[1:]) if len(fields) == 5 else None


def read_manifest(directory: str) -> dict[str, Entry] | None:
    """The manifest's entries; None where it is missing or of another format."""
    fields = read(f"{directory}/manifest")
    return fields[1] if len(fields) == 2 else None


def read(path: str) -> tuple:  # type: ignore[type-arg]
    """The tuple in a file of this format, () for what is not one."""
    try:
        with opened(path) as file:
            fields = marshal.loads(file.read())  # load() reads a manifest byte by byte
    except (OSError, EOFError, ValueError, TypeError):
        return ()
    return fields if isinstance(fields, tuple) and fields[:1] == (FORMAT,) else ()


def opened(path: str) -> BinaryIO:
    """A file of the cache, open for reading. Raises OSError where something else stands there."""
    descriptor = os.open(path, READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return open(descriptor, "rb")


def write(path: str, fields: tuple[Any, ...]) -> None:
    """Write a new file of mode 0600, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(marshal.dumps(fields, MARSHAL))
        file.flush()
        os.fsync(descriptor)
