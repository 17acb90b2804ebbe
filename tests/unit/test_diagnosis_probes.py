"""Probes that read: paths, programs, mount tables and id files give what is there."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minictr.diagnosis.probes.mountinfo import mount_of, mounts
from minictr.diagnosis.probes.program import chain, read_program, runs_here
from minictr.diagnosis.probes.subids import free_range, read_subids
from minictr.diagnosis.probes.surroundings import distribution, sysctl_files
from minictr.diagnosis.probes.walk import NOT_OURS, walk
from minictr.host import LAST_ID, native, read_host, subordinate

# --- walk ---------------------------------------------------------------------------------------


def test_a_walk_ends_at_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    found = walk(str(tmp_path), "/a/./b/../b")
    assert (found.found, found.reached, found.is_directory()) == (True, "/a/b", True)


def test_a_walk_names_the_first_component_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    ended = walk(str(tmp_path), "/a/b/c")
    assert (ended.errno, ended.reached, ended.name) == (errno.ENOENT, "/a", "b")
    assert ended.end() == "/a has no entry b"


def test_an_absolute_link_starts_again_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/real").touch()
    (tmp_path / "link").symlink_to("/etc/real")
    assert walk(str(tmp_path), "/link").reached == "/etc/real"


def test_dots_do_not_leave_the_root(tmp_path: Path) -> None:
    (tmp_path / "inside").touch()
    assert walk(str(tmp_path), "/../../inside").found


@pytest.mark.parametrize("path", ["self/exe", "thread-self", "1/root/etc", "self/nosuch"])
def test_a_way_through_the_proc_of_a_container_is_not_ours_to_go(tmp_path: Path, path: str) -> None:
    (tmp_path / "link").symlink_to(f"/proc/{path}")
    root = "/proc/self/root"
    assert walk(root, f"/proc/{path}").errno == NOT_OURS
    assert walk(root, f"{tmp_path}/link").errno == NOT_OURS
    assert walk("", f"{tmp_path}/link").errno != NOT_OURS
    assert walk(root, "/proc/uptime").found
    assert walk(root, "/proc/nosuch").missing


def test_a_directory_proc_without_processes_is_walked(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert walk(str(tmp_path), "/proc/self/exe").missing


def test_a_file_on_the_way_is_not_what_the_way_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not walk(str(tmp_path), "/file/x").is_file()
    assert walk(str(tmp_path), "/file").is_file()


def test_a_broken_link_is_to_blame_for_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/no/where")
    ended = walk(str(tmp_path), "/link/x")
    assert (ended.link, ended.target, ended.name) == ("/link", "/no/where", "no")


def test_a_good_link_is_not_to_blame_for_what_comes_after_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    ended = walk(str(tmp_path), "/link/x")
    assert (ended.link, ended.reached, ended.name) == ("", "/there", "x")


def test_a_file_on_the_way_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = walk(str(tmp_path), "/file/x")
    assert (ended.errno, ended.end()) == (errno.ENOTDIR, "/file is not a directory")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert walk(str(tmp_path), "/a").errno == errno.ELOOP


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "link", "loop", "", "file"]), max_size=8))
def test_a_walk_agrees_with_the_kernel(words: list[str]) -> None:
    path = "/".join(words)
    place = f"{HERE}/{path}"
    ended, number = walk("", place), errno_of(place)
    assert ended.errno == number
    if not number:
        assert ended.reached == os.path.realpath(place)


def errno_of(path: str) -> int:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno or 0
    return 0


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> None:
    global HERE  # noqa: PLW0603 # hypothesis calls the test many times with one directory
    HERE = str(tmp_path_factory.mktemp("here"))
    os.makedirs(f"{HERE}/a/b")
    os.symlink("a/b", f"{HERE}/link")
    os.symlink("loop", f"{HERE}/loop")
    Path(f"{HERE}/file").touch()


HERE = ""


# --- programs -----------------------------------------------------------------------------------


def elf(machine: int = 62, interpreter: bytes = b"/lib/ld.so", wide: bool = True) -> bytes:
    """An ELF file with nothing but a header and a PT_INTERP."""
    header, entry = (64, 56) if wide else (52, 32)
    at = header + entry
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9)
    if wide:
        head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        table = struct.pack("<IIQQQQQQ", 3, 4, at, 0, 0, len(interpreter) + 1, 0, 1)
    else:
        head = struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        table = struct.pack("<IIIIIIII", 3, at, 0, 0, len(interpreter) + 1, 0, 4, 1)
    return ident + head + table + interpreter + b"\0"


@pytest.mark.parametrize("wide", [True, False])
def test_the_interpreter_of_an_elf_file_is_read(tmp_path: Path, wide: bool) -> None:
    (tmp_path / "x").write_bytes(elf(wide=wide))
    (program,) = chain(str(tmp_path), "/x")
    assert (program.kind, program.machine, program.wants) == ("elf", 62, "/lib/ld.so")
    assert not program.truncated


@pytest.mark.parametrize("length", [20, 63, 64, 100, 119])
def test_an_elf_file_that_ends_in_its_own_headers_is_truncated(tmp_path: Path, length: int) -> None:
    (tmp_path / "x").write_bytes(elf()[:length])
    assert chain(str(tmp_path), "/x")[0].truncated


def test_a_script_leads_to_its_interpreter_and_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"#! \t/b\targument\n")
    (tmp_path / "b").write_bytes(b"#!/c -x\n")
    (tmp_path / "c").write_bytes(elf(183))
    assert [(one.path, one.kind, one.wants) for one in chain(str(tmp_path), "/a")] == [
        ("/a", "script", "/b"),
        ("/b", "script", "/c"),
        ("/c", "elf", "/lib/ld.so"),
    ]


def test_a_carriage_return_belongs_to_the_interpreter_s_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"#!/bin/sh\r\n")
    assert chain(str(tmp_path), "/a")[0].wants == "/bin/sh\r"


def test_a_script_that_is_its_own_interpreter_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"#!/a\n")
    assert len(chain(str(tmp_path), "/a")) == 6


def test_our_own_machine_runs_here_and_a_foreign_one_does_not() -> None:
    own = 183 if os.uname().machine == "aarch64" else 62
    assert runs_here(own)
    assert not runs_here(243 if own != 243 else 62)


@given(st.binary(max_size=400), st.sampled_from([b"", b"\x7fELF", b"#!", b"\x7fELF\x02\x01"]))
def test_any_bytes_are_a_program_of_some_kind(data: bytes, start: bytes) -> None:
    path = Path(HERE, "program")
    path.write_bytes(start + data)
    kinds = ("elf", "script", "text", "empty", "other")
    assert read_program("", str(path), str(path), path.stat()).kind in kinds


# --- tables -------------------------------------------------------------------------------------


def test_the_mount_of_a_path_is_the_one_on_top() -> None:
    table = mounts()
    assert mount_of("/proc/self/status", table) in [m for m in table if m.kind == "proc"]
    root = mount_of("/", table)
    assert root is not None
    assert root.point == "/"


@pytest.mark.parametrize(
    ("text", "own", "malformed"),
    [
        ("alice:100000:65536\n", ((100000, 65536),), ()),
        ("1234:100000:65536\n", ((100000, 65536),), ()),
        ("bob:100000:65536\n", (), ()),
        ("alicia:100000:65536\n", ((100000, 65536),), ()),
        ("alicia:100000:65536\nalice:300000:10\n", ((300000, 10),), ()),
        ("alice:100000:65536\r\n", (), ((1, "alice:100000:65536\r"),)),
        ("\nalice:100000\n", (), ((2, "alice:100000"),)),
        ("alice :100000:65536\n", (), ((1, "alice :100000:65536"),)),
        ("alice2:100000\n", (), ()),
    ],
)
def test_lines_of_subuid_grant_or_do_not(
    tmp_path: Path, text: str, own: tuple[object, ...], malformed: tuple[object, ...]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_bytes(text.encode())
    host = read_host(str(tmp_path)).replace(user="alice", uid=1234)
    (tmp_path / "etc/passwd").write_text(
        "alice:x:1234:1:::\nbob:x:4321:1:::\n+\nalicia:x:1234:1:::\n"
    )
    found = read_subids(host, "subuid")
    assert host.replace(user="1234").namesakes() == ()
    assert subordinate(host, "subuid") == list(own)
    assert (found.own, found.malformed) == (own, malformed)


def test_a_free_range_touches_no_other(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_text("a:100000:65536\nb:300000:10\nc:165536:65536\n")
    host = read_host(str(tmp_path))
    file = read_subids(host, "subuid")
    assert free_range(file, read_subids(host, "subgid")) == (231072, 231072 + 65535)
    (tmp_path / "etc/subuid").write_text("a:0:4294967295\nb:5:0\n")
    assert free_range(read_subids(host, "subuid"))[1] > LAST_ID


def test_the_line_that_sets_a_sysctl_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "etc/sysctl.d"
    directory.mkdir(parents=True)
    (directory / "50-limits.conf").write_text("# no\nuser.max_user_namespaces = 0\n")
    found = sysctl_files(read_host(str(tmp_path)), "user.max_user_namespaces")
    assert found == ("/etc/sysctl.d/50-limits.conf: user.max_user_namespaces = 0",)


def test_a_distribution_and_those_it_is_like() -> None:
    text = 'NAME="X"\nID=ubuntu\nID_LIKE="debian other"\n'
    assert distribution(text) == ("ubuntu", "debian", "other")


def test_a_32_bit_personality_does_not_change_the_machine() -> None:
    here = os.uname().machine
    assert {native(name) for name in (here, {"x86_64": "i686", "aarch64": "armv8l"}[here])} == {
        here
    }
    assert native("riscv64") == "riscv64"
