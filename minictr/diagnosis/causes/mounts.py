"""What stops a root file system from being built: a seccomp filter that refuses the calls."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.filters import filters_seen, from_outside, loosened
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.mount_calls import (
    EXPECTED,
    SHOWN,
    VainAnswer,
    has_capability,
    in_vain,
)
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

# Each step with the calls that it makes, in their order.
_CALLS = {
    "MountStaging": ("mount", "pivot_root"),
    "MakeSkeleton": (),
    "MountOverlay": ("mount",),
    "BindRoot": ("mount", "mount_setattr"),
    "BindTree": ("mount", "mount_setattr"),
    "MakeFiles": (),
    "MountProc": ("mount",),
    "MountMinimalDev": ("mount",),
    "MountEmpty": ("mount",),
    "Bind": ("mount", "mount_setattr"),
    "BindFile": ("mount",),
    "CoverCache": ("mount",),
    "ProtectProc": ("mount",),
    "PivotRoot": ("pivot_root", "umount2"),
}
_BUILDING = ("mount", "umount2", "pivot_root", "mount_setattr")
_STAGING = 6  # the flags of the first mount: MS_NOSUID, MS_NODEV
_SIGSYS = 31


@cause(
    "MC0406",
    "a seccomp filter around minictr refuses a call that builds the root file system",
    stops=tuple(_CALLS),
)
def mounts_refused(interview: Interview) -> Verdict:
    r"""The program that started minictr, or the container it runs in, has loaded a seccomp filter
    which lets user namespaces be made, and answers mount(2), umount2(2), pivot_root(2) or
    mount_setattr(2) itself; the kernel never sees the call. It may refuse with any errno, say that
    the call succeeded when nothing happened, or end the process with SIGSYS.

    The probe makes the same call, with the same flags, on a path at an address where nothing is:
    the kernel answers EFAULT before it asks for rights or any security module (mount_setattr with a
    structure of 0 bytes: EINVAL). A filter sees number and flags, and gives its own answer.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse mount -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the program that loaded the filter; the report names
    the nearest process which does not have it. Where only mount_setattr(2) is refused and nothing
    is bound, --writable-tmpfs does without it.

    Fix, administrator: let the outer filter pass the calls that the report names (docker, podman:
    --security-opt seccomp=PROFILE.json); for a systemd unit SystemCallFilter=@mount. They reach
    no further than the caller's privileges do.

    Not the cause: a missing CAP_SYS_ADMIN, which the container has over its own namespaces; the
    file system, where the errno is EPERM; an old kernel, where it is ENOSYS.

    Sources: seccomp(2); fs/namespace.c, do_mount, ksys_umount, pivot_root, mount_setattr.
    """
    found = _lying(interview) or _answered(interview, _CALLS[interview.failure.step.verb()])
    if not isinstance(found, tuple):
        return found
    call, answer = found
    chain = interview.once(ancestry)
    if chain and chain[0].seccomp == 0:
        return Unknown(f"{_observed(call, answer)}, yet this process has no filter")
    refused = [call, *_others(interview, call)]
    also = ", ".join(f"{name}(2)" for name in refused[1:])
    fixes = [*_without_setattr(interview, refused), *from_outside(chain)]
    return Proof(
        f"a seccomp filter around minictr {_verb_for(answer)} {call}(2){_flags_meant(interview)}",
        (
            _observed(call, answer),
            f"answered by no kernel either: {also}" if also else "",
            *filters_seen(chain),
        ),
        fix_user="\n".join(fixes),
        fix_administrator=loosened(
            interview.host, chain, ", ".join(refused), "SystemCallFilter=@mount"
        ),
    )


@cause(
    "MC0407",
    "a seccomp filter around minictr refuses sethostname(2)",
    stops=("SetHostname",),
)
def hostname_refused(interview: Interview) -> Verdict:
    r"""--hostname names the container's UTS namespace by sethostname(2), and the program that
    started minictr, or the container it runs in, has loaded a seccomp filter which answers that
    call itself.

    The probe makes the call in a UTS namespace of its own with a name of 65 bytes, which no kernel
    takes: it answers EINVAL without reading the name. And another call shows that the capability
    which it asks for first is there.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse sethostname -- minictr exec --hostname inside "$IMAGE" true

    Fix, user: leave --hostname out; or start minictr from outside of the program that loaded the
    filter.

    Fix, administrator: let the outer filter pass sethostname(2), which reaches the names of the
    caller's own UTS namespaces only; for a systemd unit ProtectHostname=no.

    Not the cause: a missing CAP_SYS_ADMIN, which the container has over its own UTS namespace.

    Sources: seccomp(2); sethostname(2); kernel/sys.c, sethostname.
    """
    found = _answered(interview, ("sethostname",))
    if not isinstance(found, tuple):
        return found
    call, answer = found
    chain = interview.once(ancestry)
    if chain and chain[0].seccomp == 0:
        return Unknown(f"{_observed(call, answer)}, yet this process has no filter")
    without = again(interview.request, without=("--hostname",))
    return Proof(
        f"a seccomp filter around minictr {_verb_for(answer)} sethostname(2)",
        (_observed(call, answer), *filters_seen(chain)),
        fix_user="\n".join([without, *from_outside(chain)]),
        fix_administrator=loosened(interview.host, chain, call, "ProtectHostname=no"),
    )


def _lying(interview: Interview) -> tuple[str, VainAnswer] | None:
    """A call of MountStaging that a filter pretends to have carried out: all after it is void."""
    for call in _CALLS["MountStaging"]:
        answer = interview.once(in_vain, call, _STAGING if call == "mount" else 0)
        if not (answer.errno or answer.signal or answer.trouble):
            return call, answer
    return None


def _answered(interview: Interview, calls: tuple[str, ...]) -> tuple[str, VainAnswer] | Verdict:
    """The call that failed, with an answer no kernel gives; else the verdict that there is none."""
    failure = interview.failure
    if failure.status:
        return _killed(interview, calls)
    if failure.call not in EXPECTED:
        return None
    call = failure.call
    answer = interview.once(in_vain, call, _flags(interview))
    expected = errno_name(EXPECTED[call])
    if answer.trouble or answer.signal:
        return Unknown(f"{SHOWN[call]}: {answer.trouble or f'signal {answer.signal}'}")
    if answer.errno == EXPECTED[call]:
        return Excluded(f"{SHOWN[call]} gives {expected} as without a filter")
    if answer.errno != failure.errno:
        return Unknown(f"{SHOWN[call]} gives {errno_name(answer.errno)}, the step got another")
    if answer.errno in (errno.EPERM, errno.EACCES) and not _lets_through(interview, call):
        return Unknown(f"{SHOWN[call]} is refused, and so is all that needs CAP_SYS_ADMIN")
    return call, answer


def _killed(interview: Interview, calls: tuple[str, ...]) -> tuple[str, VainAnswer] | Verdict:
    """The first of the step's calls that ends who makes it, as the step's process was ended."""
    if interview.failure.status & 0x7F != _SIGSYS:
        return None
    for call in calls:
        answer = interview.once(in_vain, call, _flags(interview))
        if answer.signal == _SIGSYS:
            return call, answer
    return Excluded("none of the step's calls ends a child that makes it")


def _lets_through(interview: Interview, call: str) -> bool:
    """Whether the refusal cannot be the kernel's: it asks for a capability first, or is given it.

    A security module may take the capability from new namespaces; mount and umount2 in vain do not
    come as far as that question.
    """
    return call in ("mount", "umount2", "mount_setattr") or interview.once(has_capability)


def _flags(interview: Interview) -> int:
    """The flags of the mount that failed; of the first one where its process told nothing."""
    arguments = interview.failure.arguments
    if interview.failure.call == "mount" and len(arguments) > 3:
        return int(str(arguments[3]), 16)
    return 0x5000 if interview.failure.step.verb().startswith("Bind") else _STAGING


def _flags_meant(interview: Interview) -> str:
    """The flags to which the filter looks; "" where it refuses every mount(2)."""
    flags = _flags(interview)
    plain = interview.once(in_vain, "mount", _STAGING)
    if interview.failure.call != "mount" or plain.errno != EXPECTED["mount"]:
        return ""
    return f" with the flags {hex(flags)}"


def _others(interview: Interview, call: str) -> list[str]:
    """The other calls of a launch that are not answered by the kernel either."""
    found = []
    for other in _BUILDING:
        answer = interview.once(in_vain, other, _STAGING if other == "mount" else 0)
        if other != call and not answer.trouble and answer.errno != EXPECTED[other]:
            found.append(other)
    return found


def _without_setattr(interview: Interview, refused: list[str]) -> list[str]:
    """An overlay in place of the bind, which has to be made read-only."""
    request, step = interview.request, interview.failure.step.verb()
    if refused == ["mount_setattr"] and step == "BindRoot" and not request.binds:
        return [again(request, "--writable-tmpfs")]
    return []


def _verb_for(answer: VainAnswer) -> str:
    if answer.signal:
        return "ends what calls"
    return "refuses" if answer.errno else "only pretends to carry out"


def _observed(call: str, answer: VainAnswer) -> str:
    expected = f"{SHOWN[call]}, which the kernel always answers with {errno_name(EXPECTED[call])},"
    if answer.signal:
        return f"{expected} ended the child that made it with signal {answer.signal} (SIGSYS)"
    return f"{expected} is answered with {errno_name(answer.errno) if answer.errno else 'success'}"
