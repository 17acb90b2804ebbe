"""Read the container engines' seccomp profiles: the OCI's JSON, with Docker's and Podman's fields.

The format is the OCI runtime specification's (config-linux.md, Seccomp); Docker adds archMap,
includes and excludes; Podman adds the names of errnos. What the engines pass over without a word
is an error here: an unknown field, action, operator or name.
"""

from __future__ import annotations

import json
import os

from minictr.runtime import bpf
from minictr.runtime.profile import (
    MACHINES,
    Comparison,
    Profile,
    Rule,
    errno_number,
    unknown,
    unreadable,
)

_ACTIONS = {
    "SCMP_ACT_ALLOW": bpf.SECCOMP_RET_ALLOW,
    "SCMP_ACT_LOG": bpf.SECCOMP_RET_LOG,
    "SCMP_ACT_TRAP": bpf.SECCOMP_RET_TRAP,
    "SCMP_ACT_KILL": bpf.SECCOMP_RET_KILL_THREAD,  # seccomp_init(3)
    "SCMP_ACT_KILL_THREAD": bpf.SECCOMP_RET_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": bpf.SECCOMP_RET_KILL_PROCESS,
    "SCMP_ACT_ERRNO": bpf.SECCOMP_RET_ERRNO,
}
_SUPERVISED = ("SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY")
_OPERATORS = {
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_GT": ">",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_MASKED_EQ": "==",
}
_ABIS = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "x86",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
}
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}  # how includes and excludes name machines
_EPERM = 1  # what SCMP_ACT_ERRNO means where no errno is given

_Table = dict[str, object]
_TOP: dict[str, type] = {
    "defaultAction": str,
    "defaultErrnoRet": int,
    "defaultErrno": str,
    "architectures": list,
    "archMap": list,
    "flags": list,
    "syscalls": list,
}
_CALL: dict[str, type] = {
    "name": str,
    "names": list,
    "action": str,
    "errnoRet": int,
    "errno": str,
    "args": list,
    "comment": str,
    "includes": dict,
    "excludes": dict,
}
_ARGUMENT: dict[str, type] = {"index": int, "value": int, "valueTwo": int, "op": str}
_FILTER: dict[str, type] = {"caps": list, "arches": list, "minKernel": str}
_ARCHITECTURE: dict[str, type] = {"architecture": str, "subArchitectures": list}


def read_json(path: str, text: str, digest: str) -> Profile:
    """The profile in `text`. Refusals: MC0501 not JSON, MC0503 as the module's sentence says."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, "is not JSON", str(error)) from None
    _check(path, table, _TOP)
    if "defaultAction" not in table:
        raise unknown(path, 'the field "defaultAction" is missing', "defaultAction")
    for flag in _list(table, "flags"):
        if flag != "SECCOMP_FILTER_FLAG_TSYNC":  # means nothing: the payload has one thread
            raise unknown(path, f"the flag {flag!r} is not supported", "SECCOMP_FILTER_FLAG_TSYNC")
    default = _action(
        path, table["defaultAction"], table.get("defaultErrno"), table.get("defaultErrnoRet")
    )
    rules = []
    for at, call in enumerate(_list(table, "syscalls")):
        rules += _rules(f"{path}: syscalls[{at}]", call)
    return Profile(path, digest, default, _abis(path, table), tuple(rules), replacing=False)


def _check(place: str, table: object, kinds: dict[str, type]) -> None:
    """Every field is known and of its kind. null stands for an absent field, as in Go."""
    if not isinstance(table, dict):
        raise unknown(place, f"{table!r} is not an object", " ".join(kinds))
    for name, value in table.items():
        if name not in kinds:
            raise unknown(place, f'unknown field "{name}"', " ".join(kinds))
        wrong = not isinstance(value, kinds[name]) or isinstance(value, bool)
        if value is not None and wrong:
            raise unknown(place, f'the field "{name}" holds {value!r}', kinds[name].__name__)


def _list(table: _Table, field: str) -> list[object]:
    value = table.get(field) or []
    assert isinstance(value, list)
    return value


def _strings(place: str, table: _Table, field: str) -> tuple[str, ...]:
    names = _list(table, field)
    for name in names:
        if not isinstance(name, str):
            raise unknown(place, f'the field "{field}" holds {name!r}', "strings")
    return tuple(str(name) for name in names)


def _abis(path: str, table: _Table) -> tuple[str, ...]:
    """The ABIs named, of those that this program knows; the others cannot occur here."""
    names = list(_strings(path, table, "architectures"))
    for at, entry in enumerate(_list(table, "archMap")):
        place = f"{path}: archMap[{at}]"
        _check(place, entry, _ARCHITECTURE)
        assert isinstance(entry, dict)
        names += [str(entry.get("architecture")), *_strings(place, entry, "subArchitectures")]
    for name in names:
        if not name.startswith("SCMP_ARCH_"):
            raise unknown(path, f'unknown architecture "{name}"', " ".join(_ABIS))
    return tuple(_ABIS[name] for name in names if name in _ABIS)


def _rules(place: str, call: object) -> list[Rule]:
    """One entry is one rule or, where its conditions on this machine do not hold, none."""
    _check(place, call, _CALL)
    assert isinstance(call, dict)
    if "action" not in call:
        raise unknown(place, 'the field "action" is missing', " ".join(_CALL))
    names = _strings(place, call, "names") or ((call["name"],) if call.get("name") else ())
    action = _action(place, call["action"], call.get("errno"), call.get("errnoRet"))
    includes, excludes = call.get("includes") or {}, call.get("excludes") or {}
    for table in (includes, excludes):
        _check(place, table, _FILTER)
    when = _alternatives(place, _list(call, "args"))
    if not _kernel_fits(place, includes, excludes):
        return []
    if includes.get("caps") and excludes.get("caps"):
        return []  # all capabilities are kept, or none: both conditions cannot hold
    kept = "only" if includes.get("caps") else "never" if excludes.get("caps") else ""
    why = str(call.get("comment") or "")
    return [Rule(place, action, names, when, kept, _machines(place, includes, excludes), why)]


def _machines(place: str, includes: _Table, excludes: _Table) -> tuple[str, ...]:
    wanted = _strings(place, includes, "arches")
    unwanted = _strings(place, excludes, "arches")
    return tuple(
        machine
        for machine in MACHINES
        if (not wanted or _GO_NAMES[machine] in wanted) and _GO_NAMES[machine] not in unwanted
    )


def _kernel_fits(place: str, includes: _Table, excludes: _Table) -> bool:
    """minKernel: "4.8" holds on Linux 4.8 and younger ones."""
    at_least, below = includes.get("minKernel"), excludes.get("minKernel")
    running = _kernel(place, os.uname().release)
    if at_least and running < _kernel(place, str(at_least)):
        return False
    return not (below and running >= _kernel(place, str(below)))


def _kernel(place: str, release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = "".join(rest.partition(".")[0].partition("-")[:1])
    if not (major.isdecimal() and minor.isdecimal()):
        raise unknown(place, f'unknown kernel version "{release}"', '"MAJOR.MINOR"')
    return int(major), int(minor)


def _action(place: str, action: object, name: object, number: object) -> int:
    if action in _SUPERVISED:
        raise unknown(place, f'the action "{action}" needs a supervisor', " ".join(_ACTIONS))
    if not isinstance(action, str) or action not in _ACTIONS:
        raise unknown(place, f'unknown action "{action}"', " ".join(_ACTIONS))
    if action != "SCMP_ACT_ERRNO":
        return _ACTIONS[action]
    if name:
        return _ACTIONS[action] | errno_number(place, str(name))
    return _ACTIONS[action] | (errno_number(place, str(number)) if number is not None else _EPERM)


def _alternatives(place: str, arguments: list[object]) -> tuple[tuple[Comparison, ...], ...]:
    """All comparisons together; each alone where two look at one argument, as runc reads it.

    libseccomp takes one comparison for an argument in a rule: seccomp_rule_add(3).
    """
    comparisons = tuple(_comparison(f"{place}.args[{at}]", a) for at, a in enumerate(arguments))
    if len({comparison.argument for comparison in comparisons}) < len(comparisons):
        return tuple((comparison,) for comparison in comparisons)
    return (comparisons,) if comparisons else ()


def _comparison(place: str, argument: object) -> Comparison:
    _check(place, argument, _ARGUMENT)
    assert isinstance(argument, dict)
    index, operator = argument.get("index"), argument.get("op")
    if not isinstance(index, int) or not 0 <= index <= 5:
        raise unknown(place, f"no system call has an argument {index}", "0 to 5")
    if operator not in _OPERATORS:
        raise unknown(place, f'unknown operator "{operator}"', " ".join(_OPERATORS))
    value, second = argument.get("value") or 0, argument.get("valueTwo") or 0
    if operator == "SCMP_CMP_MASKED_EQ":
        return Comparison(index, "==", second, value)  # the mask comes first
    return Comparison(index, _OPERATORS[operator], value)
