"""What stops new namespaces: limits on their number that are 0."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.options import WITHOUT, can_go_without
from minictr.diagnosis.probes.surroundings import sysctl_files
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.runtime.namespaces import FLAGS

_ENOUGH = 10000
_UNLIMITED = 2**31 - 1  # what a new user namespace begins with


@cause(
    "MC0201",
    "user.max_user_namespaces is 0",
    stops=("CreateNamespaces",),
    errnos=(errno.ENOSPC,),
    standing=True,
)
def no_user_namespaces(interview: Interview) -> Verdict:
    """The administrator allows no user namespaces: the limit on them is 0. A launch needs one, and
    the kernel answers clone(2) with ENOSPC.

    /proc/sys/user shows the limits of the reader's own user namespace, so it is read by the
    launcher, which stays outside of the container: inside the value would be 2147483647.

    Reproduction (an ordinary user, who is the administrator of a user namespace of his own):

        unshare -Ur sh -c '
          echo 0 >/proc/sys/user/max_user_namespaces
          minictr exec "$IMAGE" true'

    Fix, user: none.

    Fix, administrator: sysctl -w user.max_user_namespaces=N, and the same in the file of
    /etc/sysctl.d that sets it to 0.

    Not the cause: a full disk, whatever ENOSPC is called; CAP_SYS_ADMIN, as root gets ENOSPC too;
    kernel.unprivileged_userns_clone, which is a sysctl of Debian kernels and gives EPERM.

    Sources: namespaces(7), "The /proc/sys/user directory"; kernel/user_namespace.c,
    create_user_ns, which asks kernel/ucount.c, inc_ucount.
    """
    return _limit(interview, "user")


@cause(
    "MC0202",
    "the limit on another kind of namespace is 0",
    stops=("CreateNamespaces",),
    errnos=(errno.ENOSPC,),
    standing=True,
)
def no_namespaces_of_a_kind(interview: Interview) -> Verdict:
    """One of user.max_mnt_namespaces, max_pid_namespaces, max_ipc_namespaces, max_uts_namespaces
    and max_net_namespaces is 0, and the launch makes a namespace of that kind. All of them are made
    by one clone(2), whose ENOSPC does not say which was refused: the report does.

    Reproduction (an ordinary user, who is the administrator of a user namespace of his own):

        unshare -Ur sh -c '
          echo 0 >/proc/sys/user/max_pid_namespaces
          minictr exec "$IMAGE" true'

    Fix, user: leave the namespace out where the launch can do without it: --no-pid, --ipc=false,
    --uts=false.

    Fix, administrator: sysctl -w user.max_KIND_namespaces=N.

    Not the cause: the limit on user namespaces, which is another sysctl; a full disk.

    Sources: namespaces(7), "The /proc/sys/user directory"; kernel/nsproxy.c,
    create_new_namespaces, and for each kind copy_mnt_ns, copy_pid_ns, copy_ipcs, copy_utsname and
    copy_net_ns, which ask kernel/ucount.c, inc_ucount.
    """
    kinds = [kind for kind in interview.plan.enter[0].__dict__["kinds"] if kind != "user"]
    verdicts = [_limit(interview, kind) for kind in kinds]
    for wanted in (Proof, Unknown):
        for verdict in verdicts:
            if isinstance(verdict, wanted):
                return verdict
    return Excluded(", ".join(v.how for v in verdicts if isinstance(v, Excluded)))


def _limit(interview: Interview, kind: str) -> Verdict:
    path, key = f"/proc/sys/user/max_{kind}_namespaces", f"user.max_{kind}_namespaces"
    fact = interview.fact(path)
    if fact.errno:
        return Unknown(f"{path} cannot be read: {errno_name(fact.errno)}")
    value = fact.text.strip()
    if value != "0":
        return Excluded(f"{path} reads {value}")
    again_without = ""
    if can_go_without(interview.request, kind):
        again_without = again(interview.request, WITHOUT[kind])
    files = sysctl_files(interview.host, key, "0")
    fix = f"sysctl -w {key}={usual(interview, kind)}"
    if files:
        fix += f"\nChange it in {files[0].partition(':')[0]}, too: that file sets it at each start."
    return Proof(
        f"{key} is 0",
        (f"{path} reads 0", *files),
        fix_user=again_without,
        fix_administrator=fix,
    )


def usual(interview: Interview, kind: str) -> str:
    """A limit such as the kernel sets: that of the other kinds, which start with the same."""
    others = (interview.fact(f"/proc/sys/user/max_{other}_namespaces") for other in FLAGS)
    values = [int(fact.text) for fact in others if fact.text.strip().isdecimal()]
    return str(max([value for value in values if value < _UNLIMITED], default=0) or _ENOUGH)
