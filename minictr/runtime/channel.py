"""The channel between the launcher and the processes it starts: five words, one socket pair.

begin   (phase, index, microseconds)     a step begins
ready   ()                               the child dies with its parent from here on
go      ()                               the launcher's answer: carry on, your ids are mapped, or
                                         after `exec`: a signal for me is one for you from now on
failed  (call, arguments, errno, said)   the sender blocks: it is the witness
exec    ()                               execve(2) comes next

The sockets are close-on-exec, so end of file after `exec` means that the payload runs. End of
file without it is a death on the way, in the step that last began.

`begin` is sent at every step and matters only when one fails. Unless somebody watches, it goes
into a pipe that is read after a failure: forty words to a waiting launcher are forty wake-ups.
"""

from __future__ import annotations

import _socket
import marshal
import posix

from minictr.runtime.files import keeping, pipe2

_MESSAGE = 65536
_CREDENTIALS = _socket.CMSG_SPACE(12)  # struct ucred: pid, uid, gid; unix(7)


class Channel:
    """One end. Messages keep their bounds (SOCK_SEQPACKET, unix(7)).

    steps     this end of the pipe of steps: two bytes each, phase and index
    watched   whether `begin` is sent as a word
    """

    def __init__(self, end: _socket.socket, steps: int, watched: bool) -> None:
        self.end = end
        self.steps = steps
        self.watched = watched

    def begin(self, phase: int, index: int, moment: int) -> None:
        """Say that a step begins."""
        if self.watched:
            self.send("begin", phase, index, moment)
        else:
            posix.write(self.steps, bytes((phase, index)))

    def last_step(self) -> tuple[int, int]:
        """(phase, index) of the step that last began in the pipe, after the writer has stopped."""
        posix.set_blocking(self.steps, False)
        try:
            steps = posix.read(self.steps, _MESSAGE)
        except BlockingIOError:  # the writer lives, and no step began
            steps = b""
        return (steps[-2], steps[-1]) if steps else (-1, 0)

    def send(self, word: str, *rest: object) -> None:
        """Send one word. A reader that is gone is the reader's business: EPIPE is tolerated."""
        message = marshal.dumps((word, rest))  # type: ignore[arg-type]
        try:
            self.end.send(message, _socket.MSG_NOSIGNAL)
        except BrokenPipeError:
            return

    def receive(self) -> tuple[str, tuple[object, ...], int]:
        """The next word, what came with it, and the sender's pid as this process sees it.

        ("", (), 0) at end of file. The kernel vouches for the pid (SO_PASSCRED, unix(7)).
        """
        try:
            message, control, _, _ = self.end.recvmsg(_MESSAGE, _CREDENTIALS)
        except ConnectionResetError:  # the other end died with a word of ours unread: unix(7)
            return "", (), 0
        if not message:
            return "", (), 0
        word, rest = marshal.loads(message)
        pid = int.from_bytes(control[0][2][:4], "little") if control else 0
        return word, rest, pid

    def close(self) -> None:
        """Close this end in this process."""
        self.end.close()
        posix.close(self.steps)

    def descriptors(self) -> tuple[int, int]:
        """What has to stay open as long as the channel is needed."""
        return self.end.fileno(), self.steps


def pair(watched: bool) -> tuple[Channel, Channel]:
    """(the launcher's end, the children's end). Raises CallError: EMFILE; or a filter's EPERM."""
    socketpair = keeping("socketpair", _socket.socketpair)
    ours, theirs = socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
    setsockopt = keeping("setsockopt", ours.setsockopt)
    setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    reader, writer = pipe2(posix.O_CLOEXEC)
    return Channel(ours, reader, watched), Channel(theirs, writer, watched)
