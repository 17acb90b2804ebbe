"""What stops mounts: an AppArmor profile without the rules for them."""

from __future__ import annotations

import errno
import posix
import stat

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.causes.apparmor import _confining, _freed, _from_outside
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes import apparmor
from minictr.diagnosis.probes.apparmor import Label, allows, label_of
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict

_MOUNTS = (
    "MountStaging", "MountOverlay", "BindRoot", "BindTree", "Bind", "BindFile", "MountProc",
    "MountEmpty", "CoverCache", "MountMinimalDev", "ProtectProc",
)  # fmt: skip


@cause("MC0450", "an AppArmor profile refuses a mount", stops=_MOUNTS, errnos=(errno.EACCES,))
def no_mount_rule(interview: Interview) -> Verdict:
    """minictr runs under an AppArmor profile which has no `mount` rule that fits, or a `deny` one
    that does. The kernel answers mount(2) with EACCES, before it looks at capabilities. What a
    container may mount in its own namespaces makes no difference: AppArmor has no rules for those.

    The probe asks AppArmor for this very mount, in the names that it uses itself:
    /sys/kernel/security/apparmor/.access answers everybody.

    Reproduction (root; a kernel with AppArmor):

        apparmor_parser --replace --skip-cache <<'END'
        abi <abi/4.0>,
        profile nomount {
          file rwlkm /**,
          allow pix /**,
          network, signal, unix, ptrace, capability, userns, umount, pivot_root,
          change_profile -> **,
        }
        END
        runuser -u "$USER" -- aa-exec -p nomount -- sh -c 'minictr exec "$IMAGE" true'

    Fix, user: start minictr from a program that no profile confines.

    Fix, administrator: a profile for minictr's start script, which confines nothing
    (docs/apparmor.md); or the rule `mount,` in the profile that confines it.

    Not the cause: the mode of a directory on the way, which gives EACCES as well; a capability.

    Sources: apparmor.d(5), "Mount Rules"; security/apparmor/mount.c, aa_new_mount, aa_bind_mount,
    match_mnt_path_str and audit_mount; security/apparmor/audit.c, aa_audit, which logs the refusal
    and returns it.
    """
    failure = interview.failure
    if failure.call != "mount" or len(failure.arguments) < 4:
        return None
    label = _confining_there(interview)
    if not isinstance(label, Label):
        return label
    source, target, kind, flags = failure.arguments[:4]
    question = apparmor.mount(
        _named(interview, str(source or "")) if int(str(flags), 16) & 4096 else str(source or ""),
        _named(interview, str(target)),
        str(kind or ""),
        int(str(flags), 16),
    )
    what = f"{kind or 'a bind'} on {_named(interview, str(target))}"
    return _verdict(interview, label, question, apparmor.MOUNT, f"a mount of {what}", "mount,")


@cause(
    "MC0451",
    "an AppArmor profile refuses pivot_root",
    stops=("MountStaging", "PivotRoot"),
    errnos=(errno.EACCES,),
)
def no_pivot_rule(interview: Interview) -> Verdict:
    """minictr runs under an AppArmor profile which has no `pivot_root` rule that fits. The kernel
    answers pivot_root(2) with EACCES, which the manual page does not list.

    The probe asks AppArmor for this very call: /sys/kernel/security/apparmor/.access answers
    everybody.

    Reproduction (root; a kernel with AppArmor):

        apparmor_parser --replace --skip-cache <<'END'
        abi <abi/4.0>,
        profile nopivot {
          file rwlkm /**,
          allow pix /**,
          network, signal, unix, ptrace, capability, userns, mount, umount,
          change_profile -> **,
        }
        END
        runuser -u "$USER" -- aa-exec -p nopivot -- sh -c 'minictr exec "$IMAGE" true'

    Fix, user: start minictr from a program that no profile confines.

    Fix, administrator: a profile for minictr's start script, which confines nothing
    (docs/apparmor.md); or the rule `pivot_root,` in the profile that confines it.

    Not the cause: the new root, which is a private mount point; a capability, which gives EPERM.

    Sources: apparmor.d(5), "Pivot Root Rules"; security/apparmor/mount.c, aa_pivotroot,
    build_pivotroot and audit_mount; security/apparmor/audit.c, aa_audit, which logs the refusal and
    returns it.
    """
    if interview.failure.call != "pivot_root":
        return None
    label = _confining_there(interview)
    if not isinstance(label, Label):
        return label
    new, old = "/root/", "/root/"  # PivotRoot: ".", "." below /root
    if interview.failure.step.verb() == "MountStaging":
        directory = interview.failure.step.__dict__["directory"].rstrip("/")
        new, old = f"{directory}/", f"{directory}/{interview.failure.arguments[1]}/"
    question = apparmor.pivot_root(new, old)
    what = f"pivot_root to {new}"
    return _verdict(interview, label, question, apparmor.PIVOT_ROOT, what, "pivot_root,")


def _confining_there(interview: Interview) -> Label | Excluded | Unknown:
    """The label of the process that was refused, where a profile confines it."""
    label = interview.once(label_of, interview.failure.witness)
    if label is None or label.mode in ("", "unconfined"):
        return _confining(interview)
    return label


def _verdict(
    interview: Interview, label: Label, question: bytes, bit: int, what: str, rule: str
) -> Verdict:
    granted = interview.once(allows, label, question, bit)
    if isinstance(granted, str):
        return Unknown(f"the profile {label} confines minictr, and {granted}")
    if granted:
        return Excluded(f"AppArmor answers that the profile {label} allows {what}")
    return Proof(
        f"the AppArmor profile {label.name} refuses {what}",
        (
            f"/proc/{interview.failure.witness}/attr/apparmor/current: {label}",
            f"/sys/kernel/security/apparmor/.access, asked for {label.name}: {what} is not allowed",
        ),
        fix_user=_from_outside(interview),
        fix_administrator=_freed(interview, label, rule),
    )


def _named(interview: Interview, path: str) -> str:
    """A path as AppArmor names it: directories end in a slash."""
    try:
        mode = posix.stat(f"/proc/{interview.failure.witness}/root{path}").st_mode
    except OSError:  # the container cannot be looked into; nearly all targets are directories
        return path.rstrip("/") + "/"
    return path.rstrip("/") + "/" if stat.S_ISDIR(mode) else path
