"""The forbidden thing attempted, by real programs under the real filters."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyseccomp
import pytest
from skipping import require, require_program

import minictr
from minictr.runtime import bpf
from minictr.runtime.filter import compile_filter
from minictr.runtime.profile import abis_of, read_profile

PACKAGE = Path(minictr.__file__).parent
MACHINE = os.uname().machine
UNCONFINED = "unconfined"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

# Started with the file of a filter and a command, it loads the one and becomes the other.
LOADER = """
import ctypes, os, sys
from minictr.runtime.syscalls import seccomp_load
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
program = open(sys.argv[1], 'rb').read()
if program:
    seccomp_load(program)
os.execvp(sys.argv[2], sys.argv[2:])
"""

# Makes one system call for each line of its input and prints the errnos, 0 for success.
CALLER = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
for number, *arguments in json.load(sys.stdin):
    ctypes.set_errno(0)
    result = libc.syscall(number, *(ctypes.c_long(a) for a in arguments))
    print(ctypes.get_errno() if result == -1 else 0)
"""

# uretprobe and uprobe on x86_64: Linux 6.18 answers them without asking a filter, with
# SIGILL where the kernel did not put them into the program itself.
UNASKED = (335, 336)

EBADF, EPERM, EFAULT, EINVAL, ENOSYS, EOPNOTSUPP = 9, 1, 14, 22, 38, 95


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files with the filters, by name: the two profiles, "kept" (--fakeroot) and none at all."""
    directory = tmp_path_factory.mktemp("filters")
    made = {UNCONFINED: b""}
    for name in ("default", "compat"):
        profile = read_profile(str(PACKAGE / f"profiles/{name}.toml"))
        made[name] = compile_filter(profile, MACHINE, False).bpf
        if name == "default":
            made["kept"] = compile_filter(profile, MACHINE, True).bpf
    for name, program in made.items():
        (directory / name).write_bytes(program)
    return {name: directory / name for name in made}


def run(program: Path, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command under a filter."""
    paths = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", LOADER, str(program), *command],
        input=text,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "PATH": SYSTEM_PATH, "LC_ALL": "C"},
        timeout=60,
        check=False,
    )


def errnos(program: Path, *calls: tuple[str | int, *tuple[int, ...]]) -> list[int]:
    """What system calls answer under a filter."""
    native = pyseccomp.Arch.NATIVE
    numbered = [
        (pyseccomp.resolve_syscall(native, call) if isinstance(call, str) else call, *arguments)
        for call, *arguments in calls
    ]
    done = run(program, sys.executable, "-c", CALLER, text=json.dumps(numbered))
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


# Calls that cannot succeed and change nothing, and what a kernel without a filter answers before
# it looks at privileges; then under each filter.
INERT = [
    (("unshare", 1), EINVAL, EPERM, EINVAL, EINVAL),
    (("setns", -1, 0), EBADF, EPERM, EBADF, EBADF),
    (("mount", 0, 0, 0, 1 << 31, 0), EFAULT, EPERM, EFAULT, EFAULT),
    (("clone3", 0, 0), EINVAL, ENOSYS, EINVAL, EINVAL),
    (("clone", 0x10000000 | 0x200), EINVAL, EPERM, EINVAL, EINVAL),  # CLONE_NEWUSER | CLONE_FS
    (("keyctl", 9999), EOPNOTSUPP, EPERM, EPERM, EPERM),
    (("personality", 0xFFFFFFFF), 0, 0, 0, 0),
    (("open_by_handle_at", -1, 0, 0x200000), None, EPERM, EPERM, EPERM),
    (("io_uring_setup", 0, 0), None, ENOSYS, ENOSYS, None),
    (("userfaultfd", 0x7), None, EPERM, EPERM, None),
    ((9999,), ENOSYS, ENOSYS, ENOSYS, ENOSYS),
    (("socket", 99, 0, 0), None, None, None, None),
]


@pytest.mark.parametrize(
    ("at", "name"), [(1, "unconfined"), (2, "default"), (3, "kept"), (4, "compat")]
)
def test_inert_calls_answer_as_the_profile_says(
    filters: dict[str, Path], at: int, name: str
) -> None:
    found = errnos(filters[name], *(line[0] for line in INERT))
    for line, answer in zip(INERT, found, strict=True):
        if line[at] is not None:
            assert answer == line[at], f"{line[0]} under {name}"


def test_socket_families_are_refused_by_the_filter(filters: dict[str, Path]) -> None:
    families = [("socket", 38, 5, 0), ("socket", 40, 1, 0), ("socket", 1, 1, 0)]
    assert errnos(filters["default"], *families) == [EPERM, EPERM, 0]
    assert EPERM not in errnos(filters[UNCONFINED], *families)


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
    assert (found == [EPERM, EPERM]) == refused


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


@pytest.mark.parametrize("name", ["default", "compat"])
def test_the_kernel_and_our_reading_of_a_filter_agree_on_every_call(
    filters: dict[str, Path], name: str
) -> None:
    # What the filter allows becomes an errno no call has, so that nothing of what follows is
    # done; the few calls Python needs meanwhile are answered by a program in front.
    allowed = 777
    needed = ("exit_group", "mmap", "munmap", "brk", "futex", "rt_sigaction", "madvise")
    native = abis_of(MACHINE)[0]
    free = {pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call) for call in needed}
    inert = harmless(filters[name].read_bytes(), bpf.SECCOMP_RET_ERRNO | allowed)
    undecided = bpf.SECCOMP_RET_TRACE | 1
    front = bpf.by_number((native,), dict.fromkeys(free, bpf.SECCOMP_RET_ALLOW), undecided)
    program = bpf.in_order([front, inert], undecided)
    calls = [
        (number, arguments)
        for number in range(600)
        if number not in free and number not in UNASKED
        for arguments in [(0, 0, 0), (2**32 + 0x5412, 2**32 + 0x5412, 9), (0x10000000, 40, 9)]
    ]
    seen = answers(program, calls)
    told = [bpf.verdict(program, bpf.AUDIT_ARCH[native], *call) & 0xFFFF for call in calls]
    assert seen == told
    assert allowed in seen


def harmless(program: bytes, instead: int) -> bytes:
    """The program with `instead` for every permission."""
    allow = b"\x06\x00\x00\x00" + bpf.SECCOMP_RET_ALLOW.to_bytes(4, "little")
    other = b"\x06\x00\x00\x00" + instead.to_bytes(4, "little")
    steps = [program[at : at + 8] for at in range(0, len(program), 8)]
    return b"".join(other if step == allow else step for step in steps)


def answers(program: bytes, calls: list[tuple[int, tuple[int, ...]]]) -> list[int]:
    """The errno of each call in a child under `program`, told through shared memory."""
    from minictr.runtime.syscalls import seccomp_load

    libc = ctypes.CDLL(None, use_errno=True)
    shared = mmap.mmap(-1, 2 * len(calls))
    pid = os.fork()
    if pid == 0:
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        seccomp_load(program)
        for at, (number, arguments) in enumerate(calls):
            libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
            shared[2 * at : 2 * at + 2] = ctypes.get_errno().to_bytes(2, "little")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    found = shared[:]
    return [int.from_bytes(found[at : at + 2], "little") for at in range(0, len(found), 2)]


def test_a_missing_file_is_still_a_missing_file(filters: dict[str, Path]) -> None:
    done = run(filters["default"], "ls", "/nowhere")
    assert "No such file or directory" in done.stderr
