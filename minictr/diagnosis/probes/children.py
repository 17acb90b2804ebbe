"""Asks a question in a forked child: what it tries ends with it, and a filter kills only it."""

from __future__ import annotations

import errno
import marshal
import posix
import select
from collections.abc import Callable

from minictr.runtime import privileges
from minictr.runtime.namespaces import FLAGS
from minictr.runtime.syscalls import CallError, clone
from minictr.value import Value

PATIENCE = 100  # milliseconds; an answer takes 1 to 5
_SIGKILL = 9


class Answer(Value):
    """What a child answered.

    value    what the function gave; marshal(3) carries it
    signal   the signal that ended the child before it could answer
    trouble  why there is no answer, "" where there is one
    made     whether there was a child at all
    errno    with which clone(2) or pipe2(2) refused it
    """

    value: object = None
    signal: int = 0
    trouble: str = ""
    made: bool = True
    errno: int = 0


def ask(
    question: Callable[..., object],
    *arguments: object,
    namespaces: tuple[str, ...] = (),
    patience: int = PATIENCE,
) -> Answer:
    """question(*arguments) as a child in new namespaces answers it within `patience` ms."""
    try:
        reader, writer = posix.pipe2(posix.O_CLOEXEC)
    except OSError as error:
        return _not_made("pipe2", error.errno or 0, ())
    asking = posix.getpid()
    try:
        child = clone(sum(FLAGS[kind] for kind in namespaces))
        if child == 0 and posix.getpid() == asking and not (asking == 1 and "pid" in namespaces):
            raise CallError("clone", (), 0)  # a filter's answer: this is no child
    except CallError as refused:
        posix.close(reader)
        posix.close(writer)
        return _not_made("clone", refused.errno, namespaces)
    if child == 0:
        _answer(writer, question, arguments)
    posix.close(writer)
    return _heard(child, reader, patience)


def _not_made(call: str, number: int, namespaces: tuple[str, ...]) -> Answer:
    name = errno.errorcode.get(number, number)
    what = f" with new namespaces ({' '.join(namespaces)})" if namespaces else ""
    trouble = f"no child{what} could be made: {call}(2) gave {name}"
    return Answer(trouble=trouble, made=False, errno=number)


def _answer(writer: int, question: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        privileges.die_with_parent()
        message = (question(*arguments), "")
    except Exception as error:
        message = (None, f"the child that asked failed: {type(error).__name__}: {error}")
    try:
        posix.write(writer, marshal.dumps(message))  # type: ignore[arg-type]
    finally:
        posix._exit(0)


def _heard(child: int, reader: int, patience: int) -> Answer:
    poll = select.poll()
    poll.register(reader)
    answered = poll.poll(patience)
    message = posix.read(reader, 1 << 16) if answered else b""
    posix.close(reader)
    if not answered:
        posix.kill(child, _SIGKILL)
    try:
        _, status = posix.waitpid(child, 0)
    except ChildProcessError:  # the caller ignores SIGCHLD: the kernel has reaped it, wait(2)
        status = 0
    if message:
        value, trouble = marshal.loads(message)
        return Answer(value, trouble=trouble)
    if not answered:
        return Answer(trouble=f"a child gave no answer in {patience} ms")
    code = posix.waitstatus_to_exitcode(status)
    if code < 0:
        return Answer(signal=-code, trouble=f"signal {-code} ended the child that asked")
    return Answer(trouble="the child that asked ended without an answer")
