"""How long a note of what could not be unpacked stands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from minictr.image.failures import DAY, Note, keep, left, read_note, stands
from minictr.image.index import key_of
from minictr.image.open import Image
from minictr.refusal import Refusal

IMAGE = Image("squashfs", "/x/image.sqfs", "", 0, 1600, "gzip", 5, (1, 2, 3, 4, 5))
PLENTY = 1 << 62


def note(code: str, room: int = 0, age: float = 0) -> Note:
    return Note(code, "the cause", room, time.time() - age, "/x/image.sqfs")


@pytest.mark.parametrize(
    ("kept", "long"),
    [
        (note("MC0120", age=400 * DAY), True),
        (note("MC0000"), True),
        (note("MC0000", age=DAY + 1), False),
        (note("MC0000", age=-9 * DAY), False),  # by a clock that was put back
        (note("MC0121", room=PLENTY), True),
        (note("MC0121", room=PLENTY, age=DAY + 1), False),
        (note("MC0121", room=0), False),
        (note("MC0122", room=PLENTY), True),
        (note("MC0122", room=0), False),
    ],
)
def test_how_long_a_note_stands(tmp_path: Path, kept: Note, long: bool) -> None:
    assert stands(kept, IMAGE, str(tmp_path)) is long


def test_a_little_room_that_was_gained_is_not_enough(tmp_path: Path) -> None:
    free, _ = left(str(tmp_path))
    whole = IMAGE.replace(size=16 * free)
    assert stands(note("MC0121", room=free // 2), whole, str(tmp_path))
    assert not stands(note("MC0121", room=free // 2), IMAGE, str(tmp_path))


@pytest.mark.parametrize(
    ("code", "room"), [("MC0121", 70), ("MC0122", 4), ("MC0120", 0), ("MC0000", 0)]
)
def test_a_note_is_read_as_it_was_kept(tmp_path: Path, code: str, room: int) -> None:
    for part in ("index", "tmp"):
        (tmp_path / part).mkdir()
    keep(Refusal(code, "the cause", "its proof"), IMAGE, str(tmp_path), (70, 3))
    found = read_note(str(tmp_path), key_of(IMAGE.identity))
    assert found
    assert (found.code, found.cause, found.room) == (code, "the cause", room)
    assert not list(tmp_path.glob("tmp/*"))


def test_of_an_image_that_changed_no_note_is_kept(tmp_path: Path) -> None:
    keep(Refusal("MC0103", "it changed"), IMAGE, str(tmp_path), (0, 0))
    assert not list(tmp_path.iterdir())
