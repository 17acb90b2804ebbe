"""The profile `default` against the one that Podman and Buildah install on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pyseccomp
import pytest
from skipping import require

import minictr
from minictr.runtime import bpf
from minictr.runtime.filter import compile_filter
from minictr.runtime.profile import MACHINES, Profile, read_profile

FILE = "usr/share/containers/seccomp.json"
PLACES = [Path("/", FILE), Path(os.environ.get("PEERS_ROOT", "/var/lib/peers"), FILE)]

# What `default` allows and Podman's profile does not, with the reason. Docker's allows all of it
# (github.com/moby/profiles, seccomp/default.json, 2026).
MORE = {
    "io_pgetevents": "io_getevents with a signal mask, as ppoll is poll with one",
    "futex_waitv": "futex on several addresses; Wine and game engines wait with it",
    "futex_wake": "the parts of futex, each as a call of its own",
    "futex_wait": "the parts of futex, each as a call of its own",
    "futex_requeue": "the parts of futex, each as a call of its own",
    "cachestat": "mincore for a file: it answers only whoever may write the file",
    "map_shadow_stack": "a stack that only call and return can write: a protection",
    "uretprobe": "made by the kernel itself; refused, a probed program dies",
    "statmount": "one line of /proc/self/mountinfo, which is readable",
    "listmount": "the first column of /proc/self/mountinfo",
    "mseal": "takes the right to change a mapping away",
    "setxattrat": "setxattr by directory descriptor",
    "getxattrat": "getxattr by directory descriptor",
    "listxattrat": "listxattr by directory descriptor",
    "removexattrat": "removexattr by directory descriptor",
}
MORE_WHEN_KEPT = {"open_tree_attr": "open_tree and mount_setattr in one call, both allowed"}

# What Podman's profile allows and `default` does not, without capabilities. Docker's refuses
# keyctl always, and the others to a container without CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYSLOG or
# CAP_SYS_PTRACE.
LESS = {
    "mount": "needs CAP_SYS_ADMIN, which nobody has",
    "umount2": "needs CAP_SYS_ADMIN",
    "pivot_root": "needs CAP_SYS_ADMIN",
    "fsopen": "needs CAP_SYS_ADMIN",
    "fsconfig": "needs CAP_SYS_ADMIN",
    "fsmount": "needs CAP_SYS_ADMIN",
    "fspick": "needs CAP_SYS_ADMIN",
    "move_mount": "needs CAP_SYS_ADMIN",
    "mount_setattr": "needs CAP_SYS_ADMIN",
    "open_tree": "needs CAP_SYS_ADMIN for all but O_PATH's work",
    "fanotify_init": "Docker gives it with CAP_SYS_ADMIN",
    "unshare": "a new user namespace has every capability inside",
    "setns": "enters namespaces of leaked descriptors",
    "clone3": "its flags cannot be seen",
    "keyctl": "keyrings are the user's, not the container's",
    "pidfd_getfd": "takes descriptors out of other processes",
    "reboot": "needs CAP_SYS_BOOT",
    "syslog": "shows the host",
}
SYSCALLS = [*range(470)]


def podmans() -> Profile:
    found = [place for place in PLACES if place.exists()]
    require(found, "PEERS", "Podman's profile (golang-github-containers-common) is not here")
    return read_profile(str(found[0]))


def ours() -> Profile:
    return read_profile(str(Path(minictr.__file__).parent / "profiles/default.toml"))


def allowed(profile: Profile, machine: str, keep: bool) -> set[str]:
    """The calls that are allowed when every argument is 0, by name."""
    program = compile_filter(profile, machine, keep).bpf
    architecture = bpf.AUDIT_ARCH[machine]
    numbers = [
        number
        for number in SYSCALLS
        if bpf.verdict(program, architecture, number) == bpf.SECCOMP_RET_ALLOW
    ]
    return {name_of(architecture, number) for number in numbers}


def name_of(architecture: int, number: int) -> str:
    from minictr.runtime.young_calls import ONE_MACHINE, SHARED

    young = {n: name for name, n in SHARED.items()}
    young |= {n: name for name, own in ONE_MACHINE.items() for n in own.values()}
    try:
        return pyseccomp.resolve_syscall(architecture, number).decode()  # type: ignore
    except ValueError:
        return young[number]


@pytest.mark.parametrize("machine", MACHINES)
def test_default_allows_what_podman_allows_but_for_a_reasoned_list(machine: str) -> None:
    theirs, own = allowed(podmans(), machine, False), allowed(ours(), machine, False)
    there = MORE.keys() - ({"uretprobe"} if machine == "aarch64" else set())
    assert own - theirs == there
    assert theirs - own == LESS.keys()


@pytest.mark.parametrize("machine", MACHINES)
def test_with_capabilities_kept_it_is_still_no_wider_than_podmans(machine: str) -> None:
    more = allowed(ours(), machine, True) - allowed(podmans(), machine, True)
    assert more <= MORE.keys() | MORE_WHEN_KEPT.keys()


@pytest.mark.parametrize(
    ("family", "kind", "protocol"), [(40, 1, 0), (16, 3, 9), (1, 1, 0), (2, 1, 0), (16, 3, 0)]
)
def test_sockets_are_refused_as_podman_refuses_them(family: int, kind: int, protocol: int) -> None:
    socket = pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, "socket")
    answers = [
        bpf.verdict(
            compile_filter(profile, "x86_64", False).bpf,
            bpf.AUDIT_ARCH["x86_64"],
            socket,
            (family, kind, protocol),
        )
        for profile in (podmans(), ours())
    ]
    assert answers[0] == answers[1]
