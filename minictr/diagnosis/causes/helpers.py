"""What stops the id maps: newuidmap and newgidmap, which write them."""

from __future__ import annotations

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import ancestry, free_ancestor
from minictr.diagnosis.probes.helpers import CAPABILITY, powerless, where_is_it_not
from minictr.diagnosis.probes.mountinfo import mount_of, mounts
from minictr.diagnosis.probes.surroundings import container_engine, helpers_package, systemd_unit
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted
from minictr.runtime.privileges import has_no_new_privileges

_NEWUIDMAP, _NEWGIDMAP = "newuidmap", "newgidmap"


@cause("MC0305", "newuidmap or newgidmap is missing", stops=("MapIds",), standing=True)
def helper_missing(interview: Interview) -> Verdict:
    """Only newuidmap(1) and newgidmap(1) may map ids that are not the caller's own, and one of
    them is not on this machine. It was looked for in /usr/bin, /usr/sbin, /bin, /usr/local/bin
    and on PATH.

    Reproduction (root, with a private view of /usr/bin from which both are gone):

        hide newuidmap newgidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: install the package; Debian and Ubuntu call it uidmap, Fedora and Arch
    have both programs in shadow-utils and shadow.

    Not the cause: a helper which is there and may not be executed: that gives EACCES.

    Sources: newuidmap(1); user_namespaces(7), "Defining user and group ID mappings"; fs/namei.c,
    step_into.
    """
    if not interview.plan.map_ids[0].__dict__["helpers"]:
        return None
    absent = []
    for name in (_NEWUIDMAP, _NEWGIDMAP):
        looked = interview.once(where_is_it_not, name)
        if isinstance(looked, str):
            return Unknown(f"whether {name} is there: {looked}")
        if looked:
            absent.append((name, looked))
    if not absent:
        return Excluded("newuidmap and newgidmap are both there")
    return Proof(
        f"{' and '.join(name for name, _ in absent)} "
        f"{'are' if len(absent) > 1 else 'is'} not installed",
        tuple(f"no {name} in {', '.join(places)}" for name, places in absent),
        fix_user=with_single_map(interview.request),
        fix_administrator=helpers_package(interview.host),
    )


@cause(
    "MC0306",
    "newuidmap or newgidmap lies on a mount that is nosuid",
    stops=("MapIds",),
    standing=True,
)
def helper_on_nosuid(interview: Interview) -> Verdict:
    """The helper's file has the privilege, and the file system it lies on is mounted nosuid, so
    the kernel gives it none: neither a setuid bit nor file capabilities count there.

    Reproduction (root, in a private mount namespace):

        mount --bind /usr/bin/newuidmap /usr/bin/newuidmap
        mount -o remount,bind,nosuid /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: mount -o remount,bind,suid MOUNT-POINT, or install the helpers elsewhere.

    Not the cause: the helper's mode. "Check that newgidmap is setuid root", as others say, finds
    nothing: it is.

    Sources: mount(2), MS_NOSUID; execve(2), "The aforementioned transformations"; fs/exec.c,
    bprm_fill_uid; kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if not helper.nosuid:
        return Excluded(f"{helper.path} lies on a mount that honours setuid")
    mount = mount_of(helper.path, mounts())
    if not mount:
        return Unknown(f"{helper.path} is on a nosuid mount that /proc/self/mountinfo lacks")
    return Proof(
        f"{helper.path} lies on the mount {mount.point}, which is nosuid",
        (f"statvfs({helper.path}) has ST_NOSUID", f"/proc/self/mountinfo: {mount.line}"),
        fix_user=with_single_map(interview.request),
        fix_administrator=f"mount -o remount,bind,suid {quoted(mount.point)}",
    )


@cause(
    "MC0307",
    "no_new_privs takes the privilege from newuidmap and newgidmap",
    stops=("MapIds",),
    standing=True,
)
def no_new_privileges(interview: Interview) -> Verdict:
    """no_new_privs is set on the launcher, by what started it: a container with
    no-new-privileges, a systemd unit with NoNewPrivileges=, a sandbox, setpriv. It is inherited,
    cannot be unset, and takes the setuid bit and file capabilities from every program. newuidmap
    runs as the caller then, and the kernel refuses its write.

    User namespaces themselves work under it, and so does a map of one id.

    Reproduction (an ordinary user with subordinate ids):

        setpriv --no-new-privs minictr exec --id-map helpers "$IMAGE" true

    Fix, user: start minictr from outside of what set it, or use --id-map single.

    Fix, administrator: docker and podman: --security-opt no-new-privileges=false; a systemd unit:
    NoNewPrivileges=no.

    Not the cause: the helper's setuid bit, which is there.

    Sources: PR_SET_NO_NEW_PRIVS(2const); fs/exec.c, bprm_fill_uid; newuidmap(1);
    kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if not has_no_new_privileges():
        return Excluded("prctl(PR_GET_NO_NEW_PRIVS) is 0")
    chain = interview.once(ancestry)
    free = free_ancestor(chain, "no_new_privs") if chain else None
    above = f"; {free} has NoNewPrivs 0" if free else ""
    line = with_single_map(interview.request)
    if free:
        line += f"\nStart minictr from {free}, which has not got it."
    return Proof(
        "no_new_privs is set, which takes the privilege from newuidmap and newgidmap",
        (
            f"/proc/self/status: NoNewPrivs 1{above}",
            f"{helper.path} has its privilege: {helper.described}",
        )
        if helper.setuid or helper.capable
        else (f"/proc/self/status: NoNewPrivs 1{above}",),
        fix_user=line,
        fix_administrator="" if free else _allow_privileges(interview),
    )


@cause(
    "MC0308",
    "newuidmap or newgidmap has neither the setuid bit nor file capabilities",
    stops=("MapIds",),
    standing=True,
)
def helper_without_privilege(interview: Interview) -> Verdict:
    """The helper is there and runs, as the caller: it is not setuid root and has no file capability
    (CAP_SETUID for newuidmap, CAP_SETGID for newgidmap), so the kernel refuses its write. Copying
    a root file system without its attributes does that.

    Reproduction (root, in a private mount namespace):

        install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: chmod u+s, or the narrower setcap cap_setuid+ep (newgidmap: cap_setgid+ep).

    Not the cause: a missing setuid bit where there are file capabilities: they alone suffice.

    Sources: newuidmap(1); capabilities(7), "File capabilities"; user_namespaces(7), "Defining user
    and group ID mappings"; kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if helper.setuid or helper.capable or helper.stored.root >= 0:
        return Excluded(f"{helper.path}: {helper.described}")
    if helper.script:
        return Unknown(f"{helper.path} is a script; what it starts in its turn cannot be seen")
    capability = CAPABILITY[helper.name][0]
    return Proof(
        f"{helper.path} is neither setuid nor has it {capability}",
        (f"{helper.path}: {helper.described}",),
        fix_user=with_single_map(interview.request),
        fix_administrator=f"setcap {capability.lower()}+ep {quoted(helper.path)}",
    )


def _allow_privileges(interview: Interview) -> str:
    engine, unit = container_engine(interview.host), systemd_unit(interview.host)
    if engine in ("docker", "podman"):
        return f"Start the {engine} container with --security-opt no-new-privileges=false."
    if unit:
        return (
            f"systemctl edit {unit}\n"
            f"Put NoNewPrivileges=no below [Service] there, then restart {unit}."
        )
    return ""
