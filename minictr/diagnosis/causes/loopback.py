"""What stops the network of a container: a seccomp filter around minictr that keeps lo down."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import without_network
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.filters import filters_seen, from_outside, loosened
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes import links
from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.calls import ioctl_in_vain, socket_in_vain
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.value import Value

_AF_INET = 2
_LOOPBACK = 1  # its index in every network namespace


class _Vain(Value):
    """A call of the step, made so that it cannot succeed.

    named   the call of the step
    shown   the vain one
    expect  the errno which every kernel gives
    setting of systemd.exec(5) that allows the call
    """

    named: str
    shown: str
    expect: int
    setting: str


# In the order in which the step makes them.
_CALLS = (
    _Vain(
        "socket(2) with AF_INET",
        "socket(AF_INET, SOCK_DGRAM | 0x10)",
        errno.EINVAL,
        "RestrictAddressFamilies=AF_INET AF_NETLINK AF_UNIX",
    ),
    _Vain(
        "ioctl(2) with SIOCGIFFLAGS",
        "ioctl(-1, SIOCGIFFLAGS)",
        errno.EBADF,
        "SystemCallFilter=ioctl",
    ),
    _Vain(
        "ioctl(2) with SIOCSIFFLAGS",
        "ioctl(-1, SIOCSIFFLAGS)",
        errno.EBADF,
        "SystemCallFilter=ioctl",
    ),
)


@cause(
    "MC0801",
    "a seccomp filter around minictr keeps the container's lo down",
    stops=("RaiseLoopback",),
)
def loopback_refused(interview: Interview) -> Verdict:
    r"""A new network namespace has an interface lo that is down. minictr raises it with socket(2)
    and ioctl(2), and the program that started minictr, or the container it runs in, has loaded a
    seccomp filter which answers one of the two itself; the kernel never sees the call.

    The probe makes the same calls in vain: ioctl(2) on no descriptor, socket(2) with a flag that
    does not exist. The kernel answers EBADF and EINVAL before it asks any security module; a filter
    sees request or family, and gives its own answer. Then lo of one more new network namespace is
    raised by netlink, another door to the same: so the kernel itself has nothing against it.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse ioctl:SIOCSIFFLAGS -- \
            minictr exec --net --network none "$IMAGE" true

    Fix, user: leave --net and --network none out, where the host's network does no harm; or start
    minictr from outside of the program that loaded the filter.

    Fix, administrator: let the outer filter pass socket(2) with AF_INET and ioctl(2) with
    SIOCGIFFLAGS and SIOCSIFFLAGS. They reach no further than the caller's privileges do.

    Not the cause: a missing CAP_NET_ADMIN, which the container has over its own namespace.

    Sources: seccomp(2); netdevice(7); rtnetlink(7); fs/ioctl.c; net/socket.c, __sys_socket.
    """
    answers = _vain_answers(interview)
    if isinstance(answers, str):
        return Unknown(f"calls that no kernel carries out: {answers}")
    found = [pair for pair in zip(_CALLS, answers, strict=True) if pair[1] != pair[0].expect]
    if not found:
        return Excluded(f"{_listed()} give EINVAL and EBADF as without a filter")
    call, answer = found[0]
    if answer != interview.failure.errno:
        return Unknown(f"{call.shown} is answered with {errno_name(answer)}, not as the step was")
    closed = _by_netlink(interview)
    if closed:
        return Unknown(f"{call.shown} gives {errno_name(answer)}, and {closed}")
    chain = interview.once(ancestry)
    allowed = call.named.replace("(2)", "")
    return Proof(
        f"a seccomp filter around minictr refuses {call.named}",
        (
            f"{call.shown}, which the kernel always answers with {errno_name(call.expect)}, is "
            f"answered with {errno_name(answer)}",
            "netlink raises lo in a new network namespace: RTM_NEWLINK, sent by pyroute2",
            *filters_seen(chain),
        ),
        fix_user="\n".join([without_network(interview.request), *from_outside(chain)]),
        fix_administrator=loosened(interview.host, chain, allowed, call.setting),
    )


def _vain_answers(interview: Interview) -> tuple[int, ...] | str:
    """The errno of each of _CALLS, in a child that a filter may end; words where there are none."""
    answer = interview.once(ask, _call_in_vain)
    if answer.trouble:
        return answer.trouble
    return tuple(int(number) for number in str(answer.value).split())


def _call_in_vain() -> str:
    siocgifflags, siocsifflags = 0x8913, 0x8914  # include/uapi/linux/sockios.h
    results = (
        socket_in_vain(_AF_INET), ioctl_in_vain(siocgifflags), ioctl_in_vain(siocsifflags),
    )  # fmt: skip
    return " ".join(str(-result) for result in results)


def _by_netlink(interview: Interview) -> str:
    """Why netlink could not raise lo in new namespaces; "" where it did."""
    answer = ask(
        links.raise_by_netlink, _LOOPBACK, namespaces=("user", "net"), patience=links.PATIENCE
    )
    if answer.trouble:
        return f"netlink could not be asked: {answer.trouble}"
    if isinstance(answer.value, str):
        return f"netlink could not be asked: {answer.value}"
    number = int(str(answer.value))
    return f"netlink is refused as well: {errno_name(number)}" if number else ""


def _listed() -> str:
    return ", ".join(call.shown for call in _CALLS)
