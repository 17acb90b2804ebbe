"""Settles on the call to be explained, and how it is found again in the next run."""

from __future__ import annotations

import re

from minictr.diagnosis.watch.choose import Choice, Refused
from minictr.diagnosis.watch.kinds import PROGRAMS, path_of
from minictr.diagnosis.watch.programs import program_of
from minictr.diagnosis.watch.record import Call
from minictr.diagnosis.watch.run import Outcome
from minictr.diagnosis.watch.stand_in import NAMES
from minictr.diagnosis.watch.steps import failure_of, map_ids, searched
from minictr.runtime.idmap import MapIds
from minictr.runtime.launch import Failure
from minictr.runtime.mounts import Bind
from minictr.value import Value

_CHANGING = re.compile(r"0x[0-9a-f]+|\d+|<[^>]*>")
_BINDS = re.compile(r"--?(?:\w+-)*(?:bind|volume|v|B|mount)(?:-try)?")


class Sought(Value):
    """The failure to be explained.

    call         the call to be shown, after which the process is to be held
    occurrence   the how-many-th call of the kind it is, counted from 1
    here         it is about a path on the command line, which this process can look at as well
    needs_proof  it is a cause only where a probe proves one: the kernel refused nothing
    """

    failure: Failure
    program: str
    call: Call | None = None
    occurrence: int = 1
    helped: bool = False
    here: bool = False
    needs_proof: bool = False

    def matches(self, call: Call) -> bool:
        return self.call is not None and _key(call) == _key(self.call)


def sought(choice: Choice, command: list[str], outcome: Outcome) -> Sought | None:
    """What to explain; None where the kernel refused nothing that counts."""
    refused, missed = choice.refused(), choice.missed()
    if missed and not (refused and refused.score > 1):
        found = _missing_file(choice, missed, command)
        if found:
            return found
    if refused:
        return _refused(choice, refused)
    return _subordinate_ids(choice, outcome)


def _refused(choice: Choice, refused: Refused) -> Sought:
    program = program_of(choice.record, refused.process, refused.number)
    call = refused.call
    if call is None:
        return Sought(failure_of(refused, program), program, helped=True)
    refused = refused.replace(filesystem=_filesystem(choice, call))
    tries = _tries(choice, call)
    place = f"{program} (pid {refused.process})"
    if len(tries) > 1:
        failure = searched(place, refused.process, tries)
        if tries[0].name in PROGRAMS and isinstance(failure_of(refused, program).step, MapIds):
            failure = failure_of(refused, program)
    else:
        failure = failure_of(refused, program)
    if call.name == "open_tree" and isinstance(failure.step, Bind):  # the first half of a bind
        failure = failure.replace(call="mount", arguments=(failure.step.source, ""))
    return Sought(failure, program, call, _occurrence(choice, call))


def _filesystem(choice: Choice, call: Call) -> str:
    """The type that the process has last given to fsopen(2)."""
    opened = [one for one in choice.calls(call.process)
              if one.name == "fsopen" and one.number <= call.number]  # fmt: skip
    return path_of(opened[-1]) if opened else ""


def _tries(choice: Choice, call: Call) -> tuple[Call, ...]:
    """The calls by which execvp(3) tries one directory of PATH after the other."""
    if call.name not in PROGRAMS:
        return (call,)
    name = path_of(call).rpartition("/")[2]
    return tuple(
        one
        for one in choice.calls(call.process)
        if one.name == call.name
        and one.failed
        and path_of(one).rpartition("/")[2] == name
        and one.number <= call.number
    )


def _missing_file(choice: Choice, missed: tuple[Call, ...], command: list[str]) -> Sought | None:
    """A program that was looked for, or the source of a bind; None for any other file."""
    call = missed[-1]
    process = choice.record.process(call.process)
    program = program_of(choice.record, process)
    place = f"{program} (pid {process})"
    path, name = path_of(call), path_of(call).rpartition("/")[2]
    occurrence = _occurrence(choice, call)
    if name in NAMES:
        failure = Failure(place, 0, map_ids(path), "search", (name,), call.errno)
        return Sought(failure, program, call, here=True, needs_proof=True)
    bound = _bound(command, path)
    if bound:
        failure = Failure(place, 0, Bind(*bound), "mount", bound, call.errno)
        return Sought(failure, program, call, here=True)
    places = {path_of(one) for one in missed if path_of(one).startswith("/")}
    if len(places) > 1 and name in command[1:]:  # in one place alone any file is looked for
        failure = searched(place, process, missed)
        return Sought(failure, program, call, occurrence, needs_proof=True)
    return None


def _bound(command: list[str], path: str) -> tuple[str, str] | None:
    """(source, target) of an option that binds, whose source lies at the path or below it."""
    words = [part for word in command for part in word.split("=", 1)]
    for option, value, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        source, _, target = value.partition(":")
        target = target.partition(":")[0] or (after if after.startswith("/") else source)
        if _BINDS.fullmatch(option) and (source == path or source.startswith(path + "/")):
            return source, target
    return None


def _subordinate_ids(choice: Choice, outcome: Outcome) -> Sought | None:
    """The program read /etc/subuid or /etc/subgid, and spoke of it: it wants a map of many ids."""
    for kind in ("subuid", "subgid"):
        path = f"/etc/{kind}"
        readers = [call for call in choice.record.calls
                   if call.name in ("open", "openat") and path_of(call) == path]  # fmt: skip
        if readers and kind in outcome.last:
            process = choice.record.process(readers[-1].process)
            program = program_of(choice.record, process)
            failure = Failure(f"{program} (pid {process})", 0, MapIds((), ()), "getsubids",
                              (path,), 0, outcome.last)  # fmt: skip
            return Sought(failure, program, here=True, needs_proof=True)
    return None


def _occurrence(choice: Choice, call: Call) -> int:
    same = [one for one in choice.record.calls if one.failed and _key(one) == _key(call)]
    return same.index(call) + 1


def _key(call: Call) -> tuple[str, int, str]:
    """What two runs have in common of one call; numbers and descriptors may differ."""
    return call.name, call.errno, _CHANGING.sub("#", ", ".join(call.arguments))
