"""Finds out why no server of an image can be started, where a launch would meet the same refusal.

The server is cloned into namespaces of its own and gives up its privileges, as a container is. So
a launch of nothing that does the same is tried, and diagnosed where the same call is refused.
"""

from __future__ import annotations

from minictr.diagnosis import diagnose
from minictr.diagnosis.trials import Rest
from minictr.host import Host
from minictr.refusal import Refusal
from minictr.request import Request
from minictr.runtime import idmap, privileges
from minictr.runtime.launch import Failure, Plan, dismiss, launch
from minictr.runtime.namespaces import CreateNamespaces
from minictr.runtime.syscalls import CallError


def explained(refusal: Refusal, refused: CallError, host: Host, request: Request) -> Refusal:
    """The refusal with a diagnosis of the call that was refused; as it is where none is met."""
    plan = _nothing(host)
    outcome = launch(plan)
    if not isinstance(outcome, Failure):
        return refusal
    try:
        if (outcome.call, outcome.errno) == (refused.call, refused.errno):
            found = diagnose(outcome, plan, host, request)
            refusal.diagnosis = found.replace(happened=refusal.cause)
        return refusal
    finally:
        dismiss(outcome)


def _nothing(host: Host) -> Plan:
    """The plan that makes what a server lives in, and ends."""
    ids = idmap.choose(host, "single", fakeroot=False)
    return Plan(
        enter=(CreateNamespaces(("user", "mnt")),),
        map_ids=(idmap.MapIds(ids.uids, ids.gids, ids.helpers),),
        isolate=(),
        build=(),
        confine=(
            privileges.DropBoundingSet(),
            privileges.DropCapabilities(),
            privileges.SetNoNewPrivileges(),
        ),
        execute=(Rest(),),
        init="",
    )
