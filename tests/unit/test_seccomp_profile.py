"""Profiles read and compiled: what is accepted, and what each refusal names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyseccomp
import pytest
from skipping import require

from minictr.refusal import Refusal
from minictr.runtime import bpf
from minictr.runtime.filter import action_name, compile_filter, libseccomp_version
from minictr.runtime.profile import read_profile

MINIMAL = 'default_action = "allow"\n'
GROUP = '[[group]]\nname = "g"\nwhy = "w."\n'


def write(directory: Path, content: str | bytes | dict[str, object]) -> str:
    path = directory / "profile"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(path: str, machine: str = "x86_64") -> Refusal:
    with pytest.raises(Refusal) as caught:
        compile_filter(read_profile(path), machine, keep_capabilities=False)
    return caught.value


def ask(
    path: str, call: str | int, *arguments: int, abi: str = "x86_64", keep: bool = False
) -> str:
    number = call
    if isinstance(call, str):
        arch = pyseccomp.Arch.X86 if abi == "x86" else pyseccomp.Arch.X86_64
        number = pyseccomp.resolve_syscall(arch, call)
    assert isinstance(number, int)
    program = compile_filter(read_profile(path), "x86_64", keep).bpf
    return action_name(bpf.verdict(program, bpf.AUDIT_ARCH[abi], number, arguments))


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


def call(**fields: object) -> dict[str, object]:
    entry = {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO"} | fields
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]}


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


@pytest.mark.parametrize("name", ["execve", "exit_group", "sendto", "recvmsg"])
def test_a_profile_that_refuses_what_the_launcher_needs_is_refused_before_it_is_loaded(
    tmp_path: Path, name: str
) -> None:
    rule = f'action = "errno EACCES"\nsyscalls = ["{name}"]\n'
    found = refusal(write(tmp_path, MINIMAL + GROUP + rule))
    assert found.code == "MC0504"
    assert f"refuses {name}" in found.cause
    assert found.proof == f"{name} gets errno EACCES"


def test_an_allowlist_that_forgets_execve_is_refused(tmp_path: Path) -> None:
    names = ["exit_group", "sendto", "recvmsg"]
    entry = {"names": names, "action": "SCMP_ACT_ALLOW"}
    found = refusal(
        write(tmp_path, {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [entry]})
    )
    assert (found.code, found.proof) == ("MC0504", "execve gets kill")


# --- what a profile means -----------------------------------------------------------------------


def test_a_refusal_with_a_condition_holds_beside_a_permission_without(tmp_path: Path) -> None:
    entries = [
        {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["ioctl"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 13,
            "args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}],
        },
    ]
    path = write(tmp_path, {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": entries})
    assert [ask(path, "ioctl", 0, 5), ask(path, "ioctl", 0, 6)] == ["errno EACCES", "allow"]


def test_a_permission_with_a_condition_holds_beside_a_refusal_without(tmp_path: Path) -> None:
    entries = [
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO"},
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}],
        },
    ]
    path = write(tmp_path, {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": entries})
    assert [ask(path, "kill", 1, 0), ask(path, "kill", 1, 9)] == ["allow", "errno EPERM"]


@pytest.mark.parametrize(
    ("operator", "value", "second", "refused"),
    [
        ("SCMP_CMP_EQ", 4, 0, {4}),
        ("SCMP_CMP_NE", 4, 0, {3, 5, 6}),
        ("SCMP_CMP_LT", 4, 0, {3}),
        ("SCMP_CMP_LE", 4, 0, {3, 4}),
        ("SCMP_CMP_GT", 4, 0, {5, 6}),
        ("SCMP_CMP_GE", 4, 0, {4, 5, 6}),
        ("SCMP_CMP_MASKED_EQ", 6, 4, {4, 5}),
    ],
)
def test_the_oci_operators_mean_what_they_say(
    tmp_path: Path, operator: str, value: int, second: int, refused: set[int]
) -> None:
    argument = {"index": 0, "value": value, "valueTwo": second, "op": operator}
    path = write(tmp_path, call(args=[argument]))
    assert {n for n in (3, 4, 5, 6) if ask(path, "ioctl", n) != "allow"} == refused


def test_two_comparisons_of_one_argument_are_alternatives_in_json_as_for_runc(
    tmp_path: Path,
) -> None:
    arguments = [{"index": 1, "value": value, "op": "SCMP_CMP_EQ"} for value in (5, 7)]
    path = write(tmp_path, call(args=arguments))
    answers = [ask(path, "ioctl", 0, value) for value in (5, 6, 7)]
    assert answers == ["errno EPERM", "allow", "errno EPERM"]


def test_comparisons_of_different_arguments_hold_together(tmp_path: Path) -> None:
    arguments = [{"index": index, "value": 5, "op": "SCMP_CMP_EQ"} for index in (0, 1)]
    path = write(tmp_path, call(args=arguments))
    assert [ask(path, "ioctl", 5, 5), ask(path, "ioctl", 5, 6)] == ["errno EPERM", "allow"]


@pytest.mark.parametrize(
    ("fields", "without", "kept"),
    [
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, "allow", "errno EPERM"),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, "errno EPERM", "allow"),
        ({"includes": {"arches": ["arm64"]}}, "allow", "allow"),
        ({"includes": {"arches": ["amd64"]}}, "errno EPERM", "errno EPERM"),
        ({"excludes": {"arches": ["amd64"]}}, "allow", "allow"),
        ({"includes": {"minKernel": "4.8"}}, "errno EPERM", "errno EPERM"),
        ({"includes": {"minKernel": "99.0"}}, "allow", "allow"),
        ({"excludes": {"minKernel": "4.8"}}, "allow", "allow"),
        ({"includes": None, "excludes": None}, "errno EPERM", "errno EPERM"),
    ],
)
def test_dockers_includes_and_excludes_choose_rules(
    tmp_path: Path, fields: dict[str, object], without: str, kept: str
) -> None:
    path = write(tmp_path, call(**fields))
    assert (ask(path, "ioctl"), ask(path, "ioctl", keep=True)) == (without, kept)


def test_32_bit_programs_are_killed_where_a_profile_does_not_speak_for_them(
    tmp_path: Path,
) -> None:
    assert ask(write(tmp_path, call()), "read", abi="x86") == "kill"
    spoken = call() | {"architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_MIPS"]}
    assert ask(write(tmp_path, spoken), "read", abi="x86") == "allow"
    mapped = {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}
    path = write(tmp_path, call() | {"archMap": [mapped]})
    assert [ask(path, name, abi="x86") for name in ("read", "ioctl")] == ["allow", "errno EPERM"]


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("log", "log"),
        ("trap", "trap"),
        ("kill", "kill"),
        ("kill_thread", "kill_thread"),
        ("errno ENOSYS", "errno ENOSYS"),
        ("errno 13", "errno EACCES"),
    ],
)
def test_every_action_reaches_the_filter(tmp_path: Path, action: str, answer: str) -> None:
    rule = f'action = "{action}"\nsyscalls = ["kill", "mseal"]\n'
    path = write(tmp_path, MINIMAL + GROUP + rule)
    assert [ask(path, "kill"), ask(path, 462)] == [answer, answer]


def test_a_group_with_a_capability_replaces_the_others_where_it_holds(tmp_path: Path) -> None:
    refuse = GROUP + 'action = "errno EPERM"\nsyscalls = ["clone"]\nwhen = ["arg0 == 1"]\n'
    allow = GROUP + 'action = "allow"\nsyscalls = ["clone"]\ncapability = "CAP_SYS_ADMIN"\n'
    path = write(tmp_path, MINIMAL + refuse + allow)
    assert [ask(path, "clone", 1), ask(path, "clone", 1, keep=True)] == ["errno EPERM", "allow"]
