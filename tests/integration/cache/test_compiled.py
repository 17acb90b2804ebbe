"""`minictr cache clean` beside what launches compile: it keeps what they use, and no more."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import User

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def profile(directory: Path, user: User) -> Path:
    """A profile whose file is old enough for its filter to be kept."""
    path = directory / "profile.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    os.chown(path, user.uid, user.gid)
    time.sleep(0.06)
    return path


@pytest.fixture
def launched(minictr: Run, sif: Path, cache: Path, profile: Path) -> list[Path]:
    """What two launches have compiled: modules, the default filter and one of a profile."""
    for options in ((), ("--security", f"seccomp:{profile}"), ()):
        done = minictr("exec", *options, sif, "true")
        assert done.returncode == 0, done.stderr
    found = sorted([*cache.glob("code/*"), *cache.glob("filters/*")])
    assert len(found) == 3
    return found


def compiled(cache: Path) -> list[Path]:
    return sorted([*cache.glob("code/*"), *cache.glob("filters/.*"), *cache.glob("filters/*")])


def test_clean_keeps_what_the_next_launch_uses(
    minictr: Run, cache: Path, launched: list[Path]
) -> None:
    done = minictr("cache", "clean")
    assert (done.returncode, done.stdout) == (0, "")
    assert compiled(cache) == launched


def test_clean_removes_the_filter_of_a_profile_that_is_gone_or_was_changed(
    minictr: Run, cache: Path, launched: list[Path], profile: Path
) -> None:
    profile.write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    done = minictr("cache", "clean")
    assert done.stdout == "removed 1 stale index entries, compiled files and temporaries\n"
    assert len(set(launched) - set(compiled(cache))) == 1


def test_clean_removes_the_temporaries_of_killed_launches(
    minictr: Run, user: User, cache: Path, launched: list[Path]
) -> None:
    modules = next(path for path in launched if path.parent.name == "code")
    for path in (Path(f"{modules}.99999"), cache / "filters/.0123456789abcdef"):
        path.write_bytes(b"half")
        os.chown(path, user.uid, user.gid)
    assert "removed 2 stale" in minictr("cache", "clean").stdout
    assert compiled(cache) == launched


def test_clean_removes_the_modules_of_a_package_that_is_gone(
    minictr: Run, user: User, cache: Path, launched: list[Path]
) -> None:
    modules = next(path for path in launched if path.parent.name == "code")
    tag, device, inode = modules.name.rsplit("-", 2)
    old = modules.with_name(f"{tag}-{device}-{int(inode, 16) + 1:x}")
    old.write_bytes(modules.read_bytes())
    os.chown(old, user.uid, user.gid)
    assert "removed 1 stale" in minictr("cache", "clean").stdout
    assert compiled(cache) == launched


@pytest.mark.parametrize(("days", "kept"), [(10, True), (40, False)])
def test_what_another_python_compiled_goes_when_nobody_reads_it(
    minictr: Run, user: User, cache: Path, launched: list[Path], days: int, kept: bool
) -> None:
    other = cache / "code/cpython-399-1-2"
    other.write_bytes(b"not for us to read")
    os.chown(other, user.uid, user.gid)
    then = time.time() - days * 86400
    os.utime(other, (then, then))
    minictr("cache", "clean")
    assert (other in compiled(cache)) == kept


def test_clean_all_removes_what_was_compiled_without_a_look_into_it(
    minictr: Run, sif: Path, cache: Path, launched: list[Path]
) -> None:
    for path in launched:
        path.write_bytes(path.read_bytes().replace(b"minictr", b"munictr"))
    done = minictr("cache", "clean", "--all")
    assert (done.returncode, compiled(cache)) == (0, [])
    assert minictr("exec", sif, "true").returncode == 0


def test_a_filter_with_a_flipped_bit_is_compiled_again(
    minictr: Run, sif: Path, launched: list[Path], profile: Path
) -> None:
    for path in launched:
        if path.parent.name == "filters":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
    for options in ((), ("--security", f"seccomp:{profile}")):
        assert minictr("exec", *options, sif, "true").returncode == 0
