"""Says what was seen of a command that failed without a refusal that counts."""

from __future__ import annotations

import errno
import signal

from minictr.diagnosis.watch.arguments import opened
from minictr.diagnosis.watch.choose import Choice
from minictr.diagnosis.watch.kinds import builds, fails, path_of
from minictr.diagnosis.watch.record import Call
from minictr.diagnosis.watch.said import gives_errno, names
from minictr.diagnosis.watch.trace import Traced

# With these the kernel refuses what it could do; of a file that is not there it says so.
_REFUSALS = (
    errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBUSY,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETXTBSY,
)  # fmt: skip


def other_refusal(traced: Traced, choice: Choice) -> str:
    """The call of another kind that the last line gives as refused, or the signal; "" for none."""
    record, status = traced.record, traced.outcome.status
    if any(end.killed and end.status == status for end in record.ends.values()):
        name = signal.Signals(status - 128).name
        return f"{name} ended it" + (", the signal of seccomp filters" if name == "SIGSYS" else "")
    line = traced.outcome.last.lower()
    refused = [one for one in record.calls if fails(one) and one.errno in _REFUSALS]
    named = [one for one in refused if names(line, one)]
    built = {one.errno for one in record.calls if builds(one)}
    given = [one for one in refused if gives_errno(line, one.errno) and one.errno not in built]
    found = named or given
    return _told(found[-1]) if found else ""


def _told(call: Call) -> str:
    path = path_of(call) or opened(call.arguments[0])
    of = f" of {path}" if path else ""
    return f"{call.name}(2){of} was refused ({errno.errorcode[call.errno]})"


def unrefused(traced: Traced, choice: Choice) -> tuple[str, ...]:
    """How much was watched, what was refused without a tie to the failure, the last words."""
    calls, processes = len(traced.record.calls), len(traced.record.parents) + 1
    watched = f"{calls} calls of {processes} processes watched: "
    doubtful = choice.doubtful()
    if doubtful:
        return (
            f"{watched}what was refused is not tied to the failure; last of it",
            f"  {doubtful[-1]}",
            traced.outcome.last,
        )
    return (
        f"{watched}none that makes namespaces, maps, mounts or starts programs was refused without "
        "its process getting over it",
        traced.outcome.last,
    )
