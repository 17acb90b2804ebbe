"""Runs a command, finds the refused call that it failed of, and has its cause explained."""

from __future__ import annotations

import errno
import os
import posix
import signal
import time
from pathlib import Path

from minictr.diagnosis.catalogue import UNKNOWN
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.scratch import make, scratch
from minictr.diagnosis.values import Diagnosis
from minictr.diagnosis.watch.asked import ask_causes
from minictr.diagnosis.watch.choose import Choice
from minictr.diagnosis.watch.interrupts import Interrupted, Interrupts
from minictr.diagnosis.watch.kinds import LOOKS, path_of
from minictr.diagnosis.watch.moment import Moment
from minictr.diagnosis.watch.run import Outcome, input_again, input_kept, run
from minictr.diagnosis.watch.sought import Sought, sought
from minictr.diagnosis.watch.stand_in import NAMES, STAND_INS, StandIns
from minictr.diagnosis.watch.standing import Standing, standing
from minictr.diagnosis.watch.steps import shown
from minictr.diagnosis.watch.trace import Strace, Traced, find_strace, trace, unable
from minictr.diagnosis.watch.unrefused import other_refusal, unrefused
from minictr.diagnosis.watch.weakened import weakened
from minictr.diagnosis.watch.words import retold
from minictr.diagnosis.words import error_words
from minictr.host import Host
from minictr.request import Request
from minictr.runtime.execute import Execute, search
from minictr.runtime.launch import Failure, Plan
from minictr.runtime.namespaces import CreateNamespaces
from minictr.runtime.syscalls import CallError
from minictr.value import Value

# How often longer, and seconds more: a run that is watched, beside the one that is not, and a run
# in which processes are held, beside one without.
_WATCHED, _SLOWER, _AT_LEAST = 20, 5, 10.0
# Milliseconds, try by try: on a busy machine strace may let the process go before it is stopped.
_WAITS = (50, 200, 500)
_LOST = "has a privilege of its own, which it does not get while it is watched"


class Answer(Value):
    """What there is to say of a command that was run.

    verdict    "succeeded", "refused": by the kernel, with the diagnosis; "own": not by the kernel,
               "differs": watched, it ended otherwise; "unwatched": it could not be watched,
               "interrupted": a signal came that was to end it or us
    status     the command's own, as run unwatched; 126 or 127 where it could not be started
    why        what the verdict rests on, in lines
    other      of "own": the refused call of another kind, or the signal, that it failed of
    line_ended whether the command's own last words ended in a newline
    """

    verdict: str
    command: tuple[str, ...]
    status: int
    why: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
    other: str = ""
    line_ended: bool = True


def explain(command: list[str], host: Host) -> Answer:
    """Run the command as it is; where it fails, once more watched, and once more held."""
    path = os.environ.get("PATH", os.defpath)
    with Interrupts() as interrupts:
        try:
            with input_kept():
                file = command[0] if "/" in command[0] else search(command[0], path)
                outcome = _run(command, file, interrupts)
        except CallError as refused:
            return _not_started(command, host, refused)
        answer = Answer("succeeded", tuple(command), 0)
        if outcome.status:
            answer = _failed(command, file, host, outcome, interrupts)
    return answer.replace(line_ended=outcome.said[-1:] in ("", "\n"))


def _failed(
    command: list[str], file: str, host: Host, outcome: Outcome, interrupts: Interrupts
) -> Answer:
    unwatched = Answer("unwatched", tuple(command), outcome.status)
    interrupted = unwatched.replace(verdict="interrupted")
    if interrupts.came:
        came = signal.Signals(interrupts.came).name
        return interrupted.replace(why=(f"{came} came while it ran: it is not run again",))
    strace = find_strace(os.environ.get("PATH", os.defpath))
    if not strace:
        return unwatched.replace(why=("strace is not installed: no directory of PATH has it",))
    if lacking := unable():
        return unwatched.replace(why=(f"strace needs {lacking}(2), which is refused here",))
    try:
        with scratch(STAND_INS) as directory:
            runs = _Runs(command, file, host, strace, directory, interrupts)
            return runs.answer(outcome)
    except Interrupted:
        why = f"{signal.Signals(interrupts.came).name} came while it was watched"
        return interrupted.replace(status=128 + interrupts.came, why=(why,))
    except OSError as error:
        why = f"strace needs a directory to write to: {error.strerror} ({error.filename})"
        return unwatched.replace(why=(why,))


def _run(command: list[str], file: str, interrupts: Interrupts) -> Outcome:
    """Run it as it is. Raises CallError where it cannot be started."""
    try:
        return run(command, file, interrupts)
    except OSError as error:
        number = error.errno or 0
        if error.filename is None:  # not by the child: it names what it could not execute
            call = "fork" if number in (errno.EAGAIN, errno.ENOMEM) else "pipe2"
            raise CallError(call, (), number) from None
        raise CallError("execve", (file, tuple(command)), number) from None


class _Runs:
    """The runs under strace of one command."""

    def __init__(
        self,
        command: list[str],
        file: str,
        host: Host,
        strace: str,
        directory: Path,
        interrupts: Interrupts,
    ) -> None:
        self.command = command
        self.file = file
        self.host = host
        self.strace = strace
        self.directory = directory
        self.interrupts = interrupts
        self.names: tuple[str, ...] = NAMES
        self.limit = _AT_LEAST  # seconds for a run
        self.count = 0  # of the runs
        self.found: Diagnosis | None = None

    def answer(self, outcome: Outcome) -> Answer:
        try:
            return self._answer(outcome)
        except OSError as error:
            place = error.filename or "it needs a descriptor or a process more"
            if STAND_INS in str(place):
                raise
            why = f"strace cannot be run: {error.strerror} ({place})"
            return Answer("unwatched", tuple(self.command), outcome.status, (why,))

    def _answer(self, outcome: Outcome) -> Answer:
        status, command = outcome.status, tuple(self.command)
        self.limit = _WATCHED * outcome.seconds + _AT_LEAST
        begun = time.monotonic()
        traced, choice = self._traced()
        if traced.late:
            return self._late(outcome)
        self.limit = _SLOWER * (time.monotonic() - begun) + _AT_LEAST
        if traced.trouble:
            return Answer("unwatched", command, status, (f"strace: {traced.trouble}",))
        lost: tuple[str, ...] = ()
        if not outcome.same_as(traced.outcome):
            # A program that looks whether the helpers are root's does not take a stand-in.
            self.names = ()
            traced, choice = self._traced()
            lost = weakened(traced.record, self.host.uid)
        if lost or not outcome.same_as(traced.outcome):
            why = (_ended("as it is", outcome), _ended("watched", traced.outcome))
            return Answer("differs", command, status, (*why, *(f"{path} {_LOST}" for path in lost)))
        target = sought(choice, self.command, outcome)
        if target is None:
            return _own(command, status, traced, choice)
        return self._explained(target, outcome, traced, choice)

    def _late(self, outcome: Outcome) -> Answer:
        why: tuple[str, ...] = (
            f"as it is: it took {outcome.seconds:.1f} seconds",
            f"watched: it had not ended after {self.limit:.0f}, and was ended then",
        )
        if input_again() is not None:
            why += ("input that is no file is read once: the watched run has none",)
        return Answer("differs", tuple(self.command), outcome.status, why)

    def _explained(
        self, target: Sought, outcome: Outcome, traced: Traced, choice: Choice
    ) -> Answer:
        status, command = outcome.status, tuple(self.command)
        own = posix.getpid()
        if target.here:
            self.found = self._diagnose(target.failure.replace(witness=own), standing(own))
        else:
            self._hold(target)
        if self.found is None:  # it did not come to the same call again
            self.found = self._diagnose(target.failure.replace(witness=0), Standing())
        if target.needs_proof and self.found.code == UNKNOWN:
            return _own(command, status, traced, choice)
        failure = shown(target.failure, target.call) if target.call else target.failure
        happened = _happened(self.command, outcome, failure, bool(target.call))
        diagnosis = self.found.replace(happened=happened, failure=failure)
        return Answer("refused", command, status, (outcome.last,), diagnosis)

    def _hold(self, target: Sought) -> None:
        """Run the command again, and diagnose while the process that fails stands still."""
        call = target.call
        held = call.name if call else ""
        paths: tuple[str, ...] = ()
        if call and held in LOOKS:
            # The command's own execve(2) is to be seen: it tells which process is the command's.
            paths = (self.file, path_of(call))
        for wait in _WAITS:
            moment = Moment(target, self._diagnose)
            self._traced(held, wait, paths, moment)
            self.found = moment.found
            if self.found:
                return

    def _traced(
        self,
        held: str = "",
        wait: int = 0,
        paths: tuple[str, ...] = (),
        moment: Moment | None = None,
    ) -> tuple[Traced, Choice]:
        self.count += 1
        directory = make(self.directory / str(self.count))
        stand_ins = StandIns(directory, os.environ.get("PATH", os.defpath), self.names)
        if moment and not held:
            stand_ins.witnessed = moment.helped
        try:
            with input_kept():
                strace = Strace(self.strace, directory, held, wait, paths, self.limit)
                traced = trace(
                    strace,
                    self.command,
                    stand_ins,
                    self.interrupts,
                    moment.seen if moment and held else None,
                )
        finally:
            stand_ins.close()
        said = stand_ins.real_names(traced.outcome.said)
        traced = traced.replace(outcome=traced.outcome.replace(said=said))
        return traced, Choice(traced.record, traced.voice, stand_ins.helped)

    def _diagnose(self, failure: Failure, place: Standing) -> Diagnosis:
        return diagnose_other(failure, place, self.command, self.host)


def diagnose_other(failure: Failure, place: Standing, command: list[str], host: Host) -> Diagnosis:
    """Ask the causes that stop the equivalent step of ours."""
    step = failure.step
    enter = step if isinstance(step, CreateNamespaces) else CreateNamespaces(())
    plan = Plan((enter,), (step,), (), (), (), ())
    image = "/" if place.root else ""  # whose files a fix may change
    request = Request("why", image, tuple(command), "minictr",
                      host_environment=tuple(os.environ.items()))  # fmt: skip
    interview = Interview(failure, plan, host, request)
    system = posix.uname()
    known = Diagnosis("", failure, UNKNOWN, "", None, kernel=(system.release, system.machine))
    found = ask_causes(interview, place, known)
    return retold(found, failure.phase.partition(" (pid ")[0], bool(place.root))


def _own(command: tuple[str, ...], status: int, traced: Traced, choice: Choice) -> Answer:
    other = other_refusal(traced, choice)
    return Answer("own", command, status, unrefused(traced, choice), other=other)


def _not_started(command: list[str], host: Host, refused: CallError) -> Answer:
    """The command's own file cannot be executed: this process is the witness."""
    own = posix.getpid()
    status = 127 if refused.errno in (errno.ENOENT, errno.ENOTDIR) else 126
    executed = refused.call in ("execve", "search")
    step = Execute(tuple(command)) if executed else CreateNamespaces(())
    failure = Failure(f"{command[0]} (pid {own})", 0, step, refused.call,
                      refused.arguments, refused.errno, witness=own)  # fmt: skip
    diagnosis = diagnose_other(failure, standing(own), command, host)
    done = "executed" if executed else f"started: {refused.call}(2) was refused"
    happened = f"{command[0]} cannot be {done}: {error_words(refused.errno)}"
    return Answer("refused", tuple(command), status, (), diagnosis.replace(happened=happened))


def _happened(command: list[str], outcome: Outcome, failure: Failure, called: bool) -> str:
    what = f"{failure.call}(2) was refused" if called else f"{failure.call} failed"
    return f"{command[0]} ended with status {outcome.status}: {what}"


def _ended(how: str, outcome: Outcome) -> str:
    return f'{how}: status {outcome.status}, "{outcome.last}"'
