# What runtime/filter.py uses of pyseccomp 0.1, which carries no type marker of its own.
from typing import BinaryIO, Final

NE: Final[int]
LT: Final[int]
LE: Final[int]
EQ: Final[int]
GE: Final[int]
GT: Final[int]
MASKED_EQ: Final[int]

class Arch:
    NATIVE: Final[int]
    X86: Final[int]
    X86_64: Final[int]
    X32: Final[int]
    ARM: Final[int]
    AARCH64: Final[int]

class Attr:
    ACT_BADARCH: Final[int]
    CTL_OPTIMIZE: Final[int]

class Arg:
    def __init__(self, arg: int, op: int, data_a: int, data_b: int = 0) -> None: ...

class SyscallFilter:
    def __init__(self, defaction: int) -> None: ...
    def set_attr(self, attr: int, value: int) -> None: ...
    def add_arch(self, arch: int) -> None: ...
    def remove_arch(self, arch: int) -> None: ...
    def add_rule(self, action: int, syscall: int | str, *args: Arg) -> None: ...
    def export_bpf(self, file: BinaryIO) -> None: ...

def system_arch() -> int: ...
def resolve_syscall(arch: int, syscall: str) -> int: ...
