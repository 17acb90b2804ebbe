"""What stops new namespaces: a caller whose ids the user namespace around him has no number for."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.host import read_fact


@cause(
    "MC0208",
    "the caller's uid is not mapped in the user namespace around minictr",
    stops=("CreateNamespaces",),
    errnos=(errno.EPERM,),
    standing=True,
)
def uid_unmapped(interview: Interview) -> Verdict:
    """minictr runs in a user namespace, and the caller's uid has no number in it: its uid_map was
    never written, or maps others. Such a caller is nobody there (65534), and the kernel makes no
    user namespace for him: it could not say whose it is.

    Reproduction (an ordinary user):

        unshare --user minictr exec "$IMAGE" true

    Fix, user: enter the namespace with a map: `unshare --user --map-current-user`, or start
    minictr outside of it.

    Fix, administrator: none.

    Not the cause: the distribution's settings for user namespaces; CAP_SYS_ADMIN, which a process
    in a new user namespace has and loses at execve(2) when its uid is not mapped to 0.

    Sources: user_namespaces(7), "Unmapped user and group IDs"; unshare(2), EPERM;
    kernel/user_namespace.c, create_user_ns (kuid_has_mapping).
    """
    return _unmapped(interview, "uid", posix.geteuid())


@cause(
    "MC0209",
    "the caller's gid is not mapped in the user namespace around minictr",
    stops=("CreateNamespaces",),
    errnos=(errno.EPERM,),
    standing=True,
)
def gid_unmapped(interview: Interview) -> Verdict:
    """minictr runs in a user namespace in which the caller's uid has a number and his primary group
    has none: only uid_map was written, or gid_map maps other groups. The kernel makes no user
    namespace for such a caller.

    Reproduction (an ordinary user):

        unshare --map-user=0 minictr exec "$IMAGE" true

    Fix, user: enter the namespace with both maps: `unshare --user --map-current-user`, or start
    minictr outside of it.

    Fix, administrator: none.

    Not the cause: supplementary groups, which need no number; setgroups, which may be denied.

    Sources: user_namespaces(7), "Unmapped user and group IDs"; unshare(2), EPERM;
    kernel/user_namespace.c, create_user_ns (kgid_has_mapping).
    """
    return _unmapped(interview, "gid", posix.getegid())


def _unmapped(interview: Interview, kind: str, own: int) -> Verdict:
    path = f"/proc/self/{kind}_map"
    fact = interview.fact(path)
    if fact.errno:
        return Unknown(f"{path} cannot be read: {errno_name(fact.errno)}")
    lines = [[int(number) for number in line.split()] for line in fact.text.splitlines()]
    mapped = any(first <= own < first + count for first, _, count in lines)
    if mapped and not interview.once(_is_nobody, kind, own):
        return Excluded(f"{path} maps {kind} {own}")
    has = "; ".join(" ".join(line.split()) for line in fact.text.splitlines())
    return Proof(
        f"the caller's {kind} has no number in the user namespace that minictr runs in",
        (
            f"{path} {f'maps other ids: {has}' if has else 'is empty: no id is mapped'}",
            f"gete{kind}(2) gives {own}, which stands for every id that is not mapped",
        ),
        fix_user=f"unshare --user --map-current-user {with_single_map(interview.request)}\n"
        "Run this outside of the user namespace that minictr was started in.",
    )


def _is_nobody(kind: str, own: int) -> bool:
    """Whether an id that is in the map is not the caller's, who is shown as it all the same.

    65534 stands for every unmapped id, and large maps have it as well. A process may always take
    its own id again; without capabilities it may take no other: setresuid(2).
    """
    overflow = read_fact(f"/proc/sys/kernel/overflow{kind}").text.strip() or "65534"
    return str(own) == overflow and ask(_refused_its_own, kind, own).value is True


def _refused_its_own(kind: str, own: int) -> bool:
    take = posix.setresuid if kind == "uid" else posix.setresgid
    try:
        take(-1, own, -1)
    except PermissionError:
        return True
    return False
