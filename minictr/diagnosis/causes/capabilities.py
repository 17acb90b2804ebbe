"""What stops the id maps: what the caller lets no program have, be it setuid root."""

from __future__ import annotations

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.helpers import CAPABILITY, needed, powerless
from minictr.diagnosis.probes.privileges import bounded, noroot
from minictr.diagnosis.probes.surroundings import container_engine, systemd_unit
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted

# include/uapi/linux/capability.h
_BITS = {"CAP_DAC_OVERRIDE": 1, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_ADMIN": 21}
_WITHOUT_NOROOT = (
    "Start the session without noroot, which setpriv --securebits, capsh --secbits or SecureBits= "
    "of a systemd unit has set."
)


@cause(
    "MC0309",
    "the capability bounding set lacks what newuidmap or newgidmap needs",
    stops=("MapIds",),
    standing=True,
)
def bounding_set(interview: Interview) -> Verdict:
    r"""The bounding set is what execve(2) may give at most. The caller's lacks CAP_SETUID, which
    newuidmap needs, or CAP_SETGID, which newgidmap needs; so the helper runs without it, and the
    kernel refuses its write. Taken from the set by a container engine (--cap-drop), a systemd unit
    (CapabilityBoundingSet=), capsh, setpriv, it is gone for every process below.

    A helper that is setuid root, of a shadow that was built without libcap, stays root while it
    writes. It then needs CAP_DAC_OVERRIDE, to open a file which is the caller's ("open of uid_map
    failed: Permission denied"), and CAP_SYS_ADMIN, to write the map of a namespace which is the
    caller's. Docker's containers lack the latter. A helper with file capabilities needs neither.

    Reproduction (root, who becomes the user):

        setpriv --bounding-set=-setuid,-setgid --reuid="$USER" --regid="$USER" --init-groups \
            minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: start the session with the capabilities in its bounding set (docker, podman:
    --cap-add SETUID; a systemd unit: CapabilityBoundingSet=). Where the other two are all that is
    missing: chmod u-s newuidmap and setcap cap_setuid+ep, newgidmap likewise.

    Not the cause: the helper's setuid bit, which is there; the caller's own capabilities, of which
    none are needed.

    Sources: capabilities(7), "Capability bounding set"; kernel/user_namespace.c, map_write,
    new_idmap_permitted; shadow, libmisc/idmapping.c, write_mapping.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    wanted = needed(helper)
    lacking = tuple(name for name in wanted if interview.once(bounded, name))
    if not lacking:
        return Excluded(f"the bounding set has {', '.join(wanted)}")
    chain = interview.once(ancestry)
    free = _with_all(chain, lacking)
    line = with_single_map(interview.request)
    if free:
        line += f"\nStart minictr from {free}, which has {' and '.join(lacking)}."
    return Proof(
        f"the bounding set lacks {' and '.join(lacking)}, without which {helper.name} cannot "
        "write the map",
        (
            *(f"prctl(PR_CAPBSET_READ, {name}) is 0" for name in lacking),
            *_sets_seen(chain, free),
            f"{helper.path}: {helper.described}",
        ),
        fix_user=line,
        fix_administrator=_allow(interview, lacking, inherited=not free),
    )


@cause(
    "MC0310",
    "the securebit noroot takes the privilege from newuidmap and newgidmap",
    stops=("MapIds",),
    standing=True,
)
def securebit_noroot(interview: Interview) -> Verdict:
    r"""Under the securebit noroot a program that is setuid root runs with root's id and without any
    capability. What started the session has set it: a systemd unit with SecureBits=noroot, capsh,
    setpriv. It is inherited. newuidmap cannot even open the map then, which is the caller's file:
    "open of uid_map failed: Permission denied".

    Reproduction (root, who becomes the user):

        setpriv --securebits=+noroot --reuid="$USER" --regid="$USER" --init-groups \
            minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: start the session without it (a systemd unit: SecureBits= without noroot);
    or give the helpers file capabilities in place of the setuid bit, as Fedora does: noroot does
    not touch those.

    Not the cause: the helper's setuid bit, which is there and counts; the mode of uid_map; the
    bounding set.

    Sources: capabilities(7), "The securebits flags: establishing a capabilities-only environment";
    PR_SET_SECUREBITS(2const); security/commoncap.c, handle_privileged_root; fs/namei.c,
    generic_permission.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if not interview.once(noroot):
        return Excluded("prctl(PR_GET_SECUREBITS) has no SECBIT_NOROOT")
    if helper.capable or not helper.setuid:
        return Excluded(f"noroot takes nothing from {helper.path}: {helper.described}")
    return Proof(
        "the securebit noroot is set, which leaves newuidmap and newgidmap without capabilities",
        (
            "prctl(PR_GET_SECUREBITS) has SECBIT_NOROOT",
            f"{helper.path} has its privilege by the setuid bit alone: {helper.described}",
        ),
        fix_user=with_single_map(interview.request),
        fix_administrator=f"{_WITHOUT_NOROOT}\n{_narrowed(interview)}",
    )


def _with_all(chain: tuple[Ancestor, ...], names: tuple[str, ...]) -> Ancestor | None:
    """The nearest ancestor whose bounding set has them."""
    bits = sum(1 << _BITS[name] for name in names)
    return next((one for one in chain[1:] if one.bounding & bits == bits), None)


def _sets_seen(chain: tuple[Ancestor, ...], free: Ancestor | None) -> tuple[str, ...]:
    if not chain:
        return ()
    own = f"/proc/self/status: CapBnd {chain[0].bounding:016x}"
    if not free:
        return (f"{own}; no process above that can be seen has what it lacks",)
    return (f"{own}; {free} has {free.bounding:016x}",)


def _allow(interview: Interview, lacking: tuple[str, ...], inherited: bool) -> str:
    """Who puts them back: what the whole chain has inherited it from, or its own beginning."""
    engine, unit = container_engine(interview.host), systemd_unit(interview.host)
    names = " ".join(lacking)
    if inherited and engine in ("docker", "podman"):
        options = " ".join(f"--cap-add {name.removeprefix('CAP_')}" for name in lacking)
        wider = f"Start the {engine} container with {options}."
    elif inherited and unit:
        wider = (
            f"systemctl edit {unit}\n"
            f"Put CapabilityBoundingSet={names} below [Service] there, then restart {unit}."
        )
    else:
        wider = (
            f"Start the session with {names} in its bounding set: nothing puts it back later, and "
            "setpriv --bounding-set, capsh --drop or CapabilityBoundingSet= took it out."
        )
    own = {capability for capability, _ in CAPABILITY.values()}
    return wider if own & set(lacking) else f"{wider}\n{_narrowed(interview)}"


def _narrowed(interview: Interview) -> str:
    """File capabilities in place of the setuid bit: beside it they would be root's."""
    lines = []
    for path in interview.plan.map_ids[0].__dict__["helpers"]:
        capability = CAPABILITY[path.rpartition("/")[2]][0].lower()
        lines += [f"chmod u-s {quoted(path)}", f"setcap {capability}+ep {quoted(path)}"]
    return "\n".join(lines)
