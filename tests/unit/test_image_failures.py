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
    ("code", "room", "age", "long"),
    [
        ("MC0120", 0, 400 * DAY, True),
        ("MC0000", 0, 0, True),
        ("MC0000", 0, DAY + 1, False),
        ("MC0000", 0, -100, False),  # by a clock that was put back
        ("MC0121", PLENTY, 0, True),
        ("MC0121", PLENTY, DAY + 1, False),
        ("MC0121", 0, 0, False),
        ("MC0122", PLENTY, 0, True),
        ("MC0122", 0, 0, False),
    ],
)
def test_how_long_a_note_stands(
    tmp_path: Path, code: str, room: int, age: float, long: bool
) -> None:
    kept = note(code, room, age)  # by the clock of now: the tests before this one take long
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
