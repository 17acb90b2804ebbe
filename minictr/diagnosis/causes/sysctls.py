"""What stops new namespaces: a switch that Debian's and Arch's kernels have."""

from __future__ import annotations

import errno

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.surroundings import sysctl_files
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

_PATH = "/proc/sys/kernel/unprivileged_userns_clone"
_KEY = "kernel.unprivileged_userns_clone"
_CAP_SYS_ADMIN = 1 << 21
_EVERY_ID = ["0", "0", "4294967295"]  # the map of the first user namespace


@cause(
    "MC0215",
    "kernel.unprivileged_userns_clone is 0",
    stops=("CreateNamespaces",),
    errnos=(errno.EPERM,),
    standing=True,
)
def switched_off(interview: Interview) -> Verdict:
    """The kernels of Debian and of Arch's linux-hardened have a switch that leaves new user
    namespaces to root, and here it is off. The kernel answers clone(2) with EPERM, before it looks
    at limits and at anything else of the caller.

    The file alone says nothing: on those kernels it is always there, and reads 1 by default. On
    others it is not there, and user namespaces are allowed.

    Reproduction (root; a kernel that has the switch):

        sysctl -qw kernel.unprivileged_userns_clone=0
        runuser -u "$USER" -- minictr exec "$IMAGE" true

    Fix, user: none.

    Fix, administrator: sysctl -w kernel.unprivileged_userns_clone=1, and the same in the file of
    /etc/sysctl.d that sets it to 0.

    Not the cause: that the file exists; a value of 1, which other programs ask for although it is
    set; user.max_user_namespaces, which gives ENOSPC.

    Sources: kernel/fork.c, copy_process, and there capable(CAP_SYS_ADMIN), by Debian's patch
    add-sysctl-to-disallow-unprivileged-CLONE_NEWUSER-by-default.
    """
    fact = interview.fact(_PATH)
    if fact.absent:
        return Excluded(f"{_PATH} is not there: this kernel has no such switch")
    if fact.unreadable:
        return Unknown(f"{_PATH} cannot be read: {errno_name(fact.errno)}")
    value = fact.text.strip()
    if value != "0":
        return Excluded(f"{_PATH} reads {value}")
    if _is_root_of_the_machine(interview):
        return Excluded(f"{_PATH} reads 0, which does not concern root")
    files = sysctl_files(interview.host, _KEY, "0")
    fix = f"sysctl -w {_KEY}=1"
    if files:
        fix += f"\nChange it in {files[0].partition(':')[0]}, too: that file sets it at each start."
    return Proof(
        f"{_KEY} is 0, which leaves user namespaces to root",
        (f"{_PATH} reads 0", *files),
        fix_administrator=fix,
    )


def _is_root_of_the_machine(interview: Interview) -> bool:
    """Whether capable(CAP_SYS_ADMIN) is true: it asks for the first user namespace."""
    lines = interview.fact("/proc/self/status").text.splitlines()
    effective = next((int(line.split()[1], 16) for line in lines if line[:7] == "CapEff:"), 0)
    first = interview.fact("/proc/self/uid_map").text.split() == _EVERY_ID
    return first and bool(effective & _CAP_SYS_ADMIN)
