"""The choreography of a launch: who forks, who waits for whom, and who hears of a failure.

    launcher   stays on the host: maps ids, follows the channel, forwards signals, waits
     └ init    PID 1 of the container: builds the root, gives every privilege up, reaps
        └ payload   becomes the command

PID 1 takes the last steps, too, where they cannot end or hinder it. Without a PID namespace the
payload does all of init's work first.
"""

from __future__ import annotations

import posix
import time

from minictr.runtime import channel, privileges, signals
from minictr.runtime.environment import ScriptExit
from minictr.runtime.execute import Execute
from minictr.runtime.files import fork
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import CallError, clone3_is_final
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from minictr.runtime.channel import Channel
    from minictr.runtime.namespaces import CreateNamespaces

    Trace = Callable[[str, Step, int], None]
    Position = tuple[int, int]  # phase, as an index of PHASES, and step

PHASES = ("enter", "map_ids", "isolate", "build", "confine", "execute")
ENTER, MAP_IDS, ISOLATE, BUILD, CONFINE, EXECUTE = range(len(PHASES))
_LAUNCHER_FAILED = 125


class Plan(Value):
    """One launch: the steps of each phase, and the privilege that is held in it."""

    enter: tuple[CreateNamespaces, ...]  # launcher: the caller's own rights, no more
    map_ids: tuple[Step, ...]  # launcher: the same; the helpers bring their own
    isolate: tuple[Step, ...]  # init: every capability, over the new namespaces only
    build: tuple[Step, ...]  # init: the same
    confine: tuple[Step, ...]  # init: the last step leaves none (--fakeroot: those of its own)
    execute: tuple[Step, ...]  # payload, or init for it: what confine left; no_new_privs is set
    init: str = "minictr:init"  # the name of PID 1; "" where there is no PID namespace
    umask: int = 0o022  # the caller's, which the payload gets back
    notes: tuple[str, ...] = ()  # choices made for this host, and why: shown by -v and `plan`


class Exit(Value):
    """The payload ran. `status` is its own, or 128 plus the signal that ended it (code < 0)."""

    status: int
    code: int = 0


class Failure(Value):
    """A step was refused.

    call, arguments, errno, said   as in CallError; call is "" where the process died in the step
    status     the wait status of a process that died, else 0
    witness    host pid of the process that failed, alive and blocked; 0 where it is the launcher
    container  host pid of the container's first process; 0 where there is none
    channel    the launcher's end: at its end of file the witness would end, too
    """

    phase: str
    index: int
    step: Step
    call: str
    arguments: tuple[object, ...]
    errno: int
    said: str = ""
    status: int = 0
    witness: int = 0
    container: int = 0
    channel: Channel | None = None


def launch(plan: Plan, trace: Trace | None = None) -> Exit | Failure:
    """Carry the plan out. After a Failure the witness is alive until `dismiss` is called."""
    failure = _prepare(plan)
    if failure:
        return failure
    blocked = signals.expect_children()
    terminal = signals.foreground()
    if trace:
        trace(PHASES[ENTER], plan.enter[0], _microseconds())
    try:
        privileges.be_readable()
        ours, theirs = channel.pair(watched=trace is not None)
        container = plan.enter[0].create()
    except CallError as refused:
        return _failure(plan, (ENTER, 0), refused)
    if container == 0:
        ours.close()
        _container(plan, theirs, blocked)
        return _failure(plan, (ENTER, 0), plan.enter[0].pretended())
    theirs.close()
    failure = _map_ids(plan, ours, container, trace) or _follow(plan, ours, container, trace)
    code = 0 if failure else signals.supervise(container)
    signals.take_back_terminal(terminal)
    return failure.replace(channel=ours) if failure else Exit(signals.status_of(code), code)


def spawns(plan: Plan) -> bool:
    """Whether PID 1 takes the last steps and spawns the payload, instead of forking for them."""
    takes_them = bool(plan.init) and all(step.by_init() for step in plan.execute)
    return takes_them and not clone3_is_final()


def dismiss(failure: Failure) -> None:
    """End the witness and all of the container; its namespaces and mounts end with it."""
    if failure.container and not failure.status:
        posix.kill(failure.container, 9)
        posix.waitpid(failure.container, 0)


# --- the launcher's side ----------------------------------------------------------------------


def _prepare(plan: Plan) -> Failure | None:
    for phase, name in enumerate(PHASES):
        for index, step in enumerate(getattr(plan, name)):
            try:
                step.prepare()
            except CallError as refused:
                return _failure(plan, (phase, index), refused)
    return None


def _map_ids(plan: Plan, ours: Channel, pid: int, trace: Trace | None) -> Failure | None:
    process = Process(ours.descriptors(), pid)
    for index, step in enumerate(plan.map_ids):
        if trace:
            trace(PHASES[MAP_IDS], step, _microseconds())
        try:
            step.run(process)
        except CallError as refused:
            return _failure(plan, (MAP_IDS, index), refused).replace(witness=pid, container=pid)
    ours.send("go")
    return None


def _follow(plan: Plan, ours: Channel, pid: int, trace: Trace | None) -> Failure | None:
    """Listen until the payload runs (None) or something failed."""
    begun, executing = (-1, 0), False
    while True:
        word, rest = ours.receive()
        match word, rest:
            case "begin", (int(phase), int(index), int(moment)):
                begun = (phase, index)
                if trace:
                    trace(PHASES[phase], _step(plan, begun), moment)
            case "exec", _:
                signals.block()  # from here on a signal for us is one for the payload
                ours.send("go")  # which waits for this, so that none comes between and ends us
                executing = True
            case "failed", (str(call), tuple(arguments), int(number), str(said)):
                if witness := ours.witness():  # else it died, and the channel ends
                    refused = CallError(call, arguments, number, said)
                    failure = _failure(plan, ours.last_step(begun), refused)
                    return failure.replace(witness=witness, container=pid)
            case "", _:
                return None if executing else _death(plan, begun, ours, pid)


def _death(plan: Plan, begun: Position, ours: Channel, pid: int) -> Failure:
    """The channel closed without `exec`: a process died in the step that last began."""
    _, status = posix.waitpid(pid, 0)
    failure = _failure(plan, ours.last_step(begun), CallError("", (), 0))
    return failure.replace(status=status, container=pid)


def _failure(plan: Plan, at: Position, refused: CallError) -> Failure:
    """What was refused, in the step at that position; (-1, 0) is before the child's first step."""
    at = max(at, (ENTER, 0))
    return Failure(
        PHASES[at[0]], at[1], _step(plan, at),
        refused.call, refused.arguments, refused.errno, refused.said,
    )  # fmt: skip


def _step(plan: Plan, at: Position) -> Step:
    step: Step = getattr(plan, PHASES[at[0]])[at[1]]
    return step


# --- inside -----------------------------------------------------------------------------------


def _container(plan: Plan, end: Channel, blocked: set[int]) -> None:
    """The container's first process. Nothing is imported from here on.

    Returns where this is the launcher still: a filter answered clone(2) with 0 and made nothing.
    """
    process = Process(end.descriptors())
    is_copy = True
    try:
        privileges.set_name(plan.init or "minictr:payload")
        privileges.die_with_parent()
        if end.receive()[0] != "go":  # the launcher ended, perhaps before the line above
            is_copy = end.maker() != posix.getpid()
            return
        for phase in (ISOLATE, BUILD, CONFINE):
            _run(plan, phase, process, end)
        if spawns(plan):
            _spawn_payload(plan, process, end, blocked)
        if plan.init:
            _become_init(end)
        privileges.be_unreadable()
        _payload(plan, process, end, blocked)
    except CallError as refused:
        _report(end, refused)
    except BaseException as error:  # a fault of ours still has to be told, not printed inside
        _report(end, CallError("python", (type(error).__name__, str(error)), 0))
    finally:  # whatever comes: a copy of the launcher must not return into its code
        if is_copy:
            posix._exit(_LAUNCHER_FAILED)


def _become_init(end: Channel) -> None:
    """Start the payload and return in it; the caller stays behind as PID 1 until it ends.

    PID 1 still holds the launcher's memory with the caller's whole environment, so it closes its
    /proc files before the payload exists.
    """
    signals.block()
    privileges.be_unreadable()
    payload = fork()
    if payload:
        end.close()
        posix._exit(signals.last_words(signals.supervise(payload, everyone=True)))


def _spawn_payload(plan: Plan, process: Process, end: Channel, blocked: set[int]) -> NoReturn:
    """Take the payload's steps as PID 1, and start the command with posix_spawn(3).

    Its child borrows our memory until execve(2) (CLONE_VM, CLONE_VFORK): that saves 1.2 ms.
    """
    signals.block()
    privileges.be_unreadable()
    posix.umask(plan.umask)
    *steps, command = plan.execute
    for index, step in enumerate(steps):
        end.begin(EXECUTE, index, _microseconds())
        step.run(process)
    end.begin(EXECUTE, len(steps), _microseconds())
    end.send("exec")
    end.receive()
    assert isinstance(command, Execute)
    payload = command.spawn(process, blocked)
    end.close()
    signals.hand_over(payload)
    posix._exit(signals.last_words(signals.supervise(payload, everyone=True)))


def _payload(plan: Plan, process: Process, end: Channel, blocked: set[int]) -> None:
    """The last steps. The image's scripts run beside this copy of the launcher: unreadable."""
    posix.umask(plan.umask)
    signals.restore(blocked)
    last = len(plan.execute) - 1
    for index, step in enumerate(plan.execute):
        end.begin(EXECUTE, index, _microseconds())
        if index == last:
            end.send("exec")
            end.receive()
        try:
            step.run(process)
        except ScriptExit as ended:  # Ctrl-C, say, during an image's script: that is the result
            end.send("exec")
            end.receive()  # an answer left unread would reach the launcher as ECONNRESET
            posix._exit(ended.status)


def _run(plan: Plan, phase: int, process: Process, end: Channel) -> None:
    for index, step in enumerate(getattr(plan, PHASES[phase])):
        end.begin(phase, index, _microseconds())
        step.run(process)


def _report(end: Channel, refused: CallError) -> None:
    """Tell the launcher, then stay: its probes read what this process is."""
    try:
        privileges.be_readable()
    except CallError:  # a filter of the user's refuses it: a report with fewer facts is one
        pass
    end.fail(refused)


def _microseconds() -> int:
    return time.monotonic_ns() // 1000
