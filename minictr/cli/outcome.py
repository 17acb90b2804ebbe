"""What is said of a launch that failed, or of a payload that ended badly."""

from __future__ import annotations

from minictr.cli import reports
from minictr.diagnosis import diagnose
from minictr.diagnosis.death import explain
from minictr.runtime.launch import dismiss
from minictr.runtime.signals import catch_interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.diagnosis.values import Diagnosis
    from minictr.host import Host
    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.launch import Exit, Failure, Plan

_NOT_FOUND = 127
_CUT_SHORT = "MC0647"  # a file of the tree that has less than it says
_UNREAD = (2, 5)  # ENOENT and EIO: what squashfuse answers for what it cannot read
_BUILT_AGAIN = (127, 135, 137, 139)  # and 128 + SIGBUS, SIGKILL, SIGSEGV: death.py looks inside


def ended(request: Request, host: Host, plan: Plan, end: Exit, killed: int, tree: Tree) -> None:
    """Say what ended the command, where that is proved. It is the command's affair else."""
    if tree.served and end.status in _BUILT_AGAIN:
        from minictr.cli.first import served_again

        with served_again(request, tree):
            diagnosis = explain(end, plan, host, request, killed)
    else:
        diagnosis = explain(end, plan, host, request, killed)
    absent = end.status == _NOT_FOUND
    if diagnosis and diagnosis.failure and (absent or diagnosis.code == _CUT_SHORT):
        diagnosis = _of_the_image(request, plan, diagnosis.failure, tree, diagnosis, absent)
    if diagnosis:
        reports.death(request, diagnosis, end.status)


def failed(request: Request, host: Host, plan: Plan, failure: Failure, tree: Tree) -> int:
    """Interview the witness, report, let it go."""
    catch_interrupts()
    try:
        diagnosis = diagnose(failure, plan, host, request)
        absent = failure.phase == "execute" and failure.errno in _UNREAD
        diagnosis = _of_the_image(request, plan, failure, tree, diagnosis, absent)
        return reports.failure(request, failure, diagnosis)
    finally:
        dismiss(failure)


def _of_the_image(
    request: Request, plan: Plan, failure: Failure, tree: Tree, found: Diagnosis, absent: bool
) -> Diagnosis:
    """The diagnosis; another where the image is served damaged, or its tree is not whole any more.

    absent   whether it is about something that the image is said not to have
    """
    if tree.served and absent:
        from minictr.cli.first import unless_damaged

        return unless_damaged(request, found)
    if tree.name:
        from minictr.cli.lost import unless_lost
        from minictr.diagnosis.again import again

        return unless_lost(found, failure, plan, tree, again(request))
    return found
