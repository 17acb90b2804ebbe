"""A directory as an image: accepted whatever it contains, as long as it can be searched."""

from __future__ import annotations

import posix

from minictr.image.lookup import denied


def check_directory(path: str) -> None:
    """Refuse a directory that this process cannot search; listing it is not needed."""
    if not posix.access(path, posix.X_OK, effective_ids=True):
        raise denied(path, path, posix.X_OK)
