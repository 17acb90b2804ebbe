"""What stops new namespaces: limits on their number that are reached, here or outside."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.causes.limits import usual
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.options import WITHOUT, can_go_without
from minictr.diagnosis.probes.processes import named
from minictr.diagnosis.probes.user_namespaces import INITIAL, made_by_us, own_user_namespace
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

_UNLIMITED = 2**31 - 1  # what a new user namespace begins with
_SHOWN = 4  # holders that are named


@cause(
    "MC0205",
    "the limit on namespaces is used up",
    stops=("CreateNamespaces",),
    errnos=(errno.ENOSPC,),
)
def used_up(interview: Interview) -> Verdict:
    """user.max_user_namespaces, or the limit on another kind that the launch makes, is a number
    above 0, and as many namespaces of the caller's exist. The kernel counts for each user and each
    user namespace; what is made inside of a user namespace counts against who made that one, too.

    The probe counts what the caller's processes are in. Namespaces that only an open file or a
    bind mount keeps are not seen, so the cause is named where those seen reach the limit.

    Reproduction (an ordinary user, who is the administrator of a user namespace of his own):

        unshare -Ur sh -c '
          echo 2 >/proc/sys/user/max_user_namespaces
          unshare -U sleep 5 & one=$!; unshare -U sleep 5 & two=$!; sleep 1
          minictr exec "$IMAGE" true; status=$?
          kill $one $two; exit $status'

    Fix, user: end what holds the namespaces; the report names processes, `lsns` shows them all.

    Fix, administrator: sysctl -w user.max_KIND_namespaces=N.

    Not the cause: other users' namespaces, which count for them alone; a full disk.

    Sources: namespaces(7), "The /proc/sys/user directory"; kernel/user_namespace.c,
    create_user_ns, and for each other kind of namespace copy_mnt_ns and its like, which ask
    kernel/ucount.c, inc_ucount.
    """
    kinds = interview.once(_refused, interview.plan.enter[0].__dict__["kinds"])
    if isinstance(kinds, str):
        return Unknown(kinds)
    verdicts = [_own_limit(interview, kind) for kind in kinds]
    for wanted in (Proof, Unknown):
        for verdict in verdicts:
            if isinstance(verdict, wanted):
                return verdict
    return Excluded(", ".join(v.how for v in verdicts if isinstance(v, Excluded)))


@cause(
    "MC0206",
    "a limit outside of this user namespace lets nobody make another one inside",
    stops=("CreateNamespaces",),
    errnos=(errno.ENOSPC,),
)
def outer_user_limit(interview: Interview) -> Verdict:
    """minictr runs in a user namespace whose own limit cannot be reached, and the kernel refuses
    another one inside all the same. Two things outside do that: user.max_user_namespaces of an
    outer namespace is used up (each new one counts in all that are around it), or this one lies
    33 deep, and the kernel has no deeper ones.

    No file inside tells which: the limits of outer namespaces and the depth of one's own are not
    shown. One fact outside does: where `unshare --user true` works for the same user, it is the
    depth, and where it says "No space left on device", the limit.

    Reproduction (an ordinary user, who is the administrator of a user namespace of his own):

        unshare -Ur sh -c 'echo 1 >/proc/sys/user/max_user_namespaces
          unshare -Ur minictr exec "$IMAGE" true'

    Fix, user: start minictr from further outside.

    Fix, administrator: of the outer namespace: sysctl -w user.max_user_namespaces=N.

    Not the cause: /proc/sys/user/max_user_namespaces as read inside; a full disk.

    Sources: user_namespaces(7), "Nested namespaces"; kernel/user_namespace.c, create_user_ns
    (level > 32); kernel/ucount.c, inc_ucount.
    """
    kinds = interview.once(_refused, interview.plan.enter[0].__dict__["kinds"])
    if isinstance(kinds, str):
        return Unknown(kinds)
    if kinds != ("user",):
        return Excluded("a user namespace can be made here")
    outside = _outside(interview, "user")
    if not isinstance(outside, str):
        return outside
    return Proof(
        "user.max_user_namespaces is used up outside of the user namespace that minictr runs in, "
        "or that one lies 33 deep",
        (
            "clone(2) for a user namespace alone gives ENOSPC",
            outside,
            "what tells the two apart: `unshare --user true` outside says ENOSPC for the limit",
        ),
        fix_user="Start minictr outside of this user namespace.",
        fix_administrator="Outside of it, where `unshare --user true` says "
        '"No space left on device": sysctl -w user.max_user_namespaces=N with a larger N.',
    )


@cause(
    "MC0207",
    "a limit outside of this user namespace on another kind of namespace is reached",
    stops=("CreateNamespaces",),
    errnos=(errno.ENOSPC,),
)
def outer_limit_of_a_kind(interview: Interview) -> Verdict:
    """minictr runs in a user namespace. Another one can be made inside, but not a namespace of one
    of the other kinds, whose limit here cannot be reached. So the limit of an outer namespace is:
    user.max_mnt_namespaces, max_pid_namespaces and so on count in all that are around. PID
    namespaces have a second limit: they lie in each other 32 deep at most.

    Reproduction (an ordinary user, who is the administrator of a user namespace of his own):

        unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_uts_namespaces
          unshare -Ur minictr exec "$IMAGE" true'

    Fix, user: leave the namespace out where the launch can do without it (--no-pid, --ipc=false,
    --uts=false), or start minictr from further outside.

    Fix, administrator: of the outer namespace: sysctl -w user.max_KIND_namespaces=N.

    Not the cause: /proc/sys/user/max_KIND_namespaces as read inside; a full disk.

    Sources: namespaces(7), "The /proc/sys/user directory"; copy_mnt_ns, copy_utsname, copy_ipcs
    and copy_net_ns, which ask kernel/ucount.c, inc_ucount; kernel/pid_namespace.c,
    create_pid_namespace, which asks as well (MAX_PID_NS_LEVEL).
    """
    kinds = interview.once(_refused, interview.plan.enter[0].__dict__["kinds"])
    if isinstance(kinds, str):
        return Unknown(kinds)
    if kinds == ("user",):
        return Excluded("it is the user namespace that is refused")
    found = [(kind, _outside(interview, kind)) for kind in kinds]
    proved = [(kind, fact) for kind, fact in found if isinstance(fact, str)]
    if not proved:
        return next((verdict for _, verdict in found if not isinstance(verdict, str)), None)
    kind, fact = proved[0]
    depth = " or PID namespaces lie 32 deep" if kind == "pid" else ""
    user = ["Start minictr outside of this user namespace."]
    if can_go_without(interview.request, kind):
        user.insert(0, again(interview.request, WITHOUT[kind]))
    return Proof(
        "outside of the user namespace that minictr runs in, "
        f"user.max_{kind}_namespaces is 0 or used up{depth}",
        (
            f"clone(2) makes a user namespace here, and gives ENOSPC for one with a {kind} "
            "namespace",
            fact,
        ),
        fix_user="\n".join(user),
        fix_administrator=f"Outside of it: sysctl -w user.max_{kind}_namespaces=N with a larger N.",
    )


def _refused(kinds: tuple[str, ...]) -> tuple[str, ...] | str:
    """The kinds that the kernel refuses with ENOSPC, one by one; words where it refuses none.

    Where it is the user namespace there is nothing in which others could be asked for.
    """
    answers = {kind: ask(int, namespaces=tuple({"user": 0, kind: 0})) for kind in kinds}
    refused = tuple(kind for kind in kinds if answers[kind].errno == errno.ENOSPC)
    if "user" in refused:
        return ("user",)
    trouble = next((answer.trouble for answer in answers.values() if answer.trouble), "")
    return refused or trouble or "asked for one by one, the namespaces can be made"


def _own_limit(interview: Interview, kind: str) -> Verdict:
    """Whether the caller's own namespaces reach the limit of his user namespace."""
    value = _value(interview, kind)
    path, key = f"/proc/sys/user/max_{kind}_namespaces", f"user.max_{kind}_namespaces"
    if isinstance(value, Unknown):
        return value
    if value in (0, _UNLIMITED):
        return Excluded(f"{path} reads {value}")
    held = interview.once(made_by_us, kind)
    if len(held) < value:
        return Unknown(
            f"{key} is {value}, and {len(held)} {kind} namespaces of {interview.host.user} are "
            f"seen; open files, mounts and hidden processes hold others, {_or_outside()}"
        )
    holders = ", ".join(named(pid) for pid in list(dict.fromkeys(held.values()))[:_SHOWN])
    return Proof(
        f"{key} is {value}, and {interview.host.user} has {len(held)} {kind} namespaces",
        (f"{path} reads {value}", f"{len(held)} different ones, among them those of {holders}"),
        fix_user=f"End what holds them, {holders}: `lsns --type {kind}` shows all.",
        fix_administrator=f"sysctl -w {key}={max(value * 2, int(usual(interview, kind)))}",
    )


def _or_outside() -> str:
    """The other cause that the same facts leave open."""
    if own_user_namespace() == INITIAL:
        return "and no limit is outside"
    return "or a limit outside of this user namespace is reached"


def _outside(interview: Interview, kind: str) -> str | Excluded | Unknown:
    """The fact which says that a limit on `kind` is reached, and not one of this namespace."""
    value, own = _value(interview, kind), own_user_namespace()
    if isinstance(value, Unknown):
        return value
    if not own:
        return Unknown("/proc/self/ns/user cannot be read")
    if own == INITIAL:
        return Excluded("minictr runs in the initial user namespace")
    if value != _UNLIMITED:
        return Unknown(
            f"user.max_{kind}_namespaces is {value} in this user namespace, which is not the "
            "initial one: whether that limit or one outside is reached"
        )
    return f"/proc/sys/user/max_{kind}_namespaces reads {value}, and /proc/self/ns/user is {own}"


def _value(interview: Interview, kind: str) -> int | Unknown:
    path = f"/proc/sys/user/max_{kind}_namespaces"
    fact = interview.fact(path)
    if fact.errno or not fact.text.strip().isdecimal():
        return Unknown(f"{path} cannot be read: {errno_name(fact.errno)}")
    return int(fact.text)
