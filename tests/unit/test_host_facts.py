"""A fact is read to its end, and what has no end is said to be none."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from minictr.diagnosis.probes.libraries import read_dynamic
from minictr.host import read_fact

# Memory bounds a reading that has no end, so that it fails here and takes nothing of the machine's.
BOUNDED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from minictr.host import read_fact
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]),) * 2)
fact = read_fact(sys.argv[2])
print(fact.errno, len(fact.text))
"""
ENOUGH = 500 << 20  # bytes of address space


def bounded(path: str) -> str:
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", BOUNDED, root, path, str(ENOUGH)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/dev/urandom"])
def test_a_device_without_an_end_is_no_fact(path: str) -> None:
    assert bounded(path) == f"{errno.ENODEV} 0\n"


def test_a_file_of_a_terabyte_is_no_fact(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    assert bounded(str(tmp_path / "sparse")) == f"{errno.EFBIG} 0\n"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read_fact(str(tmp_path / "fifo")).text == ""
    assert read_dynamic(str(tmp_path), "/fifo") is None


def test_a_file_of_several_reads_is_a_fact(tmp_path: Path) -> None:
    text = "0123456789abcdef" * (3 * resource.getpagesize())
    (tmp_path / "file").write_text(text)
    assert read_fact(str(tmp_path / "file")).text == text
