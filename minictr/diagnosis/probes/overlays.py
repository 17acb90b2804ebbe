"""Tries in a child how deep overlayfs may be stacked."""

from __future__ import annotations

from minictr.runtime.files import chdir, mkdir, write_file
from minictr.runtime.syscalls import CallError, mount
from minictr.value import Value


class Stacking(Value):
    """How mounts of overlayfs ended: the errno, 0 for success.

    twice    an overlay with an overlay as its lower layer, both made here
    tree     an overlay with the tree as its lower layer
    """

    twice: int
    tree: int


def stack(tree: str, directory: str, uid: int, gid: int) -> tuple[int, int]:
    """Stacking's fields. To be asked in a child in a new user and mount namespace.

    directory   any that exists: it is covered in there
    uid, gid    the caller's own, which get ids in there, so that files can be made
    """
    write_file("/proc/self/setgroups", b"deny")
    write_file("/proc/self/uid_map", f"{uid} {uid} 1".encode())
    write_file("/proc/self/gid_map", f"{gid} {gid} 1".encode())
    chdir(tree)
    mount("lab", directory, "tmpfs", 0, "mode=0755")
    for name in ("empty", "other", "once", "twice", "tree"):
        mkdir(f"{directory}/{name}", 0o755)
    _overlay(directory, f"{directory}/other", "once")
    twice = _overlay(directory, f"{directory}/once", "twice")
    return twice, _overlay(directory, ".", "tree")


def _overlay(directory: str, lower: str, target: str) -> int:
    options = f"lowerdir={directory}/empty:{lower},userxattr"
    try:
        mount("overlay", f"{directory}/{target}", "overlay", 0, options)
    except CallError as refused:
        return refused.errno
    return 0
