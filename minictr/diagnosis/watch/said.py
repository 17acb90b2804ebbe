"""Reads what was said: whether a text has the words of an errno, a path, or a call's subject."""

from __future__ import annotations

import errno
import os
import re

from minictr.diagnosis.watch.arguments import plain, strings
from minictr.diagnosis.watch.kinds import MOUNTS, PROGRAMS, is_map
from minictr.diagnosis.watch.record import FORKS, Call

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NOT_FOUND = "not found"  # what is said of a program that PATH does not lead to
_NAMESPACES = r"unshare\b|clone\b|namespace"
# What a message in words of its own calls a refused call: bwrap(1) says "No permissions to create
# new namespace" of EPERM, hostname(1) "you must be root to change the host name".
_SUBJECTS = {
    **dict.fromkeys((*FORKS, "unshare", "setns"), rf"{_NAMESPACES}|\bfork"),
    **dict.fromkeys(MOUNTS, r"\bmount"),
    **dict.fromkeys(PROGRAMS, r"\bexec"),
    "sethostname": r"host ?name\b(?!:)",
    "prctl": r"prctl|no_new_privs|seccomp|capabilit|securebits",
    "capset": r"capset|capabilit",
    "pivot_root": r"pivot",
}


def written(call: Call) -> str:
    """What write(2) or writev(2) wrote."""
    return "".join(strings(call.line)) if call.name == "writev" else plain(call.arguments[1])


def visible(text: str) -> str:
    """A text without colours and the blanks around it."""
    return _COLOURS.sub("", text).strip()


def has_errno(said: str, number: int) -> bool:
    """Whether a text in small letters has the words for an errno, or its name."""
    if number == errno.ENOENT and _NOT_FOUND in said:
        return True
    return os.strerror(number).lower() in said or errno.errorcode[number].lower() in said


def mentions(said: str, path: str) -> bool:
    """Whether the path stands in a text, or its last component as a word of its own."""
    name = path.rstrip("/").rpartition("/")[2]
    name = re.escape(name if len(name) > 1 else path)
    return bool(re.search(rf"(?<![\w.-]){name}(?![\w-])", said))


def has_subject(said: str, call: Call) -> bool:
    """Whether a text in small letters names the call or what it makes, and no other errno."""
    others = (number for number in errno.errorcode if number != call.errno)
    if any(os.strerror(number).lower() in said for number in others):
        return False
    subject = r"[ug]id.?map" if is_map(call) else _SUBJECTS.get(call.name, rf"\b{call.name}\b")
    return bool(re.search(subject, said))


def has_status(said: str, status: int) -> bool:
    """Whether a text in small letters tells of a program that ended with the status.

    >>> has_status("make: *** [makefile:2: all] error 1", 1)
    True
    """
    return bool(re.search(rf"\b(?:status|code|error|returned):? {status}\b", said))
