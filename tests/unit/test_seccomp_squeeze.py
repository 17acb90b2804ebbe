"""The filter after squeeze.py against the one before: the same verdicts, in less."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
from asked_of_filters import (
    ARCHITECTURES,
    all_arguments,
    answers,
    arguments,
    around,
    is_blind,
    looked_at,
    numbers,
    words,
)

import minictr
from minictr.refusal import Refusal
from minictr.runtime import bpf
from minictr.runtime.filter import joined
from minictr.runtime.profile import MACHINES, Profile, read_profile
from minictr.runtime.rules import chosen
from minictr.runtime.squeeze import squeeze

PROFILES = Path(minictr.__file__).parent / "profiles"

OCI = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    "syscalls": [
        {
            "names": ["execve", "exit_group", "write", "read", "mseal"],
            "action": "SCMP_ACT_ALLOW",
        },
        {"names": ["kill", "reboot"], "action": "SCMP_ACT_LOG"},
        {
            "names": ["mount"],
            "action": "SCMP_ACT_ALLOW",
            "includes": {"caps": ["CAP_SYS_ADMIN"]},
        },
        *(
            {
                "names": [name],
                "action": action,
                "args": [{"index": index, "value": value, "valueTwo": 0x30, "op": operator}],
            }
            for name, action, index, value, operator in [
                ("lseek", "SCMP_ACT_ALLOW", 1, 1 << 33, "SCMP_CMP_LT"),
                ("dup2", "SCMP_ACT_ALLOW", 0, 7, "SCMP_CMP_GE"),
                ("dup3", "SCMP_ACT_ERRNO", 2, 0x70, "SCMP_CMP_MASKED_EQ"),
                ("fcntl", "SCMP_ACT_ALLOW", 1, 4, "SCMP_CMP_NE"),
                ("kill", "SCMP_ACT_KILL_PROCESS", 1, (5 << 32) | 9, "SCMP_CMP_EQ"),
                ("prctl", "SCMP_ACT_ALLOW", 0, 22, "SCMP_CMP_LE"),
            ]
        ),
    ],
}


def profile(name: str, directory: Path) -> Profile:
    if name != "oci":
        return read_profile(str(PROFILES / f"{name}.toml"))
    (directory / "oci.json").write_text(json.dumps(OCI))
    return read_profile(str(directory / "oci.json"))


def before_and_after(profile: Profile, machine: str, keep: bool) -> tuple[bytes, bytes]:
    before = joined(profile, machine, chosen(profile, machine, keep))
    return before, squeeze(before, bpf.AUDIT_ARCH[machine])


@pytest.fixture(params=itertools.product(["default", "compat", "oci"], MACHINES, [False, True]))
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[bytes, bytes]:
    name, machine, keep = request.param
    return before_and_after(profile(name, tmp_path), machine, keep)


# --- the same verdicts --------------------------------------------------------------------------


def test_every_number_of_every_abi_gets_the_same_verdict(programs: tuple[bytes, bytes]) -> None:
    before, after = programs
    calls = [
        (architecture, number, (extreme,) * 6)
        for architecture in ARCHITECTURES
        for number in sorted({*numbers(before), *numbers(after)})
        for extreme in (0, 2**64 - 1)
    ]
    assert answers(after, calls) == answers(before, calls)


def test_arguments_count_as_they_did(programs: tuple[bytes, bytes]) -> None:
    before, after = programs
    asked = 0
    for call in itertools.product(ARCHITECTURES, numbers(before)):
        halves = looked_at(before, *call) | looked_at(after, *call)
        if halves:
            calls = [(*call, six) for six in all_arguments(before, halves)]
            assert answers(after, calls) == answers(before, calls)
            asked += 1
    assert asked


def test_what_was_decided_without_arguments_still_is(programs: tuple[bytes, bytes]) -> None:
    before, after = programs
    calls = itertools.product(ARCHITECTURES, numbers(before))
    assert [call for call in calls if is_blind(before, *call) > is_blind(after, *call)] == []


CONDITIONS = st.fixed_dictionaries(
    {
        "index": st.integers(0, 5),
        "value": st.integers(0, 3) | st.integers(0, 2**64 - 1),
        "valueTwo": st.integers(0, 3) | st.integers(0, 2**64 - 1),
        "op": st.sampled_from(
            [f"SCMP_CMP_{word}" for word in ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"]]
        ),
    }
)

RULES = st.fixed_dictionaries(
    {
        "names": st.lists(
            st.sampled_from(["kill", "ioctl", "socket", "clone", "mmap"]), min_size=1, unique=True
        ),
        "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG"]),
        "args": st.lists(CONDITIONS, max_size=3, unique_by=lambda one: one["index"]),
    }
)


@hypothesis.given(rules=st.lists(RULES, max_size=6), data=st.data())
def test_any_profile_gives_the_same_verdicts_before_and_after(
    tmp_path_factory: pytest.TempPathFactory, rules: list[object], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    content = {"defaultAction": "SCMP_ACT_ALLOW", "archMap": None, "syscalls": rules}
    path.write_text(json.dumps(content))
    try:
        before, after = before_and_after(read_profile(str(path)), "x86_64", False)
    except Refusal:  # libseccomp does not take every mixture of conditions on one call
        hypothesis.reject()
    looked = {word: st.sampled_from(values) for word, values in words(before).items()}
    some = data.draw(st.lists(st.fixed_dictionaries(looked), min_size=1, max_size=30))
    points = [*range(470), *around({k for _, _, _, k in bpf.decoded(before)})]
    calls = [(bpf.AUDIT_ARCH["x86_64"], n, arguments(halves)) for n in points for halves in some]
    assert answers(after, calls) == answers(before, calls)


# --- less ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "machine", "most"),
    [("default", "x86_64", 300), ("default", "aarch64", 220), ("compat", "x86_64", 70)],
)
def test_a_filter_is_a_fraction_of_what_libseccomp_writes(
    name: str, machine: str, most: int
) -> None:
    before, after = before_and_after(profile(name, Path()), machine, False)
    assert len(after) // 8 < most < len(before) // 8


def test_squeezing_twice_changes_nothing(programs: tuple[bytes, bytes]) -> None:
    _, once = programs
    native = bpf.decoded(once)[1][3]  # the first ABI asked for
    assert len(squeeze(once, native)) == len(once)


def test_the_native_abi_is_asked_for_first(tmp_path: Path) -> None:
    for machine in MACHINES:
        _, after = before_and_after(profile("default", tmp_path), machine, False)
        assert bpf.decoded(after)[1][3] == bpf.AUDIT_ARCH[machine]
