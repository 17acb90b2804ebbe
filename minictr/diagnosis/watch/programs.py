"""Names the program that a process of the record runs."""

from __future__ import annotations

from minictr.diagnosis.watch.arguments import plain
from minictr.diagnosis.watch.kinds import PROGRAMS
from minictr.diagnosis.watch.record import Record


def program_path(record: Record, process: int, number: float) -> str:
    """The file that a process, or the one it was forked from, had executed at that place."""
    while process:
        calls = [one for one in record.of(process) if one.number < number]
        executed = [one for one in calls if one.name in PROGRAMS and not one.failed]
        if executed:
            return plain(executed[-1].arguments[0])
        process = record.process(record.parents.get(process, 0))
    return ""


def program_of(record: Record, process: int, number: float = float("inf")) -> str:
    """Its name; `number` is a place in the record."""
    return program_path(record, process, number).rpartition("/")[2] or f"process {process}"
