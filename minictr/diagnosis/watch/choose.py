"""Finds, among the calls that were refused, the one that the command failed of.

Programs try things and fall back, so most refusals mean nothing. One counts where its process did
no further work of the kind afterwards, but ended in failure, and where the command's failure is
tied to it (tied.py). Of several it is the one of which most is said on standard error afterwards,
the words of its errno and its path; and of equals the last.
"""

from __future__ import annotations

import errno

from minictr.diagnosis.watch.arguments import plain, strings
from minictr.diagnosis.watch.kinds import (
    PROGRAMS,
    builds,
    fails,
    looks,
    new_namespaces,
    path_of,
    paths_of,
    works,
)
from minictr.diagnosis.watch.programs import program_of
from minictr.diagnosis.watch.record import FORKS, Call, Record
from minictr.diagnosis.watch.said import (
    gives_errno,
    goes_on,
    has_errno,
    lines_of,
    names,
    visible,
    written,
)
from minictr.diagnosis.watch.stand_in import Helped
from minictr.diagnosis.watch.tied import Doubt, Ties, of_the_message
from minictr.value import Value

_OF_PYTHON = "<string>"  # its traceback looks for a file of that name
_NOWHERE = "/dev/null"


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
        self._voice = f"<{voice}>"
        self._said = [
            (call.number, call)
            for call in record.calls
            if call.name in ("write", "writev") and self._voice in call.arguments[0]
            if visible(written(call))
        ]
        self._mine = {
            pid: record.of(pid)
            for pid in {record.process(call.process) for call in record.calls}
            if pid not in self.helped
        }
        self._ties = Ties(record, voice, self._mine)

    def refused(self) -> Refused | None:
        """The refused call that builds something, or the helper, which the failure came from."""
        found = [one for pid in self._mine for one in self._unforgiven(pid)]
        found += [self._of_helper(one) for one in self.helped.values() if one.status]
        tied = [one for one in found if self._ties.holds(self._doubt(one))]
        return max(tied, key=lambda one: (one.score, one.number), default=None)

    def doubtful(self) -> tuple[str, ...]:
        """The calls that were refused and not got over, to which nothing ties the failure."""
        found = [one for pid in self._mine for one in self._unforgiven(pid)]
        return tuple(
            f"{program_of(self.record, one.process, one.number)} (pid {one.process}): {call.line}"
            for one in sorted(found, key=lambda one: one.number)
            if (call := one.call)
        )

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
        return "".join(written(one) for place, one in self._said if place > number)

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

    def _doubt(self, one: Refused) -> Doubt:
        """The refusal, with what else is known of the words that were said of it."""
        words = one.helped.said.rpartition(": ")[2] if one.helped else ""
        call = one.call
        own = not call or not (self._meant_otherwise(call) or self._silenced(call))
        return Doubt(one.number, one.process, call, words, heard=one.score > 0, plain=own)

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
        """2 for a line said afterwards with the words of the errno and a path, 1 for the words."""
        writes = [one for number, one in self._said if number > call.number]
        lines = [line for _, line in lines_of(writes) if not goes_on(line)]
        if any(names(line, call) and has_errno(line, call.errno) for line in lines):
            return 2
        given = any(gives_errno(line, call.errno) for line in lines)
        own = given and not (self._meant_otherwise(call) or self._silenced(call))
        return int(own or any(names(line, call) for line in lines))

    def _meant_otherwise(self, call: Call) -> bool:
        """Whether a later call that builds nothing, on another file, gave the same errno."""
        return any(
            one.errno == call.errno
            and one.number > call.number
            and fails(one)
            and not of_the_message(one)
            and not (_name(one) and _name(one) in (_name(call), _OF_PYTHON))
            for pid, calls in self._mine.items()
            if self._failed(pid)
            for one in calls
        )

    def _silenced(self, call: Call) -> bool:
        """Whether the complaint about a refusal went elsewhere, and nobody has repeated it.

        Its words, where they are said aloud, are then somebody else's, about something else. Only
        /dev/null has to be opened for it: the command's output is discarded here.
        """
        pid = self.record.process(call.process)
        complaints = [
            one
            for one in self._mine.get(pid, [])
            if one.number > call.number and one.name in ("write", "writev")
            if one.arguments[0][:2] in ("1<", "2<") and visible(written(one))
        ]
        if not complaints or any(self._voice in one.arguments[0] for one in complaints):
            return False
        if all(_NOWHERE in one.arguments[0] for one in complaints):
            return self._opened_nowhere(pid)
        return lines_of(complaints)[-1][1] not in self.after(call.number).lower()

    def _opened_nowhere(self, pid: int) -> bool:
        """Whether a process, or one of those that started it, has opened /dev/null for output."""
        while not any(_opens_nowhere(one) for one in self._mine.get(pid, [])):
            parent = self.record.parents.get(pid)
            if parent is None:
                return False
            pid = self.record.process(parent)
        return True


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


def _name(call: Call) -> str:
    return next(iter(paths_of(call)), "").rpartition("/")[2]
