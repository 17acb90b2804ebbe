"""What stops namespaces, id maps and mounts: SELinux's policy for the domain minictr runs in."""

from __future__ import annotations

import errno

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import powerless
from minictr.diagnosis.probes.selinux import (
    allows,
    context_of,
    context_of_tmpfs,
    enforced_context,
)
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict

_HOOK = (6, 1)  # the kernel that asks SELinux for new user namespaces
# What a launch needs from its beginning to its end, with DOMAIN for the caller's. The attributes
# are those of the reference policy, which Debian's and Fedora's are made of.
_RULES = (
    "(allow DOMAIN self (user_namespace (create)))",
    "(allow DOMAIN self (cap_userns (all)))",
    "(allow DOMAIN filesystem_type (filesystem (mount remount unmount)))",
    "(allow DOMAIN filesystem_type (dir (mounton)))",
    "(allow DOMAIN filesystem_type (file (mounton)))",
    "(allow DOMAIN file_type (dir (mounton)))",
    "(allow DOMAIN file_type (file (mounton)))",
    "(allow DOMAIN device_node (chr_file (mounton)))",
)
_FOR_HELPERS = "(allow DOMAIN self (capability (setuid setgid dac_override)))"


@cause(
    "MC0218",
    "SELinux's policy allows no user namespaces to the domain minictr runs in",
    stops=("CreateNamespaces",),
    errnos=(errno.EACCES,),
    standing=True,
)
def no_user_namespace(interview: Interview) -> Verdict:
    """SELinux is enforcing, and its policy does not give the permission `create` of the class
    user_namespace to the domain that minictr runs in. The kernel asks for it since Linux 6.1 and
    answers clone(2) with EACCES.

    The policy can be asked by everybody: /sys/fs/selinux/access gives what a context may do to
    another, or to itself.

    Reproduction (user_t of Debian's policy, enforcing; Linux 6.1 or newer):

        minictr exec "$IMAGE" true

    Fix, user: none.

    Fix, administrator: a policy module with the rules of the report. The permission to create alone
    is not enough: capabilities over the new namespace and mounts are refused next. Or a login
    in a domain that is not confined: semanage login -a -s unconfined_u USER.

    Not the cause: the file's mode or owner, whatever "permission denied" suggests;
    user.max_user_namespaces, which gives ENOSPC; setenforce 0 shows that it is SELinux, and turns
    it off for everybody.

    Sources: selinux(8); security/selinux/hooks.c, selinux_userns_create; security/selinux/avc.c,
    avc_has_perm and avc_denied; security/selinux/selinuxfs.c, sel_write_access.
    """
    context = enforced_context(interview)
    if not isinstance(context, str):
        return context
    if interview.host.kernel < _HOOK:
        return Excluded("kernels before 6.1 do not ask SELinux for new user namespaces")
    granted = interview.once(allows, context, context, "user_namespace", "create")
    if isinstance(granted, str):
        return Unknown(f"SELinux enforces, and {granted}")
    if granted:
        return Excluded(f"the policy allows {_type(context)} to create user namespaces")
    return _proof(interview, context, "create user namespaces", "user_namespace create")


@cause(
    "MC0219",
    "SELinux's policy allows the domain minictr runs in no capabilities over a user namespace",
    stops=("CreateNamespaces",),
    errnos=(errno.EPERM,),
    standing=True,
)
def no_capabilities(interview: Interview) -> Verdict:
    """SELinux is enforcing. Its policy lets the domain make a user namespace, or is not asked
    (Linux before 6.1), and refuses the capabilities over it, which are a class of their own:
    cap_userns. The same clone(2) makes the other namespaces, which takes CAP_SYS_ADMIN over the new
    user namespace: EPERM.

    Reproduction (user_t of Debian's policy, which may make user namespaces; or before Linux 6.1):

        minictr exec "$IMAGE" true

    Fix, user: none.

    Fix, administrator: a policy module with the rules of the report; or a login in a domain that is
    not confined: semanage login -a -s unconfined_u USER.

    Not the cause: user namespaces themselves, which `unshare --user` can make;
    kernel.unprivileged_userns_clone and a chroot, which give the same errno; a capability that the
    caller would need outside.

    Sources: selinux(8); kernel/nsproxy.c, copy_namespaces, which asks ns_capable;
    security/selinux/hooks.c, selinux_capable and cred_has_capability.
    """
    context = enforced_context(interview)
    if not isinstance(context, str):
        return context
    granted = interview.once(allows, context, context, "cap_userns", "sys_admin")
    if isinstance(granted, str):
        return Unknown(f"SELinux enforces, and {granted}")
    if granted:
        return Excluded(f"the policy allows {_type(context)} CAP_SYS_ADMIN over user namespaces")
    what = "use CAP_SYS_ADMIN over a user namespace"
    return _proof(interview, context, what, "cap_userns sys_admin")


@cause(
    "MC0220",
    "SELinux's policy leaves newuidmap and newgidmap without capabilities",
    stops=("MapIds",),
    standing=True,
)
def powerless_helpers(interview: Interview) -> Verdict:
    """SELinux is enforcing. newuidmap and newgidmap stay in the caller's domain, and the policy
    does not give that domain the capabilities which they have as setuid root: dac_override to open
    the map, which is the caller's file, setuid and setgid to write it.

    Reproduction (user_t of Debian's policy, which has user_namespace create and cap_userns):

        minictr exec "$IMAGE" true

    Fix, user: none, where mounts are refused as well.

    Fix, administrator: a policy module with the rules of the report; or a login in a domain that is
    not confined: semanage login -a -s unconfined_u USER.

    Not the cause: the setuid bit of newuidmap, which is there and counts; the lines of /etc/subuid;
    the bounding set.

    Sources: selinux(8); security/selinux/hooks.c, selinux_capable and cred_has_capability;
    fs/namei.c, generic_permission, inode_permission and may_open; kernel/user_namespace.c,
    map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    context = enforced_context(interview)
    if not isinstance(context, str):
        return context
    for permission in ("dac_override", "setuid" if helper.name == "newuidmap" else "setgid"):
        granted = interview.once(allows, context, context, "capability", permission)
        if isinstance(granted, str):
            return Unknown(f"SELinux enforces, and {granted}")
        if not granted:
            what = f"use CAP_{permission.upper()}, which {helper.name} needs"
            return _proof(interview, context, what, f"capability {permission}")
    return Excluded(f"the policy allows {_type(context)} the capabilities that {helper.name} needs")


@cause(
    "MC0452",
    "SELinux's policy allows the domain minictr runs in no mounts",
    stops=("MountStaging",),
    errnos=(errno.EACCES,),
    standing=True,
)
def no_mounts(interview: Interview) -> Verdict:
    """SELinux is enforcing, and its policy refuses the first mount of a launch, a tmpfs: either to
    mount that kind of file system (class filesystem, permission mount) or to mount anything on that
    directory (class dir, permission mounton). The kernel answers mount(2) with EACCES.

    Reproduction (user_t of Debian's policy, which has user_namespace create and cap_userns):

        minictr exec --id-map single "$IMAGE" true

    Fix, user: none.

    Fix, administrator: a policy module with the rules of the report; or a login in a domain that is
    not confined: semanage login -a -s unconfined_u USER.

    Not the cause: the mode of the directory, which is open to everybody; a capability, which gives
    EPERM.

    Sources: selinux(8); security/selinux/hooks.c, selinux_mount and path_has_perm,
    selinux_sb_kern_mount and superblock_has_perm; security/selinux/avc.c, avc_has_perm and
    avc_denied.
    """
    if interview.failure.errno == errno.EACCES and interview.failure.call != "mount":
        return None
    context = enforced_context(interview)
    if not isinstance(context, str):
        return context
    place = str(getattr(interview.failure.step, "directory", "/tmp"))
    there, tmpfs = context_of(place), context_of_tmpfs()
    asked = ((there, "dir", "mounton"), (tmpfs, "filesystem", "mount"))
    for target, kind, permission in asked:
        granted = target and interview.once(allows, context, target, kind, permission)
        if granted is False:
            what = f"mount a tmpfs on {place}" if kind == "dir" else "mount a tmpfs"
            return _proof(interview, context, what, f"{kind} {permission}", target)
        if granted is not True:
            return Unknown(f"SELinux enforces, and {granted or 'a context cannot be read'}")
    return Excluded(f"the policy allows {_type(context)} to mount a tmpfs on {place}")


def _proof(
    interview: Interview, context: str, what: str, permission: str, target: str = ""
) -> Proof:
    towards = f" on {target}" if target else ""
    return Proof(
        f"SELinux's policy does not allow {_type(context)} to {what}",
        (
            "/sys/fs/selinux/enforce reads 1",
            f"/proc/self/attr/current: {context}",
            f"/sys/fs/selinux/access, asked for that context{towards}: {permission} is not allowed",
        ),
        fix_administrator=_module(interview, _type(context)),
    )


def _module(interview: Interview, domain: str) -> str:
    """The commands that add the rules to the policy."""
    steps = interview.plan.map_ids
    helped = bool(steps and steps[0].__dict__["helpers"])
    rules = (*_RULES, _FOR_HELPERS) if helped else _RULES
    lines = " ".join(f"'{rule.replace('DOMAIN', domain)}'" for rule in rules)
    return f"printf '%s\\n' {lines} >minictr.cil\nsemodule --install minictr.cil"


def _type(context: str) -> str:
    """The domain of a context: user:role:type:level."""
    return context.split(":")[2] if context.count(":") > 1 else context
