"""What the payload may no longer do, by attempting it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_status

from minictr import __file__ as package_file

Sh = Callable[..., subprocess.CompletedProcess[str]]
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
STATUS = "cat /proc/self/status"

# Each attempt is made in a process of its own, because one that is allowed changes things.
ATTEMPT = """
import ctypes, errno, fcntl, os, termios
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (155, 250, 321, 175), "aarch64": (41, 219, 280, 105)}[os.uname().machine]
pivot_root, keyctl, bpf, init_module = numbers
def inject():
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSTI, b"x")
def trace():
    child = os.fork()
    if not child:
        os.read(os.pipe()[0], 1)
    result, number = libc.ptrace(16, child, 0, 0), ctypes.get_errno()
    os.kill(child, 9)
    os.waitpid(child, 0)
    ctypes.set_errno(number)
    return result
for name, attempt in {
    "unshare": lambda: libc.unshare(0x10000000),
    "mount": lambda: libc.mount(b"x", b"/tmp", b"tmpfs", 0, None),
    "umount": lambda: libc.umount2(b"/tmp", 2),
    "pivot_root": lambda: libc.syscall(pivot_root, b".", b"."),
    "keyctl": lambda: libc.syscall(keyctl, 0, -3, 0),
    "bpf": lambda: libc.syscall(bpf, 0, None, 0),
    "init_module": lambda: libc.syscall(init_module, None, 0, b""),
    "reboot": lambda: libc.reboot(0),
    "sethostname": lambda: libc.sethostname(b"x", 1),
    "chroot": lambda: libc.chroot(b"/tmp"),
    "unknown": lambda: libc.syscall(1999),
    "getpid": lambda: libc.getpid(),
    "ptrace": trace,
    "TIOCSTI": inject,
}.items():
    if os.fork():
        os.wait()
        continue
    try:
        number = ctypes.get_errno() if attempt() == -1 else 0
    except OSError as error:
        number = error.errno
    os.write(1, f"{name} {errno.errorcode[number] if number else 'allowed'}\\n".encode())
    os._exit(0)
"""


@pytest.fixture
def attempts(minictr: Sh, run_as_user: Sh, python_image: Path, warm: Path) -> Callable[..., dict]:
    """attempts(*options): {what: errno or "allowed"} of a python program inside."""

    def run(*options: str, program: Path | None = None) -> dict[str, str]:
        env = {"MINICTR_CACHEDIR": str(warm)}
        words = ["exec", "-B", "/usr", *options, python_image, "python3", "-c", ATTEMPT]
        done = minictr(*words, env=env) if not program else run_as_user([program, *words], env=env)
        assert done.returncode == 0, done.stderr
        return dict(line.split() for line in done.stdout.splitlines())

    return run


def test_the_payload_holds_no_capability_and_runs_under_a_filter(
    inside: Callable[..., str], apptainer: Path
) -> None:
    for options in ({}, {"program": apptainer}):
        status = read_status(inside(STATUS, **options))
        assert {int(status[name], 16) for name in SETS} == {0}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_the_init_holds_no_capability_either(inside: Callable[..., str]) -> None:
    status = read_status(inside("cat /proc/1/status"))
    assert {int(status[name], 16) for name in SETS} == {0}
    assert status["NoNewPrivs"] == "1"


def test_the_init_takes_the_last_steps_only_where_they_cannot_hinder_it(
    minictr: Sh, image: Path, directory: Path
) -> None:
    profile = directory / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    profile.chmod(0o644)
    for options, process in (
        ([], "init, which spawns the payload"),
        (["--security", f"seccomp:{profile}"], "payload"),
        (["--no-pid"], "payload"),
    ):
        plan = minictr("plan", *options, image, "true").stdout
        assert f"\nexecute   {process}; privilege: none\n" in plan
    plan = minictr("plan", "--fakeroot", image, "true").stdout
    assert "DropCapabilities" not in plan  # so none is dropped
    for phase in ("confine", "execute"):
        heading = next(line for line in plan.splitlines() if line.startswith(f"{phase} "))
        assert heading.endswith("; privilege: every capability, over the new namespaces only")
    for options, mode in ([], "2"), (["--security", f"seccomp:{profile}"], "0"):
        done = minictr("exec", *options, image, "grep", "^Seccomp:", "/proc/1/status")
        assert done.stdout.split() == ["Seccomp:", mode]


@pytest.mark.parametrize("options", [[], ["--fakeroot"]])
@pytest.mark.parametrize("name", ["environ", "mem", "maps", "root/", "cwd/", "fd/0", "fdinfo/0"])
def test_the_init_keeps_the_callers_secrets(sh: Sh, options: list[str], name: str) -> None:
    look = "ls" if name.endswith("/") else "head -c 1"
    done = sh(f"{look} /proc/1/{name}", *options, env={"SECRET": "x"})
    assert done.returncode != 0
    assert "denied" in done.stderr
    assert done.stdout == ""


def test_the_payload_may_look_at_itself(inside: Callable[..., str]) -> None:
    assert "MINE=1" in inside("cat /proc/self/environ", env={"MINE": "1"})


def test_what_the_default_filter_refuses(attempts: Callable[..., dict[str, str]]) -> None:
    answers = attempts()
    assert answers.pop("getpid") == "allowed"
    assert answers.pop("ptrace") == "allowed"
    assert answers.pop("unknown") == "ENOSYS"
    assert "allowed" not in answers.values(), answers


def test_what_the_compat_filter_lets_through_for_workflow_engines_and_debuggers(
    attempts: Callable[..., dict[str, str]], apptainer: Path
) -> None:
    answers = attempts(program=apptainer)
    assert answers["unshare"] == answers["ptrace"] == "allowed"
    assert "allowed" not in (answers["TIOCSTI"], answers["init_module"], answers["keyctl"])


def test_without_a_filter_the_kernel_alone_decides(
    attempts: Callable[..., dict[str, str]], inside: Callable[..., str]
) -> None:
    unconfined = ("--security", "seccomp:unconfined")
    assert read_status(inside(STATUS, *unconfined))["Seccomp"] == "0"
    answers = attempts(*unconfined)
    assert answers["unshare"] == "allowed"
    assert "allowed" not in (answers["mount"], answers["init_module"], answers["reboot"])


def test_a_profile_as_container_engines_have_it(
    sh: Sh, directory: Path, attempts: Callable[..., dict[str, str]]
) -> None:
    profile = directory / "profile.json"
    rules = [
        {"names": ["sethostname", "chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71},
    ]
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    profile.chmod(0o644)
    answers = attempts("--security", f"seccomp:{profile}")
    assert answers["sethostname"] == answers["chroot"] == "EPROTO"
    assert answers["unshare"] == "allowed"


def test_a_profile_of_our_own_form(
    directory: Path, attempts: Callable[..., dict[str, str]]
) -> None:
    built_in = Path(package_file).parent / "profiles/compat.toml"
    profile = directory / "profile.toml"
    profile.write_text(built_in.read_text())
    profile.chmod(0o644)
    assert attempts("--security", f"seccomp:{profile}")["unshare"] == "allowed"


@pytest.mark.parametrize("text", ["", "{", '{"defaultAction": "SCMP_ACT_NONSENSE"}', "rules = 1"])
def test_a_profile_that_cannot_be_read_ends_the_launch(sh: Sh, directory: Path, text: str) -> None:
    profile = directory / "profile"
    profile.write_text(text)
    profile.chmod(0o644)
    done = sh("echo ran", "--security", f"seccomp:{profile}")
    assert (done.returncode, done.stdout) == (125, "")
    assert str(profile) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_set_uid_program_gains_nothing(inside: Callable[..., str], user: object) -> None:
    """/usr of the host has set-uid programs on every Linux."""
    script = "for p in /u/bin/su /u/bin/newuidmap; do test -u $p && echo $p; done; true"
    found = inside(script, "-B", "/usr:/u").split()
    for program in found:
        shown = inside(f"{program} --help >/dev/null 2>&1; {STATUS}", "-B", "/usr:/u")
        assert read_status(shown)["NoNewPrivs"] == "1"


def test_a_kill_of_pid_1_from_inside_does_nothing(inside: Callable[..., str]) -> None:
    assert inside("kill -KILL 1; kill -STOP 1; echo alive") == "alive\n"
