"""Keep a note of what kept an image from being unpacked behind a launch, until that has changed.

The note lies in place of the image's index entry, which a tree of the image or `cache clean`
replaces: see cache.py.
"""

from __future__ import annotations

import contextlib
import os
import time

from minictr.image import index
from minictr.image.cache import modes_as_given, prepare, writing
from minictr.image.inventory import is_current, names_in
from minictr.image.locks import temporary_name
from minictr.image.open import Image
from minictr.image.records import read, write
from minictr.image.removal import remove
from minictr.refusal import Refusal
from minictr.value import Value

FIELDS = 6  # format, code, cause, room, when, path of the image
FOREVER = ("MC0120",)  # what lies in the image itself: another content is another identity
PASSING = ("MC0103",)  # the image is another one by now
DAY = 86400  # seconds after which what nobody can look at (a quota) is tried again
GAIN = 16  # what has to become free before a full disk is tried again: this part of the image
LEAST = 4096  # bytes, without which no note of a failure would be kept


class Note(Value):
    """Why an image could not be unpacked.

    room   bytes, or inodes, that were free then and too few; 0 where that was not the cause
    when   seconds since 1970
    image  its absolute path
    """

    code: str
    cause: str
    room: int
    when: float
    image: str


def hindrance(image: Image, cache: str, behind: bool) -> Refusal | None:
    """What keeps the image from being unpacked behind this launch; None where nothing is known to.

    behind   whether that is about to be tried
    Raises Refusal for a cache directory into which others may write.
    """
    try:
        prepare(cache)  # before the launch is planned: only what is there is covered
    except Refusal as refusal:
        if refusal.code == "MC0126":
            raise
        return refusal
    key = index.key_of(image.identity)
    note = read_note(cache, key)
    if note and stands(note, image, cache):
        return Refusal(note.code, note.cause)
    return unwritable(cache, key) if behind else None


def stands(note: Note, image: Image, cache: str) -> bool:
    """Whether nothing has changed since that would let the image be unpacked."""
    if note.code in FOREVER:
        return True
    if not 0 <= time.time() - note.when < DAY:
        return False
    free, inodes = left(cache)
    if note.code == "MC0121":
        return free <= note.room + image.size // GAIN
    if note.code == "MC0122":
        return inodes <= note.room
    if note.code == "MC0118":
        from minictr.image.unpack import find_unsquashfs

        with contextlib.suppress(Refusal):
            return not find_unsquashfs()
    return True


def left(cache: str) -> tuple[int, int]:
    """(bytes, inodes) that the file system of the cache has left for an ordinary user."""
    numbers = os.statvfs(cache)
    return numbers.f_bavail * numbers.f_frsize, numbers.f_favail


def unwritable(cache: str, key: str) -> Refusal | None:
    """What keeps even a small file from being written to the cache."""
    path = temporary_name(cache, key)
    try:
        with writing(cache), modes_as_given():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, bytes(LEAST))
            finally:
                os.close(descriptor)
                remove(path)
    except Refusal as refusal:
        return refusal
    return None


def keep(refusal: Refusal, image: Image, cache: str, free: tuple[int, int]) -> None:
    """Keep a note of what stopped the unpacking of an image. Raises Refusal where it cannot.

    free   left(), from before it was begun
    """
    if refusal.code in PASSING:
        return
    # Looked at before the first byte is written, inodes are fewer than the image has.
    rooms = {"MC0121": free[0], "MC0122": max(free[1], image.inodes - 1)}
    room, path = rooms.get(refusal.code, 0), os.path.abspath(image.path)
    key = index.key_of(image.identity)
    temporary = temporary_name(cache, key)
    with writing(cache), modes_as_given():
        try:
            fields = (index.FORMAT, refusal.code, refusal.cause, room, time.time(), path)
            write(temporary, fields)
            os.rename(temporary, f"{cache}/index/{key}")
        finally:
            remove(temporary)


def read_note(cache: str, key: str) -> Note | None:
    """The note in place of that index entry; None where there is none."""
    fields = read(f"{cache}/index/{key}")
    return Note(*fields[1:]) if len(fields) == FIELDS else None


def notes(cache: str) -> list[Note]:
    """The notes of every image file that is still there as it was."""
    found = [(key, read_note(cache, key)) for key in names_in(f"{cache}/index")]
    return [note for key, note in found if note and is_current(key, note.image)]
