"""Explains how the command itself ended, where facts prove it; else it says nothing."""

from __future__ import annotations

from minictr.diagnosis import diagnose
from minictr.diagnosis.catalogue import UNKNOWN
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Diagnosis
from minictr.host import Host
from minictr.request import Request
from minictr.runtime.execute import EvaluateEnvironment, Execute
from minictr.runtime.launch import Exit, Failure, Plan, dismiss, launch

_NOT_FOUND = 127
_SIGBUS, _SIGKILL, _SIGSEGV = 7, 9, 11
_SIGNAL = 128  # and its number: a shell's status for what a signal ended


def explain(
    ended: Exit, plan: Plan, host: Host, request: Request, killed_before: int = -1
) -> Diagnosis | None:
    """What ended the command, if that can be proved: a signal, or a status of 126 and more.

    An exit status of 128 + N is no signal N: `ended.code` tells the two apart.
    """
    code = ended.code
    command = plan.execute[-1]
    assert isinstance(command, Execute)
    step = RunPayload(command.command[0], killed_before)
    failure = Failure("execute", len(plan.execute) - 1, step, "", (), 0)
    failure = failure.replace(status=-code if code < 0 else code << 8)
    steps = [step for step in plan.execute if isinstance(step, EvaluateEnvironment)]
    hard = (one.environment.shells for one in steps if one.environment.method == "shell")
    shells = next(hard, ())
    if shells and code - _SIGNAL in (_SIGBUS, _SIGSEGV):
        return _of_shell(failure.replace(status=code - _SIGNAL), shells, plan, host, request)
    if code not in (_NOT_FOUND, -_SIGBUS, -_SIGSEGV, -_SIGKILL):
        return _proved(failure, plan, host, request)
    if shells:  # the image's scripts have been heard once: again they could do something else
        return None
    witness = _built_again(plan.replace(execute=(*steps, step)))
    return _seen(failure, witness, plan, host, request) if witness else None


def _of_shell(
    failure: Failure, shells: tuple[str, ...], plan: Plan, host: Host, request: Request
) -> Diagnosis | None:
    """The same for the shell that heard the image's scripts, and was ended before the command."""
    witness = _built_again(plan.replace(execute=(RunPayload(shells[-1]),)))
    if witness is None:
        return None
    root = f"/proc/{witness.witness}/root"
    shell = next((one for one in shells if walk(root, one).is_program()), shells[-1])
    witness = witness.replace(arguments=(shell, *witness.arguments[1:]))
    return _seen(failure.replace(step=RunPayload(shell)), witness, plan, host, request)


def _seen(
    failure: Failure, witness: Failure, plan: Plan, host: Host, request: Request
) -> Diagnosis | None:
    """What is proved of a command whose files the witness shows, which is let go."""
    try:
        seen = {name: witness.__dict__[name] for name in ("arguments", "witness", "container")}
        return _proved(failure.replace(**seen), plan, host, request)
    finally:
        dismiss(witness)


def _proved(failure: Failure, plan: Plan, host: Host, request: Request) -> Diagnosis | None:
    found = diagnose(failure, plan, host, request)
    return found if found.code != UNKNOWN else None


def _built_again(plan: Plan) -> Failure | None:
    """The witness in a container of that plan, whose last step stands in the command's place."""
    built = launch(plan)
    if isinstance(built, Exit):  # a script ended the evaluation, and so it did the first time
        return None
    if built.call != "stand":
        dismiss(built)
        return None
    return built
