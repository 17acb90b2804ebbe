"""The words for a step that failed: what the user did not get, and which call was refused."""

from __future__ import annotations

import errno
import posix
import signal

from minictr.image.refusals import printable
from minictr.request import Request
from minictr.runtime.launch import Failure

_LONGEST = 1024  # characters of a path in the first line
_ALL_ARGUMENTS = 400  # characters of a call's arguments

# What each step is for, where the step's own words would not tell a user.
_PURPOSES = {
    "CreateNamespaces": "the container's namespaces cannot be made",
    "MapIds": "the container's user and group ids cannot be mapped",
    "SetHostname": "the container's host name cannot be set",
    "RaiseLoopback": "the container's network cannot be brought up",
    "MountStaging": "the container's root file system cannot be begun",
    "MakeSkeleton": "the mount points that the image lacks cannot be made",
    "MountOverlay": "the image cannot be mounted",
    "AttachImage": "the image cannot be mounted",
    "BindRoot": "the image cannot be mounted",
    "BindTree": "the image cannot be mounted",
    "MakeFiles": "the container's passwd and group files cannot be written",
    "MountProc": "the container's /proc cannot be mounted",
    "CoverCache": "the cache of unpacked images cannot be covered",
    "MountMinimalDev": "the container's /dev cannot be made",
    "PivotRoot": "the container's root file system cannot be entered",
    "CloseDescriptors": "inherited descriptors cannot be closed",
    "DropBoundingSet": "the container's privileges cannot be dropped",
    "DropCapabilities": "the container's privileges cannot be dropped",
    "SetNoNewPrivileges": "the container's privileges cannot be dropped",
    "TakeTerminal": "the terminal cannot be handed to the shell",
    "LoadFilter": "the seccomp filter cannot be loaded",
    "EvaluateEnvironment": "the container's environment cannot be worked out",
}


def happened(failure: Failure, request: Request) -> str:
    """What the user did not get, in one line.

    Clients of apptainer look for its words where the command, a directory or a bind is at fault.
    """
    verb = failure.step.verb()
    if verb == "Execute":
        return _not_executed(failure, request)
    if verb == "RunPayload":
        return death(failure).replace("its process", str(failure.step.__dict__["command"]))
    why = error_words(failure.errno)
    if verb == "ChangeDirectory":
        return f"failed to set working directory: chdir {_shown(failure)}: {why}"
    if verb in ("Bind", "BindFile", "MountEmpty"):
        return _not_mounted(failure)
    purpose = _PURPOSES.get(verb, f"the step {verb} failed")
    if verb == "EvaluateEnvironment" and failure.call == "sh":
        return f"--env-file {printable(str(failure.arguments[1]))} cannot be evaluated"
    if verb == "EvaluateEnvironment" and failure.call == "source":
        path = printable(str(failure.arguments[0]))
        return f"the image's shell ended in {path}, before the command was started"
    if failure.status:
        return f"{purpose}: {death(failure)}"
    return purpose


def step_words(failure: Failure) -> str:
    """The step and its call as one line: phase, verb, call with arguments, errno."""
    place = f"{failure.phase}, {failure.step.verb()}"
    if not failure.call:
        return f"{place}: {death(failure)}"
    arguments = ", ".join(argument_words(argument) for argument in failure.arguments)
    if len(arguments) > _ALL_ARGUMENTS:
        arguments = arguments[:_ALL_ARGUMENTS] + "..."
    said = f': "{printable(failure.said)}"' if failure.said else ""
    if not failure.errno:
        return f"{place}: {failure.call}({arguments}) failed{said}"
    name = errno_name(failure.errno)
    return f"{place}: {failure.call}({arguments}) = {name} ({error_words(failure.errno)}){said}"


def errno_name(number: int) -> str:
    """ENOENT, or the number where the kernel's has no name."""
    return errno.errorcode.get(number, str(number))


def answer_name(number: int) -> str:
    """The same of what a call was answered with, which may be success: 0."""
    return errno_name(number) if number else "success"


def error_words(number: int) -> str:
    """What strerror(3) says, with a small letter, as Go programs print it."""
    text = posix.strerror(number)
    return text[:1].lower() + text[1:]


def argument_words(argument: object, most: int = 120) -> str:
    """An argument as strace(1) would show it, shortened."""
    if argument is None:
        return "NULL"
    if isinstance(argument, list | tuple):
        text = "[" + ", ".join(argument_words(one) for one in argument) + "]"
    elif isinstance(argument, dict):
        text = f"{{{len(argument)} variables}}"
    elif isinstance(argument, str) and not argument.startswith("0x"):
        text = '"' + (argument if argument.isprintable() else ascii(argument)[1:-1]) + '"'
    else:
        text = str(argument)
    return text if len(text) <= most else text[: most - 3] + "..."


def death(failure: Failure) -> str:
    """How a process ended that did not report: its wait status in words."""
    code = posix.waitstatus_to_exitcode(failure.status)
    if code < 0:
        return f"its process was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"its process ended with status {code}"


def _not_executed(failure: Failure, request: Request) -> str:
    words = failure.step.__dict__["command"]
    path = _shown(failure) if failure.arguments else printable(str(words[0]))
    if failure.call == "search":
        if failure.errno == errno.ENOENT:
            return f'"{path}": executable file not found in $PATH'
        return f'"{path}": {error_words(failure.errno)}'
    if failure.call == "execve":
        if failure.errno in (errno.ENOENT, errno.ENOTDIR) and not _exists(failure):
            return f"stat {path}: {error_words(failure.errno)}"
        return f"exec {path} failed: {error_words(failure.errno)}"
    return f"{path} cannot be executed"


def _exists(failure: Failure) -> bool:
    """Whether the file itself is there, so that execve(2) missed something that it needs."""
    from minictr.diagnosis.probes.walk import walk

    root = f"/proc/{failure.witness}/root"
    try:
        return walk(root, str(failure.arguments[0])).found
    except OSError:  # the container cannot be looked into
        return False


def _not_mounted(failure: Failure) -> str:
    source, target = getattr(failure.step, "source", ""), getattr(failure.step, "target", "")
    if (
        source
        and failure.call == "mount"
        and failure.errno == errno.ENOENT
        and not _on_host(source)
    ):
        return f"mount {source}->{target} error: mount source {source} doesn't exist"
    why = death(failure) if failure.status else error_words(failure.errno)
    if source:
        return f"mount {source}->{target} error: {why}"
    return f"{target} cannot be mounted: {why}"


def _on_host(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _shown(failure: Failure) -> str:
    """The first argument of the call, as it may be written to a terminal."""
    text = str(failure.arguments[0]) if failure.arguments else ""
    return printable(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
