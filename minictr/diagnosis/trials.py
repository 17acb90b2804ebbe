"""Tries what launches are made of, with no failure at hand: a trial is a launch of nothing.

What fails is diagnosed as the failure of a launch is. Each trial runs in a child, which ends with
all that it changed.
"""

from __future__ import annotations

import json
import posix
from collections.abc import Callable
from typing import cast

from minictr.diagnosis import diagnose, diagnose_refusal
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.report import as_json
from minictr.host import Host
from minictr.image.tree import Tree
from minictr.refusal import Refusal
from minictr.request import Request
from minictr.runtime import environment, idmap, privileges, seccomp
from minictr.runtime.execute import LoadFilter
from minictr.runtime.launch import Failure, Plan, dismiss, launch
from minictr.runtime.namespaces import CreateNamespaces
from minictr.runtime.places import home_of
from minictr.runtime.plan import make_plan
from minictr.runtime.step import Process, Step
from minictr.value import Value

_INIT = "minictr:doctor"
_PATIENCE = 5000  # milliseconds: a trial takes 20, and one that fails 300 more
_DEFAULT = ("pid", "ipc", "uts")


class Rest(Step):
    """End with status 0 in place of the command: the launch has come so far."""

    calls = "exit_group(2)"

    def run(self, process: Process) -> None:
        posix._exit(0)


class Ground(Value):
    """What the trials are made on: this machine, and a tree with nothing in it."""

    host: Host
    request: Request
    tree: Tree
    cache: str


class Trial(Value):
    """One thing to be tried.

    breaks  what cannot be had where it fails
    needed  whether a launch without options needs it
    after   the trials without which it cannot succeed
    plan    the launch; raises Refusal
    """

    name: str
    breaks: str
    needed: bool
    after: tuple[str, ...]
    plan: Callable[[Ground], Plan]


class Finding(Value):
    """What came of a trial, or of a look at one thing.

    state   "works", "fails", "not tried" (for `detail`), "unknown" (for `detail`); "known" where
            nothing could fail
    detail  what was seen
    report  of what fails: the object that --diagnosis json gives; {} else
    """

    name: str
    state: str
    breaks: str = ""
    needed: bool = True
    detail: str = ""
    report: dict[str, object] = {}  # noqa: RUF012  a Value is never changed


def namespaces(*kinds: str) -> Callable[[Ground], Plan]:
    """The plan that makes a user namespace, namespaces of these kinds, and no more."""

    def plan(ground: Ground) -> Plan:
        ids = idmap.choose(ground.host, "single", fakeroot=False)
        return _bare(kinds, ids)

    return plan


def many_ids(ground: Ground) -> Plan:
    """The plan that has newuidmap and newgidmap map the caller's subordinate ids."""
    return _bare((), idmap.choose(ground.host, "helpers", fakeroot=False))


def default_filter(ground: Ground) -> Plan:
    """The plan that compiles and loads the default seccomp profile."""
    program = seccomp.filter_for("default", False, ground.cache)
    return namespaces()(ground).replace(
        confine=(privileges.SetNoNewPrivileges(),), execute=(LoadFilter("default", program), Rest())
    )


def whole(**changes: object) -> Callable[[Ground], Plan]:
    """The plan of a whole launch with these fields of the Request, without a filter."""

    def plan(ground: Ground) -> Plan:
        host, tree = ground.host, ground.tree
        request = ground.request.replace(**changes)
        variables = environment.gather(request, tree, home_of(request, host), "/")
        made = make_plan(request, tree, host, ground.cache, variables, request.command, b"")
        return nothing_executed(made)

    return plan


def nothing_executed(plan: Plan) -> Plan:
    """The plan with a rest in the place of its last step."""
    return plan.replace(execute=(*plan.execute[:-1], Rest()))


def _bare(kinds: tuple[str, ...], ids: idmap.Ids) -> Plan:
    return Plan(
        enter=(CreateNamespaces(("user", *kinds)),),
        map_ids=(idmap.MapIds(ids.uids, ids.gids, ids.helpers),),
        isolate=(),
        build=(),
        confine=(),
        execute=(Rest(),),
        init=_INIT if "pid" in kinds else "",
    )


_USER, _MOUNT, _NET = "user namespaces", "mount namespaces", "network namespaces"
_PID, _IPC, _UTS = "PID namespaces", "IPC namespaces", "UTS namespaces"
_ROOT = "root file system"
TRIALS = (
    Trial(_USER, "every launch", True, (), namespaces()),
    Trial(_MOUNT, "every launch", True, (_USER,), namespaces("mnt")),
    Trial(_PID, "launches without --no-pid", True, (_USER,), namespaces("pid")),
    Trial(_IPC, "launches without --ipc=false", True, (_USER,), namespaces("ipc")),
    Trial(_UTS, "launches without --uts=false", True, (_USER,), namespaces("uts")),
    Trial(_NET, "--net", False, (_USER,), namespaces("net")),
    Trial(_ROOT, "every launch", True, (_MOUNT, _PID, _IPC, _UTS),
          whole(namespaces=_DEFAULT)),
    Trial("seccomp filter", "launches without --security seccomp:unconfined", True, (_USER,),
          default_filter),
    Trial("subordinate ids", "--id-map helpers; --fakeroot has one id only", False, (_USER,),
          many_ids),
    Trial("--fakeroot", "--fakeroot", False, (_ROOT,), whole(namespaces=_DEFAULT, fakeroot=True)),
    Trial("--contain", "--contain and --containall", False, (_ROOT,),
          whole(namespaces=_DEFAULT, contain=True)),
    Trial("--writable-tmpfs", "--writable-tmpfs", False, (_ROOT,),
          whole(namespaces=_DEFAULT, writable_tmpfs=True)),
    Trial("--net --network none", "--net", False, (_ROOT, _NET),
          whole(namespaces=(*_DEFAULT, "net"), network="none")),
)  # fmt: skip


def try_all(ground: Ground) -> list[Finding]:
    """Try each in its turn; what cannot succeed any more is not tried."""
    found: dict[str, Finding] = {}
    for trial in TRIALS:
        missing = [found[name] for name in trial.after if found[name].state != "works"]
        if missing:
            why = missing[0].detail or f"it needs what fails above: {missing[0].name}"
            found[trial.name] = _finding(trial, "not tried").replace(detail=why)
        else:
            found[trial.name] = attempt(trial, ground)
    return list(found.values())


def attempt(trial: Trial, ground: Ground) -> Finding:
    """Carry one trial out in a child."""
    answer = ask(_outcome, trial, ground, patience=_PATIENCE)
    if answer.trouble:
        return _finding(trial, "unknown").replace(detail=answer.trouble)
    failed, said = cast("tuple[bool, str]", answer.value)
    if not failed:
        return _finding(trial, "works").replace(detail=said)
    return _finding(trial, "fails").replace(report=json.loads(said))


def _finding(trial: Trial, state: str) -> Finding:
    return Finding(trial.name, state, trial.breaks, trial.needed)


def _outcome(trial: Trial, ground: Ground) -> tuple[bool, str]:
    """(whether it failed, the diagnosis as JSON or what was seen)."""
    try:
        plan = trial.plan(ground)
    except Refusal as refusal:
        return True, as_json(diagnose_refusal(refusal), 1)
    outcome = launch(plan)
    if not isinstance(outcome, Failure):
        return False, _seen(plan, ground.host)
    try:
        return True, as_json(diagnose(outcome, plan, ground.host, ground.request), 1)
    finally:
        dismiss(outcome)


def _seen(plan: Plan, host: Host) -> str:
    """What a plan that was carried out tells: the choices made for it, or numbers."""
    maps = plan.map_ids[0]
    if plan.build:
        return "; ".join(note for note in plan.notes if note.startswith("root: "))
    if isinstance(maps, idmap.MapIds) and maps.helpers:
        return maps.operands()
    first = plan.execute[0]
    if isinstance(first, LoadFilter):
        return first.operands()
    key = f"max_{plan.enter[0].kinds[-1]}_namespaces"
    limit = host.fact(f"/proc/sys/user/{key}").text.strip()
    return f"user.{key} is {limit}" if limit else ""
