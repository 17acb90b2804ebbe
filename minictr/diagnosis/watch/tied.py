"""Tells whether the failure of the command came from a refusal, process by process.

A refusal that is followed by a failure need not be what the command failed of: scripts try things
and go on. It is followed upwards from the process that was refused. Who speaks last of it ties all
below to it; who says something else, does something else in vain, or ends with another status than
its child's, has failed of something else.
"""

from __future__ import annotations

import re

from minictr.diagnosis.watch.kinds import PROGRAMS, fails, looks, path_of, paths_of, works
from minictr.diagnosis.watch.last_word import ends_by_itself
from minictr.diagnosis.watch.programs import program_of
from minictr.diagnosis.watch.record import FORKS, Call, Record
from minictr.diagnosis.watch.said import (
    gives_errno,
    goes_on,
    has_status,
    has_subject,
    lines_of,
    mentions,
    names,
    tells_of,
    visible,
    written,
)
from minictr.value import Value

_OF_HELPERS = re.compile(r"[ug]id.?map")
_OPENS = ("open", "openat", "openat2")
_OF_LOCALES = ("/locale", "/gconv", ".mo", "/etc/nsswitch", "/etc/ld.so")
_OF_THE_KERNEL = ("/proc/", "/sys/")


class Doubt(Value):
    """A refusal as it is to be followed.

    number    its place in the record
    process   whose it was
    call      None where a helper failed, and `words` are those it said
    heard     something was said that may be about it; `plain`: the words of its errno are its own
    """

    number: int
    process: int
    call: Call | None
    words: str
    heard: bool
    plain: bool


class Ties:
    """The processes of one record, with what each said and did."""

    def __init__(self, record: Record, voice: str, mine: dict[int, list[Call]]) -> None:
        self._record = record
        self._voice = f"<{voice}>"
        self._mine = mine

    def holds(self, doubt: Doubt) -> bool:
        """Whether the command's failure is to be laid to the refusal."""
        chain = self._chain(doubt.process)
        for position in range(len(chain) - 1, 0, -1):
            pid, child = chain[position], chain[position - 1]
            said = self._said(pid, self._over(child, doubt))
            if said:
                return self._spoke(pid, doubt, said, child)
            if not self._handed_on(pid, child, doubt):
                return False
        end = self._record.ends.get(doubt.process)
        if end and end.killed:
            return False
        said = self._said(chain[0], doubt.number)
        if said:
            return self._spoke(chain[0], doubt, said, 0)
        return doubt.heard or (
            doubt.plain and self._at_once(chain[0], doubt) and self._quiet(doubt)
        )

    def _chain(self, pid: int) -> list[int]:
        """The process, its parent, and so on up to the command itself."""
        chain = [pid]
        while pid != self._record.first and pid in self._record.parents:
            pid = self._record.process(self._record.parents[pid])
            chain.append(pid)
        return chain

    def _over(self, child: int, doubt: Doubt) -> int:
        """From where on the parent knows of the failure: a child may report it and live on.

        apptainer(1) has a server mount for it, says that it failed, and then kills that.
        """
        end = self._record.ends.get(child)
        return end.number if end and not end.killed else doubt.number

    def _said(self, pid: int, number: int) -> list[Call]:
        """What a process has written to standard error after a place in the record."""
        return [
            call
            for call in self._mine.get(pid, [])
            if call.number > number and call.name in ("write", "writev")
            if self._voice in call.arguments[0] and visible(written(call))
        ]

    def _spoke(self, pid: int, doubt: Doubt, said: list[Call], child: int) -> bool:
        """Whether the last that a process said is about the refusal."""
        lines = lines_of(said)
        if self._names_another("\n".join(line for _, line in lines), doubt):
            return False
        about = [one for one in lines if self._about(one[1], doubt, pid, child)]
        if not about or about[-1] is lines[-1]:
            return bool(about)
        return not any(
            about[-1][0] < call.number < lines[-1][0] and _further(call) for call in self._mine[pid]
        )

    def _about(self, line: str, doubt: Doubt, pid: int, child: int) -> bool:
        """Whether a line in small letters gives the refusal as what went wrong."""
        if goes_on(line):
            return False
        if child and self._tells_of(line, child, doubt.plain):
            return True
        call = doubt.call
        if call is None:
            told = bool(doubt.words) and doubt.words.lower() in line
            return told or bool(_OF_HELPERS.search(line))
        if names(line, call):
            return True
        if not doubt.plain:
            return False
        said_so = call.name not in PROGRAMS and has_subject(line, call)
        return gives_errno(line, call.errno) or (
            said_so and (child > 0 or self._at_once(pid, doubt))
        )

    def _tells_of(self, line: str, child: int, plain: bool) -> bool:
        """Whether a line says of the program that the child ran that it failed, or its status.

        Its name counts where it is `plain`, as for the errno: "cannot mount" has a program's name.
        """
        end = self._record.ends.get(child)
        ran = any(one.name in PROGRAMS and not one.failed for one in self._mine.get(child, []))
        named = plain and ran and tells_of(line, program_of(self._record, child).lower())
        return named or bool(end and end.status and has_status(line, end.status))

    def _names_another(self, text: str, doubt: Doubt) -> bool:
        """Whether a text has the path of a later call with the same errno, and none of this one."""
        call = doubt.call
        if call is None or any(mentions(text, path.lower()) for path in paths_of(call)):
            return False
        return any(
            one.number > doubt.number and one.errno == call.errno and fails(one)
            and any(mentions(text, path.lower()) for path in paths_of(one))
            for pid, calls in self._mine.items() if self._failed(pid)
            for one in calls
        )  # fmt: skip

    def _handed_on(self, pid: int, child: int, doubt: Doubt) -> bool:
        """Whether a process that said nothing more ended as its child did, and of that alone."""
        ends, over = self._record.ends, self._over(child, doubt)
        if ends_by_itself(self._mine.get(pid, [])):
            return False
        if pid in ends and child in ends and ends[pid].status != ends[child].status:
            return False
        if pid in ends and ends[pid].killed:
            return False
        later = [call for call in self._mine.get(pid, []) if call.number > over]
        if any(works(call) or _in_vain(call) for call in later if not _found_after(call, later)):
            return False
        begun = [one for one in self._record.children(pid) if self._begun(one) > over]
        return not any(one in ends and ends[one].status for one in begun)

    def _begun(self, pid: int) -> int:
        return self._mine[pid][0].number if self._mine.get(pid) else 0

    def _failed(self, pid: int) -> bool:
        end = self._record.ends.get(pid)
        return end is None or end.status != 0

    def _at_once(self, pid: int, doubt: Doubt) -> bool:
        """Whether the process that was refused did nothing more than to end."""
        later = [call for call in self._mine.get(pid, []) if call.number > doubt.number]
        return pid == doubt.process and not any(_further(call) for call in later)

    def _quiet(self, doubt: Doubt) -> bool:
        """Whether nothing was said afterwards, and nothing further was done above the process."""
        later = [
            call
            for pid, calls in self._mine.items()
            for call in calls
            if call.number > doubt.number
        ]
        spoken = [
            call
            for call in later
            if call.name in ("write", "writev")
            if self._voice in call.arguments[0] or call.arguments[0].startswith("1<")
        ]
        above = self._chain(doubt.process)[1:]
        over = self._over(doubt.process, doubt)
        return not spoken and not any(
            call.number > over and _further(call) for pid in above for call in self._mine[pid]
        )


def _found_after(call: Call, later: list[Call]) -> bool:
    """Whether a look was one of several along PATH, and a later one found the program."""
    name = path_of(call).rpartition("/")[2]
    return looks(call) and any(
        one.number > call.number and not one.failed and path_of(one).rpartition("/")[2] == name
        for one in later
    )


def _in_vain(call: Call) -> bool:
    return bool(call.failed) and fails(call) and not of_the_message(call)


def _further(call: Call) -> bool:
    """Whether a call is a piece of work: not the printing of a message, nor the way out."""
    if of_the_message(call):
        return False
    opened = call.name in _OPENS and not call.failed
    return opened or works(call) or call.name in FORKS or _in_vain(call)


def of_the_message(call: Call) -> bool:
    """Whether it is for the translation of a message, or asks the kernel why it refused.

    podman(1) reads /proc/sys/user/max_user_namespaces after clone(2).
    """
    path = path_of(call)
    return path.startswith(_OF_THE_KERNEL) or any(part in path for part in _OF_LOCALES)
