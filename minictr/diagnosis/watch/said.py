"""Reads what was said: whether a line has the words of an errno, a path, or a call's subject.

A word alone says little: "Not Found" is what a web server answers, and "namespace" a word of XML.
"""

from __future__ import annotations

import errno
import os
import re

from minictr.diagnosis.watch.arguments import plain, strings
from minictr.diagnosis.watch.kinds import MOUNTS, PROGRAMS, is_map, paths_of
from minictr.diagnosis.watch.record import FORKS, Call

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What podman(1) adds to the words of an OCI runtime: the kind that it takes the error for.
_KIND = re.compile(r": oci (?:permission denied|runtime \w+ .*|runtime error)$")
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
_DENIES = re.compile(
    r"\b(?:no|not|cannot|can't|couldn't|didn't|fail(?:s|ed|ure)?|unable|must|denied|refused|"
    r"disabled|permissions?|privileges?|superuser|root|error|returned|exit(?:ed)?)\b"
)
_GOES_ON = re.compile(r"\b(?:optional|skipp(?:ed|ing)|ignor(?:ed|ing)|fall(?:s|ing) back)\b")
# Where strerror(3) stands: after a colon or the like, and at the end but for what languages add.
_BEFORE, _AFTER = r"(?:^|[:\]=(,\"'] ?)\s*", r"[.)\"']*(?:$| \(os error| at \S+ line \d)"


def written(call: Call) -> str:
    """What write(2) or writev(2) wrote."""
    return "".join(strings(call.line)) if call.name == "writev" else plain(call.arguments[1])


def visible(text: str) -> str:
    """A text without colours and the blanks around it."""
    return _COLOURS.sub("", text).strip()


def lines_of(writes: list[Call]) -> list[tuple[int, str]]:
    """What was written, in lines in small letters, each with the place of the call that ended it.

    A line may have been written in pieces. It is without the kind that podman gives to an error,
    and a path is as it was before it was written in JSON.
    """
    found, rest = [], ""
    for call in writes:
        *lines, rest = (rest + written(call)).split("\n")
        found += [(call.number, line) for line in lines]
    found += [(writes[-1].number, rest)] if rest else []
    shown = ((number, visible(line).lower()) for number, line in found)
    return [(number, _KIND.sub("", line.replace("\\/", "/"))) for number, line in shown if line]


def has_errno(said: str, number: int) -> bool:
    """Whether a text in small letters has the words for an errno, or its name."""
    if number == errno.ENOENT and _NOT_FOUND in said:
        return True
    if number == errno.EPERM and os.strerror(errno.EACCES).lower() in said:  # mount(8) does so
        return True
    return os.strerror(number).lower() in said or errno.errorcode[number].lower() in said


def gives_errno(line: str, number: int) -> bool:
    """Whether the line gives the errno as its reason, and not in a sentence about something else.

    >>> gives_errno("sandbox: operation not permitted", 1)
    True
    >>> gives_errno("ftp: server says: 550 operation not permitted", 1)
    False
    """
    words = re.escape(os.strerror(number).lower())
    words = rf"(?:{words}|{_NOT_FOUND})" if number == errno.ENOENT else words
    name = errno.errorcode[number].lower()
    return bool(re.search(rf"{_BEFORE}{words}{_AFTER}|\b{name}\b", line))


def mentions(said: str, path: str) -> bool:
    """Whether the path stands in a text, or its last component as a word of its own."""
    name = path.rstrip("/").rpartition("/")[2]
    name = re.escape(name if len(name) > 1 else path)
    return bool(re.search(rf"(?<![\w.-]){name}(?![\w-])", said))


def has_subject(said: str, call: Call) -> bool:
    """Whether a line in small letters says that the call, or what it makes, was denied."""
    own = [call.errno]
    if call.name in MOUNTS and call.errno == errno.EPERM:  # mount(8) does so
        own.append(errno.EACCES)
    others = (number for number in errno.errorcode if number not in own)
    if any(os.strerror(number).lower() in said for number in others):
        return False
    subject = r"[ug]id.?map" if is_map(call) else _SUBJECTS.get(call.name, rf"\b{call.name}\b")
    return bool(re.search(subject, said) and _DENIES.search(said))


def names(line: str, call: Call) -> bool:
    """Whether a line in small letters has a path of the call, and that it was refused."""
    if not any(mentions(line, path.lower()) for path in paths_of(call)):
        return False
    # What the kernel cannot execute a shell reads, and complains of whatever is in it.
    return has_errno(line, call.errno) or has_subject(line, call) or call.errno == errno.ENOEXEC


def tells_of(said: str, program: str) -> bool:
    """Whether a line in small letters says that the program failed."""
    return bool(program and mentions(said, program) and _DENIES.search(said))


def goes_on(said: str) -> bool:
    """Whether a line in small letters says that it was got over.

    >>> goes_on("nosuchtool is optional and was skipped; 3 tests failed")
    True
    """
    return bool(_GOES_ON.search(said))


def has_status(said: str, status: int) -> bool:
    """Whether a line in small letters tells of a program that ended with the status.

    >>> has_status("make: *** [makefile:2: all] error 1", 1)
    True
    >>> has_status("the server answered with status 1", 1)
    False
    """
    ended = r"\] error|exit(?:ed|s)?(?: with)?(?: (?:status|code|value))?|returned"
    return bool(re.search(rf"(?:{ended}):? {status}\b", said))
