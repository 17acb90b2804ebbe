"""Why the map has one line: a file that cannot be read is not one that has no range."""

from __future__ import annotations

from pathlib import Path

import pytest

from minictr.host import Host, read_host
from minictr.runtime.idmap import ungranted


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine whose user 1234 has no name that can be read; a directory cannot be read either."""
    (tmp_path / "etc/passwd").mkdir(parents=True)
    (tmp_path / "etc/subuid").write_text("alice:100000:65536\n")
    return read_host(str(tmp_path)).replace(user="1234", uid=1234)


def test_a_name_that_is_not_known_is_no_name_without_a_range(host: Host) -> None:
    unknown = "the name of uid 1234 is not known: /etc/passwd cannot be read"
    assert ungranted(host, "subuid") == unknown
    named = host.replace(user="bob")
    assert ungranted(named, "subuid") == "/etc/subuid has no range for bob"


def test_without_names_there_is_none_to_be_known(host: Host, tmp_path: Path) -> None:
    (tmp_path / "etc/subuid").write_text("1000:100000:65536\n")
    assert ungranted(host, "subuid") == "/etc/subuid has no range for 1234"
    assert ungranted(host, "subgid") == "/etc/subgid has no range for 1234"


def test_a_user_without_an_entry_has_none(host: Host, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").rmdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    assert ungranted(host, "subuid") == "/etc/subuid has no range for 1234"


def test_a_file_of_ranges_that_is_closed_is_named(host: Host, tmp_path: Path) -> None:
    (tmp_path / "etc/subgid").mkdir()
    assert ungranted(host, "subgid") == "/etc/subgid cannot be read"
