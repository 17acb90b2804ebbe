"""The faults that other kernels and security modules make, each with its fix and its near miss."""

from __future__ import annotations

from lab.cases import CASES
from vm.fault import AS_USER, ASKED, COMMANDS, Fault
from vm.quotas import QUOTAS

from minictr.diagnosis.catalogue import all_causes

# On 6.1 a profile without attach_disconnected loses the paths below an overlay, with EACCES at the
# first file that is looked up there: what comes later in a launch is not seen on it.
CONNECTED = ("5.10", "6.12", "7.2")
WITH_USERNS_RULE = ("6.12", "7.2")


LAUNCH = 'minictr exec "$IMAGE" true'
UNLOAD = "apparmor_parser --remove /etc/apparmor.d/minictr; rm /etc/apparmor.d/minictr"
SWITCH = "sysctl -qw kernel.unprivileged_userns_clone"
FREED = "profile minictr /usr/local/bin/minictr flags=(unconfined) {"
PLAIN_RULES = "file rwlkm /**, allow pix /**, network, signal, unix, ptrace, capability, umount,"


def under(profile: str, command: str = LAUNCH) -> str:
    """A command of the user's under a profile; aa-exec sets that of the very next execve(2)."""
    return f"{AS_USER} aa-exec -p {profile} -- sh -c '{command}'"


def loaded(name: str, rules: str, option: str = "") -> str:
    """Load a profile that allows the usual things, and what `rules` say."""
    text = f"abi <abi/4.0>,\\nprofile {name} {{ {PLAIN_RULES} {rules} }}\\n"
    return f"printf '{text}' | apparmor_parser --replace --skip-cache {option}"


def fixed(launch: str) -> str:
    """The launch with the administrator's fix applied, which is taken back."""
    return f"{COMMANDS}; {launch}; status=$?; {UNLOAD}; exit $status"


APPARMOR = [
    Fault(
        "MC0216",
        proof=("session (enforce)", "userns_create is not allowed"),
        fix=(FREED, "apparmor_parser --replace /etc/apparmor.d/minictr", "add the rule userns,"),
        kernels=WITH_USERNS_RULE,
        harmless=("5.10",),
        repaired=fixed(under("session")),
        # The same errno and a profile, which has the rule; a filter answers.
        near=f"""{loaded("granted", "mount, pivot_root, userns,")}
            {under("granted", f"filtered --refuse clone:user --errno EACCES -- {LAUNCH}")}""",
        instead="MC0204",
    ),
    Fault(
        "MC0217",
        kernels=CONNECTED,
        proof=(
            "unprivileged_userns (enforce)",
            "of the launcher: unconfined",
            "opened by a child in a new user namespace: EACCES",
        ),
        fix=(FREED, "apparmor_parser --replace"),
        repaired=fixed(f"{AS_USER} ubuntu-userns {LAUNCH}"),
        # The same move under the same profile, which only complains.
        near=f"""{loaded("unprivileged_userns", "audit deny capability,", "--Complain")}
            {AS_USER} ubuntu-userns {LAUNCH}""",
    ),
    Fault(
        "MC0450",
        proof=("nomount (enforce)", "a mount of tmpfs on /tmp/ is not allowed"),
        fix=(FREED, "add the rule mount,"),
        repaired=fixed(under("nomount")),
        near=f"""{loaded("granted", "mount, pivot_root, userns,")}
            {under("granted", f"filtered --refuse mount --errno EACCES -- {LAUNCH}")}""",
        instead="MC0406",
    ),
    Fault(
        "MC0450",
        name="proc",
        kernels=CONNECTED,
        script=f"""{loaded("noproc", "mount, deny mount fstype=proc, pivot_root, userns,")}
            {under("noproc")}""",
        as_root=True,
        proof=("the AppArmor profile noproc refuses a mount of proc on /root/proc/",),
        fix=(FREED,),
        repaired=fixed(under("noproc")),
        near=under("noproc", 'minictr exec --no-pid "$IMAGE" true'),
    ),
    Fault(
        "MC0450",
        name="bind",
        kernels=CONNECTED,
        script=f"""{
            loaded(
                "nobind", "mount, deny mount options=(rw,rbind) -> /root/tmp/, pivot_root, userns,"
            )
        }
            {under("nobind")}""",
        as_root=True,
        proof=("the AppArmor profile nobind refuses a mount of a bind on /root/tmp/",),
        fix=(FREED,),
        repaired=fixed(under("nobind")),
        near=under("nobind", 'minictr exec --no-mount tmp "$IMAGE" true'),
    ),
    Fault(
        "MC0451",
        proof=("nopivot (enforce)", "pivot_root to /tmp/ is not allowed"),
        fix=(FREED, "add the rule pivot_root,"),
        repaired=fixed(under("nopivot")),
        near=f"""{loaded("granted", "mount, pivot_root, userns,")}
            {under("granted", f"filtered --refuse pivot_root --errno EACCES -- {LAUNCH}")}""",
        instead="MC0406",
    ),
]

FORGED = f"filtered --refuse clone:user --errno EACCES -- {LAUNCH}"
SINGLE = 'minictr exec --id-map single "$IMAGE" true'
AS_BUILT = "cd /etc/selinux/default && rm -r policy && cp -a policy-{} policy && load_policy"
CAPABILITIES = ("user_t to use CAP_SYS_ADMIN", "cap_userns sys_admin is not allowed")
SELINUX = [
    Fault(
        "MC0218",
        machine="selinux",
        kernels=("6.1", "6.12", "7.2"),
        proof=("user_t to create user namespaces", "user_namespace create is not allowed"),
        fix=("(allow user_t self (user_namespace (create)))", "semodule --install minictr.cil"),
        repaired=LAUNCH,
        near=FORGED,
        instead="MC0204",
    ),
    Fault(
        "MC0219",
        name="5.10",
        machine="selinux",
        kernels=("5.10",),
        proof=CAPABILITIES,
        fix=("(allow user_t self (cap_userns (all)))",),
        repaired=LAUNCH,
        near="filtered --refuse clone:user -- " + LAUNCH,
        instead="MC0204",
    ),
    Fault(
        "MC0219",
        machine="selinux:userns-fix",
        kernels=("6.12", "7.2"),
        proof=CAPABILITIES,
        fix=("(allow user_t self (cap_userns (all)))", "semodule --install minictr.cil"),
        repaired=LAUNCH,
        near="filtered --refuse clone:user -- " + LAUNCH,
        instead="MC0204",
    ),
    Fault(
        "MC0220",
        machine="selinux:userns-mount",
        kernels=("6.12", "7.2"),
        proof=("user_t to use CAP_DAC_OVERRIDE", "capability dac_override is not allowed"),
        fix=("(allow user_t self (capability (setuid setgid dac_override)))",),
        repaired=LAUNCH,
        undo=AS_BUILT.format("userns-mount"),  # the fix allows mounts too, of which MC0452 tells
        near='setpriv --no-new-privs minictr exec --id-map helpers "$IMAGE" true',
        instead="MC0307",
    ),
    Fault(
        "MC0452",
        machine="selinux:userns-mount",
        kernels=("6.12", "7.2"),
        proof=("user_t to mount a tmpfs on /tmp", "dir mounton is not allowed"),
        fix=("(allow user_t file_type (dir (mounton)))", "semodule --install minictr.cil"),
        repaired=SINGLE,
        near=f"filtered --refuse mount --errno EACCES -- {SINGLE}",
        instead="MC0406",
    ),
]

OTHERS = [
    Fault(
        "MC0215",
        proof=("/proc/sys/kernel/unprivileged_userns_clone reads 0",),
        fix=("sysctl -w kernel.unprivileged_userns_clone=1",),
        repaired=f"{SWITCH}=0; {COMMANDS}; {AS_USER} {LAUNCH}",
        # The file reads 0, which does not concern root; the errno is the chroot's.
        near=f'{SWITCH}=0; system-root "$CHROOT"; chroot "$CHROOT" {LAUNCH}',
        instead="MC0203",
        undo=f"{SWITCH}=1",
    ),
    Fault(
        "MC0413",
        machine="ramfs",
        kernels=("5.10", "6.1", "6.12"),
        harmless=("7.2",),
        script=LAUNCH,
        proof=("rootfs",),
        repaired='sh -c "$USER_FIX"',
        near=f"filtered --refuse pivot_root --errno EINVAL -- {LAUNCH}",
        instead="MC0406",
    ),
    Fault(
        "MC0404",
        name="masked",
        script="""unshare -Urm sh -c 'mount --bind /dev/null /proc/uptime
            minictr exec "$IMAGE" true'""",
        proof=("parts of /proc are covered", "/proc/uptime"),
        repaired="""unshare -Urm sh -c 'mount --bind /dev/null /proc/uptime; eval "$USER_FIX"'""",
        near=f"unshare -Urm {LAUNCH}",
    ),
    Fault(
        "MC0408",
        kernels=("6.1", "6.12", "7.2"),
        proof=("Landlock",),
        repaired=LAUNCH,
        near=f"setpriv --no-new-privs {LAUNCH}",
    ),
]

# Of the lab, where control groups are version 1 on many a machine; here they are version 2.
IN_A_GROUP = ("MC0646", "MC0702", "MC0706")
ROOMY = {"MC0706": "disk"}
GROUPS = [
    Fault(
        **(case.__dict__ | {"kernels": (ASKED,), "machine": ROOMY.get(case.code, "plain")}),
        asked=False,  # a fork goes through more functions than can be probed
        of_the_lab=True,
    )
    for case in CASES
    if case.code in IN_A_GROUP
]

FAULTS = [*OTHERS, *QUOTAS, *APPARMOR, *SELINUX, *GROUPS]

# Of the lab's own faults the kernel is asked about namespaces, id maps and mounts.
STEPS = ("MC02", "MC03", "MC04")
# The case of a code that is taken, where the one without a name comes to no system call.
NAMED = {"MC0433": "bound"}
# No system call is refused: mount(8) itself does, and newuidmap, of which one takes a compiler.
ELSEWHERE = ("MC0223", "MC0329")
# What the emulation needs: 100000 mounts take it hours.
MORE = {
    "MC0409": {
        "before": "sysctl -qw fs.mount-max=400",
        "undo": "sysctl -qw fs.mount-max=100000",
    },
}


def from_the_lab() -> list[Fault]:
    """One case of each code; tests/lab itself tries its fix and its near miss."""
    causes = all_causes()
    alone = {"repaired": "", "near": "", "fix": (), "kernels": (ASKED,), "of_the_lab": True}
    known = {*ELSEWHERE, *(fault.code for fault in FAULTS)}
    return [
        Fault(**(case.__dict__ | alone | MORE.get(case.code, {})))
        for case in CASES
        if case.code.startswith(STEPS) and causes[case.code].stops
        and case.name == NAMED.get(case.code, "") and case.code not in known
    ]  # fmt: skip
