"""Says why a FUSE mount on the way to an image cannot be looked into, fuse(4)."""

from __future__ import annotations

import errno
import os
import posix

from minictr.image.refusals import printable, quoted, refuse
from minictr.refusal import Refusal

_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def stopped_by_fuse(path: str, directory: str, name: str, number: int) -> Refusal | None:
    """The refusal where `name` in `directory` is a FUSE mount that answers lstat(2) with `number`.

    EACCES is the kernel's answer to everybody but its own user, whatever the modes say; ENOTCONN
    that of a mount whose server has ended. None where no such mount is there.
    """
    point = f"{os.path.realpath(directory).rstrip('/')}/{name}"
    line = _line(point)
    options = line.rpartition(" ")[2].split(",")
    owner = next((word[8:] for word in options if word.startswith("user_id=")), "")
    where = {"point": printable(point)}
    if number == errno.ENOTCONN and line:
        command = "umount" if posix.geteuid() == 0 else "fusermount3 -u"
        proof = f"lstat(2) of {printable(point)}: ENOTCONN; mountinfo: {line}"
        return refuse("fuse without server", path, proof, at=quoted(point), tool=command, **where)
    if not owner or "allow_other" in options or owner == str(posix.geteuid()):
        return None
    proof = f"lstat(2) of {printable(point)}: EACCES; mountinfo: {line}"
    return refuse("fuse of another", path, proof, owner=owner, **where)


def _line(point: str) -> str:
    """The line of /proc/self/mountinfo of the FUSE mount on top at `point`; "" for none."""
    try:
        # Newlines alone part the lines: a name may hold a form feed, or a carriage return.
        with open("/proc/self/mountinfo", "rb") as file:
            lines = os.fsdecode(file.read()).split("\n")
    except OSError:  # no /proc: nothing is known
        return ""
    on = [line for line in lines if line and _plain(line.split(" ")[4]) == point]
    return on[-1] if on and on[-1].partition(" - ")[2].startswith("fuse") else ""


def _plain(text: str) -> str:
    for code, character in _ESCAPES:
        text = text.replace(code, character)
    return text
