"""What ends a command from outside: the kernel, when its control group has no memory left."""

from __future__ import annotations

import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.probes.memory import limits, oom_kills
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable

_SIGKILL = 9


@cause(
    "MC0646",
    "SIGKILL ended the command, and the kernel ended a process of its control group for want of "
    "memory",
    stops=(RunPayload.__name__,),
)
def out_of_memory(interview: Interview) -> Verdict:
    r"""A control group that has used up its memory loses a process: the kernel picks a large one
    and sends SIGKILL. The group counts that (oom_kill), and minictr compares the count after the
    launch with the one before.

    A SIGKILL looks the same whoever sent it, so that the count before is needed. Reading it would
    cost every launch a little; -v asks for it. Without -v nothing is said. With it the count says
    that a process of the group was killed while the command ran, and not which: the kernel's log,
    which root reads, has its number and name.

    Reproduction (root; in-cgroup is in tests/lab/tools):

        file=memory.limit_in_bytes
        [ -d /sys/fs/cgroup/memory ] || file=memory.max
        in-cgroup memory "$file" 102400000 -- runuser -u "$USER" -- \
          minictr -v exec "$IMAGE" tail -c 400000000 /dev/zero

    Fix, user: have the command use less memory, or ask the batch system for more.

    Fix, administrator: raise the limit of the group; the report has its file.

    Not the cause: a crash of the command, for which there are other signals; ulimit -v, under
    which an allocation fails and nothing is killed.

    Sources: cgroups(7); the kernel's Documentation/admin-guide/cgroup-v2.rst, memory.events;
    mm/oom_kill.c, __oom_kill_process.
    """
    code = posix.waitstatus_to_exitcode(interview.failure.status)
    if code not in (-_SIGKILL, 128 + _SIGKILL):
        return None
    step = interview.failure.step
    assert isinstance(step, RunPayload)
    if step.killed_before < 0:
        return Unknown("how often the kernel had done so before the launch was not asked (-v)")
    now = oom_kills()
    if now <= step.killed_before:
        return Excluded(f"the counter oom_kill has stayed at {now}")
    name, limited = printable(step.command), limits()
    how = "SIGKILL ended" if code < 0 else "a status of SIGKILL came from"
    where, fix = "this machine has", ""
    if limited:
        group, file = limited[0]
        where = f"the control group {group.path} has"
        fix = f"echo {2 * group.limit} >{group.path}/{file}"
    return Proof(
        f"{how} {name}, and the kernel ended a process for want of memory: {where} too little",
        (
            f"the counter oom_kill of the launcher's control group: {step.killed_before} before "
            f"the launch, {now} after it",
            *(f"{group.path}/{file} reads {group.limit}" for group, file in limited[:1]),
            f"what tells whether that was {name}: the kernel's log has a line 'Killed process'",
        ),
        fix_user=f"Have {name} use less memory.",
        fix_administrator=fix,
    )
