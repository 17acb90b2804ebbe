"""Reads a program file the way execve(2) does: what it is, and what it needs to be started."""

from __future__ import annotations

import posix
import stat

from minictr.diagnosis.probes.elf import loaded
from minictr.diagnosis.probes.walk import walk
from minictr.value import Value

_SHEBANG = 255  # bytes of the first line that the kernel looks at: BINPRM_BUF_SIZE - 1
_ET_EXEC, _ET_DYN = 2, 3
_PT_INTERP = 3
_PATH_MAX = 4096
_TABLE = 65536  # bytes of a program header table at most
_WHOLE = 1 << 24  # bytes of a program: no busybox is as large
DEEPEST = 6  # files that are read one for the sake of another: fs/exec.c, exec_binprm

# elf(5) e_machine: what people call it.
MACHINES = {
    2: "SPARC", 3: "i386", 8: "MIPS", 20: "PowerPC", 21: "ppc64", 22: "s390x", 40: "32-bit ARM",
    43: "SPARC v9", 50: "IA-64", 62: "x86-64", 183: "aarch64", 243: "RISC-V", 247: "BPF",
    258: "LoongArch",
}  # fmt: skip
# What one kernel runs: 64-bit programs and, where built in, 32-bit ones.
_TOGETHER = (frozenset({3, 62}), frozenset({40, 183}), frozenset({20, 21}), frozenset({2, 43}))


class Program(Value):
    """A file that execve(2) was given, or that a file of those asks for.

    path      as the kernel was given it, absolute
    real      without symbolic links
    mode      st_mode; size in bytes
    kind      "elf", "script", "text", "empty", "directory", "other", or "unreadable"
    wants     the path of the interpreter it asks for, "" for none: PT_INTERP, or after `#!`
    argument  what stands behind that in the line `#!`, "" for nothing
    cut       whether the line `#!` is too long for the kernel to know the interpreter's name
    machine   e_machine of an ELF file, else 0
    type      e_type of it
    needed    how many bytes its ELF header and program header table need, else 0
    damage    what else in its headers the kernel refuses, "" for nothing
    start     its first bytes
    """

    path: str
    real: str
    mode: int
    size: int
    kind: str
    wants: str = ""
    argument: str = ""
    cut: bool = False
    machine: int = 0
    type: int = 0
    needed: int = 0
    damage: str = ""
    start: bytes = b""

    @property
    def truncated(self) -> bool:
        return self.size < self.needed

    @property
    def built_for(self) -> str:
        return MACHINES.get(self.machine, f"machine {self.machine} of elf(5)")


def chain(root: str, path: str, directory: str = "/") -> tuple[Program, ...]:
    """The program at `path` below `root`, its interpreter where it is a script, and so on.

    It ends with what does not exist any more, or needs no further file but an ELF interpreter.

    directory   where relative paths begin: the working directory
    """
    found: list[Program] = []
    while path and len(found) < DEEPEST:
        place = walk(root, seen_from(directory, path))
        if not place.found or place.status is None:
            break
        found.append(read_program(root, place.path, place.reached, place.status))
        path = found[-1].wants if found[-1].kind == "script" else ""
    return tuple(found)


def seen_from(directory: str, path: str) -> str:
    """The absolute path."""
    return path if path.startswith("/") else f"{directory.rstrip('/')}/{path}"


def memory_of(root: str, program: Program) -> int:
    """How many bytes of address space the segments of an ELF program span; 0 where none is known.

    The kernel reserves them all at once: fs/binfmt_elf.c, total_mapping_size.
    """
    loads = loaded(root + program.real)
    if not loads:
        return 0
    return max(row.address + row.memory for row in loads) - min(row.address for row in loads)


def own_program(root: str, program: Program, name: str) -> bool:
    """Whether a file that is many programs in one, busybox or toybox, may be that one, too.

    Its table has each name between two NUL bytes.
    """
    try:
        descriptor = posix.open(root + program.real, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # executable but not readable: nobody knows
        return True
    try:
        content = posix.read(descriptor, _WHOLE)
    finally:
        posix.close(descriptor)
    table = b"\0" + name.encode("utf-8", "surrogateescape") + b"\0"
    return (b"BusyBox" in content or b"toybox" in content) and table in content


def whole_name(root: str, script: Program) -> str:
    """The interpreter's name as the file of a script has it, however long."""
    descriptor = posix.open(root + script.real, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        head = posix.pread(descriptor, 8192, 2)
    finally:
        posix.close(descriptor)
    words = head.partition(b"\n")[0].split()
    return words[0].decode("utf-8", "surrogateescape") if words else ""


def runs_here(machine: int) -> bool:
    """Whether this kernel's programs have that e_machine: our own is one of them."""
    own = read_program("", "/proc/self/exe", "/proc/self/exe", posix.stat("/proc/self/exe")).machine
    return machine == own or any({machine, own} <= pair for pair in _TOGETHER)


def read_program(root: str, path: str, real: str, status: posix.stat_result) -> Program:
    """Look into the file."""
    plain = Program(path, real, status.st_mode, status.st_size, "other")
    if stat.S_ISDIR(status.st_mode):
        return plain.replace(kind="directory")
    if not stat.S_ISREG(status.st_mode):
        return plain
    try:
        descriptor = posix.open(root + real, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:  # executable but not readable: mode 0711
        return plain.replace(kind="unreadable")
    try:
        return _looked_into(plain, descriptor)
    finally:
        posix.close(descriptor)


def _looked_into(plain: Program, descriptor: int) -> Program:
    head = posix.pread(descriptor, _SHEBANG + 1, 0)
    plain = plain.replace(start=head[:64])
    if not head:
        return plain.replace(kind="empty")
    if head.startswith(b"\x7fELF"):
        return _elf(plain, descriptor, head)
    if head.startswith(b"#!"):
        return _script(plain, head)
    text = b"\0" not in head.partition(b"\n")[0]
    return plain.replace(kind="text" if text else "other")


def _script(plain: Program, head: bytes) -> Program:
    """As fs/binfmt_script.c, load_script: a name that the buffer cuts off is no name."""
    line, end, _ = head[2:].partition(b"\n")
    line = line if end else head[2:_SHEBANG]  # a newline counts in the last byte, too
    blank = line.strip(b" \t").partition(b"\0")[0].replace(b"\t", b" ")
    name, after, argument = blank.partition(b" ")
    whole = end or after or b"\0" in line or len(head) <= _SHEBANG or line.endswith((b" ", b"\t"))
    return plain.replace(
        kind="script",
        wants=name.decode("utf-8", "surrogateescape"),
        argument=argument.strip(b" ").decode("utf-8", "surrogateescape"),
        cut=bool(name) and not whole,
    )


def _elf(plain: Program, descriptor: int, head: bytes) -> Program:
    order = "big" if head[5:6] == b"\2" else "little"
    wide = head[4:5] != b"\1"

    def number(data: bytes, offset: int, size: int) -> int:
        return int.from_bytes(data[offset : offset + size], order)  # type: ignore[arg-type]

    header = 64 if wide else 52  # sizeof(Elf64_Ehdr), sizeof(Elf32_Ehdr)
    elf = plain.replace(
        kind="elf", machine=number(head, 18, 2), type=number(head, 16, 2), needed=header
    )
    if plain.size < header:
        return elf
    table = number(head, 32, 8) if wide else number(head, 28, 4)
    entry, count = number(head, 54 if wide else 42, 2), number(head, 56 if wide else 44, 2)
    elf = elf.replace(damage=_damage(elf.type, entry, count, 56 if wide else 32))
    if elf.damage:
        return elf
    elf = elf.replace(needed=max(header, table + entry * count))
    headers = b"" if elf.truncated else posix.pread(descriptor, entry * count, table)
    for start in range(0, len(headers), entry):
        if number(headers, start, 4) == _PT_INTERP:
            at = number(headers, start + (8 if wide else 4), 8 if wide else 4)
            size = number(headers, start + (32 if wide else 16), 8 if wide else 4)
            return _wanting(elf, descriptor, at, size)
    return elf


def _damage(kind: int, entry: int, count: int, right: int) -> str:
    """What fs/binfmt_elf.c refuses in the header: load_elf_binary and load_elf_phdrs."""
    if kind not in (_ET_EXEC, _ET_DYN):
        return f"its e_type is {kind}, which is no program's"
    if entry != right:
        return f"its e_phentsize is {entry} and not {right}"
    return "" if 0 < entry * count <= _TABLE else f"its e_phnum is {count}"


def _wanting(elf: Program, descriptor: int, at: int, size: int) -> Program:
    if not 2 <= size <= _PATH_MAX:
        return elf.replace(damage=f"its PT_INTERP has {size} bytes")
    text = posix.pread(descriptor, size, at) if at < elf.size else b""
    if len(text) < size:
        return elf.replace(needed=max(elf.needed, at + size))
    if not text.endswith(b"\0"):
        return elf.replace(damage="its PT_INTERP does not end in a NUL")
    return elf.replace(wants=text.partition(b"\0")[0].decode("utf-8", "surrogateescape"))
