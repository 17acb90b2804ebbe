"""What stops the id maps: file capabilities of newuidmap or newgidmap that do not do."""

from __future__ import annotations

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import CAPABILITY, Helper, powerless, stays_root
from minictr.diagnosis.probes.own_maps import is_whole
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted


@cause(
    "MC0320",
    "newuidmap or newgidmap has file capabilities beside its setuid bit",
    stops=("MapIds",),
    standing=True,
)
def mixed(interview: Interview) -> Verdict:
    """A program that is setuid root and has file capabilities too gets those and no others: root's
    id and not root's capabilities. A newuidmap that stays root while it writes needs more of them:
    it cannot even open the map, which is the caller's file ("open of uid_map failed: Permission
    denied"). It is enough that the attribute is there, be it empty.

    Reproduction (root, in a private mount namespace):

        cp -p /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        setcap = "$DIRECTORY/newuidmap" && chmod 4755 "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: chmod u-s newuidmap, with the capability it needs, cap_setuid+ep (newgidmap:
    cap_setgid+ep).

    Not the cause: a missing privilege: it is there twice.

    Sources: capabilities(7), "Set-user-ID-root programs that have file capabilities";
    security/commoncap.c, handle_privileged_root, warn_setuid_and_fcaps_mixed; fs/namei.c,
    generic_permission.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if not helper.setuid or not helper.stored.there or helper.stored.root >= 0 or helper.owner:
        return Excluded(f"{helper.path}: {helper.described}")
    if helper.capable and not stays_root(helper.path):
        return Excluded(f"{helper.path} gives root's id up before it writes")
    fix = f"chmod u-s {quoted(helper.path)}"
    return Proof(
        f"{helper.path} has file capabilities beside its setuid bit, which take root's from it",
        (f"{helper.path}: {helper.described}",),
        fix_user=with_single_map(interview.request),
        fix_administrator=fix if _will_do(helper) else f"{fix}\n{_capability(helper)}",
    )


@cause(
    "MC0321",
    "the file capability of newuidmap or newgidmap is not effective",
    stops=("MapIds",),
    standing=True,
)
def not_effective(interview: Interview) -> Verdict:
    """The helper's file has the capability that it needs in the permitted set alone: it was given
    by setcap cap_setuid+p, without the e. A newuidmap that was built without libcap does not raise
    a capability itself, and writes the map without it.

    Reproduction (root, in a private mount namespace):

        install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        setcap cap_setuid+p "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: setcap cap_setuid+ep newuidmap (newgidmap: cap_setgid+ep).

    Not the cause: the capability, which is the right one.

    Sources: capabilities(7), "File capabilities"; setcap(8); kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if helper.setuid or not helper.capable or helper.stored.effective:
        return Excluded(f"{helper.path}: {helper.described}")
    if not stays_root(helper.path):
        return Excluded(f"{helper.path} raises its capability itself")
    return Proof(
        f"{helper.path} has {CAPABILITY[helper.name][0]} in its permitted set, and not effective",
        (f"{helper.path}: {helper.described}",),
        fix_user=with_single_map(interview.request),
        fix_administrator=_capability(helper),
    )


@cause(
    "MC0322",
    "the file capabilities of newuidmap or newgidmap count in another user namespace only",
    stops=("MapIds",),
    standing=True,
)
def of_another_namespace(interview: Interview) -> Verdict:
    """The helper's file capabilities were given in a user namespace, by its root. They carry that
    root's id, and count in that namespace and below. A tree that an ordinary user unpacked or
    installed in a container of his, and that is used outside of it, has such files.

    Reproduction (root, in a private mount namespace):

        install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
        setcap -n 100000 cap_setuid+ep "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: setcap cap_setuid+ep newuidmap, as root of this namespace.

    Not the cause: the capability, which is the right one; getcap shows it, and names the root only
    with -n.

    Sources: capabilities(7), "Namespaced file capabilities"; security/commoncap.c,
    rootid_owns_currentns; kernel/user_namespace.c, map_write.
    """
    helper = powerless(interview)
    if helper is None or isinstance(helper, Unknown):
        return helper
    if helper.setuid or helper.stored.root < 0:
        return Excluded(f"{helper.path}: {helper.described}")
    if not is_whole(interview.fact("/proc/self/uid_map").text):
        return Unknown(f"whether uid {helper.stored.root} is root of a namespace above this one")
    return Proof(
        f"the file capabilities of {helper.path} count where uid {helper.stored.root} is root, and "
        "not here",
        (f"{helper.path}: {helper.described}",),
        fix_user=with_single_map(interview.request),
        fix_administrator=_capability(helper),
    )


def _will_do(helper: Helper) -> bool:
    """Whether the capabilities suffice once the bit is gone."""
    return helper.capable and (helper.stored.effective or not stays_root(helper.path))


def _capability(helper: Helper) -> str:
    return f"setcap {CAPABILITY[helper.name][0].lower()}+ep {quoted(helper.path)}"
