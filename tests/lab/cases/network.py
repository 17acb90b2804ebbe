"""Faults of the network."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import NETWORK

CASES = [
    Case(
        "MC0801",
        proof=(
            "a seccomp filter around minictr refuses ioctl(2) with SIOCSIFFLAGS",
            "ioctl(-1, SIOCSIFFLAGS), which the kernel always answers with EBADF, is answered with "
            "EPERM",
            "netlink raises lo in a new network namespace",
            "Seccomp 2",
        ),
        fix=("minictr exec {image} true", "Start minictr from ", "allows ioctl with SIOCSIFFLAGS"),
        repaired=f'filtered --refuse ioctl:SIOCSIFFLAGS -- sh -c "$USER_FIX" && {NETWORK}',
        # Netlink is refused as well: that there is no more than the filter is not proved.
        near=f"filtered --refuse ioctl:SIOCSIFFLAGS,socket:netlink -- {NETWORK}",
        instead="MC0000",
    ),
    Case(
        "MC0801",
        name="socket",
        script=f"filtered --refuse socket:inet --errno EACCES -- {NETWORK}",
        proof=(
            "refuses socket(2) with AF_INET",
            "socket(AF_INET, SOCK_DGRAM | 0x10), which the kernel always answers with EINVAL",
            "EACCES",
        ),
        fix=("minictr exec {image} true",),
        repaired='filtered --refuse socket:inet -- sh -c "$USER_FIX"',
        near=f"filtered --refuse setns,socket:netlink -- {NETWORK}",
    ),
]
