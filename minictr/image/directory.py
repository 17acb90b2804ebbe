"""A directory as an image: accepted whatever it contains, as long as it can be searched."""

from __future__ import annotations

import posix

from minictr.image.lookup import denied
from minictr.image.tree import may


def check_directory(path: str) -> None:
    """Refuse a directory that this process cannot search; listing it is not needed."""
    if not may(path, posix.X_OK):
        raise denied(path, path, posix.X_OK)
