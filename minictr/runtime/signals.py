"""Signals: what the launcher and PID 1 do with them while they wait for the payload."""

from __future__ import annotations

import _signal
import posix

from minictr.runtime import privileges
from minictr.runtime.syscalls import CallError

_SIGHUP, _SIGINT, _SIGQUIT, _SIGUSR1, _SIGUSR2, _SIGALRM, _SIGTERM = 1, 2, 3, 10, 12, 14, 15
_SIGPIPE, _SIGCHLD, _SIGCONT, _SIGSTOP, _SIGTSTP, _SIGTTOU = 13, 17, 18, 19, 20, 22
_SIGXCPU, _SIGXFSZ, _SIGIO, _SIGPWR = 24, 25, 29, 30
_REAL_TIME = range(34, 65)  # libc keeps 32 and 33 for its threads: nptl(7)
_SI_KERNEL = 0x80  # sigaction(2): sent by the kernel, here: by the terminal

# What somebody may send to the launcher and means for the payload. Faults (SIGSEGV, ...) are the
# process's own, and SIGWINCH reaches the payload by itself.
FORWARDED = frozenset((
    _SIGHUP, _SIGINT, _SIGQUIT, _SIGUSR1, _SIGUSR2, _SIGALRM, _SIGTERM, _SIGCONT, _SIGTSTP,
    _SIGXCPU, _SIGIO, _SIGPWR, *_REAL_TIME,
))  # fmt: skip
_WAITED = FORWARDED | {_SIGCHLD}
_ENDED = posix.WEXITED | posix.WNOHANG | posix.WNOWAIT  # and leave it a zombie
_LAST_WORDS = "signal "  # of PID 1, as its name: 15 bytes at most
# The interpreter ignores these, and an ignored signal stays ignored over execve(2): `yes | head`
# would never end.
IGNORED = (_SIGPIPE, _SIGXFSZ)


def catch_interrupts(catch: bool = True) -> None:
    """Have SIGINT raise KeyboardInterrupt, for who has something to tidy up; or end us, as before.

    It ends a launch from the start: start.py. A caller who ignores it goes on ignoring it. What is
    imported afterwards can swallow the exception: to be imported before.
    """
    if _signal.getsignal(_SIGINT) != _signal.SIG_IGN:
        to_catch = _signal.default_int_handler  # type: ignore[attr-defined]
        _signal.signal(_SIGINT, to_catch if catch else _signal.SIG_DFL)


def expect_children() -> set[int]:
    """Have our children wait to be reaped; the signals which the caller has blocked.

    A caller that ignores SIGCHLD hands that on over execve(2); the kernel then reaps our children
    itself and their exit status is lost: wait(2), NOTES.
    """
    _signal.signal(_SIGCHLD, _signal.SIG_DFL)
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, ())


def block() -> None:
    """Keep signals pending until `supervise` takes them; none is lost, none interrupts."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _WAITED)


def restore(blocked: set[int]) -> None:
    """Give the payload the caller's signal mask, and the signals that we changed their default.

    The interpreter catches SIGINT, unless the caller ignored it: one that is caught in the instant
    before execve(2) would be forgotten by it.
    """
    for number in IGNORED:
        _signal.signal(number, _signal.SIG_DFL)
    if _signal.getsignal(_SIGINT) != _signal.SIG_IGN:
        _signal.signal(_SIGINT, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)


def hand_over(payload: int) -> None:
    """Send a new payload what came for it before it was there, from the terminal as well."""
    while came := _signal.sigtimedwait(FORWARDED, 0):  # type: ignore[attr-defined]
        posix.kill(payload, came.si_signo)


def supervise(payload: int, everyone: bool = False) -> int:
    """Wait for the payload and pass signals on to it. Its exit status, or minus the signal.

    everyone   reap every child, as PID 1 must: orphans of the container become its children
    """
    block()
    while True:
        status = _reap(payload, everyone)
        if status is not None:
            return status
        came = _signal.sigwaitinfo(_WAITED)
        if came.si_signo != _SIGCHLD:
            _pass_on(came.si_signo, came.si_code, payload, stop=not everyone)


def status_of(code: int) -> int:
    """The exit status that a shell gives what `supervise` returned: 128 + N after signal N."""
    return code if code >= 0 else 128 - code


def last_words(code: int) -> int:
    """The exit status of PID 1, which has no signal: its name tells what an exit(3) could not."""
    try:
        if code < 0:
            privileges.set_name(_LAST_WORDS + str(-code))
    except CallError:  # a filter refuses it: the status alone is told
        pass
    return status_of(code)


def _heard(pid: int, code: int) -> int:
    """The code of a container's first process, or minus the signal that it says it passes on.

    It is a zombie, whose name can be read still. No process can change another's.
    """
    try:
        descriptor = posix.open(f"/proc/{pid}/comm", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # /proc is hidden: an exit status it is
        return code
    name = posix.read(descriptor, 64).strip()
    posix.close(descriptor)
    return 128 - code if name == f"{_LAST_WORDS}{code - 128}".encode() else code


def _reap(payload: int, everyone: bool) -> int | None:
    if not everyone:
        ended = posix.waitid(posix.P_PID, payload, _ENDED)
        if ended is None:
            return None
        code = ended.si_status if ended.si_code == posix.CLD_EXITED else -ended.si_status
        code = _heard(payload, code) if code > 128 else code
        posix.waitpid(payload, 0)
        return code
    while True:
        pid, status = posix.waitpid(-1, posix.WNOHANG)
        if pid == payload:
            return posix.waitstatus_to_exitcode(status)
        if pid == 0:
            return None


def _pass_on(number: int, code: int, payload: int, stop: bool) -> None:
    """Forward one signal.

    The terminal sends Ctrl-C and Ctrl-Z to the whole foreground process group: the payload has
    it already, unless it made a group of its own, as timeout(1) does. That the line was lost the
    terminal tells the leader of the session alone, which the launcher is under ssh(1). A launcher
    that is told to stop forwards that and stops as well, so that the shell it was started from
    notices.
    """
    if code != _SI_KERNEL or number == _SIGHUP or not _in_our_group(payload):
        try:
            posix.kill(payload, number)
        except ProcessLookupError:  # it ended in this instant; SIGCHLD is on its way
            return
    if number == _SIGTSTP and stop:
        posix.kill(posix.getpid(), _SIGSTOP)


def _in_our_group(payload: int) -> bool:
    """Whether a process is in our process group; both are 0 where that lies outside (PID 1)."""
    try:
        return posix.getpgid(payload) == posix.getpgrp()
    except ProcessLookupError:
        return True


def foreground() -> int:
    """The caller's process group where it is the terminal's foreground group, else -1."""
    try:
        group = posix.getpgrp()
        return group if posix.tcgetpgrp(0) == group else -1
    except OSError:  # ENOTTY: standard input is not a terminal
        return -1


def take_terminal(descriptor: int) -> None:
    """Start a process group of our own and make it the terminal's foreground group.

    The new group is a background one until then, and the kernel stops a background process that
    asks, unless it ignores SIGTTOU: tcsetpgrp(3). Raises OSError.
    """
    _signal.signal(_SIGTTOU, _signal.SIG_IGN)
    posix.setpgid(0, 0)
    posix.tcsetpgrp(descriptor, posix.getpgrp())
    _signal.signal(_SIGTTOU, _signal.SIG_DFL)


def take_back_terminal(group: int) -> None:
    """Make `group` the foreground group again, as a shell does when its job has ended."""
    if group == -1:
        return
    _signal.pthread_sigmask(_signal.SIG_BLOCK, {_SIGTTOU})  # else the kernel stops us for asking
    try:
        if posix.tcgetpgrp(0) != group:
            posix.tcsetpgrp(0, group)
    except OSError:  # the terminal hung up meanwhile
        return
