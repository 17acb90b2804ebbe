"""What stops new processes: a PID namespace for children which is not the caller's own."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

_OWN, _CHILDREN = "/proc/self/ns/pid", "/proc/self/ns/pid_for_children"
_FORKING = "Unshare with a first process and its /proc: unshare --pid --fork --mount-proc."


@cause(
    "MC0210",
    "the first process of the PID namespace for minictr's children has ended",
    stops=("CreateNamespaces",),
    errnos=(errno.EINVAL, errno.ENOMEM),
)
def no_first_process(interview: Interview) -> Verdict:
    """minictr was started by something that unshared the PID namespace without `--fork`. Its first
    child became process 1 of that namespace and has ended; a PID namespace without its first
    process takes no others, so that nothing can be started any more: fork(2) gives ENOMEM.

    Reproduction (an ordinary user):

        unshare -Urp sh -c '/bin/true; exec minictr exec --no-pid "$IMAGE" true'

    Fix, user: unshare --pid --fork --mount-proc, or start minictr outside of it.

    Fix, administrator: none.

    Not the cause: memory, whatever ENOMEM is called.

    Sources: pid_namespaces(7), "The namespace init process"; unshare(1), --fork; kernel/pid.c,
    alloc_pid (PIDNS_ADDING).
    """
    links = _links(interview)
    if not isinstance(links, tuple):
        return links
    if not links[1]:
        return Excluded(f"{_CHILDREN}: that namespace has had no process yet")
    answer = interview.once(ask, int)
    if answer.errno != errno.ENOMEM:
        return Excluded("a child can be made")
    return Proof(
        "the PID namespace in which minictr's children would be has lost its first process",
        (*_seen(links), "clone(2) without any flag gives ENOMEM"),
        fix_user=_FORKING,
    )


@cause(
    "MC0211",
    "minictr's children are in another PID namespace than itself",
    stops=("CreateNamespaces",),
    errnos=(errno.EINVAL,),
    standing=True,
)
def other_pid_namespace(interview: Interview) -> Verdict:
    """minictr was started by something that unshared the PID namespace without `--fork`, and so is
    in the old one itself, while its children would be in the new one. The kernel makes no PID
    namespace for such a process: it would not know inside of which.

    Reproduction (an ordinary user):

        unshare -Urp minictr exec "$IMAGE" true

    Fix, user: --no-pid, which takes the unshared namespace as it is; or unshare --pid --fork
    --mount-proc.

    Fix, administrator: none.

    Not the cause: a kernel without PID namespaces, which EINVAL also stands for.

    Sources: unshare(2), CLONE_NEWPID; unshare(1), --fork; kernel/pid_namespace.c, copy_pid_ns.
    """
    if "pid" not in interview.plan.enter[0].__dict__["kinds"]:
        return Excluded("the launch makes no PID namespace")
    links = _links(interview)
    if not isinstance(links, tuple):
        return links
    return Proof(
        "minictr's children are in another PID namespace than minictr: "
        "it was unshared without --fork",
        _seen(links),
        fix_user=f"{again(interview.request, '--no-pid')}\n{_FORKING}",
    )


def _links(interview: Interview) -> tuple[str, str] | Excluded | Unknown:
    """(the caller's own PID namespace, that of his children: "" before the first of them)."""
    try:
        own = posix.readlink(_OWN)
        children = posix.readlink(_CHILDREN)
    except FileNotFoundError as missing:  # the latter, while nothing has been process 1
        if missing.filename != _CHILDREN:
            return Unknown(f"{_OWN} does not exist")
        children = ""
    except OSError as error:
        return Unknown(f"{error.filename}: {errno_name(error.errno or 0)}")
    if own == children:
        return Excluded(f"{_OWN} and pid_for_children are the same")
    return own, children


def _seen(links: tuple[str, str]) -> tuple[str, ...]:
    own, children = links
    other = children or "not there yet: it has had no process"
    return (f"{_OWN} is {own}", f"{_CHILDREN} is {other}")
