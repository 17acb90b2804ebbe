"""A text file that an option names is read at once, or refused as what it is."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from minictr.cli.texts import MOST, read_text
from minictr.refusal import Refusal


def refused(path: Path | str) -> str:
    with pytest.raises(Refusal) as caught:
        read_text(str(path), "--recipe")
    assert caught.value.code == "request"
    return caught.value.cause.removeprefix(f"--recipe {path} cannot be read: ")


def test_the_bytes_of_a_file_survive(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"A=\xff\r\n\0")
    assert read_text(str(path), "--recipe") == "A=\udcff\r\n\0"
    assert read_text("/dev/null", "--recipe") == ""


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    assert refused(tmp_path) == "it is a directory"
    assert refused(tmp_path / "fifo") == "it is a FIFO"
    assert refused(tmp_path / "socket") == "it is a socket"
    assert refused(tmp_path / "loop") == "Too many levels of symbolic links"
    assert refused("/dev/zero") == "it is a character device"
    assert refused("/dev/tty") == "it is a character device"
    assert refused(tmp_path / "none") == "No such file or directory"
    assert refused("a\0b") == "a NUL is in its path"


def test_what_a_shell_hands_over_is_waited_for() -> None:
    command = ["sh", "-c", "sleep 0.3; echo A=1; sleep 0.3; echo B=2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert read_text(f"/dev/fd/{writer.stdout.fileno()}", "--env-file") == "A=1\nB=2\n"


def test_a_command_that_wrote_nothing_is_an_empty_text() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    assert read_text(f"/dev/fd/{reader}", "--env-file") == ""
    os.close(reader)


def test_what_has_no_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as large:
        large.truncate(MOST + 1)
    assert refused(tmp_path / "large") == f"it has more than {MOST} bytes"
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert refused(f"/dev/fd/{writer.stdout.fileno()}") == f"it has more than {MOST} bytes"
        writer.kill()
