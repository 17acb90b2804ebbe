"""What stops namespaces and mounts: the AppArmor profile that minictr runs under, or gets."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes import apparmor
from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.apparmor import Label, allows, label_of
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.profile_text import load_profile
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

_UNCONFINED = Label("unconfined")
_RESTRICTED = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_LABEL = "/proc/{}/attr/apparmor/current"


@cause(
    "MC0216",
    "the AppArmor profile that minictr runs under allows no user namespaces",
    stops=("CreateNamespaces",),
    errnos=(errno.EACCES,),
    standing=True,
)
def no_userns_rule(interview: Interview) -> Verdict:
    """minictr was started under an AppArmor profile without the rule `userns`, and the kernel
    answers clone(2) with EACCES. AppArmor has the rule since Linux 6.7; a profile written for
    an older AppArmor is not asked for it.

    The kernel tells everybody what a profile allows: /sys/kernel/security/apparmor/.access is
    asked for the label in /proc/self/attr/apparmor/current.

    Reproduction (root; a kernel with AppArmor, Linux 6.7 or newer):

        apparmor_parser --replace --skip-cache <<'END'
        abi <abi/4.0>,
        profile session {
          file rwlkm /**,
          allow pix /**,
          network, signal, unix, ptrace, capability, mount, umount, pivot_root,
          change_profile -> **,
        }
        END
        runuser -u "$USER" -- aa-exec -p session -- sh -c 'minictr exec "$IMAGE" true'

    Fix, user: start minictr from a program that no profile confines.

    Fix, administrator: a profile for minictr's start script, which grants user namespaces and
    confines nothing (docs/apparmor.md); or the rule `userns,` in the profile that confines it.

    Not the cause: the file's mode or owner, whatever "permission denied" suggests; CAP_SYS_ADMIN;
    kernel.unprivileged_userns_clone, which gives EPERM.

    Sources: apparmor.d(5), "userns rules"; security/apparmor/lsm.c, apparmor_userns_create;
    security/apparmor/task.c, aa_profile_ns_perm; security/apparmor/lib.c, aa_check_perms.
    """
    label = _confining(interview)
    if not isinstance(label, Label):
        return label
    granted = interview.once(allows, label, apparmor.user_namespace(), apparmor.USERNS_CREATE)
    if isinstance(granted, str):
        return Unknown(f"the profile {label} confines minictr, and {granted}")
    if granted:
        return Excluded(f"AppArmor answers that the profile {label} allows user namespaces")
    return Proof(
        f"the AppArmor profile {label.name} allows no user namespaces, and minictr runs under it",
        (
            f"{_LABEL.format('self')}: {label}",
            f"/sys/kernel/security/apparmor/.access, asked for {label.name}: userns_create is not "
            "allowed",
        ),
        fix_user=_from_outside(interview),
        fix_administrator=_freed(interview, label, "userns,"),
    )


@cause(
    "MC0217",
    "AppArmor leaves a new user namespace without capabilities",
    stops=("MapIds", "SetHostname", "RaiseLoopback", "MountStaging"),
    errnos=(errno.EPERM, errno.EACCES),
)
def moved_by_apparmor(interview: Interview) -> Verdict:
    """Ubuntu's kernels (23.10 and newer) let every program make a user namespace, and move the
    process that is in it under another AppArmor profile, unprivileged_userns. That one denies every
    capability and every mount: what the namespace was made for is refused, with EPERM or EACCES
    at whatever comes first. The sets of capabilities in /proc/PID/status are full all the same.

    The label of the container's first process, which is still there, is not the launcher's. A child
    in a new user namespace cannot open /proc/self/setgroups for writing either, which takes
    a capability over that namespace and nothing else.

    Reproduction (root; ubuntu-userns, which does what Ubuntu's kernel does, is in tests/vm):

        apparmor_parser --replace --skip-cache <<'END'
        abi <abi/4.0>,
        profile unprivileged_userns {
          audit deny capability,
          audit deny change_profile,
          allow file rwlkm /**,
          network, signal, unix, ptrace, userns,
          allow pix /** -> &unprivileged_userns,
        }
        END
        runuser -u "$USER" -- ubuntu-userns minictr exec "$IMAGE" true

    Fix, user: none.

    Fix, administrator: a profile for minictr's start script, which grants user namespaces and
    confines nothing (docs/apparmor.md). The sysctl kernel.apparmor_restrict_unprivileged_userns=0
    would lift the restriction for every program.

    Not the cause: the id maps, which are written; newuidmap; the file's mode, where EACCES is said;
    a missing capability in /proc/PID/status.

    Sources: apparmor.d(5), "userns rules"; security/apparmor/mount.c, aa_new_mount,
    match_mnt_path_str and audit_mount; security/apparmor/audit.c, aa_audit, which logs the refusal
    and returns it; security/apparmor/capability.c, aa_capable.
    """
    witness = interview.failure.witness
    own, there = interview.once(label_of), interview.once(label_of, witness)
    if own is None:
        return _no_label(interview)
    if there is None:
        return Unknown(f"{_LABEL.format(witness)} cannot be read")
    if there == own:
        return Excluded(f"the container's first process has the launcher's AppArmor label, {own}")
    refused = interview.once(_withheld)
    if isinstance(refused, str):
        return Unknown(f"a child in a new user namespace: {refused}")
    if not refused:
        return Excluded("a child in a new user namespace has its capabilities")
    return Proof(
        f"AppArmor moves a process that makes a user namespace under the profile {there.name}, "
        "which denies it every capability",
        (
            f"{_LABEL.format(witness)}, of the container's first process: {there}",
            f"{_LABEL.format('self')}, of the launcher: {own}",
            f"/proc/self/setgroups, opened by a child in a new user namespace: "
            f"{errno_name(refused)}",
            *_switch(interview),
        ),
        fix_administrator=load_profile(interview.request.program) + _wider(interview),
    )


def _confining(interview: Interview) -> Label | Excluded | Unknown:
    """The label of the launcher, where a profile confines it."""
    label = interview.once(label_of)
    if label is None:
        return _no_label(interview)
    if label != _UNCONFINED:
        return label
    if interview.fact(_RESTRICTED).absent:
        return Excluded(f"{_LABEL.format('self')} reads unconfined")
    return Unknown(
        f"{_LABEL.format('self')} reads unconfined, and this kernel has {_RESTRICTED}: it may "
        "refuse user namespaces to unconfined programs"
    )


def _no_label(interview: Interview) -> Excluded | Unknown:
    """Why there is none: AppArmor does not run (EINVAL, ENOENT), or /proc is closed."""
    fact = interview.once(interview.host.fact, _LABEL.format("self"))
    if fact.absent or fact.errno in (0, errno.EINVAL):
        return Excluded("AppArmor does not run: this process has no label of it")
    return Unknown(f"{_LABEL.format('self')} cannot be read: {errno_name(fact.errno)}")


def _withheld() -> int | str:
    """With which errno a child in a new user namespace is refused what its owner may; 0 for none.

    fs/proc/base.c, proc_setgroups_open: EACCES where CAP_SYS_ADMIN over the namespace is refused.
    """
    answer = ask(_open_setgroups, namespaces=("user",))
    return answer.trouble or int(str(answer.value))


def _open_setgroups() -> int:
    try:
        posix.close(posix.open("/proc/self/setgroups", posix.O_WRONLY | posix.O_CLOEXEC))
    except OSError as error:
        return error.errno or 0
    return 0


def _switch(interview: Interview) -> tuple[str, ...]:
    fact = interview.fact(_RESTRICTED)
    return () if fact.errno else (f"{_RESTRICTED} reads {fact.text.strip()}",)


def _wider(interview: Interview) -> str:
    if interview.fact(_RESTRICTED).absent:
        return ""
    return (
        "\nkernel.apparmor_restrict_unprivileged_userns=0 lifts the restriction for every program: "
        "the profile lifts it for minictr alone."
    )


def _freed(interview: Interview, label: Label, rule: str) -> str:
    own = load_profile(interview.request.program)
    return (
        f"{own}\nWhere the profile {label.name} gives minictr no profile of its own at execve(2) "
        f"(px, pix), add the rule {rule} to {label.name}."
    )


def _from_outside(interview: Interview) -> str:
    chain = interview.once(ancestry)[1:]
    pid = apparmor.nearest_unconfined(interview, tuple(one.pid for one in chain))
    free = next((one for one in chain if one.pid == pid), None)
    return f"Start minictr from {free}, which no profile confines." if free else ""
