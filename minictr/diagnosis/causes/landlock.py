"""What stops every mount: a Landlock sandbox around minictr."""

from __future__ import annotations

import errno

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.landlock import MOST, Refusals, layers_left, outside, refusals
from minictr.diagnosis.probes.mount_calls import in_vain
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name


@cause(
    "MC0408",
    "minictr runs in a Landlock sandbox, in which nothing can be mounted",
    stops=("MountStaging",),
    errnos=(errno.EPERM,),
    standing=True,
)
def landlocked(interview: Interview) -> Verdict:
    """The program that started minictr has restricted itself and all its children by Landlock. In a
    domain that handles any access to files no process may mount, move or unmount anything, not
    even in namespaces of its own, whatever the domain's rules allow otherwise: a mount could show
    files under paths for which there are no rules. The kernel answers EPERM.

    No file says that a process is in a domain. But the kernel takes sixteen of them inside each
    other: a child of the probe adds empty ones until there is E2BIG, and what is missing
    from sixteen is what was there before. Then calls in new namespaces tell who refuses: the
    capability is there, a filter does not answer, and two hooks of a module give EPERM all the
    same.

    Reproduction (an ordinary user; landlocked is in tests/lab/tools):

        landlocked -- minictr exec "$IMAGE" true

    Fix, user: start minictr from outside of the sandbox; the report names the nearest process which
    is not in it, where that can be seen.

    Fix, administrator: none is needed; a domain cannot be left or loosened from inside by anybody.

    Not the cause: a missing CAP_SYS_ADMIN, which the container has over its own namespaces; the
    rules of the sandbox (no rule allows mounts); "landlock" in /sys/kernel/security/lsm, which
    stands there for every process.

    Sources: landlock(7), "Current limitations"; security/landlock/fs.c, hook_sb_mount,
    hook_sb_pivotroot and hook_move_mount; security/landlock/limits.h.
    """
    refused = interview.once(_refusals)
    if isinstance(refused, str):
        return Unknown(f"mount(2) and pivot_root(2) in new namespaces: {refused}")
    if refused.mount != errno.EPERM:
        return Excluded(f"in new namespaces {_shown(refused)}")
    vain = interview.once(in_vain, "mount", 0)
    if vain.errno != errno.EFAULT:
        return Unknown("a seccomp filter answers mount(2), and hides who refuses behind it")
    if not refused.by_landlock:
        return Unknown(f"not all calls are answered as Landlock does: {_shown(refused)}")
    left = interview.once(_layers_left)
    if isinstance(left, str):
        return Unknown(f"a security module refuses mounts ({_shown(refused)}), and {left}")
    if left >= MOST:
        return Excluded(f"{left} Landlock domains can be entered: this process is in none")
    chain = interview.once(ancestry)
    free = interview.once(outside, chain)
    return Proof(
        f"minictr runs in a Landlock sandbox ({_domains(MOST - left)}), in which nothing can be "
        "mounted",
        (
            f"a child could enter {left} more Landlock domains; outside of all it is {MOST}",
            f"in new namespaces of a child: {_shown(refused)}",
            *_not_in_it(free),
        ),
        fix_user=_from_outside(chain, free),
    )


def _refusals() -> Refusals | str:
    answer = ask(refusals, namespaces=("user", "mnt"))
    if answer.trouble or not isinstance(answer.value, tuple):
        return answer.trouble
    return Refusals(*answer.value)


def _layers_left() -> int | str:
    answer = ask(layers_left)
    if answer.trouble:
        return f"Landlock domains cannot be counted: {answer.trouble}"
    left = int(str(answer.value))
    if left < 0:
        return (
            f"Landlock domains cannot be counted: landlock_restrict_self(2) and its like give "
            f"{errno_name(-left)}"
        )
    return left


def _shown(refused: Refusals) -> str:
    calls = (("mount", refused.mount), ("pivot_root", refused.pivot), ("move_mount", refused.move))
    answers = ", ".join(f"{name}(2) gives {errno_name(n)}" for name, n in calls if n)
    there = "there" if refused.capability else "not seen"
    return f"{answers or 'no call is refused'}; CAP_SYS_ADMIN is {there}"


def _domains(number: int) -> str:
    return "one domain" if number == 1 else f"{number} domains, one in another"


def _not_in_it(free: Ancestor | None) -> tuple[str, ...]:
    if not free:
        return ()
    return (
        f"{free}, of the same user, has NoNewPrivs 0, without which only root enters a domain, and "
        f"/proc/{free.pid}/ns is closed to us",
    )


def _from_outside(chain: tuple[Ancestor, ...], free: Ancestor | None) -> str:
    if not free:
        return "Start minictr from outside of the program that made the sandbox."
    below = chain[chain.index(free) - 1]
    through = f", not through {below}" if below is not chain[0] else ""
    return f"Start minictr from {free}{through}: that process is not in the sandbox."
