"""Probes of the id maps: ranges of a user namespace, lines of subuid, words of the linker."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minictr.diagnosis.probes.helper_files import library_in
from minictr.diagnosis.probes.own_maps import covers, extents, holds, is_whole, largest
from minictr.diagnosis.probes.subid_source import other_source
from minictr.diagnosis.probes.subids import read_subids
from minictr.host import read_host
from minictr.runtime.idmap import fits

RANGES = st.tuples(st.integers(0, 60), st.integers(1, 20))


def test_a_range_has_to_lie_in_one_line() -> None:
    own = extents("         0       1000          1\n         1     100000      65536\n")
    assert own == ((0, 1), (1, 65536))
    assert holds(own, 1, 65536)
    assert not holds(own, 0, 2)
    assert covers(own, 0, 2)
    assert not covers(own, 65536, 2)


def test_the_initial_user_namespace_has_every_id() -> None:
    assert is_whole("0 0 4294967295\n")
    assert not is_whole("0 0 65536\n")


@given(st.lists(RANGES, max_size=4), st.lists(RANGES, max_size=4), st.integers(1, 30))
def test_the_largest_free_range_is_mapped_and_nobody_s(
    own: list[tuple[int, int]], taken: list[tuple[int, int]], most: int
) -> None:
    first, count = largest(tuple(own), tuple(taken), most)
    free = {i for a, n in own for i in range(a, a + n)} - {0}
    free -= {i for a, n in taken for i in range(a, a + n)}
    assert set(range(first, first + count)) <= free
    assert count <= most
    assert bool(count) == bool(free)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "/usr/bin/newuidmap: error while loading shared libraries: libaudit.so.1: cannot open",
            ("libaudit.so.1", ""),
        ),
        (
            "/x/newuidmap: /lib/libc.so.6: version `GLIBC_2.99' not found (required by /x)",
            ("/lib/libc.so.6", "GLIBC_2.99"),
        ),
        ("newuidmap: write to uid_map failed: Operation not permitted", ("", "")),
    ],
)
def test_the_linker_s_words_name_a_library(said: str, found: tuple[str, str]) -> None:
    assert library_in(said) == found


def test_a_map_fits_by_its_lines_and_by_its_text() -> None:
    assert fits(((0, 0, 1),) * 340)
    assert not fits(((0, 0, 1),) * 341)
    assert not fits(((1000000000, 1000000000, 1000),) * 340)


@pytest.mark.parametrize(
    ("text", "own", "why"),
    [
        ("alice:0x186a0:65536\n", ((100000, 65536),), []),
        ("alice:100000:0\n", (), ["its count is 0"]),
        ("alice:4294967294:1\n", ((4294967294, 1),), []),
        ("alice:1234:1\n", (), ["it is the caller's own id, and no other"]),
    ],
)
def test_a_range_without_an_id_is_void(
    tmp_path: Path, text: str, own: tuple[object, ...], why: list[str]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_text(text)
    file = read_subids(read_host(str(tmp_path)).replace(user="alice", uid=1234), "subuid")
    assert (file.own, [reason for _, _, reason in file.void]) == (own, why)


def test_a_source_without_a_library_is_none(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nsswitch.conf").write_text("subid: nosuchsource\n")
    assert other_source(read_host(str(tmp_path))) == ("", "")
