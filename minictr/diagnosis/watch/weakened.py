"""Finds the programs that being watched takes the privilege from."""

from __future__ import annotations

from minictr.diagnosis.probes.privileges import gives_privilege
from minictr.diagnosis.watch.arguments import plain
from minictr.diagnosis.watch.kinds import PROGRAMS
from minictr.diagnosis.watch.record import Record


def weakened(record: Record, uid: int) -> tuple[str, ...]:
    """The programs with a privilege of their own that were executed and ended in failure.

    Root's tracer may trace them with their privilege (ptrace(2), CAP_SYS_PTRACE).
    """
    if uid == 0:
        return ()
    found = []
    for call in record.calls:
        end = record.ends.get(record.process(call.process))
        if call.name in PROGRAMS and not call.failed and (end is None or end.status):
            found.append(plain(call.arguments[0]))
    return tuple(path for path in dict.fromkeys(found) if gives_privilege(path))
