"""What a program needs is read from its file, and looked for wherever a loader may look."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skipping import require

from minictr.diagnosis.causes.libraries import sought_by_env
from minictr.diagnosis.probes.libraries import Lacking, first_lacking, read_dynamic
from minictr.diagnosis.probes.program import chain, memory_of
from minictr.runtime.execute import measure


def needs() -> list[str]:
    """The libraries of the host's true(1), by ldd(1)."""
    require(shutil.which("ldd"), "LDD", "ldd is not installed (Debian package libc-bin)")
    said = subprocess.run(["ldd", "/bin/true"], capture_output=True, text=True).stdout
    return [word for word in said.split() if word.startswith("/")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with true(1) and all that it needs."""
    for path in ["/bin/true", *needs()]:
        place = tmp_path / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return tmp_path


def loader() -> str:
    return next(path for path in needs() if "/ld-" in path)


def lacking(root: Path, library_path: str = "") -> Lacking | str | None:
    return first_lacking(str(root), "/bin/true", loader(), library_path, "/extra")


def libc(root: Path) -> Path:
    return next(root.rglob("libc.so.6"))


def test_what_true_needs_is_what_ldd_says(root: Path) -> None:
    found = read_dynamic(str(root), "/bin/true")
    assert found is not None
    assert {os.path.basename(path) for path in needs()} >= set(found.needed)


def test_nothing_lacks_where_all_is_there(root: Path) -> None:
    assert lacking(root) is None


def test_a_library_that_is_gone_is_lacking(root: Path) -> None:
    libc(root).unlink()
    found = lacking(root)
    assert isinstance(found, Lacking)
    assert (found.name, found.by, found.wrong) == ("libc.so.6", "/bin/true", ())


@pytest.mark.parametrize(
    "how", ["variable", "conf", "include", "musl", "cache", "link", "processor", "here", "beside"]
)
def test_a_library_is_found_wherever_a_loader_may_look(root: Path, how: str) -> None:
    (root / "extra").mkdir()
    (root / "etc/conf.d").mkdir(parents=True)
    shutil.move(libc(root), root / "extra/libc.so.6")
    if how == "conf":
        (root / "etc/ld.so.conf").write_text("# comment\n/extra # another\n")
    if how == "include":
        (root / "etc/ld.so.conf").write_text("include conf.d/*.conf\n")
        (root / "etc/conf.d/x.conf").symlink_to("/etc/real")
        (root / "etc/real").write_text("/extra\n")
    if how == "musl":
        (root / "etc/ld-musl-any.path").write_text("/none:/extra\n")
    if how == "cache":
        (root / "etc/ld.so.cache").write_bytes(b"glibc\0/other/libc.so\0/extra/libc.so.6\0")
    if how == "link":
        (root / "usr/local").mkdir(parents=True)
        (root / "usr/local/lib").symlink_to("/extra")
    if how == "processor":
        (root / "lib/glibc-hwcaps").mkdir(parents=True)
        (root / "extra").rename(root / "lib/glibc-hwcaps/x86-64-v2")
    variable = {"variable": "/extra", "here": "/none:", "beside": "../extra"}
    assert lacking(root, variable.get(how, "")) is None


def test_the_loader_is_there_under_whatever_name_it_was_asked_for(root: Path) -> None:
    shutil.move(root / loader()[1:], root / "begin")
    assert first_lacking(str(root), "/bin/true", "/begin", "") is None


def test_the_loader_of_musl_is_the_c_library_itself(root: Path) -> None:
    libc(root).unlink()
    found = first_lacking(str(root), "/bin/true", "/lib/ld-musl.so.1", "")
    assert found is None


@pytest.mark.parametrize("where", ["/none", "/extra"])
def test_a_name_with_a_slash_is_looked_for_in_the_working_directory(
    tmp_path: Path, where: str
) -> None:
    require(shutil.which("cc"), "CC", "there is no C compiler")
    (tmp_path / "extra").mkdir()
    build = "echo 'int f(void){return 0;}' >f.c; echo 'int f(void); int main(void){return f();}' "
    build += (
        ">m.c; cc -nostdlib -shared -o extra/f.so f.c; cd extra; cc -nostdlib -o m ../m.c ./f.so"
    )
    subprocess.run(["sh", "-ec", build], cwd=tmp_path, check=True, capture_output=True)
    found = first_lacking(str(tmp_path), "/extra/m", "/lib/ld", "", where)
    assert (found is None) == (where == "/extra")
    if isinstance(found, Lacking):
        assert (found.name, found.places) == ("./f.so", ("/none",))


def test_a_file_that_is_no_library_is_of_no_use(root: Path) -> None:
    place = libc(root)
    place.write_text("text")
    found = lacking(root)
    assert isinstance(found, Lacking)
    assert found.wrong == (("/" + str(place.relative_to(root)), "no shared library: 4 bytes"),)


def test_the_size_of_a_program_is_that_of_its_segments(tmp_path: Path) -> None:
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    rows = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0, 10, 0x2000, 1)
    rows += struct.pack("<IIQQQQQQ", 1, 5, 0, 0x9000, 0, 10, 0x500, 1)
    (tmp_path / "x").write_bytes(b"\x7fELF\2\1\1" + bytes(9) + head + rows)
    (program,) = chain(str(tmp_path), "/x")
    assert memory_of(str(tmp_path), program) == 0x9500 - 0x1000


@pytest.mark.parametrize(
    ("line", "wants", "argument", "cut"),
    [
        (b"#!/bin/sh", "/bin/sh", "", False),
        (b"#! /bin/env  sh -e \n", "/bin/env", "sh -e", False),
        (b"#!  \n", "", "", False),
        (b"#!/" + b"x" * 252 + b"\n", "/" + "x" * 252, "", False),
        (b"#!/" + b"x" * 253 + b"\n", "/" + "x" * 252, "", True),
        (b"#!/bin/sh " + b"x" * 300, "/bin/sh", "x" * 245, False),
    ],
)
def test_a_line_is_read_as_the_kernel_reads_it(
    tmp_path: Path, line: bytes, wants: str, argument: str, cut: bool
) -> None:
    (tmp_path / "x").write_bytes(line)
    program = chain(str(tmp_path), "/x")[0]
    assert (program.wants, program.argument, program.cut) == (wants, argument, cut)
    if (wants, argument) == ("/bin/sh", ""):  # and the kernel agrees
        (tmp_path / "x").chmod(0o755)
        assert subprocess.run([tmp_path / "x"], check=False).returncode == 0


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_sizes_are_what_execve_counts(first: int, second: int) -> None:
    total, strings, longest, which = measure("/x", ("/x", "a" * first), {"V": "b" * second})
    assert total == 3 + 3 + first + 1 + second + 3 + 8 * 3
    assert strings == 3
    assert longest == max(3, first + 1, second + 3)
    assert which == ("V=" if second + 3 > max(first + 1, 3) else which)


def test_the_kernel_takes_what_measures_the_limit_and_no_byte_more(tmp_path: Path) -> None:
    """131072 bytes are allowed under a small stack: fs/exec.c, bprm_stack_limits."""
    variables = {"A": "x" * 60000}

    def starts(more: int) -> bool:
        command = ["/bin/sh", "-c", "ulimit -s 256; exec /bin/true"]
        environment = {**variables, "B": "x" * more}
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0

    spare = 131072 - measure("/bin/true", ("/bin/true",), {**variables, "B": ""})[0]
    assert not starts(spare + 200)
    assert starts(spare - 200)


@pytest.mark.parametrize(
    ("argument", "name"),
    [("language", "language"), ("language -e", "language -e"), ("-S language -e", "language"),
     ("-S 'a language' -e", "a language"), ("-S A=b language", "language")],
)  # fmt: skip
def test_what_env_looks_for_is_read_from_the_line(argument: str, name: str) -> None:
    assert sought_by_env(argument) == name


@pytest.mark.parametrize(
    "argument",
    ["-S ${X}p0", "-S p0\\_x", "-S p0\\c", "-S ${HOME}/../bin/p0", "-S p0#", "-S 'p0",
     "-S PATH=/srv p0", "-i p0", "A=b p0"],
)  # fmt: skip
def test_of_what_env_reads_by_rules_of_its_own_nothing_is_said(argument: str) -> None:
    assert sought_by_env(argument) == ""
