"""The filter after squeeze.py against the one before: the same verdicts, in less."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

import minictr
from minictr.refusal import Refusal
from minictr.runtime import bpf
from minictr.runtime.filter import chosen, joined
from minictr.runtime.profile import MACHINES, Profile, read_profile
from minictr.runtime.squeeze import squeeze

PROFILES = Path(minictr.__file__).parent / "profiles"
ARCHITECTURES = (*bpf.AUDIT_ARCH.values(), 8)  # 8: MIPS, foreign to every profile here
ALL = 0xFFFFFFFF
EPERM, LOG = bpf.SECCOMP_RET_ERRNO | 1, bpf.SECCOMP_RET_LOG
ARGUMENTS_AT = 16  # offset in struct seccomp_data

OCI = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    "syscalls": [
        {
            "names": ["execve", "exit_group", "sendto", "recvmsg", "read", "mseal"],
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


# --- what is asked ------------------------------------------------------------------------------


def around(values: set[int]) -> list[int]:
    return sorted({(value + more) & ALL for value in values for more in (-1, 0, 1)})


def numbers(program: bytes) -> list[int]:
    compared = {k for code, _, _, k in bpf.decoded(program) if code in bpf.COMPARE}
    low = set(range(1201))
    return sorted({*low, *(n | bpf.X32_BIT for n in low), *around(compared | {0, 1 << 31})})


@functools.cache
def words(program: bytes) -> dict[int, list[int]]:
    """For each half of an argument that is looked at, values around all it is compared with."""
    looked: dict[int, set[int]] = {}
    word = 0
    for code, _, _, constant in bpf.decoded(program):
        if code == bpf.LOAD:
            word = constant
        elif word >= ARGUMENTS_AT and code not in (bpf.RETURN, bpf.JUMP):
            bits = {1 << at for at in range(32) if constant >> at & 1} if code == bpf.AND else set()
            if constant != ALL:
                looked.setdefault(word, {0, ALL}).update(around({constant}), bits)
    return {word: sorted(values) for word, values in looked.items()}


def is_blind(program: bytes, architecture: int, number: int) -> bool:
    """Whether a verdict is reached without a look at arguments, found as the kernel finds it.

    seccomp_is_const_allow in kernel/seccomp.c, since Linux 5.11.
    """
    at, held, seen = 0, 0, {bpf.NUMBER_AT: number, bpf.ARCHITECTURE_AT: architecture}
    while True:
        code, true, false, constant = bpf.decoded(program)[at]
        at += 1
        if code == bpf.RETURN:
            return True
        if code == bpf.LOAD and constant not in seen:
            return False
        if code == bpf.LOAD:
            held = seen[constant]
        elif code == bpf.AND:
            held &= constant
        elif code == bpf.JUMP:
            at += constant
        else:
            at += true if bpf.COMPARE[code](held, constant) else false


def arguments(halves: dict[int, int]) -> tuple[int, ...]:
    """Six arguments from their halves, by offset in struct seccomp_data."""
    six = [0] * 6
    for offset, value in halves.items():
        index, high = divmod(offset - ARGUMENTS_AT, 8)
        six[index] |= value << 8 * high
    return tuple(six)


def looked_at(program: bytes, architecture: int, number: int) -> set[int]:
    """The halves of arguments that can be loaded for one call, whatever the arguments are."""
    known = {bpf.NUMBER_AT: number, bpf.ARCHITECTURE_AT: architecture}
    ahead: list[tuple[int, int | None]] = [(0, 0)]
    reached: set[tuple[int, int | None]] = set()
    found = set()
    while ahead:
        at, held = place = ahead.pop()
        if place in reached:
            continue
        reached.add(place)
        code, true, false, constant = bpf.decoded(program)[at]
        if code == bpf.LOAD:
            found |= {constant} - known.keys()
            ahead.append((at + 1, known.get(constant)))
        elif code == bpf.AND:
            ahead.append((at + 1, None if held is None else held & constant))
        elif code == bpf.JUMP:
            ahead.append((at + 1 + constant, held))
        elif code != bpf.RETURN:
            taken = held is None or bpf.COMPARE[code](held, constant)
            passed = held is None or not taken
            ahead += [(at + 1 + true, held)] * taken + [(at + 1 + false, held)] * passed
    return found


def all_arguments(program: bytes, halves: set[int]) -> list[tuple[int, ...]]:
    """Each value of each of some halves with all values of all others."""
    values = itertools.product(*(words(program)[half] for half in halves))
    return [arguments(dict(zip(halves, one, strict=True))) for one in values]


def answers(program: bytes, calls: list[tuple[int, int, tuple[int, ...]]]) -> list[int]:
    return [bpf.verdict(program, *call) for call in calls]


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


# --- programs of other shapes -------------------------------------------------------------------

RETURN_LOG = bpf.INSTRUCTION.pack(bpf.RETURN, 0, 0, LOG)
X86_64 = bpf.AUDIT_ARCH["x86_64"]


def program(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(bpf.INSTRUCTION.pack(*one) for one in instructions) + RETURN_LOG


def test_jumps_over_more_than_255_instructions_reach_their_targets() -> None:
    verdicts = {3 * n: bpf.SECCOMP_RET_ERRNO | n for n in range(900)}
    before = bpf.in_order([bpf.by_number(("x86_64", "x86"), verdicts, LOG), RETURN_LOG], LOG)
    after = squeeze(before, X86_64)
    calls = [(architecture, n, ()) for architecture in ARCHITECTURES for n in range(2800)]
    assert answers(after, calls) == answers(before, calls)


def test_far_questions_about_arguments_are_reached_too() -> None:
    """One question for all the even numbers of a long tree."""
    lines = [(bpf.LOAD, 0, 0, bpf.NUMBER_AT)]
    for n in range(600):
        refuse = (bpf.RETURN, 0, 0, bpf.SECCOMP_RET_ERRNO | n)
        ask = [(bpf.LOAD, 0, 0, 16), (bpf.EQUAL, 0, 1, 7), (bpf.RETURN, 0, 0, EPERM)]
        body = [refuse] if n % 2 else [*ask, (bpf.RETURN, 0, 0, bpf.SECCOMP_RET_ALLOW)]
        lines += [(bpf.EQUAL, 0, len(body), n), *body]
    before = program(*lines)
    after = squeeze(before, X86_64)
    calls = [(X86_64, n, (a,)) for n in range(700) for a in (6, 7, 8, 1 << 32 | 7)]
    assert answers(after, calls) == answers(before, calls)
    assert len(after) < len(before)


def test_many_flags_become_one_question() -> None:
    lines = [(bpf.LOAD, 0, 0, 16)]
    for bit in (0x10, 0x80, 0x4000):
        lines += [(bpf.LOAD, 0, 0, 16), (bpf.AND, 0, 0, bit), (bpf.EQUAL, 0, 1, bit)]
        lines += [(bpf.RETURN, 0, 0, EPERM)]
    after = squeeze(program(*lines), X86_64)
    assert (bpf.ANY_BIT, 0x4090) in {(code, k) for code, _, _, k in bpf.decoded(after)}
    assert len(after) // 8 == 4


def test_flags_of_other_arguments_or_with_other_verdicts_stay_apart() -> None:
    lines = []
    flags = [(16, 0x10, EPERM), (16, 0x80, 0), (24, 0x20, 0), (24, 0x40, 0), (20, 1, 0)]
    for word, bit, answer in flags:
        lines += [(bpf.LOAD, 0, 0, word), (bpf.AND, 0, 0, bit), (bpf.EQUAL, 0, 1, bit)]
        lines += [(bpf.RETURN, 0, 0, answer)]
    before = program(*lines)
    bits = [0, 0x10, 0x20, 0x40, 0x80, 0x90, 1 << 32]
    calls = [(X86_64, 1, pair) for pair in itertools.product(bits, bits)]
    assert answers(squeeze(before, X86_64), calls) == answers(before, calls)


@pytest.mark.parametrize(
    "lines",
    [
        [(bpf.LOAD, 0, 0, bpf.NUMBER_AT), (bpf.AND, 0, 0, 0xFF), (bpf.EQUAL, 0, 0, 1)],
        [(bpf.LOAD, 0, 0, bpf.NUMBER_AT), (bpf.ANY_BIT, 0, 0, 1)],
        [(bpf.LOAD, 0, 0, bpf.ARCHITECTURE_AT), (bpf.AT_LEAST, 0, 0, X86_64)],
        [(bpf.LOAD, 0, 0, bpf.ARCHITECTURE_AT), (bpf.EQUAL, 0, 0, 8)],
    ],
)
def test_a_question_that_runs_of_numbers_cannot_answer_is_an_error(
    lines: list[tuple[int, int, int, int]],
) -> None:
    with pytest.raises(ValueError, match="a filter asks of"):
        squeeze(program(*lines), X86_64)
