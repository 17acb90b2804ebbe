"""What is asked of a seccomp filter so that no verdict of it stays unseen."""

from __future__ import annotations

import functools
import itertools

from minictr.runtime import bpf

ARCHITECTURES = (*bpf.AUDIT_ARCH.values(), 8)  # 8: MIPS, foreign to every profile here
ALL = 0xFFFFFFFF
EPERM, LOG = bpf.SECCOMP_RET_ERRNO | 1, bpf.SECCOMP_RET_LOG
ARGUMENTS_AT = 16  # offset in struct seccomp_data


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
