"""Finds, among the calls that were refused, the one that the command failed of.

Programs try things and fall back, so most refusals mean nothing. One counts where its process did
no further work of the kind afterwards, but ended in failure; and of those, first, where what was
said on standard error afterwards has the words of its errno or its path. Where nothing was said of
any, the last one counts of the process whose failure the command handed on as its own.
"""

from __future__ import annotations

import errno
import os
import re

from minictr.diagnosis.watch.arguments import plain, strings
from minictr.diagnosis.watch.kinds import (
    OTHERS,
    PROGRAMS,
    builds,
    looks,
    new_namespaces,
    path_of,
    paths_of,
    works,
)
from minictr.diagnosis.watch.record import FORKS, Call, Record
from minictr.diagnosis.watch.stand_in import Helped
from minictr.value import Value

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Who tidies up meets these, and says nothing of them.
_OF_TIDYING = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY)
_NOWHERE = "/dev/null"
_NOT_FOUND = "not found"  # what is said of a program that PATH does not lead to


class Refused(Value):
    """The call that the failure came from; of a helper that ran and failed, the call is None.

    process  whose failure it was
    score    how much what was said afterwards names of it: 1 the errno, 1 the path
    number   its place in the record
    filesystem  the type that was last given to fsopen(2)
    """

    process: int
    number: int
    call: Call | None = None
    helped: Helped | None = None
    score: int = 0
    filesystem: str = ""


class Choice:
    """One record with what was said while it was made."""

    def __init__(self, record: Record, voice: str, helped: list[Helped]) -> None:
        self.record = record
        self.helped = {one.pid: one for one in helped}
        self._said = [
            (call.number, _written(call))
            for call in record.calls
            if call.name in ("write", "writev") and f"<{voice}>" in call.arguments[0]
            if _COLOURS.sub("", _written(call)).strip()
        ]
        self._mine = {
            pid: record.of(pid)
            for pid in {record.process(call.process) for call in record.calls}
            if pid not in self.helped
        }

    def refused(self) -> Refused | None:
        """The refused call that builds something, or the helper, which the failure came from."""
        found = [one for pid in self._mine for one in self._unforgiven(pid)]
        found += [self._of_helper(one) for one in self.helped.values() if one.status]
        named = [one for one in found if one.score and not self._talked_past(one)]
        if named:
            return max(named, key=lambda one: (one.score, one.number))
        handed = self._handed_on(self.record.first, found)
        return None if handed and self._about_something_else(handed) else handed

    def missed(self) -> tuple[Call, ...]:
        """The looks for one file, under one name in several places, of which the message speaks."""
        found: list[Call] = []
        for pid, calls in self._mine.items():
            if self._failed(pid):
                found += [call for call in calls if looks(call) and self._score(call) > 1]
        if not found:
            return ()
        last = max(found, key=lambda call: call.number)
        name = _name(last)
        return tuple(
            call
            for call in self._mine[self.record.process(last.process)]
            if looks(call) and _name(call) == name and call.number <= last.number
        )

    def calls(self, process: int) -> list[Call]:
        """The calls of one process."""
        return self._mine.get(self.record.process(process), [])

    def after(self, number: int) -> str:
        """What was said after a place in the record."""
        return "".join(text for place, text in self._said if place > number)

    def _unforgiven(self, pid: int) -> list[Refused]:
        """The refusals that a process did not get over; () where it ended well."""
        if not self._failed(pid):
            return []
        calls = self._mine[pid]
        return [
            Refused(pid, call.number, call, score=self._score(call))
            for position, call in enumerate(calls)
            if call.failed and builds(call) and not _got_over(call, calls[position + 1 :])
        ]

    def _failed(self, pid: int) -> bool:
        """Whether a process ended in failure, or not at all: then its children may have."""
        end = self.record.ends.get(pid)
        return end is None or end.status != 0

    def _of_helper(self, helped: Helped) -> Refused:
        end = self.record.ends.get(helped.pid)
        number = end.number if end else 0
        process = self.record.process(self.record.parents.get(helped.pid, helped.pid))
        said = helped.said.rpartition(": ")[2]
        score = 2 if said and said in self.after(0) else 1
        return Refused(process, number, helped=helped, score=score)

    def _score(self, call: Call) -> int:
        """1 for the words of the errno in what was said afterwards, 1 for a path, 2 for both."""
        said = self.after(call.number).lower()
        words = _has_errno(said, call.errno) and not (
            self._meant_otherwise(call) or self._silenced(call)
        )
        return words + any(_mentions(said, path.lower()) for path in paths_of(call))

    def _talked_past(self, one: Refused) -> bool:
        """Whether the last message is not about this, and a process begun since failed as well."""
        if one.call is None:
            return False
        said = self._said[-1][1].lower() if self._said else ""
        paths = paths_of(one.call)
        if _has_errno(said, one.call.errno) or any(_mentions(said, p.lower()) for p in paths):
            return False
        end = self.record.ends.get(one.process)
        over = end.number if end else one.number
        return any(
            calls and calls[0].number > over and self._failed(pid)
            for pid, calls in self._mine.items()
        )

    def _about_something_else(self, one: Refused) -> bool:
        """Whether the last message has another errno's words, or a path that was missed later.

        Or the same words, where this refusal was complained of and nobody was to hear it.
        """
        if one.call is None or not self._said:
            return False
        said = self._said[-1][1].lower()
        if _has_errno(said, one.call.errno) and self._silenced(one.call):
            return True
        others = (number for number in errno.errorcode if number != one.call.errno)
        missed = (
            path.lower()
            for pid, calls in self._mine.items()
            if self._failed(pid)
            for call in calls
            if call.number > one.number and looks(call)
            for path in paths_of(call)
        )
        return any(os.strerror(number).lower() in said for number in others) or any(
            _mentions(said, path) for path in missed
        )

    def _meant_otherwise(self, call: Call) -> bool:
        """Whether a later call that builds nothing was refused with the same errno."""
        if call.errno in _OF_TIDYING:
            return False
        return any(
            one.errno == call.errno and one.number > call.number and one.name in OTHERS
            for pid, calls in self._mine.items()
            if self._failed(pid)
            for one in calls
        )

    def _silenced(self, call: Call) -> bool:
        """Whether the complaint about a refusal went to a /dev/null that was opened for it.

        Its words, where they are said aloud, are then somebody else's, about something else. What
        merely was not heard because the command's output is discarded here is not meant by it.
        """
        pid: int | None = self.record.process(call.process)
        complaints = [
            one.arguments[0]
            for one in self._mine.get(pid or 0, [])
            if one.number > call.number and one.name in ("write", "writev")
            if _has_errno(_written(one).lower(), call.errno)
        ]
        if not complaints or not all(_NOWHERE in place for place in complaints):
            return False
        while pid is not None:
            if any(_opens_nowhere(one) for one in self._mine.get(pid, [])):
                return True
            parent = self.record.parents.get(pid)
            pid = None if parent is None else self.record.process(parent)
        return False

    def _handed_on(self, pid: int, found: list[Refused]) -> Refused | None:
        """The last refusal of the process from which the command had its failure."""
        ends = self.record.ends
        own = [one for one in found if one.process == pid]
        last = max(own, key=lambda one: one.number, default=None)
        children = [child for child in self.record.children(pid) if self._failed(child)]
        ended = [child for child in children if child in ends]
        if ended:
            child = max(ended, key=lambda one: ends[one].number)
            if any(
                (works(call) or (call.failed and call.name in OTHERS))
                for call in self.calls(pid)
                if call.number > ends[child].number
            ):
                return last
            if not last or ends[child].number > last.number:
                return self._handed_on(child, found)
        return last


def _got_over(call: Call, later: list[Call]) -> bool:
    """Whether the process went on with work of the kind, or succeeded with the same thing."""
    if call.name in PROGRAMS and call.errno == errno.ENOEXEC:
        # execvp(3) hands what the kernel could not execute to a shell, whatever it is.
        path = plain(call.arguments[0])
        later = [one for one in later if path not in strings(one.line)]
    if any(works(one) for one in later):
        return True
    if call.name in FORKS and not new_namespaces(call):
        return any(one.name in FORKS and not one.failed for one in later)
    return any(one.name == call.name and one.arguments == call.arguments and not one.failed
               for one in later)  # fmt: skip


def _opens_nowhere(call: Call) -> bool:
    writes = "O_WRONLY" in call.line or "O_RDWR" in call.line
    return call.name in ("open", "openat") and writes and path_of(call) == _NOWHERE


def _has_errno(said: str, number: int) -> bool:
    """Whether a text in small letters has the words for an errno, or its name."""
    if number == errno.ENOENT and _NOT_FOUND in said:
        return True
    return os.strerror(number).lower() in said or errno.errorcode[number].lower() in said


def _written(call: Call) -> str:
    return "".join(strings(call.line)) if call.name == "writev" else plain(call.arguments[1])


def _name(call: Call) -> str:
    return next(iter(paths_of(call)), "").rpartition("/")[2]


def _mentions(said: str, path: str) -> bool:
    """Whether the path stands in a text, or its last component as a word of its own."""
    name = path.rstrip("/").rpartition("/")[2]
    name = re.escape(name if len(name) > 1 else path)
    return bool(re.search(rf"(?<![\w.-]){name}(?![\w-])", said))
