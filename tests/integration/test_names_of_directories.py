"""Which names of a working directory behind a symbolic link there are inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import User
from skipping import require
from small_images import make_image

NO_TMP = ("--no-mount", "tmp")  # where the tests' directories are


# What apptainer 1.4.5 prints where $PWD leads to the working directory through a link.
@pytest.mark.parametrize(
    ("variable", "options", "shown"),
    [
        ("{link}", (), "{link}"),
        ("{link}", ("--pid", "--no-home"), "{link}"),
        ("{link}", ("-B", "{link}"), "{link}"),
        ("{link}", ("-B", "{place}"), "{link}"),
        ("{link}", ("-B", "{parent}"), "{place}"),
        ("{link}", ("--pwd", "{link}"), "{link}"),
        ("{place}", (), "{place}"),
        ("{parent}", (), "{place}"),
        ("/nonexistent", (), "{place}"),
        ("link", (), "{place}"),
    ],
)
def test_a_working_directory_has_the_name_that_the_shell_has_for_it(
    inside: Callable[..., str], place: Path, variable: str, options: tuple[str, ...], shown: str
) -> None:
    link = place.parent / "link"
    link.symlink_to(place)
    names = {"link": str(link), "place": str(place), "parent": str(place.parent)}
    options = (*NO_TMP, *(option.format(**names) for option in options))
    said = inside("pwd; cat file", *options, cwd=link, env={"PWD": variable.format(**names)})
    assert said == f"{shown.format(**names)}\nhere\n"


def test_both_names_of_a_working_directory_are_inside(
    inside: Callable[..., str], place: Path
) -> None:
    """A link that a bind shows leads to the one; no bind of the home or of /tmp is covered."""
    link = place.parent / "link"
    link.symlink_to(place)
    for options in ((), NO_TMP):
        said = inside(f"cat {link}/file {place}/file", *options, cwd=link, env={"PWD": str(link)})
        assert said == "here\nhere\n"


def test_a_link_to_a_directory_of_the_system_is_not_bound(
    inside: Callable[..., str], place: Path
) -> None:
    link = place.parent / "link"
    link.symlink_to("/etc")
    assert inside("pwd", *NO_TMP, cwd=link, env={"PWD": str(link)}) == "/etc\n"


def test_a_name_of_the_system_is_the_images(inside: Callable[..., str]) -> None:
    require(Path("/lib").is_symlink(), "PLACE", "/lib is a directory of its own")
    said = inside("pwd; ls -d /lib/*; true", *NO_TMP, cwd=Path("/lib"), env={"PWD": "/lib"})
    assert said == "/usr/lib\n"


def test_a_name_that_is_not_mounted_is_not_entered(
    inside: Callable[..., str], place: Path, directory: Path, user: User
) -> None:
    """The image's own link of that name leads to another bind."""
    link = place.parent / "link"
    link.symlink_to(place)
    own = make_image(directory / "own", user)
    (own / str(link)[1:]).parent.mkdir(parents=True)
    (own / str(link)[1:]).symlink_to("/other")
    options = (*NO_TMP, "-B", f"{place.parent}:/other")
    said = inside("pwd; cat file", *options, cwd=link, env={"PWD": str(link)}, image=own)
    assert said == f"{place}\nhere\n"


def test_what_was_asked_for_below_the_name_is_there(
    inside: Callable[..., str], place: Path
) -> None:
    link = place.parent / "link"
    link.symlink_to(place)
    options = (*NO_TMP, "-B", f"{place}:{link}/in")
    said = inside(f"pwd; cat {link}/in/file", *options, cwd=link, env={"PWD": str(link)})
    assert said == f"{place}\nhere\n"
