"""What stops the id maps: a setuid bit of newuidmap or newgidmap that gives nothing."""

from __future__ import annotations

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.helpers import CAPABILITY, Helper, powerless
from minictr.diagnosis.probes.own_maps import OVERFLOW, extents, holds, is_whole
from minictr.diagnosis.probes.secure import is_ignored
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import read_fact
from minictr.image.refusals import quoted

# include/uapi/linux/capability.h, without CAP_
_SETUID = 7
_SYS_PTRACE = 19


@cause(
    "MC0319",
    "the owner of newuidmap or newgidmap has no id in this user namespace",
    stops=("MapIds",),
    standing=True,
)
def unmapped_owner(interview: Interview) -> Verdict:
    """minictr runs in a user namespace which has no id for root, who owns the helper. A setuid bit
    counts only where the owner has an id: the helper runs as the caller, and the kernel refuses its
    write. A container that maps its user to himself alone is such a namespace.

    Reproduction (an ordinary user with subordinate ids):

        unshare --user --map-current-user minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, which needs no helper.

    Fix, administrator: none inside; start the outer container with a map of many ids that has 0 in
    it, and with newuidmap as a file of that root's.

    Not the cause: the helper's setuid bit, which is there; /etc/subuid, which may grant a range.

    Sources: user_namespaces(7), "Set-user-ID and set-group-ID programs"; fs/exec.c, bprm_fill_uid;
    /proc/sys/kernel/overflowuid, proc(5); kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if not helper.setuid or helper.capable:
        return Excluded(f"{helper.path} has nothing from its owner: {helper.described}")
    if _is_privileged(interview):
        return Excluded("the caller is root with CAP_SETUID, and needs no setuid bit")
    own = interview.fact("/proc/self/uid_map")
    if own.errno:
        return Unknown("/proc/self/uid_map cannot be read")
    unmapped = _has_no_id(interview, helper, own.text)
    if isinstance(unmapped, Unknown):
        return unmapped
    if not unmapped:
        return Excluded(f"{helper.path} belongs to uid {helper.owner}, which is mapped")
    lines = "; ".join(" ".join(line.split()) for line in own.text.splitlines())
    owner, why = "the owner of", "which stands for no id"
    if holds(extents(own.text), OVERFLOW, 1):
        owner, why = "the owner or the group of", "and started by this user it gets AT_SECURE 0"
    return Proof(
        f"{owner} {helper.path} has no id in this user namespace, so that its setuid bit "
        "gives nothing",
        (f"{helper.path}: {helper.described}, {why}", f"/proc/self/uid_map: {lines}"),
        fix_user=with_single_map(interview.request),
        fix_administrator="Start the outer container with a map of many ids, 0 among them, and "
        "with a newuidmap that its root owns.",
    )


@cause(
    "MC0318",
    "newuidmap or newgidmap does not belong to root",
    stops=("MapIds",),
    standing=True,
)
def not_of_root(interview: Interview) -> Verdict:
    """The helper is setuid, and its owner is not root: it runs as that user, without a capability,
    and cannot open or write the map. Copying a root file system as an ordinary user, or tar
    without --same-owner, does that.

    Reproduction (root, in a private mount namespace):

        cp -p /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        chown daemon "$DIRECTORY/newuidmap" && chmod 4755 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: chown root: newuidmap, which takes the setuid bit; then the narrower setcap
    cap_setuid+ep newuidmap (newgidmap: cap_setgid+ep).

    Not the cause: the setuid bit, which is there.

    Sources: newuidmap(1); chown(2), on the setuid bit; capabilities(7), "File capabilities";
    fs/namei.c, generic_permission.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    own = interview.fact("/proc/self/uid_map").text
    if not helper.setuid or helper.capable or not helper.owner or _is_privileged(interview):
        return Excluded(f"{helper.path}: {helper.described}")
    unmapped = _has_no_id(interview, helper, own)
    if isinstance(unmapped, Unknown):
        return unmapped
    if unmapped:
        return Excluded(f"the owner of {helper.path} has no id here")
    fix = "Give this container a newuidmap and a newgidmap that its own root (0) owns."
    if is_whole(own):
        capability = CAPABILITY[helper.name][0].lower()
        fix = f"chown root: {quoted(helper.path)}\nsetcap {capability}+ep {quoted(helper.path)}"
    return Proof(
        f"{helper.path} belongs to uid {helper.owner} and not to root, whose setuid bit it needs",
        (f"{helper.path}: {helper.described}",),
        fix_user=with_single_map(interview.request),
        fix_administrator=fix,
    )


@cause(
    "MC0323",
    "a tracer takes the privilege from newuidmap and newgidmap",
    stops=("MapIds",),
    standing=True,
)
def traced(interview: Interview) -> Verdict:
    """minictr runs under a tracer that follows its children, strace -f as a rule. A program that is
    traced gains nothing from its setuid bit or its file capabilities, unless the tracer has
    CAP_SYS_PTRACE; so newuidmap runs as the caller, and the kernel refuses its write. Without the
    tracer the same launch works.

    Reproduction (an ordinary user; traced, of tests/lab/tools, does as strace -f):

        traced minictr exec --id-map helpers "$IMAGE" true

    Fix, user: start minictr without the tracer, or with --id-map single under it.

    Fix, administrator: none is needed; strace started by root with -u USER has CAP_SYS_PTRACE.

    Not the cause: the helper's setuid bit, which is there; no_new_privs, which is not set.

    Sources: ptrace(2), "execve(2) under ptrace"; security/commoncap.c, cap_bprm_creds_from_file,
    ptracer_capable; kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    answer = interview.once(ask, _tracer)
    if answer.trouble:
        return Unknown(f"whether a tracer follows children: {answer.trouble}")
    pid = int(str(answer.value))
    if not pid:
        return Excluded("/proc/self/status of a child has TracerPid 0")
    status = _status(pid)
    if "CapEff" not in status:
        return Unknown(f"a child is traced by process {pid}, whose capabilities cannot be read")
    if int(status["CapEff"], 16) >> _SYS_PTRACE & 1:
        return Excluded(f"process {pid}, which traces a child, has CAP_SYS_PTRACE")
    named = f"{status.get('Name', '')} (pid {pid})"
    return Proof(
        f"{named} traces minictr and its children, so that newuidmap gains no privilege",
        (
            f"/proc/self/status of a child: TracerPid {pid}",
            f"/proc/{pid}/status: CapEff {status['CapEff']}, without CAP_SYS_PTRACE",
            f"{helper.path}: {helper.described}",
        ),
        fix_user=f"{with_single_map(interview.request)}\nStart minictr without {named}.",
    )


def _has_no_id(interview: Interview, helper: Helper, own: str) -> bool | Unknown:
    """Whether the helper's owner, as stat(2) gives it, is one who has no id here.

    Such an owner reads as the overflow id, which can be mapped itself: then the kernel is asked
    whether the setuid bit counts, which takes an owner and a group that have ids.

    own   the uid_map
    """
    if helper.owner != OVERFLOW or not holds(extents(own), OVERFLOW, 1):
        return helper.owner == OVERFLOW
    ignored = interview.once(is_ignored, helper.path)
    if ignored is None:
        return Unknown(f"uid {OVERFLOW} of {helper.path} is mapped, and stands for no id as well")
    return bool(ignored)


def _is_privileged(interview: Interview) -> bool:
    """Whether a helper that was not started yet will have the caller's own privilege.

    Root's capabilities are the program's at execve(2), whoever owns it: capabilities(7).
    """
    if interview.failure.call != "getsubids" or interview.host.uid:
        return False
    return bool(int(_status("self").get("CapEff", "0"), 16) >> _SETUID & 1)


def _tracer() -> int:
    return int(_status("self")["TracerPid"])


def _status(pid: int | str) -> dict[str, str]:
    lines = read_fact(f"/proc/{pid}/status").text.splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name: value.strip() for name, _, value in pairs}
