"""What stops the confinement: filters around minictr that refuse its calls, or leave no room."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.filters import filters_seen, from_outside, loosened
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.privilege_calls import (
    CALLS,
    answered,
    can_load,
    harmless,
    longest_filter,
)
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import answer_name, errno_name
from minictr.host import read_host
from minictr.image.locks import unlockable

_SIGSYS = 31
_ALL = 32768  # kernel/seccomp.c, MAX_INSNS_PER_PATH
_STEPS = {
    "CloseDescriptors": ("close_range",),
    "DropBoundingSet": ("PR_CAPBSET_DROP",),
    "DropCapabilities": ("capset",),
    "SetNoNewPrivileges": ("PR_SET_NO_NEW_PRIVS",),
    "TakeTerminal": ("setpgid", "ioctl"),
    "LoadFilter": ("seccomp",),
}
_NEEDED = "prctl, capset, close_range, setpgid, setsockopt, socketpair and seccomp"
_SETTING = "SystemCallFilter=prctl capset close_range setpgid setsockopt socketpair seccomp"


@cause(
    "MC0506",
    "a seccomp filter around minictr refuses a call that takes no privilege",
    stops=(
        "CreateNamespaces", "DropBoundingSet", "DropCapabilities", "SetNoNewPrivileges",
        "TakeTerminal",
    ),
)  # fmt: skip
def giving_up_refused(interview: Interview) -> Verdict:
    """The program that started minictr has loaded a seccomp filter which answers prctl(2),
    capset(2), setpgid(2), socketpair(2) or setsockopt(2) itself. These calls take privileges away,
    name a process or make the socket by which the launcher hears of the container, and the kernel
    refuses them to nobody here. A container that kept its privileges is none, and of one that
    cannot be heard nobody knows whether it is: the launch ends. So it does where a filter says of
    every capability that it left the bounding set, those included that no kernel has; and where
    flock(2) is refused, which keeps two launches from unpacking the same image at once.

    The probe makes the same call with an argument that no kernel accepts. Who answers with another
    errno than the kernel does, or with success, has not looked at the argument. flock(2) is made on
    a file of memfd_create(2), which nobody else can hold a lock of.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse capset -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the program that loaded the filter; the report names
    the nearest process which does not have it.

    Fix, administrator: let the outer filter pass prctl, capset, close_range, setpgid, setsockopt,
    socketpair, seccomp and flock, as the profiles of the container engines do.

    Not the cause: missing privileges: these calls need none.

    Sources: seccomp(2); prctl(2); capset(2), EFAULT; kernel/sys.c, setpgid; net/socket.c,
    __sys_socketpair and __sys_setsockopt; flock(2).
    """
    return _refused(interview, interview.failure.call)


def locking_refused(chain: tuple[Ancestor, ...]) -> Verdict:
    """MC0506 of flock(2), which a launch makes before its first step."""
    answer = unlockable()
    if not answer:
        return Excluded("flock(2) on a file of memory works")
    if not chain or chain[0].seccomp <= 0:
        return Unknown(f"flock(2) gives {errno_name(answer)}, yet this process has no filter")
    return Proof(
        "a seccomp filter around minictr refuses flock(2)",
        (
            "flock(2) on a new file of memfd_create(2), which nobody else can lock, is answered "
            f"with {errno_name(answer)}",
            *filters_seen(chain),
        ),
        fix_user="\n".join(from_outside(chain)),
        fix_administrator=loosened(read_host(), chain, "flock", "SystemCallFilter=flock"),
    )


@cause(
    "MC0507",
    "a seccomp filter around minictr refuses to load another one",
    stops=("LoadFilter",),
)
def loading_refused(interview: Interview) -> Verdict:
    """The program that started minictr has loaded a seccomp filter which answers seccomp(2) itself,
    so that no process below it can add a filter of its own.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse seccomp -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the program that loaded the filter; the report names
    the nearest process which does not have it.

    Fix, administrator: let the outer filter pass seccomp, as the profiles of the container engines
    do: a process that adds a filter can only refuse itself more.

    Not the cause: the kernel's build: without CONFIG_SECCOMP_FILTER the outer filter would not be
    there; no_new_privs, which is set, and without which EACCES would be said.

    Sources: seccomp(2), EINVAL and EACCES; kernel/seccomp.c, seccomp_set_mode_filter.
    """
    return _refused(interview, "seccomp")


@cause(
    "MC0508",
    "a seccomp filter around minictr ends a process that gives privileges up",
    stops=tuple(_STEPS),
)
def killed(interview: Interview) -> Verdict:
    """As MC0506 and MC0507, and the filter ends who makes the call, with SIGSYS, where others give
    an errno.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse capset --errno KILL -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the program that loaded the filter; the report names
    the nearest process which does not have it.

    Fix, administrator: let the outer filter pass prctl, capset, close_range, setpgid and seccomp;
    or have it answer with ENOSYS what it does not know: minictr does without close_range then.

    Not the cause: minictr's own profile, which is loaded after all of these calls.

    Sources: seccomp(2), SECCOMP_RET_KILL_PROCESS; signal(7), SIGSYS.
    """
    failure = interview.failure
    if not failure.status or failure.step.verb() not in _STEPS:
        return None
    if posix.waitstatus_to_exitcode(failure.status) not in (-_SIGSYS, 128 + _SIGSYS):
        return Excluded("it was not SIGSYS that ended the process")
    if answered("PR_SET_PDEATHSIG", here=False) == -_SIGSYS:
        return Unknown("a filter ends every child that could ask")
    chain = interview.once(ancestry)
    for name in _STEPS[failure.step.verb()]:
        if answered(name) == -_SIGSYS:
            call = CALLS[name]
            return Proof(
                f"a seccomp filter around minictr ends a process that calls {_plain(name)}",
                (
                    f"{call.call} ends a child with SIGSYS; the kernel answers with "
                    f"{errno_name(call.expected)}",
                    *filters_seen(chain),
                ),
                fix_user="\n".join(from_outside(chain)),
                fix_administrator=loosened(interview.host, chain, _NEEDED, _SETTING),
            )
    return Excluded("the call of this step, in vain, ends no child")


@cause(
    "MC0509",
    "the seccomp filters around minictr leave no room for another one",
    stops=("LoadFilter",),
    errnos=(errno.ENOMEM,),
)
def no_room(interview: Interview) -> Verdict:
    """Every call runs through all filters that were loaded, and the kernel lets them have 32768
    instructions together, counting four more for each. What is around minictr has used them
    up: sandboxes in sandboxes, or a program that loads its filter again and again. The kernel says
    ENOMEM.

    The probe loads filters of several lengths, each in a child that ends with it.

    Reproduction (an ordinary user; stacked is in tests/lab/tools):

        stacked 64 -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the programs that loaded the filters; the report names
    the nearest process which has fewer.

    Fix, administrator: none is needed.

    Not the cause: memory, whatever ENOMEM is called; the length of minictr's own filter, which
    may be 4096 instructions.

    Sources: seccomp(2), ENOMEM; kernel/seccomp.c, seccomp_attach_filter, MAX_INSNS_PER_PATH.
    """
    if interview.failure.call != "seccomp":
        return None
    program = interview.failure.step.__dict__["program"]
    fits = can_load(harmless(program))
    if isinstance(fits, str):
        return Unknown(f"whether there is room for a filter: {fits}")
    ours = len(program) // 8
    if fits:
        return Excluded(f"there is room for a filter of {ours} instructions")
    room = longest_filter(ours)
    chain = interview.once(ancestry)
    return Proof(
        f"the seccomp filters around minictr leave no room for its own of {ours} instructions",
        (
            f"a child can load a filter of {room} instructions, and none of {room + 1}: ENOMEM",
            f"all filters of a process may have {_ALL} instructions together",
            *filters_seen(chain),
        ),
        fix_user="\n".join(from_outside(chain)),
        fix_administrator=""
        if from_outside(chain)
        else "Start the outer program with fewer or shorter seccomp filters.",
    )


def _refused(interview: Interview, call: str) -> Verdict:
    """The proof that a filter answered the call that failed."""
    failure = interview.failure
    name = _name(call, failure.arguments)
    if failure.call != call or name is None:
        return None
    vain = CALLS[name]
    answer = answered(name, here=True)
    if isinstance(answer, str):
        return Unknown(f"{vain.call}, which no kernel carries out: {answer}")
    if answer == vain.expected:
        return Excluded(f"{vain.call} gives {answer_name(answer)}, as without a filter")
    if answer != failure.errno:
        return Unknown(f"{vain.call} gives {answer_name(answer)}, and not what the step was given")
    chain = interview.once(ancestry)
    if chain and chain[0].seccomp == 0:
        return Unknown(f"{vain.call} gives {answer_name(answer)}, yet this process has no filter")
    does = "refuses" if answer else "only pretends to carry out"
    return Proof(
        f"a seccomp filter around minictr {does} {_plain(name)}",
        (
            f"{vain.call}, which the kernel always answers with {answer_name(vain.expected)}, is "
            f"answered with {answer_name(answer)}",
            *filters_seen(chain),
        ),
        fix_user="\n".join(from_outside(chain)),
        fix_administrator=loosened(interview.host, chain, _NEEDED, _SETTING),
    )


def _name(call: str, arguments: tuple[object, ...]) -> str | None:
    """The key of CALLS for a call that failed."""
    if call == "prctl" and arguments:
        option = str(arguments[0])
        return option if option in CALLS else None
    if call == "tcsetpgrp":  # setpgid(2) and an ioctl(2) behind one name
        return "ioctl" if answered("setpgid", here=True) == CALLS["setpgid"].expected else "setpgid"
    return call if call in CALLS else None


def _plain(name: str) -> str:
    """The call in words."""
    return f"prctl(2) with {name}" if name.startswith("PR_") else f"{name}(2)"
