"""The forbidden thing attempted, by real programs under the real filters."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
from skipping import require, require_program
from under_filters import (
    MACHINE,
    SYSTEM_PATH,
    UNCONFINED,
    run,
)

from minictr.runtime.filter import compile_filter
from minictr.runtime.profile import read_profile


def test_a_new_user_namespace_is_refused_by_default_and_made_under_compat(
    filters: dict[str, Path],
) -> None:
    unshare = require_program("unshare", "UNSHARE", "util-linux")
    free = run(filters[UNCONFINED], unshare, "--user", "true")
    require(free.returncode == 0, "MC0201", "user namespaces are refused here, filter or not")
    assert run(filters["compat"], unshare, "--user", "true").returncode == 0
    refused = run(filters["default"], unshare, "--user", "true")
    assert refused.returncode != 0
    assert "Operation not permitted" in refused.stderr


INJECTOR = """
import ctypes, fcntl, os, pty, sys
TIOCSTI, HIGH = 0x5412, 1 << 32
libc = ctypes.CDLL(None, use_errno=True)
pid, terminal = pty.fork()  # the child's terminal is its controlling terminal, as ours would be
if pid == 0:
    found = []
    for request in (TIOCSTI, TIOCSTI | HIGH):
        ctypes.set_errno(0)
        libc.ioctl(0, ctypes.c_ulong(request), b'x')
        found.append(ctypes.get_errno())
    os.write(3, repr(found).encode())
    os._exit(0)
os.waitpid(pid, 0)
"""


@pytest.mark.parametrize(
    ("name", "refused"), [("unconfined", False), ("default", True), ("compat", True)]
)
def test_nothing_is_typed_into_the_terminal(
    filters: dict[str, Path], name: str, refused: bool
) -> None:
    code = "import os; os.dup2(1, 3)\n" + INJECTOR
    done = run(filters[name], sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Unfiltered: 0, or EIO since Linux 6.2 where dev.tty.legacy_tiocsti is 0.
    assert (found == [errno.EPERM, errno.EPERM]) == refused


PYTHON_AT_WORK = """
import concurrent.futures, multiprocessing, os, queue, select, socket, sqlite3, ssl, subprocess
import tempfile, threading, asyncio
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(abs, range(100))) == 4950
assert subprocess.check_output(['echo', 'one']) == b'one\\n'
assert os.posix_spawn('/bin/true', ['true'], {}) > 0
context = multiprocessing.get_context('fork')
with context.Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
left, right = socket.socketpair()
left.sendall(b'x'); assert right.recv(1) == b'x'
async def main():
    process = await asyncio.create_subprocess_exec('echo', 'two', stdout=-1)
    return (await process.communicate())[0]
assert asyncio.run(main()) == b'two\\n'
with tempfile.TemporaryDirectory() as directory:
    sqlite3.connect(directory + '/db').execute('create table t (x)')
print('all')
"""


@pytest.mark.parametrize("name", ["default", "kept", "compat"])
def test_threads_processes_sockets_and_locks_of_python_work(
    filters: dict[str, Path], name: str
) -> None:
    done = run(filters[name], sys.executable, "-c", PYTHON_AT_WORK)
    assert (done.stdout, done.returncode) == ("all\n", 0), done.stderr


@pytest.mark.parametrize("name", ["default", "compat"])
@pytest.mark.parametrize(
    "command",
    [
        ["ls", "-lR", "/etc"],
        ["sh", "-c", "echo a | cat | tr a b; kill -0 $$; (sleep 0); ulimit -n; umask"],
        ["tar", "-C", "/etc", "-cf", "/dev/null", "hostname"],
        ["find", "/etc", "-maxdepth", "1", "-newer", "/etc/passwd"],
        ["dpkg", "-l"],
        ["dpkg-query", "-W"],
        ["perl", "-e", "fork // die; wait; print 1"],
        ["git", "--version"],
        ["id"],
        ["nice", "-n", "1", "true"],
        ["timeout", "5", "true"],
        ["setarch", "-R", "--help"],
    ],
    ids=lambda command: command[0],
)
def test_everyday_programs_say_the_same_as_without_a_filter(
    filters: dict[str, Path], name: str, command: list[str]
) -> None:
    require(shutil.which(command[0], path=SYSTEM_PATH), "PROGRAM", f"{command[0]} is missing")
    confined, free = run(filters[name], *command), run(filters[UNCONFINED], *command)
    assert (confined.returncode, confined.stdout) == (free.returncode, free.stdout)


def i386_program(directory: Path) -> Path:
    """A static 32-bit x86 program: getpid(), then exit(42)."""
    code = bytes.fromhex("b814000000cd80 bb2a000000 b801000000cd80".replace(" ", ""))
    base, size = 0x08048000, 52 + 32 + len(code)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    for value, width in [
        (2, 2), (3, 2), (1, 4), (base + 84, 4), (52, 4), (0, 4), (0, 4),
        (52, 2), (32, 2), (1, 2), (40, 2), (0, 2), (0, 2),
    ]:  # fmt: skip
        header += value.to_bytes(width, "little")
    for value in (1, 0, base, base, size, size, 5, 0x1000):
        header += value.to_bytes(4, "little")
    path = directory / "i386"
    path.write_bytes(header + code)
    path.chmod(0o755)
    return path


def test_32_bit_programs_run_where_the_profile_speaks_for_them_and_else_are_killed(
    filters: dict[str, Path], tmp_path: Path
) -> None:
    require(MACHINE == "x86_64", "X86", "32-bit x86 programs run on x86_64")
    program = str(i386_program(tmp_path))
    free = run(filters[UNCONFINED], program)
    require(free.returncode == 42, "MC0602", "this kernel runs no 32-bit x86 programs")
    assert [run(filters[name], program).returncode for name in ("default", "compat")] == [42, 42]
    silent = tmp_path / "silent.json"
    silent.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    compiled = compile_filter(read_profile(str(silent)), MACHINE, False).bpf
    (tmp_path / "filter").write_bytes(compiled)
    assert run(tmp_path / "filter", program).returncode == -signal.SIGSYS


def test_a_missing_file_is_still_a_missing_file(filters: dict[str, Path]) -> None:
    done = run(filters["default"], "ls", "/nowhere")
    assert "No such file or directory" in done.stderr
