"""Read a seccomp profile into a value: our TOML here, the engines' JSON in profile_json.

A TOML profile is a default and groups of rules:

    default_action = "errno ENOSYS"
    architectures = ["x86_64", "x86", "x32", "aarch64", "arm"]

    [[group]]
    name = "terminal injection"
    why = "One or two sentences for whoever reads this to learn why."
    action = "errno EPERM"                     # or allow, log, trap, kill, kill_thread
    syscalls = ["ioctl"]
    when = ["arg1 & 0xffffffff == 0x5412"]     # any of these; "... and ..." inside one
    capability = "CAP_SYS_ADMIN"               # only for a payload that keeps capabilities
    machines = ["x86_64"]                      # only on these

The order in a filter is always: refusals with conditions, permissions with conditions, all
others, the default. A group with a capability replaces every other rule for its calls.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat

from minictr.refusal import Refusal
from minictr.runtime import bpf
from minictr.toml import TomlError, parse_toml
from minictr.value import Value

MACHINES = ("x86_64", "aarch64")
_ABIS = {"x86_64": ("x86_64", "x86", "x32"), "aarch64": ("aarch64", "arm")}
_LARGEST = 1 << 20  # bytes; the engines' own profiles have 20,000

_ACTIONS = {
    "allow": bpf.SECCOMP_RET_ALLOW,
    "log": bpf.SECCOMP_RET_LOG,
    "trap": bpf.SECCOMP_RET_TRAP,
    "kill": bpf.SECCOMP_RET_KILL_PROCESS,
    "kill_thread": bpf.SECCOMP_RET_KILL_THREAD,
}
_COMPARISON = re.compile(r"arg([0-5])(?: *& *(\w+))? *(==|!=|<=|>=|<|>) *(\w+)")
_TOP: dict[str, type] = {"default_action": str, "architectures": list, "group": list}
_GROUP: dict[str, type] = {
    "name": str,
    "why": str,
    "action": str,
    "syscalls": list,
    "when": list,
    "capability": str,
    "machines": list,
}


class Comparison(Value):
    """One argument of a call, looked at: `argument & mask operator value`, 64 bits, unsigned."""

    argument: int
    operator: str
    value: int
    mask: int = 2**64 - 1


class Rule(Value):
    """What one entry of a profile says of some calls.

    place   where it stands, for messages: a path and a group or an index
    action  a SECCOMP_RET_ value
    when    alternatives, each a conjunction; () applies to every call
    kept    "only" or "never" for payloads that keep capabilities, "" for all
    """

    place: str
    action: int
    syscalls: tuple[str, ...]
    when: tuple[tuple[Comparison, ...], ...] = ()
    kept: str = ""
    machines: tuple[str, ...] = MACHINES
    why: str = ""


class Profile(Value):
    """A profile as written, before any machine is known.

    digest     sha256 of the text, hexadecimal
    abis       ABIs it speaks for; the machine's own is always among them
    replacing  True: a rule that is "only" for kept capabilities replaces the others (TOML)
    """

    path: str
    digest: str
    default_action: int
    abis: tuple[str, ...]
    rules: tuple[Rule, ...]
    replacing: bool = True


def read_profile(path: str) -> Profile:
    """Read a profile, TOML or OCI/Docker JSON, told apart by its first character.

    Refusals: MC0501 cannot be read, MC0503 says something this program does not know.
    """
    text = _text(path)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if text.lstrip()[:1] == "{":
        from minictr.runtime.profile_json import read_json

        return read_json(path, text, digest)
    try:
        table = parse_toml(text)
    except TomlError as error:
        raise unreadable(path, "is not TOML", str(error)) from None
    return _profile(path, digest, table)


def unreadable(path: str, what: str, proof: str) -> Refusal:
    """MC0501, for both formats."""
    fix = "Name a seccomp profile: TOML as minictr/profiles/default.toml, or the OCI's JSON."
    return Refusal("MC0501", f"The seccomp profile {path} {what}", proof, fix)


def unknown(place: str, what: str, known: str) -> Refusal:
    """MC0503: `what` at `place` is not one of `known`."""
    return Refusal("MC0503", f"{place}: {what}", f"known: {known}", f"Correct it in {place}.")


def abis_of(machine: str) -> tuple[str, ...]:
    """The ABIs that `machine` can execute, its own first."""
    if machine not in _ABIS:
        raise Refusal(
            "MC0503",
            f"No seccomp filter can be made for the machine {machine}",
            f"uname(2) says {machine}; known: {', '.join(MACHINES)}",
            "Run without a filter: --security seccomp:unconfined",
        )
    return _ABIS[machine]


def _text(path: str) -> str:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise unreadable(path, "cannot be opened", f"open(2): {error}") from None
    try:
        content = _content(path, descriptor)
    except OSError as error:
        raise unreadable(path, "cannot be read", f"read(2): {error}") from None
    finally:
        os.close(descriptor)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise unreadable(path, "is not text", f"byte {error.start}: {error.reason}") from None


def _content(path: str, descriptor: int) -> bytes:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise unreadable(path, "is not a regular file", f"stat(2): mode {mode:o}")
    content = b""
    while more := os.read(descriptor, _LARGEST):
        content += more
        if len(content) > _LARGEST:
            raise unreadable(path, "is longer than a profile can be", f"more than {_LARGEST} bytes")
    return content


def _profile(path: str, digest: str, table: dict[str, object]) -> Profile:
    _fields(path, table, _TOP, ("default_action",))
    abis = _names(path, table, "architectures")
    for abi in abis:
        if not any(abi in family for family in _ABIS.values()):
            raise unknown(path, f'unknown architecture "{abi}"', "x86_64 x86 x32 aarch64 arm")
    default = _action(path, str(table["default_action"]))
    groups = table.get("group", [])
    assert isinstance(groups, list)
    rules = tuple(_rule(path, at, group) for at, group in enumerate(groups))
    return Profile(path, digest, default, abis, rules)


def _rule(path: str, at: int, group: object) -> Rule:
    if not isinstance(group, dict):
        raise unknown(path, f"group {at + 1} is not a table", "[[group]]")
    place = f'{path}: group "{group.get("name", at + 1)}"'
    _fields(place, group, _GROUP, ("name", "why", "action", "syscalls"))
    machines = _names(place, group, "machines") or MACHINES
    for machine in machines:
        if machine not in MACHINES:
            raise unknown(place, f'unknown machine "{machine}"', " ".join(MACHINES))
    return Rule(
        place=place,
        action=_action(place, group["action"]),
        syscalls=_names(place, group, "syscalls"),
        when=tuple(_conjunction(place, line) for line in _names(place, group, "when")),
        kept="only" if group.get("capability") else "",
        machines=machines,
        why=" ".join(group["why"].split()),
    )


def _fields(
    place: str, table: dict[str, object], kinds: dict[str, type], needed: tuple[str, ...]
) -> None:
    for name, value in table.items():
        if name not in kinds:
            raise unknown(place, f'unknown field "{name}"', " ".join(kinds))
        if not isinstance(value, kinds[name]):
            kind = "a string" if kinds[name] is str else "a list"
            raise unknown(place, f'the field "{name}" is not {kind}', kind)
    for name in needed:
        if name not in table:
            raise unknown(place, f'the field "{name}" is missing', " ".join(needed))


def _names(place: str, table: dict[str, object], field: str) -> tuple[str, ...]:
    names = table.get(field, [])
    assert isinstance(names, list)
    for name in names:
        if not isinstance(name, str):
            raise unknown(place, f'the field "{field}" holds {name!r}', "strings")
    return tuple(names)


def _action(place: str, text: str) -> int:
    word, _, rest = text.partition(" ")
    if word == "errno" and rest:
        return bpf.SECCOMP_RET_ERRNO | errno_number(place, rest)
    if text not in _ACTIONS:
        raise unknown(place, f'unknown action "{text}"', f'{" ".join(_ACTIONS)} "errno NAME"')
    return _ACTIONS[text]


def errno_number(place: str, name: str) -> int:
    """The number of an errno, by its name or written as a number: errno(3)."""
    number = getattr(errno, name, None) if name.isupper() else None
    if name.isdecimal():
        number = int(name)
    if not isinstance(number, int) or number not in errno.errorcode:
        raise unknown(place, f'unknown errno "{name}"', "the names of errno(3)")
    return number


def _conjunction(place: str, text: str) -> tuple[Comparison, ...]:
    return tuple(_comparison(place, part) for part in text.split(" and "))


def _comparison(place: str, text: str) -> Comparison:
    found = _COMPARISON.fullmatch(text.strip())
    if not found:
        form = '"arg0 == 1", "arg1 & 0xffffffff == 0x5412"; operators == != < <= > >='
        raise unknown(place, f'the condition "{text}" cannot be read', form)
    argument, mask, operator, value = found.groups()
    if mask and operator != "==":
        raise unknown(place, f'unknown operator "& {operator}" in "{text}"', '"&" goes with "=="')
    try:
        numbers = int(value, 0), int(mask or "0xffffffffffffffff", 0)
    except ValueError:
        raise unknown(place, f'no number in "{text}"', "decimal and 0x numbers") from None
    return Comparison(int(argument), operator, *numbers)
