"""The channel between the launcher and the processes it starts: five words, one socket pair.

begin   (phase, index, microseconds)     a step begins
ready   ()                               the child dies with its parent from here on
go      ()                               the launcher's answer: your ids are mapped, carry on
failed  (phase, index, call, arguments, errno, said)   the sender blocks: it is the witness
exec    (name,)                          execve(2) comes next

The sockets are close-on-exec, so end of file after `exec` means that the payload runs. End of
file without it is a death on the way, in the step that last began.
"""

from __future__ import annotations

import _socket
import marshal

_MESSAGE = 65536
_CREDENTIALS = _socket.CMSG_SPACE(12)  # struct ucred: pid, uid, gid; unix(7)


class Channel:
    """One end. Messages keep their bounds (SOCK_SEQPACKET, unix(7))."""

    def __init__(self, end: _socket.socket) -> None:
        self.end = end

    def send(self, word: str, *rest: object) -> None:
        """Send one word. A reader that is gone is the reader's business: EPIPE is tolerated."""
        try:
            self.end.send(marshal.dumps((word, rest)), _socket.MSG_NOSIGNAL)  # type: ignore[arg-type]
        except BrokenPipeError:
            pass

    def receive(self) -> tuple[str, tuple[object, ...], int]:
        """The next word, what came with it, and the sender's pid as this process sees it.

        ("", (), 0) at end of file. The kernel vouches for the pid (SO_PASSCRED, unix(7)).
        """
        message, control, _, _ = self.end.recvmsg(_MESSAGE, _CREDENTIALS)
        if not message:
            return "", (), 0
        word, rest = marshal.loads(message)
        pid = int.from_bytes(control[0][2][:4], "little") if control else 0
        return word, rest, pid

    def close(self) -> None:
        self.end.close()

    def fileno(self) -> int:
        return self.end.fileno()


def pair() -> tuple[Channel, Channel]:
    """(the launcher's end, the children's end)."""
    ours, theirs = _socket.socketpair(
        _socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0
    )
    ours.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    return Channel(ours), Channel(theirs)
