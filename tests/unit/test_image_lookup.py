"""Paths that lead nowhere: the refusal names the component at fault."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_files import IMAGES, refusal_of

from minictr.image.lookup import explain
from minictr.image.open import open_image
from minictr.refusal import Refusal

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach, as pytest's own cannot."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755)
    yield path
    for folder, names, _ in os.walk(path):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(path)


def refusal_as_ordinary_user(path: Path) -> Refusal:
    """refusal_of in a child process which is not root: root is denied nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            refusal = refusal_of(path)
            said = (refusal.code, refusal.cause, refusal.proof, refusal.fix)
            os.write(writer, "\0".join(said).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        words = pipe.read().split("\0")
    os.waitpid(child, 0)
    return Refusal(*words)


def test_the_first_missing_component_is_named(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path / "one/two/image.sif")
    assert refusal.code == "MC0101"
    assert refusal.cause.endswith(f"does not exist: there is no one in {tmp_path}")
    assert refusal.proof == f"lstat(2) of {tmp_path}/one: ENOENT"


def test_a_relative_path_is_looked_up_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal = refusal_of("image.sif")
    assert refusal.cause == "image.sif does not exist: there is no image.sif in ."
    (tmp_path / "sub").mkdir()
    refusal = refusal_of("sub/../image.sif")
    assert refusal.cause.endswith("there is no image.sif in sub/..")


def test_a_dangling_link_is_named_with_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone/image.sif")
    refusal = refusal_of(tmp_path / "link")
    assert refusal.code == "MC0101"
    assert refusal.cause.endswith(
        f"the symbolic link {tmp_path}/link points to gone/image.sif, which is missing"
    )


def test_a_link_that_works_is_not_blamed_for_what_comes_after(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    refusal = refusal_of(tmp_path / "link/image.sif")
    assert refusal.cause.endswith(f"there is no image.sif in {tmp_path}/real")


@pytest.mark.parametrize("links", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "a/b"}])
def test_a_loop_of_links(tmp_path: Path, links: dict[str, str]) -> None:
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    refusal = refusal_of(tmp_path / "a")
    assert refusal.code == "MC0101"
    assert refusal.cause == f"{tmp_path}/a leads through more than 40 symbolic links"


def test_a_chain_of_40_links_is_followed_and_one_of_41_is_not(tmp_path: Path) -> None:
    (tmp_path / "0").symlink_to(IMAGES / "bb-gzip.sif")
    for number in range(1, 41):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert open_image(str(tmp_path / "39"), "x86_64").kind == "sif"
    assert "more than 40" in refusal_of(tmp_path / "40").cause


@pytest.mark.parametrize("end", ["/", "/image", "/.", "/.."])
def test_a_file_is_not_a_directory(tmp_path: Path, end: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    refusal = refusal_of(f"{tmp_path}/file{end}")
    assert refusal.code == "MC0101"
    assert refusal.cause.endswith(f"does not exist: {tmp_path}/file is not a directory")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "it is empty"),
        ("a\0b", "it has a NUL byte or is not text"),
        ("\ud800", "it has a NUL byte or is not text"),
        ("x" * 256, "a component has 256 bytes"),
        ("é" * 128, "a component has 256 bytes"),
        ("./" * 2500, "it has 5000 bytes"),
    ],
)
def test_what_cannot_be_a_name(path: str, words: str) -> None:
    refusal = refusal_of(path)
    assert refusal.code == "MC0101"
    assert refusal.cause.endswith(words)


def test_an_address_is_told_from_a_file() -> None:
    refusal = refusal_of("docker://alpine:3")
    assert refusal.code == "MC0101"
    assert refusal.fix.endswith(
        ", by apptainer itself: `apptainer pull image.sif docker://alpine:3`."
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [("file:///srv/a b.sif", "the path alone: '/srv/a b.sif'."),
     ("instance://name", "minictr keeps no instances.")],
)  # fmt: skip
def test_no_tool_is_named_for_an_address_that_it_does_not_take(address: str, words: str) -> None:
    assert refusal_of(address).fix.endswith(words)


def test_a_directory_without_search_permission_is_named(place: Path) -> None:
    closed = place / "closed"
    (closed / "deep").mkdir(parents=True)
    (closed / "deep/image.sif").write_bytes(b"")
    closed.chmod(0o600)
    refusal = refusal_as_ordinary_user(closed / "deep/image.sif")
    assert refusal.code == "MC0102"
    assert f"cannot be reached: {closed} denies search" in refusal.cause
    assert refusal.proof.startswith(f"{closed}: mode 0600, owner ")
    by_root = os.geteuid() == 0  # whose directory it is then, and not the ordinary user's
    remedy = f"Have its owner run `chmod a+x {closed}`." if by_root else f"chmod u+x {closed}"
    assert refusal.fix == remedy


def test_a_link_into_a_closed_directory_names_the_directory(place: Path) -> None:
    (place / "closed").mkdir()
    (place / "closed/image.sif").write_bytes(b"")
    (place / "closed").chmod(0)
    (place / "link").symlink_to("closed/image.sif")
    refusal = refusal_as_ordinary_user(place / "link")
    assert refusal.code == "MC0102"
    assert f"{place}/closed denies search" in refusal.cause


def test_a_file_without_read_permission_is_named(place: Path) -> None:
    (place / "image.sif").write_bytes(b"x")
    (place / "image.sif").chmod(0o300)
    refusal = refusal_as_ordinary_user(place / "image.sif")
    assert refusal.code == "MC0102"
    assert f"cannot be read: {place}/image.sif denies reading" in refusal.cause
    assert f"{place}/image.sif: mode 0300, owner " in refusal.proof


def test_a_directory_image_needs_search_and_not_listing(place: Path) -> None:
    (place / "root").mkdir()
    (place / "root").chmod(0o444)
    refusal = refusal_as_ordinary_user(place / "root")
    assert refusal.code == "MC0102"
    assert f"{place}/root denies search" in refusal.cause
    (place / "root").chmod(0o111)
    assert open_image(str(place / "root")).kind == "directory"


def test_an_error_that_the_walk_cannot_find_again_keeps_call_and_errno(tmp_path: Path) -> None:
    (tmp_path / "image.sif").write_bytes(b"x")
    error = OSError(5, "Input/output error")
    refusal = explain(str(tmp_path / "image.sif"), "open(2)", error)
    assert (refusal.code, refusal.proof) == ("MC0000", "open(2): Input/output error")
    assert refusal.cause.endswith("cannot be read: open(2) returned EIO")


def test_a_denial_which_no_mode_explains_says_so(tmp_path: Path) -> None:
    (tmp_path / "image.sif").write_bytes(b"x")
    refusal = explain(str(tmp_path / "image.sif"), "open(2)", OSError(13, "Permission denied"))
    assert refusal.code == "MC0000"
    assert refusal.proof == "open(2) returned EACCES; access(2) allows it"
