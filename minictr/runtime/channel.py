"""The channel between the launcher and the processes it starts: five words, one socket pair.

begin   (phase, index, microseconds)     a step begins
go      ()                               the launcher's answer: carry on, your ids are mapped, or
                                         after `exec`: a signal for me is one for you from now on
failed  (call, arguments, errno, said)   a step was refused
here    ()                               the sender blocks: it is the witness
exec    ()                               execve(2) comes next, or the end: a signal ended a script

End of file after `exec` means that the payload runs: the sockets are close-on-exec, and PID 1,
which spawns it and executes nothing itself, closes its end when the child's execve(2) is done. End
of file without it is a death on the way, in the step that last began.

`begin` is sent at every step and matters only when one fails. Unless somebody watches, it goes
into a pipe that is read after a failure: forty words to a waiting launcher are forty wake-ups.
"""

from __future__ import annotations

import marshal
import posix

from minictr.runtime.files import pipe2
from minictr.runtime.syscalls import (
    SO_PASSCRED,
    SOCK_SEQPACKET,
    CallError,
    setsockopt,
    socketpair,
)

_MESSAGE = 65536
_LONGEST = 8192  # characters of a text that a failing call was given, or that a program said


class Channel:
    """One end. Messages keep their bounds (SOCK_SEQPACKET, unix(7)).

    steps     this end of the pipe of steps: two bytes each, phase and index
    watched   whether `begin` is sent as a word
    """

    def __init__(self, end: int, steps: int, watched: bool) -> None:
        self.end = end
        self.steps = steps
        self.watched = watched

    def begin(self, phase: int, index: int, moment: int) -> None:
        """Say that a step begins."""
        if self.watched:
            self.send("begin", phase, index, moment)
        else:
            posix.write(self.steps, bytes((phase, index)))

    def last_step(self, said: tuple[int, int]) -> tuple[int, int]:
        """(phase, index) of the step that last began, after the writer has stopped.

        said   what the last `begin` said, where that is sent as a word
        """
        if self.watched:
            return said
        posix.set_blocking(self.steps, False)
        try:
            steps = posix.read(self.steps, _MESSAGE)
        except BlockingIOError:  # the writer lives, and no step began
            steps = b""
        return (steps[-2], steps[-1]) if steps else (-1, 0)

    def send(self, word: str, *rest: object) -> None:
        """Send one word. A reader that is gone is the reader's business: EPIPE is tolerated.

        Raises CallError where a filter only pretends to: the other end would wait for ever.
        """
        message = marshal.dumps((word, rest))  # type: ignore[arg-type]
        try:
            if not posix.write(self.end, message):
                raise CallError("write", (self.end, word), 0, f"0 of {len(message)} bytes")
        except BrokenPipeError:
            return

    def fail(self, refused: CallError) -> None:
        """Say what was refused, and block until the launcher has looked at this process.

        Arguments and environment of a command can exceed a message; the launcher has them.
        """
        short = tuple(
            argument[:_LONGEST] if isinstance(argument, str) else argument
            for argument in refused.arguments
            if not isinstance(argument, list | dict)
        )
        self.send("failed", refused.call, short, refused.errno, refused.said[:_LONGEST])
        self.send("here")
        self.receive()

    def receive(self) -> tuple[str, tuple[object, ...]]:
        """The next word, and what came with it; ("", ()) at end of file."""
        try:
            message = posix.read(self.end, _MESSAGE)
        except ConnectionResetError:  # the other end died with a word of ours unread: unix(7)
            return "", ()
        return marshal.loads(message) if message else ("", ())

    def witness(self) -> int:
        """Who says `here`: its pid as this process sees it, 0 where nobody does.

        The kernel vouches for the pid: SO_PASSCRED, unix(7).
        """
        import _socket  # dear to a launch that succeeds

        end = _socket.socket(fileno=self.end)
        try:
            _, control, _, _ = end.recvmsg(_MESSAGE, _socket.CMSG_SPACE(12))  # struct ucred
        except ConnectionResetError:
            return 0
        finally:
            end.detach()
        return int.from_bytes(control[0][2][:4], "little") if control else 0

    def maker(self) -> int:
        """Who made the channel: its pid as this process sees it, 0 for one outside of what it sees.

        The kernel vouches for the pid: SO_PEERCRED, unix(7).
        """
        import _socket  # dear to a launch that succeeds

        end = _socket.socket(fileno=self.end)
        made = end.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)  # struct ucred
        end.detach()
        return int.from_bytes(made[:4], "little")

    def close(self) -> None:
        """Close this end in this process."""
        posix.close(self.end)
        posix.close(self.steps)

    def descriptors(self) -> tuple[int, int]:
        """What has to stay open as long as the channel is needed."""
        return self.end, self.steps


def pair(watched: bool) -> tuple[Channel, Channel]:
    """(the launcher's end, the children's end). Raises CallError: EMFILE; or a filter's EPERM."""
    ours, theirs = socketpair(SOCK_SEQPACKET)
    try:
        setsockopt(ours, SO_PASSCRED, b"\1\0\0\0")
        reader, writer = pipe2(posix.O_CLOEXEC)
    except CallError:  # of which a report is made, that needs descriptors, too
        posix.close(ours)
        posix.close(theirs)
        raise
    return Channel(ours, reader, watched), Channel(theirs, writer, watched)
