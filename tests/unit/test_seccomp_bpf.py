"""Programs put together, and what they answer: minictr/runtime/bpf.py."""

from __future__ import annotations

import struct

import pytest

from minictr.runtime import bpf

X86_64 = bpf.AUDIT_ARCH["x86_64"]
X86 = bpf.AUDIT_ARCH["x86"]
UNDECIDED = bpf.SECCOMP_RET_TRACE | 1
EPERM = bpf.SECCOMP_RET_ERRNO | 1


def program(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)


ALLOW_ALL = program((0x06, 0, 0, bpf.SECCOMP_RET_ALLOW))


def test_a_return_answers_every_call() -> None:
    assert bpf.verdict(ALLOW_ALL, X86_64, 1) == bpf.SECCOMP_RET_ALLOW


def test_the_halves_of_an_argument_are_looked_at_apart() -> None:
    high = program((0x20, 0, 0, 16 + 8 + 4), (0x15, 0, 1, 7), (0x06, 0, 0, 1), (0x06, 0, 0, 2))
    assert bpf.verdict(high, X86_64, 0, (0, 7 << 32)) == 1
    assert bpf.verdict(high, X86_64, 0, (0, 7)) == 2


@pytest.mark.parametrize(
    ("code", "argument", "taken"),
    [
        (0x15, 5, True), (0x15, 6, False),
        (0x25, 6, True), (0x25, 5, False),
        (0x35, 5, True), (0x35, 4, False),
        (0x45, 4, True), (0x45, 2, False),
    ],
)  # fmt: skip
def test_each_comparison_jumps_as_the_kernel_does(code: int, argument: int, taken: bool) -> None:
    compare = program((0x20, 0, 0, 16), (code, 0, 1, 5), (0x06, 0, 0, 1), (0x06, 0, 0, 2))
    assert bpf.verdict(compare, X86_64, 0, (argument,)) == (1 if taken else 2)


def test_an_instruction_that_libseccomp_does_not_write_is_not_guessed_at() -> None:
    with pytest.raises(KeyError):
        bpf.verdict(program((0x00, 0, 0, 1), (0x06, 0, 0, 0)), X86_64, 0)


def test_the_first_program_that_decides_has_the_word() -> None:
    first = bpf.by_number(("x86_64",), {1: EPERM}, UNDECIDED)
    second = bpf.by_number(("x86_64",), {1: 0, 2: bpf.SECCOMP_RET_LOG}, UNDECIDED)
    joined = bpf.in_order([first, second, ALLOW_ALL], UNDECIDED)
    answers = [bpf.verdict(joined, X86_64, number) for number in (1, 2, 3)]
    assert answers == [EPERM, bpf.SECCOMP_RET_LOG, bpf.SECCOMP_RET_ALLOW]


def test_the_last_programs_answer_stands_whatever_it_is() -> None:
    last = program((0x06, 0, 0, UNDECIDED))
    assert bpf.verdict(bpf.in_order([last, last], UNDECIDED), X86_64, 0) == UNDECIDED


def test_by_number_speaks_only_for_the_abis_it_was_made_for() -> None:
    one = bpf.by_number(("x86_64",), {451: EPERM}, UNDECIDED)
    all_three = bpf.by_number(("x86_64", "x86", "x32"), {451: EPERM}, UNDECIDED)
    calls = [(X86_64, 451), (X86_64, 451 | bpf.X32_BIT), (X86, 451), (X86_64, 452)]
    assert [bpf.verdict(one, *call) == EPERM for call in calls] == [True, False, False, False]
    assert [bpf.verdict(all_three, *call) == EPERM for call in calls] == [True, True, True, False]
