"""Tells whether a shell's script ends in a command that fails whatever came before it.

`false` and `exit 1` are no programs: a record of system calls does not have them, and the status
looks like that of the program before. So the script is read, where its text leaves no doubt.
"""

from __future__ import annotations

import re

from minictr.diagnosis.watch.arguments import strings
from minictr.diagnosis.watch.kinds import PROGRAMS
from minictr.diagnosis.watch.record import Call

_SHELLS = ("sh", "dash", "bash", "ash", "ksh", "mksh", "zsh")
_LAST = re.compile(r"(.*)[;&\n]\s*(?:false|exit\s+0*[1-9]\d*)\s*;?\s*", re.S)
# What may end the script before its end, or make its last words part of something else: a
# quotation, a comment, a here-document. What is opened without one of these is closed at the end.
_LEAVES = re.compile(r"\b(?:exit|exec|return|trap|eval|source|kill|set|alias)\b|(?:^|\s)\.\s")
_PARTS = re.compile(r"[\"'\\`#$]|<<|&&\s*\n|\|\s*\n")


def ends_by_itself(calls: list[Call]) -> bool:
    """Whether a process with these calls is a shell, started as NAME -c SCRIPT, of that kind.

    "" and an unknown script leave it open: False.
    """
    executed = [one for one in calls if one.name in PROGRAMS and not one.failed]
    if not executed:
        return False
    call = executed[-1]
    array = call.arguments[1] if call.name == "execve" and len(call.arguments) > 1 else ""
    given = strings(array)
    if len(given) < 3 or given[1] != "-c" or '"...' in array:
        return False
    return given[0].rpartition("/")[2] in _SHELLS and fails_at_its_end(given[2])


def fails_at_its_end(script: str) -> bool:
    """Whether the last command of a script fails, and is what the script's status comes from.

    >>> fails_at_its_end("unshare -n true; false")
    True
    >>> fails_at_its_end("unshare -n true || exit 1; false")
    False
    """
    found = _LAST.fullmatch(script)
    if not found or found[1].rstrip().endswith(("&", "|")):
        return False
    return not (_LEAVES.search(found[1]) or _PARTS.search(script))
