"""Host: facts about this machine and this caller, read and never changed.

A fact is present, absent or unreadable, and the three are kept apart: unreadable is not absent.
"""

from __future__ import annotations

import grp
import posix
import pwd
import sys

from minictr.value import Value

LAST_ID = (1 << 32) - 2  # 4294967295 is "no id"
# errno(3); the module is an import that a launch does not need
_ENOENT, _ENODEV, _ENOTDIR, _EFBIG = 2, 19, 20, 27
_S_IFMT, _S_IFREG = 0o170000, 0o100000  # stat(2)
_PART, _LONGEST = 1 << 16, 64 << 20  # bytes: of one read, and of a file that is read as a fact

# COMPAT_UTS_MACHINE of a 64-bit kernel: arch/x86/include/asm/elf.h, arch/arm64/include/asm/compat.h
_WIDE = {"i686": "x86_64", "armv8l": "aarch64"}


class Fact(Value):
    """What a file said: `text`; or why it could not be read: `errno` (ENOENT: it is not there)."""

    path: str
    text: str = ""
    errno: int = 0

    @property
    def absent(self) -> bool:
        return self.errno in (_ENOENT, _ENOTDIR)

    @property
    def unreadable(self) -> bool:
        return self.errno != 0 and not self.absent


class Host(Value):
    """This machine, as the caller sees it.

    root           "" or the directory that stands in for `/` (tests)
    uid, gid       effective ids; groups: the supplementary ones
    user           login name, or the uid in digits where the user database has no entry
    home, shell, gecos   from the user database, never from the environment
    kernel         (major, minor), (0, 0) where uname(2) gives no number; machine: as it gives it
    working_directory    physical path; "" where it cannot be had
    umask          the caller's file mode creation mask
    """

    root: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    shell: str
    gecos: str
    kernel: tuple[int, int]
    machine: str
    working_directory: str
    umask: int

    def fact(self, path: str) -> Fact:
        """Read one small file of this machine."""
        return read_fact(self.root + path, path)

    def exists(self, path: str) -> bool:
        try:
            posix.stat(self.root + path)
        except OSError:
            return False
        return True

    def namesakes(self) -> tuple[str, ...]:
        """The other names that /etc/passwd has for the uid; () where it has no name at all."""
        uid = str(self.uid)
        if self.user == uid:
            return ()
        entries = (line.split(":") for line in self.fact("/etc/passwd").text.split("\n"))
        return tuple(entry[0] for entry in entries if entry[2:3] == [uid] and entry[0] != self.user)


def read_host(root: str = "") -> Host:
    """Look at this machine: what cannot be known is empty. Raises Refusal where umask(2) fails."""
    uid, gid = posix.geteuid(), posix.getegid()
    try:
        entry = pwd.getpwuid(uid)
        user, home, shell, gecos = entry.pw_name, entry.pw_dir, entry.pw_shell, entry.pw_gecos
    except KeyError:
        user, home, shell, gecos = str(uid), "", "", ""
    mask = _umask()
    system = posix.uname()
    return Host(
        root=root, uid=uid, gid=gid, groups=tuple(posix.getgroups()),
        user=user, home=home, shell=shell, gecos=gecos,
        kernel=_version(system.release), machine=native(system.machine),
        working_directory=_working_directory(), umask=mask,
    )  # fmt: skip


def native(machine: str) -> str:
    """The machine that this interpreter is built for, by what uname(2) calls it.

    Under PER_LINUX32, setarch(8), that is the name of the 32-bit one, to 64-bit programs as well:
    kernel/sys.c, override_architecture.
    """
    return _WIDE.get(machine, machine) if sys.maxsize >> 32 else machine


def subordinate(host: Host, kind: str) -> list[tuple[int, int]]:
    """The caller's ranges in /etc/subuid or /etc/subgid: (first, count) each; subuid(5).

    Both files are keyed by the *user*: his name, his number, or a name that has the same number,
    which is looked for where the first two have no line: shadow, lib/subordinateio.c, find_range.
    """
    text, own = host.fact(f"/etc/{kind}").text, host.uid if kind == "subuid" else host.gid
    ranges = disjoint(granted(text, (host.user, str(host.uid))), own)
    return ranges or disjoint(granted(text, host.namesakes()), own)


def granted(text: str, names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The ranges (first, end) of the lines that begin with one of the names.

    What newuidmap(1) would not take is left out, a malformed line and one beyond the last id.
    """
    ranges = []
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names:
            first, count = id_number(fields[1]), id_number(fields[2])
            if first >= 0 and 0 < count <= LAST_ID - first + 1:
                ranges.append((first, first + count))
    return ranges


def disjoint(ranges: list[tuple[int, int]], own: int) -> list[tuple[int, int]]:
    """The ranges (first, end) as (first, count), each id once and `own` not at all.

    >>> disjoint([(1000, 1010), (1005, 1020)], 1007)
    [(1000, 7), (1008, 2), (1010, 10)]
    """
    free = []
    reached = 0
    for first, end in sorted(ranges):
        start = max(first, reached)
        reached = max(reached, end)
        parts = ((start, own), (own + 1, end)) if start <= own < end else ((start, end),)
        free += [(low, high - low) for low, high in parts if low < high]
    return free


def id_number(text: str) -> int:
    """An id as strtoul(3) of newuidmap reads it: 0x10 and 010 are not ten. -1 for none."""
    base = 16 if text[:2] in ("0x", "0X") else 8 if text[:1] == "0" else 10
    try:
        return int(text, base) if text.isalnum() and text.isascii() else -1
    except ValueError:
        return -1


def group_name(gid: int) -> str:
    """The group's name, "" where the group database has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def canonical(path: str) -> str:
    """The path with every symbolic link followed, by asking the kernel. Raises OSError."""
    descriptor = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return posix.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        posix.close(descriptor)


def read_fact(path: str, named: str = "") -> Fact:
    """Read a text file, keeping the reason where that is refused.

    ENODEV: a device, a FIFO or a socket that would be read for ever, as /dev/zero. EFBIG: it has
    more bytes than a fact has.
    """
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError as error:
        return Fact(named or path, "", error.errno or 0)
    try:
        parts, length = [], 0
        while part := posix.read(descriptor, _PART):
            parts.append(part)
            length += len(part)
            # What fills a whole read may have no end: a launch has no such file, nor this fstat(2).
            if len(part) == _PART and (number := _endless(descriptor, length)):
                return Fact(named or path, "", number)
    except OSError as error:
        return Fact(named or path, "", error.errno or 0)
    finally:
        posix.close(descriptor)
    return Fact(named or path, b"".join(parts).decode("utf-8", "surrogateescape"))


def _endless(descriptor: int, length: int) -> int:
    """The errno for what is no regular file, or has more bytes than are read; else 0."""
    if posix.fstat(descriptor).st_mode & _S_IFMT != _S_IFREG:
        return _ENODEV
    return _EFBIG if length > _LONGEST else 0


def _umask() -> int:
    """The file mode creation mask, which can only be read by setting it. Raises Refusal."""
    try:
        mask = posix.umask(0)
        posix.umask(mask)
    except OSError:
        from minictr.refusal import Refusal

        raise Refusal(
            "MC0506",
            "a seccomp filter around minictr refuses umask(2)",
            "umask(0) failed; the kernel refuses it to nobody: umask(2), RETURN VALUE",
            "Start minictr from outside of the program that loaded the filter.",
            "Start what loads the filter with a seccomp profile that allows umask.",
        ) from None
    return mask


def _working_directory() -> str:
    try:
        return posix.getcwd()
    except OSError:  # removed, or behind a directory that may not be searched
        return ""


def _version(release: str) -> tuple[int, int]:
    """The number of a release; of one that has none, which a filter may forge, the oldest."""
    major, _, rest = release.partition(".")
    if not major.isdecimal():
        return 0, 0
    digits = "".join(character if character.isdecimal() else " " for character in rest).split()
    return int(major), int(digits[0]) if digits else 0
