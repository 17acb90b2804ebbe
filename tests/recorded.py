"""Records of strace as text, and the call that is chosen from them."""

from __future__ import annotations

from minictr.diagnosis.watch.choose import Choice
from minictr.diagnosis.watch.record import Record
from minictr.diagnosis.watch.stand_in import Helped

VOICE = "pipe:[5]"
EPERM = "= -1 EPERM (Operation not permitted)"
ENOENT = "= -1 ENOENT (No such file or directory)"
START = '7 execve("/usr/bin/sandbox", ["sandbox"], 0x7 /* 3 vars */) = 0'


def said(text: str, pid: int = 7) -> str:
    return f'{pid} write(2<{VOICE}>, "{text}", {len(text)}) = {len(text)}'


def ended(status: int, pid: int = 7) -> str:
    return f"{pid} +++ exited with {status} +++"


def chosen(*lines: str, helped: tuple[Helped, ...] = ()) -> str:
    """The line of the chosen call, "" for none."""
    choice = choice_of(*lines, helped=helped)
    refused = choice.refused()
    if not refused:
        return ""
    return refused.call.line if refused.call else refused.helped.path if refused.helped else ""


def choice_of(*lines: str, helped: tuple[Helped, ...] = ()) -> Choice:
    record = Record()
    for line in (START, *lines):
        record.feed(line)
    return Choice(record, VOICE, list(helped))


REFUSED_CHILD = (
    "7 clone(child_stack=NULL, flags=SIGCHLD) = 8",
    '8 execve("/usr/bin/unshare", ["unshare"], 0x7 /* 3 vars */) = 0',
    f"8 unshare(CLONE_NEWNET) {EPERM}",
    said("unshare: Operation not permitted", 8),
    ended(1, 8),
)
SILENT_CHILD = (*REFUSED_CHILD[:3], ended(1, 8))
SILENCED = (
    "7 clone(child_stack=NULL, flags=SIGCHLD) = 8",
    '8 openat(AT_FDCWD, "/dev/null", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</dev/null>',
    f"8 unshare(CLONE_NEWUSER) {EPERM}",
    '8 write(2</dev/null>, "unshare failed: Operation not permitted", 39) = 39',
    ended(1, 8),
)
