"""What stops new processes, at whatever step one is made: limits on how many there may be."""

from __future__ import annotations

import errno
import os

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.cgroups import Group, events, groups
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.pids import taken, usable
from minictr.diagnosis.probes.rlimits import UNLIMITED, remedies, rlimit
from minictr.diagnosis.probes.tasks import own_tasks, startable, unlimited_by_privilege
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted

# Where minictr makes a process, or starts a program: MapIds newuidmap and newgidmap, the last step
# of `confine` the payload, EvaluateEnvironment the image's shell.
FORKING = (
    "CreateNamespaces", "MapIds", "DropBoundingSet", "DropCapabilities", "SetNoNewPrivileges",
    "EvaluateEnvironment", "Execute",
)  # fmt: skip
# Tasks beside the launcher: unsquashfs has six at most and one for each processor, as its releases
# differ, and one of ours makes the hash.
_UNPACKING = 7
_ROOM = 16  # processes that a launch and its probes may need at once
_USUAL = 4096  # processes of one user; what distributions allow is larger
_UNITS = (".slice", ".service", ".scope")


@cause(
    "MC0701",
    "the user has as many processes as RLIMIT_NPROC allows",
    stops=FORKING,
    errnos=(errno.EAGAIN,),
    standing=True,
)
def too_many_processes(interview: Interview) -> Verdict:
    """Processes and threads with the caller's real uid are as many as his limit (`ulimit -u`), so
    that the kernel answers clone(2) and fork(2) with EAGAIN. A launch needs up to five at once.

    They are counted in the caller's user namespace: those of the same user outside of it do not
    count against a limit inside, those in namespaces that he made inside do.

    Reproduction (an ordinary user; dash has no `ulimit -u`):

        bash -c 'ulimit -S -u 1; minictr exec "$IMAGE" true'

    Fix, user: ulimit -S -u N up to the hard limit, or end processes.

    Fix, administrator: prlimit --pid PID --nproc=N:N for the user's shell; limits.conf(5) and the
    unit's LimitNPROC= set it at each start.

    Not the cause: kernel.pid_max, which is never reached; memory; root, to whom it does not apply.

    Sources: getrlimit(2), RLIMIT_NPROC; fork(2), EAGAIN; kernel/fork.c, copy_process;
    kernel/ucount.c, is_rlimit_overlimit.
    """
    return processes_used_up(interview.once(ancestry))


def threads_used_up(chain: tuple[Ancestor, ...]) -> Verdict:
    """Whether RLIMIT_NPROC was reached by unsquashfs, which has ended with its threads since.

    Its words are the same where memory is refused for a thread's stack, or another limit on tasks
    was met: of two limits that may have been it, neither is named.
    """
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        limit = rlimit(name)
        if not limit or limit.soft != UNLIMITED:
            return Unknown(f"{name} is limited, too, and a thread needs memory")
    most = _UNPACKING + (os.cpu_count() or 1)
    processes, tasks, possible = rlimit("RLIMIT_NPROC"), own_tasks(), startable(most)
    if possible >= most:
        return Excluded(f"{most} more processes can be started")
    if not processes or tasks.sure + possible < processes.soft:
        return Unknown(f"{possible} more processes can be started, and RLIMIT_NPROC allows more")
    return processes_used_up(chain, most)


def processes_used_up(chain: tuple[Ancestor, ...], more: int = 0) -> Verdict:
    """Whether RLIMIT_NPROC leaves no process, or not as many more as were needed."""
    limit = rlimit("RLIMIT_NPROC")
    if not limit:
        return Unknown("prlimit(2) does not tell RLIMIT_NPROC")
    if limit.soft == UNLIMITED:
        return Excluded("RLIMIT_NPROC is unlimited")
    if unlimited_by_privilege():
        return Excluded("RLIMIT_NPROC does not hold for root of the initial user namespace")
    tasks = own_tasks()
    if tasks.sure + more < limit.soft:
        seen = f"RLIMIT_NPROC is {limit.soft}, and {tasks.sure} processes and threads are seen"
        if tasks.sure + more + tasks.unsure < limit.soft:
            return Excluded(seen)
        return Unknown(f"{seen} in this user namespace, {tasks.unsure} in one that is not shown")
    enough = tasks.sure + more + _ROOM
    wanted = limit.hard if limit.hard >= enough else max(enough, _USUAL)
    user, administrator = remedies(limit, wanted, chain)
    has = f"RLIMIT_NPROC is {limit.soft}, and the user has {tasks.sure} processes and threads"
    return Proof(
        f"{has}; to unpack an image takes up to {more} more" if more else has,
        (
            f"prlimit(2): {limit}",
            f"/proc/PID/status: {tasks.sure} threads with this real uid in this user namespace",
        ),
        fix_user=user or "End processes: `ps -u $(id -u) -L` lists them.",
        fix_administrator=administrator,
    )


@cause(
    "MC0702",
    "a control group has as many processes as its pids.max allows",
    stops=FORKING,
    errnos=(errno.EAGAIN,),
)
def group_full(interview: Interview) -> Verdict:
    r"""The cgroup that minictr is in, or one above it, has a limit on processes and threads
    (pids.max: TasksMax= of a unit, --pids-limit of a container), and has reached it. fork(2) gives
    EAGAIN then.

    The probe forks once more: pids.events counts the refusals of the limit.

    Reproduction (root; in-cgroup is in tests/lab/tools):

        in-cgroup pids pids.max 1 -- setpriv --reuid="$USER" --regid="$USER" --init-groups \
            minictr exec "$IMAGE" true

    Fix, user: end processes of the group.

    Fix, administrator: a larger pids.max: systemctl set-property UNIT TasksMax=N, --pids-limit N.

    Not the cause: RLIMIT_NPROC, kernel.pid_max, memory.

    Sources: cgroups(7), "pids"; Documentation/admin-guide/cgroup-v2.rst, "PID";
    kernel/cgroup/pids.c, pids_can_fork.
    """
    return group_used_up()


def group_used_up() -> Verdict:
    """Whether the caller's cgroup, or one above it, takes no more processes at this moment."""
    above = groups("pids", "pids.max", "pids.current")
    if not above:
        return Unknown("the caller's pids cgroup is not shown")
    before = events(above[0], "pids.events", "max")
    answer = ask(int)
    after = events(above[0], "pids.events", "max")
    full = next((group for group in above if 0 <= group.limit <= group.used), None)
    if answer.errno != errno.EAGAIN:
        return Unknown("one more process can be made now")
    counted = f"{above[0].path}/pids.events: max rose from {before} to {after} with one fork(2)"
    if full:
        rose = (counted,) if after > before >= 0 else ()
        return Proof(
            f"the cgroup {full.path} is full: its pids.max is {full.limit}",
            (f"pids.max reads {full.limit}, pids.current {full.used}", *rose),
            fix_user=f"End processes of the group: {full.path}/cgroup.procs lists them.",
            fix_administrator=_larger(full),
        )
    if after > before >= 0:
        return Proof(
            "a cgroup above those that are shown has as many processes as its pids.max",
            (counted, f"no group from {above[0].path} up to {above[-1].path} is full"),
            fix_administrator="Outside of this cgroup namespace: a larger pids.max (--pids-limit).",
        )
    return Excluded("no group that is shown is full, and pids.events counted no refusal")


def _larger(full: Group) -> str:
    name, wanted = full.path.rpartition("/")[2], max(full.used * 2, full.used + _ROOM)
    if name.endswith(_UNITS):
        return f"systemctl set-property {quoted(name)} TasksMax={wanted}"
    return f"echo {wanted} >{quoted(full.path + '/pids.max')}"


@cause(
    "MC0703",
    "every process id up to kernel.pid_max is taken",
    stops=FORKING,
    errnos=(errno.EAGAIN,),
)
def no_process_id(interview: Interview) -> Verdict:
    """kernel.pid_max is the number below which process ids are given out, and all of them are
    taken, by processes, threads, process groups and sessions. Since Linux 6.14 each PID namespace
    has a limit of its own. Once the numbers were through, those below 300 are not given out again.

    Reproduction (an ordinary user, who is the administrator of a PID namespace of his own):

        unshare -Urpf --mount-proc bash -c '
          until [ ${!:-0} -gt 300 ]; do true & wait $!; done
          echo 301 >/proc/sys/kernel/pid_max || exit 77
          sleep 5 &
          exec minictr exec "$IMAGE" true'

    Fix, user: end processes.

    Fix, administrator: echo N >/proc/sys/kernel/pid_max, which a shell does without a process.

    Not the cause: RLIMIT_NPROC; a large number of processes alone, as pid_max is 4194304 in a new
    PID namespace.

    Sources: proc_sys_kernel(5), pid_max; kernel/pid.c, alloc_pid (idr_alloc_cyclic).
    """
    fact = interview.fact("/proc/sys/kernel/pid_max")
    if fact.errno or not fact.text.strip().isdecimal():
        return Unknown("/proc/sys/kernel/pid_max cannot be read")
    most = int(fact.text)
    numbers = usable(most)
    ids = interview.once(taken)
    free = next((number for number in numbers if number not in ids), 0)
    if free:
        return Excluded(f"kernel.pid_max is {most}, and no process in /proc has the id {free}")
    return Proof(
        f"kernel.pid_max is {most}, and every process id from {numbers[0]} on is taken",
        (
            f"/proc/sys/kernel/pid_max reads {most}",
            f"each number from {numbers[0]} to {numbers[-1]} is the id of a process, thread, "
            "process group or session in /proc",
        ),
        fix_user="End processes: `ps -eL` lists them.",
        fix_administrator=f"echo {max(most * 2, 32768)} >/proc/sys/kernel/pid_max",
    )
