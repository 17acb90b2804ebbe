"""What ends a command that was started by a signal, where facts say who sent it and why."""

from __future__ import annotations

import posix
import resource

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.command import directory
from minictr.diagnosis.probes.program import chain, memory_of, seen_from
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable
from minictr.runtime import bpf
from minictr.runtime.execute import LoadFilter
from minictr.runtime.seccomp import path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.runtime.profile import Profile

_STEP = RunPayload.__name__
_SIGKILL, _SIGSEGV, _SIGXCPU, _SIGSYS = 9, 11, 24, 31
_KILLING = (bpf.SECCOMP_RET_KILL_PROCESS, bpf.SECCOMP_RET_KILL_THREAD, bpf.SECCOMP_RET_TRAP)
_TICKS = 0.75  # of a limit in the exact time: the kernel counts whole ticks against it
_SHOWN = 12  # names of calls in one line


@cause(
    "MC0643",
    "SIGSYS ended the command: the seccomp profile sends it for some calls, or a process sent it",
    stops=(_STEP,),
)
def killed_by_the_profile(interview: Interview) -> Verdict:
    r"""The profile ends a process that makes one of the calls it names, where others give an errno;
    the signal is SIGSYS. Any process of the user can send that by kill(2), too. The kernel tells a
    parent the signal and no more: that it was the filter, and for which call, stands in its log,
    which root reads.

    Reproduction (an ordinary user):

        echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
          [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]}' \
          >"$DIRECTORY/profile.json"
        minictr exec --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" mkdir /tmp/new

    Fix, user: allow the call in the profile; with the action SCMP_ACT_ERRNO in place of
    SCMP_ACT_KILL_PROCESS the command itself says what it could not do.

    Fix, administrator: journalctl -k --grep type=1326 shows the number of the call; where it has
    no line for the command, a process sent the signal.

    Not the cause: a fault of the command, for which there are other signals.

    Sources: seccomp(2), SECCOMP_RET_KILL_PROCESS; signal(7), SIGSYS.
    """
    if _signal(interview) != _SIGSYS:
        return None
    step = next((one for one in interview.plan.execute if isinstance(one, LoadFilter)), None)
    if step is None:
        return Excluded("the launch loads no filter")
    chained = interview.once(ancestry)
    if not chained or chained[0].filters:
        return Unknown("a filter around minictr may have sent it")
    path = path_of(step.profile)
    from minictr.runtime.profile import read_profile  # its imports are dear

    calls = _killing(read_profile(path))
    if not calls:
        return Excluded(f"{path} ends nobody")
    return Proof(
        f"SIGSYS ended {_command(interview)}: {path} sends it for {calls}; else a process sent it",
        (
            "the wait status is that of signal 31 (SIGSYS)",
            "/proc/self/status: Seccomp_filters 0, so that the profile's filter is the only one",
            "what tells the two apart: the kernel's log has a line type=1326 for the profile's",
        ),
        fix_user=f"Allow in {path} what the command calls; SCMP_ACT_ERRNO as the action has the "
        "command say which call that is.",
        fix_administrator="journalctl -k --grep type=1326",
    )


@cause(
    "MC0644",
    "the program is larger than the limit on its address space",
    stops=(_STEP,),
)
def larger_than_the_limit(interview: Interview) -> Verdict:
    """The segments of the program file are mapped when it is started, and together they are larger
    than RLIMIT_AS allows. execve(2) is past the point where it could return an errno, and the
    kernel sends SIGSEGV.

    Reproduction (an ordinary user; swollen is in tests/lab/tools):

        rm "$IMAGE/bin/true"
        swollen "$IMAGE/bin/busybox" "$IMAGE/bin/true" 2000000000
        ulimit -S -v 1000000
        minictr exec "$IMAGE" true

    Fix, user: raise the limit in the calling shell, ulimit -v; the report has the number.

    Fix, administrator: raise the hard limit, where that is what is too low: limits.conf(5).

    Not the cause: a fault of the program, which has not run an instruction; memory.

    Sources: getrlimit(2), RLIMIT_AS; fs/binfmt_elf.c, load_elf_binary; fs/exec.c, bprm_execve.
    """
    if _signal(interview) not in (_SIGSEGV, _SIGKILL):
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return Excluded("getrlimit(RLIMIT_AS) is unlimited")
    if not interview.failure.arguments or not interview.container():
        return Unknown("what was executed cannot be looked at")
    where = interview.once(directory, interview)
    found = chain(interview.container(), seen_from(where, str(interview.failure.arguments[0])))
    needed = memory_of(interview.container(), found[-1]) if found else 0
    if needed <= soft:
        return Excluded(f"its segments have {needed} bytes, and {soft} are allowed")
    kibibytes = 2 * needed // 1024
    fix = f"ulimit -S -v {kibibytes} && {again(interview.request)}"
    user = interview.host.user
    limited = hard != resource.RLIM_INFINITY and hard < 1024 * kibibytes
    return Proof(
        f"{found[-1].real} needs {needed} bytes to be started, and {soft} are allowed",
        (f"getrlimit(RLIMIT_AS): {soft}", f"the PT_LOAD segments of {found[-1].real}: {needed}"),
        fix_user="" if limited else fix,
        fix_administrator=f"echo '{user} - as {kibibytes}' >/etc/security/limits.d/{user}-as.conf"
        if limited
        else "",
    )


@cause(
    "MC0645",
    "SIGXCPU ended the command: its limit on processor time is used up, or a process sent it",
    stops=(_STEP,),
)
def out_of_time(interview: Interview) -> Verdict:
    """A process that has computed for as long as RLIMIT_CPU allows gets SIGXCPU. Login servers set
    the limit. Batch systems send the signal by kill(2), too, when their own time is up.

    The kernel tells a parent the signal and no more. How long the one process computed cannot be
    known either: what getrusage(2) says of it has the processes in it that it waited for.

    At the hard limit the signal is SIGKILL, which says nothing: it looks the same whoever sent it,
    and the time of the one process that it ended is gone with it. Of a SIGKILL nothing is said.

    Reproduction (an ordinary user):

        ulimit -S -t 1
        minictr exec "$IMAGE" sh -c 'while :; do :; done'

    Fix, user: raise the limit in the calling shell, ulimit -t, up to the hard one.

    Fix, administrator: raise the hard limit, where that is what is too low: limits.conf(5).

    Not the cause: less time, in the whole container, than the limit allows a single process.

    Sources: getrlimit(2), RLIMIT_CPU; getrusage(2), RUSAGE_CHILDREN; sigaction(2), si_code;
    kernel/time/posix-cpu-timers.c, check_process_timers.
    """
    if _signal(interview) != _SIGXCPU:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == resource.RLIM_INFINITY:
        return Excluded("getrlimit(RLIMIT_CPU) is unlimited")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    if seconds < _TICKS * soft:
        return Excluded(f"it computed for {seconds:.1f} seconds, and {soft} are allowed")
    user, fix, of_administrator = interview.host.user, "", ""
    most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    if hard == soft:
        of_administrator = f"Raise the limit cpu of {user} in /etc/security/limits.conf."
    else:
        fix = f"ulimit -S -t {most} && {again(interview.request)}"
    return Proof(
        f"SIGXCPU ended {_command(interview)}: its limit of {soft} seconds of processor time is "
        "used up; else a process sent it",
        (
            f"getrlimit(RLIMIT_CPU): {soft} seconds, at most {most}",
            f"the wait status is that of SIGXCPU; the container has computed for {seconds:.0f} s, "
            "all its processes together",
            "what tells the two apart: strace -f, with --id-map single, shows "
            "si_code=SI_KERNEL where it was the limit",
        ),
        fix_user=fix,
        fix_administrator=of_administrator,
    )


def _signal(interview: Interview) -> int:
    """The signal that ended the command, 0 for none."""
    return max(-posix.waitstatus_to_exitcode(interview.failure.status), 0)


def _command(interview: Interview) -> str:
    return printable(str(interview.failure.step.__dict__["command"]))


def _killing(profile: Profile) -> str:
    """The calls for which the profile ends a process, in words; "" for none."""
    kept = [name for rule in profile.rules for name in rule.syscalls if rule.action not in _KILLING]
    names = [name for rule in profile.rules for name in rule.syscalls if rule.action in _KILLING]
    if profile.default_action in _KILLING:
        return f"every call but {len(set(kept))}"
    shown = list(dict.fromkeys(names))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
