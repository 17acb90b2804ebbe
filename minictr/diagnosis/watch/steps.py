"""Says which step of a launch another program's refused call would be: the same causes stop it."""

from __future__ import annotations

import re

from minictr.diagnosis.watch.arguments import opened, plain, strings
from minictr.diagnosis.watch.choose import Refused
from minictr.diagnosis.watch.kinds import MOUNTS, PROGRAMS, is_map, new_namespaces, path_of
from minictr.diagnosis.watch.record import FORKS, Call
from minictr.diagnosis.watch.stand_in import NAMES, STAND_INS
from minictr.runtime import syscalls
from minictr.runtime.covers import MountEmpty
from minictr.runtime.dev import MountMinimalDev
from minictr.runtime.execute import Execute, LoadFilter
from minictr.runtime.idmap import MapIds, find_helper
from minictr.runtime.launch import Failure
from minictr.runtime.mounts import Bind, MountProc
from minictr.runtime.namespaces import CreateNamespaces
from minictr.runtime.network import RaiseLoopback, SetHostname
from minictr.runtime.overlay import MountOverlay
from minictr.runtime.privileges import DropBoundingSet, DropCapabilities, SetNoNewPrivileges
from minictr.runtime.rootfs import ChangeDirectory, MountStaging, PivotRoot
from minictr.runtime.step import Step
from minictr.value import Value

_FLAGS = {name: value for name, value in vars(syscalls).items() if name.startswith("MS_")}
_FLAGS |= {"MS_SHARED": 1 << 20, "MS_SLAVE": 1 << 19, "MS_UNBINDABLE": 1 << 17,
           "MS_SILENT": 1 << 15, "MS_MOVE": 1 << 13, "MS_NOATIME": 1 << 10,
           "MS_NODIRATIME": 1 << 11, "MS_RELATIME": 1 << 21, "MS_STRICTATIME": 1 << 24}  # fmt: skip
_PROPAGATION = re.compile(r"MS_(PRIVATE|SLAVE|SHARED|UNBINDABLE)")


class OtherStep(Step):
    """A call that no step of a launch makes."""

    name: str

    def verb(self) -> str:
        return self.name


class Symbol(Value):
    """An argument as strace names it: CLONE_NEWUSER|SIGCHLD."""

    text: str

    def __str__(self) -> str:
        return self.text


def failure_of(refused: Refused, program: str, missed: tuple[Call, ...] = ()) -> Failure:
    """The failure of the equivalent step; its phase names the program that it happened to.

    missed   the calls that looked for a program in vain, where it was not execve(2) that did
    """
    place = f"{program} (pid {refused.process})"
    if refused.helped:
        helped = refused.helped
        arguments = (helped.path, *helped.arguments)
        return Failure(place, 0, map_ids(helped.path), helped.name, arguments, 0, helped.said,
                       witness=_namespace_of(helped.arguments))  # fmt: skip
    call = refused.call
    assert call
    if missed or (call.name in PROGRAMS and not plain(call.arguments[0]).startswith("/")):
        return _searched(place, refused.process, missed or (call,))
    return Failure(
        place,
        0,
        _step(call, refused.filesystem),
        call.name,
        _arguments(call),
        call.errno,
        witness=refused.process,
    )


def searched(place: str, process: int, calls: tuple[Call, ...]) -> Failure:
    """The failure to find a program along PATH."""
    return _searched(place, process, calls)


def shown(failure: Failure, call: Call) -> Failure:
    """The failure with the call as the program made it."""
    arguments = tuple(_shown(one) for one in call.arguments if " vars */" not in one)
    return failure.replace(call=call.name, arguments=arguments, errno=call.errno)


def _shown(argument: str) -> object:
    return plain(argument) if argument.startswith('"') else Symbol(argument)


def _searched(place: str, process: int, calls: tuple[Call, ...]) -> Failure:
    paths = list(dict.fromkeys(path_of(call) for call in calls))
    name = paths[-1].rpartition("/")[2]
    denied = next((call.errno for call in calls if call.errno == 13), 0)
    number = denied or calls[-1].errno
    if len(paths) == 1:
        return Failure(place, 0, Execute((paths[0],)), "execve", (paths[0], (paths[0],)), number,
                       witness=process)  # fmt: skip
    places = [path.rpartition("/")[0] for path in paths]
    directories = ":".join(place for place in places if STAND_INS not in place)
    return Failure(
        place, 0, Execute((name,)), "search", (name, directories), number, witness=process
    )


def _step(call: Call, filesystem: str) -> Step:
    """The step that makes this call."""
    if call.name in (*FORKS, "unshare"):
        return CreateNamespaces(new_namespaces(call))
    if is_map(call):
        return MapIds((), ())
    if call.name == "mount":
        return _mount(call)
    if call.name in PROGRAMS:
        path = plain(call.arguments[0])
        if path.rpartition("/")[2] in NAMES:
            return map_ids(path)
        return Execute(strings(call.arguments[1]))
    if call.name == "prctl":
        return _prctl(call.arguments[0])
    if call.name == "open_tree":
        return Bind(path_of(call), "")
    if call.name in MOUNTS:
        return _of_type(filesystem, "") or OtherStep("mount")
    plain_steps: dict[str, Step] = {
        "pivot_root": PivotRoot(),
        "capset": DropCapabilities(),
        "ioctl": RaiseLoopback(),
        "sethostname": SetHostname(path_of(call)),
        "seccomp": LoadFilter("", b""),
        "chdir": ChangeDirectory((path_of(call),)),
    }
    return plain_steps.get(call.name) or OtherStep(call.name)


def _prctl(option: str) -> Step:
    steps: dict[str, Step] = {
        "PR_CAPBSET_DROP": DropBoundingSet(),
        "PR_SET_NO_NEW_PRIVS": SetNoNewPrivileges(),
        "PR_SET_SECCOMP": LoadFilter("", b""),
    }
    return steps.get(option) or OtherStep("prctl")


def _mount(call: Call) -> Step:
    source, target, kind, flags = (*call.arguments, "", "", "", "")[:4]
    target = plain(target)
    if "MS_BIND" in flags and "MS_REMOUNT" not in flags:
        return Bind(plain(source), target)
    if _PROPAGATION.search(flags):
        return MountStaging(target)
    return _of_type(plain(kind), target) or OtherStep("mount")


def _of_type(filesystem: str, target: str) -> Step | None:
    """The step that mounts a file system of that type."""
    steps: dict[str, Step] = {
        "proc": MountProc(target),
        "overlay": MountOverlay(""),
        "tmpfs": MountEmpty(target),
        "devpts": MountMinimalDev(()),
    }
    return steps.get(filesystem)


def _arguments(call: Call) -> tuple[object, ...]:
    """As the calls of our own steps keep them: text, numbers, and NULL as None."""
    if call.name in PROGRAMS:
        return plain(call.arguments[0]), strings(call.arguments[1])
    if call.name == "mount":
        source, target, kind, flags, data = (*call.arguments, "", "", "", "", "")[:5]
        texts = [plain(one) if one.startswith('"') else None for one in (source, target, kind)]
        return (*texts, hex(_number(flags)), plain(data) or None)
    if is_map(call):
        return opened(call.arguments[0]) or path_of(call), plain(call.arguments[1])
    return tuple(
        plain(one) if one.startswith('"') else Symbol(one)
        for one in call.arguments
        if call.name not in MOUNTS or one != "NULL"
    )


def _number(flags: str) -> int:
    names = flags.split("|")
    return sum(_FLAGS.get(name) or (int(name, 0) if name[:1].isdigit() else 0) for name in names)


def map_ids(path: str) -> MapIds:
    """Maps by the helpers, of which one is known to be at `path`."""
    name = path.rpartition("/")[2]
    helpers = tuple(path if name == one else find_helper(one) or f"/usr/bin/{one}" for one in NAMES)
    return MapIds((), (), helpers)


def _namespace_of(arguments: tuple[str, ...]) -> int:
    """The process whose map a helper was to write."""
    return int(arguments[0]) if arguments and arguments[0].isdigit() else 0
