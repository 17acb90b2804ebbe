"""Classic BPF as seccomp(2) runs it: put small programs together, and ask what one answers.

A filter is `bytes`: struct sock_filter (linux/filter.h), eight bytes an instruction, in the byte
order of x86_64 and aarch64 (little). It looks at one struct seccomp_data (linux/seccomp.h).
"""

from __future__ import annotations

import fcntl
import functools
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

# linux/seccomp.h: what a filter returns. The low 16 bits belong to the action (an errno).
SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_KILL_THREAD = 0x00000000
SECCOMP_RET_TRAP = 0x00030000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_TRACE = 0x7FF00000
SECCOMP_RET_LOG = 0x7FFC0000
SECCOMP_RET_ALLOW = 0x7FFF0000

# linux/audit.h: how the kernel names the ABI of a call. x32 shares the value of x86_64 and sets
# bit 30 of the call's number.
AUDIT_ARCH = {
    "x86_64": 0xC000003E,
    "x86": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
}
X32_BIT = 0x40000000

_ROOM = 1 << 20  # bytes in a pipe, /proc/sys/fs/pipe-max-size; 4096 instructions are 32768 bytes
BPF_MAXINSNS = 4096  # linux/bpf_common.h: seccomp(2) refuses a longer program with EINVAL

INSTRUCTION = struct.Struct("<HBBI")  # code, jump if true, jump if false, constant
RETURN, JUMP, LOAD, AND = 0x06, 0x05, 0x20, 0x54
EQUAL, GREATER, AT_LEAST, ANY_BIT = 0x15, 0x25, 0x35, 0x45
NUMBER_AT, ARCHITECTURE_AT = 0, 4  # offsets in struct seccomp_data
COMPARE = {
    EQUAL: lambda a, k: a == k,
    GREATER: lambda a, k: a > k,
    AT_LEAST: lambda a, k: a >= k,
    ANY_BIT: lambda a, k: a & k != 0,
}


@functools.lru_cache(maxsize=16)
def decoded(program: bytes) -> tuple[tuple[int, int, int, int], ...]:
    """The instructions of a program: code, jump if true, jump if false, constant."""
    return tuple(INSTRUCTION.iter_unpack(program))


def verdict(program: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What `program` returns for one system call: a SECCOMP_RET_ value, with its data.

    The only honest way to say what a profile does: libseccomp merges rules by rules of its own.
    Knows the instructions libseccomp writes; KeyError means that it wrote another one.
    """
    six = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    seen = struct.pack("<IIQ6Q", number, architecture, 0, *(a % 2**64 for a in six))
    instructions = decoded(program)
    at, accumulator = 0, 0
    while True:
        code, true, false, constant = instructions[at]
        at += 1
        if code == RETURN:
            return int(constant)
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", seen, constant)
        elif code == AND:
            accumulator &= constant
        elif code == JUMP:
            at += constant
        else:
            at += true if COMPARE[code](accumulator, constant) else false


def in_order(programs: list[bytes], undecided: int) -> bytes:
    """One program that asks each of `programs` in turn until one does not return `undecided`.

    A return of `undecided` becomes a jump to the next program. BPF jumps are relative, forward,
    and BPF_JA has 32 bits, so programs can be put one behind another without any other change.
    """
    joined = []
    for program in programs[:-1]:
        length = len(program) // 8
        for at, instruction in enumerate(INSTRUCTION.iter_unpack(program)):
            if instruction == (RETURN, 0, 0, undecided):
                instruction = (JUMP, 0, 0, length - at - 1)
            joined.append(INSTRUCTION.pack(*instruction))
    return b"".join(joined) + programs[-1]


def by_number(abis: tuple[str, ...], actions: dict[int, int], undecided: int) -> bytes:
    """A program that gives each call number its action, on every one of `abis`.

    For calls that libseccomp does not know. Calls from 403 on have one number on every
    architecture (with bit 30 on x32); older ones are for a single ABI only.
    """
    architectures = sorted({AUDIT_ARCH["x86_64" if abi == "x32" else abi] for abi in abis})
    program = [(LOAD, 0, 0, ARCHITECTURE_AT)]
    for left, architecture in zip(range(len(architectures), 0, -1), architectures, strict=True):
        program.append((EQUAL, left, 0, architecture))
    program += [(RETURN, 0, 0, undecided), (LOAD, 0, 0, NUMBER_AT)]
    for bit in (0, X32_BIT) if "x32" in abis else (0,):
        for number, action in sorted(actions.items()):
            program += [(EQUAL, 0, 1, number | bit), (RETURN, 0, 0, action)]
    program.append((RETURN, 0, 0, undecided))
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in program)


def exported(export: Callable[[BinaryIO], None]) -> bytes:
    """What `export` writes to a file: through a pipe, which RLIMIT_FSIZE does not cut.

    Nor does it need a directory for temporary files.
    """
    reader, writer = os.pipe()
    with open(reader, "rb") as source, open(writer, "wb") as sink:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _ROOM)
        os.set_blocking(writer, False)  # a program beyond that room: EAGAIN, not a standstill
        export(sink)
        sink.close()
        return source.read()
