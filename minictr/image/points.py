"""Make the usual mount points in a tree that was just unpacked, so that it can be bound as it is.

An image without them needs an overlay at each launch, and what is read through that costs more. A
container has what it lacks in any case, as a mount point; where nothing is mounted on it, as with
--no-home, it is empty.
"""

from __future__ import annotations

import os
import stat

from minictr.image.manifest import Entry, Manifest, entry_of

DIRECTORIES = ("dev", "proc", "sys", "tmp", "var/tmp")
FILES = ("etc/passwd", "etc/group", "etc/hosts", "etc/resolv.conf", "etc/localtime")


def make_points(root: str, home: str, manifest: Manifest) -> Manifest:
    """Make what is missing, with the caller's home directory; the manifest with what was made.

    A point behind a symbolic link of the image, or in a directory closed to its owner, is left out,
    and so is a file that the host lacks.
    """
    changed: list[str] = []
    for path in (*DIRECTORIES, home):
        changed += make_directories(root, names_of(path))
    for path in FILES:
        if os.path.exists(f"/{path}"):
            changed += make_file(root, path)
    entries: dict[str, Entry] = dict(manifest.entries)
    for path in changed:
        entries[path] = entry_of(os.lstat(f"{root}/{path}"))
    inodes = manifest.inodes + len(entries) - len(manifest.entries)
    return manifest.replace(entries=entries, inodes=inodes)


def names_of(path: str) -> list[str]:
    """The names of a path, [] for one that leads up or has a longer name than a directory holds."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    return [] if ".." in names or any(len(os.fsencode(name)) > 255 for name in names) else names


def make_directories(root: str, names: list[str]) -> list[str]:
    """Make a directory and those above it; the paths that were made or changed, from the root."""
    changed: list[str] = []
    above = "."
    for name in names:
        path = f"{above}/{name}".removeprefix("./")
        changed += make(root, above, path, stat.S_IFDIR)
        if not is_directory(f"{root}/{path}"):
            break
        above = path
    return changed


def make_file(root: str, path: str) -> list[str]:
    """Make an empty file, as above."""
    above = path.rpartition("/")[0]
    return [*make_directories(root, above.split("/")), *make(root, above, path, stat.S_IFREG)]


def make(root: str, above: str, path: str, kind: int) -> list[str]:
    """Make one entry of the directory `above`, whose times stay; [] where that cannot be."""
    directory, full = f"{root}/{above}", f"{root}/{path}"
    if os.path.lexists(full) or not is_directory(directory) or not os.access(directory, os.W_OK):
        return []
    times = os.lstat(directory)
    if kind == stat.S_IFDIR:
        os.mkdir(full)
    else:
        os.mknod(full)
    os.chmod(full, 0o755 if kind == stat.S_IFDIR else 0o644)
    os.utime(directory, ns=(times.st_atime_ns, times.st_mtime_ns))
    return [above, path]


def is_directory(path: str) -> bool:
    """Whether there is a directory, and no link to one, which its owner may enter."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False
