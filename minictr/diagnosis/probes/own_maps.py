"""Reads the maps of the caller's own user namespace, and says which ranges lie in them."""

from __future__ import annotations

OVERFLOW = 65534  # what an id that is not mapped reads as: /proc/sys/kernel/overflowuid

Extent = tuple[int, int]  # first id in this namespace, count


def extents(text: str) -> tuple[Extent, ...]:
    """The lines of a uid_map or gid_map, user_namespaces(7)."""
    lines = [[int(field) for field in line.split()] for line in text.splitlines()]
    return tuple((first, count) for first, _, count in lines)


def holds(own: tuple[Extent, ...], first: int, count: int) -> bool:
    """Whether a range lies in one line: the kernel takes none that two lines have between them.

    kernel/user_namespace.c, map_id_range_down.
    """
    return any(start <= first and first + count <= start + size for start, size in own)


def covers(own: tuple[Extent, ...], first: int, count: int) -> bool:
    """Whether every id of a range is in some line."""
    left = count - sum(
        max(0, min(first + count, start + size) - max(first, start)) for start, size in own
    )
    return left == 0


def is_whole(text: str) -> bool:
    """Whether every id is mapped, as in the initial user namespace."""
    return extents(text) == ((0, (1 << 32) - 1),)


def largest(own: tuple[Extent, ...], taken: tuple[Extent, ...], most: int) -> Extent:
    """The largest range of the map that nobody has, of `most` ids at most; (0, 0) for none.

    Never 0: whoever is granted root's id of this namespace is its root.
    """
    free = []
    for start, size in own:
        at, end = max(start, 1), start + size
        for first, count in sorted(taken):
            if first < end and first + count > at:
                free.append((at, first - at))
                at = first + count
        free.append((at, end - at))
    first, count = max(free, key=lambda one: one[1], default=(0, 0))
    return (first, min(count, most)) if count > 0 else (0, 0)
