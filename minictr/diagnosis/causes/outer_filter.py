"""What stops new namespaces: a seccomp filter around minictr, asked before the kernel is."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.filters import filters_seen, from_outside, loosened
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.calls import (
    clone_in_vain,
    unshare_in_vain,
    unshare_vain_flags,
    vain_flags,
)
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.options import WITHOUT, can_go_without
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import answer_name

_FLAG_NAMES = {
    "user": "CLONE_NEWUSER", "mnt": "CLONE_NEWNS", "pid": "CLONE_NEWPID", "uts": "CLONE_NEWUTS",
    "ipc": "CLONE_NEWIPC", "net": "CLONE_NEWNET", "cgroup": "CLONE_NEWCGROUP",
}  # fmt: skip
# What another program may use in place of clone(2), which minictr does.
_IN_VAIN = {"clone": (clone_in_vain, vain_flags), "unshare": (unshare_in_vain, unshare_vain_flags)}
_NEEDED = "clone with CLONE_NEW* flags, mount, umount2, pivot_root and mount_setattr"


@cause(
    "MC0204",
    "a seccomp filter around minictr refuses new namespaces",
    stops=("CreateNamespaces",),
    standing=True,
)
def outer_filter(interview: Interview) -> Verdict:
    """The program that started minictr, or the container it runs in, has loaded a seccomp filter
    which answers clone(2) with CLONE_NEW* flags itself; the kernel never sees the call. Docker
    and podman do so by default, systemd does for units with RestrictNamespaces=.

    The probe calls clone(2) with the same flags and CLONE_FS, which contradicts CLONE_NEWUSER: the
    kernel answers EINVAL before it looks at anything else. A filter sees the flags, not the
    contradiction, and gives its own answer, an errno or the 0 that a new process would see. One
    child for each flag tells which.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse clone:user -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the program that loaded the filter; the report names
    the nearest process which does not have it.

    Fix, administrator: let the outer container's filter pass clone with CLONE_NEW* flags, mount,
    umount2, pivot_root and mount_setattr (docker, podman: --security-opt seccomp=PROFILE.json);
    for a systemd unit RestrictNamespaces=no.

    Not the cause: "Seccomp: 2" in /proc/self/status says that some filter is there, as in every
    container, and nothing about which calls it refuses. kernel.unprivileged_userns_clone and
    CAP_SYS_ADMIN have no part in it.

    Sources: seccomp(2); clone(2), EINVAL; kernel/fork.c, copy_process.
    """
    if silent := _cannot_be_asked(interview):
        return silent
    call = interview.failure.call if interview.failure.call in _IN_VAIN else "clone"
    kinds = interview.plan.enter[0].__dict__["kinds"]
    shown = f"{call}({hex(_IN_VAIN[call][1](kinds))})"
    answer = interview.once(_vain_answer, call, kinds)
    if isinstance(answer, str):
        return Unknown(f"{shown}, which no kernel carries out: {answer}")
    if answer == errno.EINVAL:
        return Excluded(f"{shown}, in which the kernel alone sees a contradiction, gives EINVAL")
    if answer != interview.failure.errno:
        return Unknown(f"{shown} is answered with {answer_name(answer)} and not as the step was")
    chain = interview.once(ancestry)
    if chain and chain[0].seccomp == 0:
        return Unknown(f"{shown} gives {answer_name(answer)}, yet this process has no filter")
    refused = _refused(call, kinds, answer)
    return Proof(
        _filter_cause(call, refused, answer),
        (
            f"{shown}, which the kernel always answers with EINVAL, is answered with "
            f"{answer_name(answer)}",
            *_flags_seen(kinds, refused, answer),
            *filters_seen(chain),
        ),
        fix_user=_filter_fix_user(interview, refused, chain),
        fix_administrator=loosened(interview.host, chain, _NEEDED, "RestrictNamespaces=no"),
    )


def _cannot_be_asked(interview: Interview) -> Verdict:
    """Where a call in vain tells nothing."""
    if interview.failure.call == "clone3":  # another program's: the flags are in its memory
        return Unknown("a filter that refuses clone3(2) refuses it whatever its flags are")
    if interview.failure.errno != errno.EINVAL:
        return None
    # Asked in vain, a kernel says the same.
    filtered = any(one.seccomp for one in interview.once(ancestry)[:1])
    said = "a filter that answers EINVAL speaks as the kernel does"
    return Unknown(said) if filtered else Excluded("this process has no filter")


def _vain_answer(call: str, kinds: tuple[str, ...]) -> int | str:
    """The errno with which the call in vain is answered in a child; words where there is none.

    A filter that refuses every clone(2) leaves no child to ask. The launcher has survived its own
    clone(2) then, so that it can ask itself.
    """
    in_vain = _IN_VAIN[call][0]
    answer = ask(in_vain, kinds)
    if not answer.made:
        return -in_vain(kinds)
    return answer.trouble or -int(str(answer.value))


def _refused(call: str, kinds: tuple[str, ...], answer: int) -> tuple[str, ...]:
    """The kinds that the filter refuses one by one; () where it does not look at their flags."""
    if _vain_answer(call, ()) != errno.EINVAL:  # it refuses the contradiction, or every such call
        return ()
    return tuple(kind for kind in kinds if _vain_answer(call, (kind,)) == answer)


def _filter_cause(call: str, refused: tuple[str, ...], answer: int) -> str:
    flags = ", ".join(_FLAG_NAMES[kind] for kind in refused) or "the flags of this launch"
    does = "refuses" if answer else "only pretends to carry out"
    return f"a seccomp filter around minictr {does} {call}(2) with {flags}"


def _flags_seen(kinds: tuple[str, ...], refused: tuple[str, ...], answer: int) -> tuple[str, ...]:
    passed = [_FLAG_NAMES[kind] for kind in kinds if kind not in refused]
    if not refused or not passed:
        return ()
    return (
        f"asked for one by one: {answer_name(answer)} for "
        f"{', '.join(_FLAG_NAMES[kind] for kind in refused)}; EINVAL for {', '.join(passed)}",
    )


def _filter_fix_user(
    interview: Interview, refused: tuple[str, ...], chain: tuple[Ancestor, ...]
) -> str:
    lines = []
    if refused and all(can_go_without(interview.request, kind) for kind in refused):
        lines.append(again(interview.request, *(WITHOUT[kind] for kind in refused)))
    return "\n".join([*lines, *from_outside(chain)])
