"""Explains how the command itself ended, where facts prove it; else it says nothing."""

from __future__ import annotations

from minictr.diagnosis import diagnose
from minictr.diagnosis.catalogue import UNKNOWN
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.values import Diagnosis
from minictr.host import Host
from minictr.request import Request
from minictr.runtime.execute import EvaluateEnvironment, Execute
from minictr.runtime.launch import Exit, Failure, Plan, dismiss, launch

_NOT_FOUND = 127
_SIGKILL, _SIGSEGV = 9, 11


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
    if code not in (_NOT_FOUND, -_SIGSEGV, -_SIGKILL):
        return _proved(failure, plan, host, request)
    witness = _built_again(plan, command.command[0])
    if witness is None:
        return None
    try:
        seen = {name: witness.__dict__[name] for name in ("arguments", "witness", "container")}
        return _proved(failure.replace(**seen), plan, host, request)
    finally:
        dismiss(witness)


def _proved(failure: Failure, plan: Plan, host: Host, request: Request) -> Diagnosis | None:
    found = diagnose(failure, plan, host, request)
    return found if found.code != UNKNOWN else None


def _built_again(plan: Plan, command: str) -> Failure | None:
    """The same container without the command; None where the image's scripts have a part in it.

    They have been heard once: a second time they could do something else.
    """
    steps = [step for step in plan.execute if isinstance(step, EvaluateEnvironment)]
    if any(step.environment.method == "shell" for step in steps):
        return None
    built = launch(plan.replace(execute=(*steps, RunPayload(command))))
    if isinstance(built, Exit):  # a script ended the evaluation, and so it did the first time
        return None
    if built.call != "stand":
        dismiss(built)
        return None
    return built
