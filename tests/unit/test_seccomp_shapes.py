"""squeeze.py on programs of other shapes than libseccomp writes."""

from __future__ import annotations

import itertools

import pytest
from asked_of_filters import (
    ARCHITECTURES,
    EPERM,
    LOG,
    answers,
)

from minictr.runtime import bpf
from minictr.runtime.squeeze import squeeze

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
