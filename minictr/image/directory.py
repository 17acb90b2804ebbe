"""A directory as an image: accepted whatever it contains, as long as it can be searched."""

from __future__ import annotations

import posix

from minictr.image.describe import describe
from minictr.image.tree import S_IFDIR, S_IFMT, Tree, may


def check_directory(path: str) -> None:
    """Refuse a directory that this process cannot search; listing it is not needed."""
    if not may(path, posix.X_OK):
        from minictr.image.lookup import denied

        raise denied(path, path, posix.X_OK)


def directory_tree(path: str) -> Tree | None:
    """The tree of a directory, described as it stands now; None for what open_image has to judge.

    Nothing of what unpacks and serves is imported: a launch of a directory is as short as one of an
    image that is in the cache. Raises Refusal for metadata that cannot be read.

    path   without symbolic links
    """
    try:
        if posix.stat(path).st_mode & S_IFMT != S_IFDIR or not may(path, posix.X_OK):
            return None
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return describe(path, "directory", "")
