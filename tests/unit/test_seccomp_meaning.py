"""Profiles compiled: what they mean to the kernel."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from written_profiles import GROUP, MINIMAL, ask, call, write

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


@pytest.mark.parametrize("operator", ["SCMP_CMP_GT", "SCMP_CMP_NE", "SCMP_CMP_EQ"])
def test_rules_of_one_call_that_begin_alike_hold_both(tmp_path: Path, operator: str) -> None:
    """In one program libseccomp would look for a place in its tree for ever."""

    def rule(index: int) -> dict[str, object]:
        alike = {"index": 0, "value": 2, "op": operator}
        own = {"index": index, "value": 1, "op": "SCMP_CMP_EQ"}
        return {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": [alike, own]}

    entries = [rule(1), rule(2)]
    path = write(tmp_path, {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": entries})
    first = 2 if operator == "SCMP_CMP_EQ" else 3
    signal.alarm(30)  # ends the test run where the compiler does not come back
    assert ask(path, "ioctl", first, 1, 0) == "errno EPERM"
    assert ask(path, "ioctl", first, 0, 1) == "errno EPERM"
    assert ask(path, "ioctl", first, 0, 0) == "allow"
    signal.alarm(0)


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
