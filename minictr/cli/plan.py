"""`minictr plan IMAGE CMD`: every step of the launch, in order, and nothing done."""

from __future__ import annotations

from minictr.cli import messages
from minictr.cli.actions import prepare, tree_of
from minictr.cli.names import named
from minictr.host import read_host
from minictr.modules import cache_directory
from minictr.refusal import Refusal
from minictr.runtime.launch import PHASES, Plan, spawns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.request import Request

# Phase -> (process, the privilege held in it).
HELD = {
    "enter": ("launcher", "the caller's own"),
    "map_ids": ("launcher", "the caller's own; newuidmap and newgidmap bring theirs"),
    "isolate": ("init", "every capability, over the new namespaces only"),
    "build": ("init", "every capability, over the new namespaces only"),
    "confine": ("init", "every capability over the new namespaces, until it is dropped"),
    "execute": ("payload", "none"),
}


def main(request: Request) -> int:
    """Print the plan on standard output. 0; the launcher's failure status for a refused image."""
    try:
        cache = cache_directory(dict(request.host_environment))
        plan = prepare(request, read_host(), tree_of(request, cache, behind=False), cache)
    except Refusal as refusal:
        return messages.refuse(named(request.program), refusal, "plan")
    if plan:
        messages.write(as_text(plan, request), 1)
    return 0


def as_text(plan: Plan, request: Request) -> str:
    """The plan for a reader: a heading for each phase, a line for each step."""
    lines = [f"choices: {note}" for note in plan.notes]
    for phase in PHASES:
        process, privilege = held(plan, request, phase)
        lines += ["", f"{phase}   {process}; privilege: {privilege}"]
        for step in getattr(plan, phase):
            lines.append(f"  {step.verb():24}{step.operands()}".rstrip())
            lines.append(f"  {'':24}{step.calls}")
    return "\n".join([*map(messages.visible, lines), ""])


def held(plan: Plan, request: Request, phase: str) -> tuple[str, str]:
    """(the process that runs a phase, the privilege it holds)."""
    process, privilege = HELD[phase]
    if phase in ("confine", "execute") and request.fakeroot:
        privilege = HELD["build"][1]  # which no step takes away
    if process == "init" and not plan.init:
        process = "payload"
    elif phase == "execute" and spawns(plan):
        process = "init, which spawns the payload"
    return process, privilege
