"""Paths outside and inside: --bind, --mount and --home."""

from __future__ import annotations

import pytest

from minictr.cli.binds import absolute, read_binds, read_home, read_mounts
from minictr.refusal import Refusal
from minictr.request import Bind


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("", []),
        ("/a", [Bind("/a", "/a")]),
        ("/a:/b", [Bind("/a", "/b")]),
        ("/a:/b:ro", [Bind("/a", "/b", True)]),
        ("/a:/b:rw", [Bind("/a", "/b")]),
        ("/a:/b:rw,ro", [Bind("/a", "/b", True)]),
        ("/a::ro", [Bind("/a", "/a", True)]),
        ("/a,/b:/c", [Bind("/a", "/a"), Bind("/b", "/c")]),
        ("/a:/b:ro,/c", [Bind("/a", "/b", True), Bind("/c", "/c")]),
        ("/a:/b:ro,rw,/c:/d:ro", [Bind("/a", "/b", True), Bind("/c", "/d", True)]),
        (" /a:/b , /c ", [Bind("/a", "/b"), Bind("/c", "/c")]),
        ("/a,,/b", [Bind("/a", "/a"), Bind("/b", "/b")]),
        (r"/a\:b:/c", [Bind("/a:b", "/c")]),
        (r"/a\,b:/c", [Bind("/a,b", "/c")]),
        (r"/a\b", [Bind(r"/a\b", r"/a\b")]),
        ("a", [Bind("/here/a", "/here/a")]),
        (".", [Bind("/here", "/here")]),
        ("./a/:/x/", [Bind("/here/a", "/x")]),
        ("../a:/x", [Bind("/here/../a", "/x")]),
        ("/a:/x//y/./z", [Bind("/a", "/x/y/z")]),
    ],
)
def test_a_bind_specification_gives_binds(text: str, binds: list[Bind]) -> None:
    assert read_binds(text, "/here") == binds


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("/a:/b:zz", "zz is not a valid bind option"),
        ("/a:/b:", "'' is not a valid bind option"),
        ("/a:/b:ro:x", "wrong bind syntax: /a:/b:ro:x"),
        ("/a:b", "the bind target b is not an absolute path"),
        (":/b", "a bind has no source: :/b"),
        (
            "/a:/b:image-src=/x",
            "the bind option image-src=/x is refused: no image can be bound from",
        ),
        ("/a:/b:ro,id=2", "the bind option id=2 is refused: no image can be bound from"),
    ],
)
def test_a_bad_bind_is_refused_by_what_is_wrong_in_it(text: str, cause: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_binds(text, "/here")
    assert (caught.value.code, caught.value.cause) == ("MC0445", cause)


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("type=bind,source=/a,target=/b", [Bind("/a", "/b")]),
        ("src=/a,dst=/b,ro", [Bind("/a", "/b", True)]),
        ("source=/a,destination=/b,readonly", [Bind("/a", "/b", True)]),
        ('type=bind,"source=/a,b",target=/c', [Bind("/a,b", "/c")]),
        ("src=/a,dst=/b\nsrc=/c,dst=/d\n", [Bind("/a", "/b"), Bind("/c", "/d")]),
        ("src=a:b,dst=/b:c", [Bind("/here/a:b", "/b:c")]),
        ("src=/a=b,dst=/c", [Bind("/a=b", "/c")]),
    ],
)
def test_a_mount_specification_gives_binds(text: str, binds: list[Bind]) -> None:
    assert read_mounts(text, "/here") == binds


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("type=tmpfs,dst=/a", 'unsupported mount type "tmpfs": only bind is'),
        ("src=/a", "mounts must specify a source and a destination"),
        ("src=,dst=/a", "mounts must specify a source and a destination"),
        ("src=/a,dst=/b,zz=1", 'invalid key "zz" in mount specification'),
        ("src=/a,dst=/b,bind-propagation=shared", 'invalid key "bind-propagation" in'),
        ("src=/a,dst=b", "the bind target b is not an absolute path"),
        ("src=/a,dst=/b,image-src=/x", "the bind option image-src=/x is refused"),
        ('src=/a,"dst=/b', 'the mount src=/a,"dst=/b cannot be read: column'),
    ],
)
def test_a_bad_mount_is_refused_by_what_is_wrong_in_it(text: str, cause: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_mounts(text, "/here")
    assert caught.value.code == "MC0445"
    assert caught.value.cause.startswith(cause)


def test_a_colon_in_a_path_is_said_to_need_an_escape() -> None:
    with pytest.raises(Refusal) as refused:
        read_binds("/a:b:/c", "/here")
    assert r"`\:`" in refused.value.fix


def test_home_has_a_source_and_a_place_inside() -> None:
    assert read_home("/a") == ("/a", "/a")
    assert read_home("/a:/b") == ("/a", "/b")


@pytest.mark.parametrize("text", ["", "a", "/a:b", "/a:/b:ro", ":/a"])
def test_a_home_that_is_not_two_absolute_paths_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="--home takes"):
        read_home(text)


def test_a_relative_path_needs_a_working_directory() -> None:
    with pytest.raises(Refusal, match="the working directory is gone"):
        absolute("a", "")
    assert absolute("/a", "") == "/a"
