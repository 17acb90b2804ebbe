"""Profiles read: what is accepted, and what each refusal names."""

from __future__ import annotations

import os
from pathlib import Path

import pyseccomp
import pytest
from skipping import require
from written_profiles import GROUP, MINIMAL, ask, call, refusal, write

from minictr.runtime.filter import libseccomp_version

# --- MC0501: the file cannot be read ------------------------------------------------------------


def test_a_missing_profile_is_named(tmp_path: Path) -> None:
    found = refusal(f"{tmp_path}/none.toml")
    assert found.code == "MC0501"
    assert f"{tmp_path}/none.toml cannot be opened" in found.cause
    assert "No such file" in found.proof


def test_a_directory_is_no_profile(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)).code == "MC0501"


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in refusal(f"{tmp_path}/fifo").cause
    unreadable = refusal("/proc/self/mem")
    assert (unreadable.code, unreadable.proof) == (
        "MC0501",
        "read(2): [Errno 5] Input/output error",
    )


def test_a_path_with_a_null_byte_is_refused() -> None:
    assert refusal("a\0b").code == "MC0501"


@pytest.mark.parametrize(
    ("content", "cause", "proof"),
    [
        (b"\xff\xfe", "is not text", "byte 0"),
        ("# one\na = = 1", "is not TOML", "line 2"),
        ('{"defaultAction": ', "is not JSON", "line 1"),
        ("{" + '"a":{' * 5000, "is not JSON", ""),
        ("#" * (1 << 20) + "#", "is longer", "1048576"),
    ],
)
def test_what_is_not_a_profile_is_refused_with_its_place(
    tmp_path: Path, content: str | bytes, cause: str, proof: str
) -> None:
    found = refusal(write(tmp_path, content))
    assert found.code == "MC0501"
    assert cause in found.cause
    assert proof in found.proof


# --- MC0502: unknown calls ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        MINIMAL + GROUP + 'action = "errno EPERM"\nsyscalls = ["read", "opne"]\n',
        MINIMAL + GROUP + 'action = "allow"\nsyscalls = ["opne"]\nmachines = ["aarch64"]\n',
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["opne"], "action": "SCMP_ACT_ERRNO"}],
        },
    ],
)
def test_an_unknown_call_is_named_with_its_place(tmp_path: Path, content: str) -> None:
    found = refusal(write(tmp_path, content))
    assert found.code == "MC0502"
    assert 'unknown system call "opne"' in found.cause
    assert 'group "g"' in found.cause or "syscalls[0]" in found.cause
    assert "libseccomp.so.2" in found.proof


def test_a_call_of_another_architecture_is_passed_over(tmp_path: Path) -> None:
    names = '["s390_runtime_instr", "riscv_hwprobe", "set_tls", "swapcontext"]'
    path = write(tmp_path, MINIMAL + GROUP + f'action = "errno EPERM"\nsyscalls = {names}\n')
    assert ask(path, "read") == "allow"


# --- MC0503: words this program does not know ---------------------------------------------------


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", '"default_action" is missing'),
        ("default_action = 1\n", '"default_action" is not a string'),
        ('default_action = "deny"\n', 'unknown action "deny"'),
        ('default_action = "errno EWHAT"\n', 'unknown errno "EWHAT"'),
        ('default_action = "errno 4096"\n', 'unknown errno "4096"'),
        (MINIMAL + "defaultAction = 1\n", 'unknown field "defaultAction"'),
        (MINIMAL + 'architectures = ["m68k"]\n', 'unknown architecture "m68k"'),
        (MINIMAL + "group = [1]\n", "group 1 is not a table"),
        (MINIMAL + "[[group]]\n", 'group "1": the field "name" is missing'),
        (MINIMAL + GROUP, 'group "g": the field "action" is missing'),
        (MINIMAL + GROUP + 'action = "allow"\nsyscalls = [1]\n', '"syscalls" holds 1'),
        (MINIMAL + GROUP + 'action = "no"\nsyscalls = []\n', 'unknown action "no"'),
        (MINIMAL + GROUP + 'action = "allow"\nsyscalls = []\nmachines = ["vax"]\n', '"vax"'),
    ],
)
def test_an_unknown_word_in_toml_is_named(tmp_path: Path, content: str, named: str) -> None:
    found = refusal(write(tmp_path, content))
    assert found.code == "MC0503"
    assert named in found.cause
    assert found.proof.startswith("known: ")


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ("arg6 == 1", 'the condition "arg6 == 1" cannot be read'),
        ("arg0 = 1", 'the condition "arg0 = 1" cannot be read'),
        ("arg0 == five", 'no number in "arg0 == five"'),
        ("arg0 & 7 != 1", 'unknown operator "& !="'),
        ("arg0 == 1 and ", 'the condition "" cannot be read'),
    ],
)
def test_a_condition_that_cannot_be_read_is_quoted(
    tmp_path: Path, condition: str, named: str
) -> None:
    rule = f'action = "errno EPERM"\nsyscalls = ["ioctl"]\nwhen = ["{condition}"]\n'
    found = refusal(write(tmp_path, MINIMAL + GROUP + rule))
    assert found.code == "MC0503"
    assert named in found.cause


def test_two_comparisons_of_one_argument_are_libseccomps_refusal(tmp_path: Path) -> None:
    rule = 'action = "errno EPERM"\nsyscalls = ["ioctl"]\nwhen = ["arg0 > 1 and arg0 < 5"]\n'
    found = refusal(write(tmp_path, MINIMAL + GROUP + rule))
    assert found.code == "MC0503"
    assert 'the rule for "ioctl"' in found.cause
    assert "Invalid argument" in found.proof


def test_two_verdicts_for_one_call_name_both_places(tmp_path: Path) -> None:
    first = GROUP + 'action = "errno EPERM"\nsyscalls = ["kill"]\n'
    second = '[[group]]\nname = "h"\nwhy = "w."\naction = "allow"\nsyscalls = ["kill"]\n'
    found = refusal(write(tmp_path, MINIMAL + first + second))
    assert found.code == "MC0503"
    assert 'group "h": a second verdict for "kill"' in found.cause
    assert 'group "g"' in found.proof


def test_conditions_on_a_call_libseccomp_does_not_know_are_refused(tmp_path: Path) -> None:
    known = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "file_setattr") != -1
    require(not known, "LIBSECCOMP", f"{libseccomp_version()} knows file_setattr")
    rule = 'action = "errno EPERM"\nsyscalls = ["file_setattr"]\nwhen = ["arg0 == 1"]\n'
    found = refusal(write(tmp_path, MINIMAL + GROUP + rule))
    assert found.code == "MC0503"
    assert '"file_setattr"' in found.cause


def test_a_machine_without_a_filter_is_named(tmp_path: Path) -> None:
    assert "riscv64" in refusal(write(tmp_path, MINIMAL), "riscv64").cause


def test_a_filter_that_the_kernel_would_not_take_is_counted(tmp_path: Path) -> None:
    values = ", ".join(f'"arg0 == {number}"' for number in range(5000))
    rule = f'action = "errno EPERM"\nsyscalls = ["ioctl"]\nwhen = [{values}]\n'
    found = refusal(write(tmp_path, MINIMAL + GROUP + rule))
    assert found.code == "MC0503"
    assert "the kernel takes 4096" in found.proof


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, '"defaultAction" is missing'),
        ({"defaultAction": "allow"}, 'unknown action "allow"'),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 9999}, 'unknown errno "9999"'),
        ({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}, '"listenerPath"'),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}, "FLAG_LOG"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86"]}, 'architecture "x86"'),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [7]}, "syscalls[0]: 7 is not an object"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]}, '"action"'),
        (call(action="SCMP_ACT_NOTIFY"), '"SCMP_ACT_NOTIFY" needs a supervisor'),
        (call(action="SCMP_ACT_TRACE"), '"SCMP_ACT_TRACE" needs a supervisor'),
        (call(action="SCMP_ACT_NO"), 'syscalls[0]: unknown action "SCMP_ACT_NO"'),
        (call(errno="EWHAT"), 'unknown errno "EWHAT"'),
        (call(names=[1]), '"names" holds 1'),
        (call(argz=[]), 'unknown field "argz"'),
        (call(args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]), "has an argument 6"),
        (call(args=[{"index": 0, "value": 1, "op": "=="}]), 'args[0]: unknown operator "=="'),
        (call(args=[{"index": 0, "value": "1", "op": "SCMP_CMP_EQ"}]), "holds '1'"),
        (call(includes={"minKernel": "four"}), 'unknown kernel version "four"'),
        (call(includes={"capabilities": []}), 'unknown field "capabilities"'),
    ],
)
def test_an_unknown_word_in_json_is_named(
    tmp_path: Path, content: dict[str, object], named: str
) -> None:
    found = refusal(write(tmp_path, content))
    assert found.code == "MC0503"
    assert named in found.cause


# --- MC0504: the launcher could not go on -------------------------------------------------------


@pytest.mark.parametrize("name", ["execve", "exit_group", "write", "read"])
def test_a_profile_that_refuses_what_the_launcher_needs_is_refused_before_it_is_loaded(
    tmp_path: Path, name: str
) -> None:
    rule = f'action = "errno EACCES"\nsyscalls = ["{name}"]\n'
    found = refusal(write(tmp_path, MINIMAL + GROUP + rule))
    assert found.code == "MC0504"
    assert f"refuses {name}" in found.cause
    assert found.proof == f"{name} gets errno EACCES"


def test_an_allowlist_that_forgets_execve_is_refused(tmp_path: Path) -> None:
    names = ["exit_group", "write", "read"]
    entry = {"names": names, "action": "SCMP_ACT_ALLOW"}
    found = refusal(
        write(tmp_path, {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [entry]})
    )
    assert (found.code, found.proof) == ("MC0504", "execve gets kill")
