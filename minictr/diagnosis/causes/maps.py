"""What stops the id maps: what the kernel does not take for a map of this user namespace."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import ancestry
from minictr.diagnosis.probes.helpers import CAPABILITY, GRANTS, look_at_helper
from minictr.diagnosis.probes.own_maps import covers, extents, holds, largest
from minictr.diagnosis.probes.privileges import bounded
from minictr.diagnosis.probes.subid_grants import both_files, grant
from minictr.diagnosis.probes.subids import COUNT
from minictr.diagnosis.probes.surroundings import container_engine, systemd_unit
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted
from minictr.runtime.idmap import fits

_SETFCAP = 31  # CAP_SETFCAP, include/uapi/linux/capability.h
_DENIED = ("write to ", "Operation not permitted")
_INVALID = ("write to ", "Invalid argument")


@cause(
    "MC0324",
    "mapping root's id takes CAP_SETFCAP",
    stops=("MapIds",),
)
def no_setfcap(interview: Interview) -> Verdict:
    """The map has the id 0 of the caller's user namespace in it, because the caller is root, and
    whoever writes such a map needs CAP_SETFCAP: without it the map would be a way to that
    capability. A container started with its capabilities dropped has a root like that. Any other
    user's id is mapped without a capability.

    Reproduction (root):

        setpriv --bounding-set=-setfcap minictr exec --id-map single "$IMAGE" true

    Fix, user: start minictr as another user than root.

    Fix, administrator: start the session with CAP_SETFCAP (docker, podman: --cap-add SETFCAP; a
    systemd unit: CapabilityBoundingSet=).

    Not the cause: CAP_SYS_ADMIN and CAP_SETUID; a security module. Kernels before 5.12 did not
    ask for it.

    Sources: user_namespaces(7), "Defining user and group ID mappings"; kernel/user_namespace.c,
    map_write, and there verify_root_map.
    """
    failure = interview.failure
    path = str(failure.arguments[0]) if failure.arguments else ""
    direct = failure.call == "write" and path.endswith("/uid_map")
    if not direct and not (failure.call == "newuidmap" and _said(interview, _DENIED)):
        return None
    if direct and failure.errno != errno.EPERM:
        return None
    if all(outside for _, outside, _ in interview.plan.map_ids[0].__dict__["uids"]):
        return Excluded("the map has no line that begins with the id 0 of this user namespace")
    if interview.host.kernel < (5, 12):
        return Excluded("kernels before 5.12 do not ask for CAP_SETFCAP")
    seen = _own_sets(interview) if direct else _helper_sets(interview, path)
    if isinstance(seen, Unknown | Excluded):
        return seen
    return Proof(
        "the caller is root without CAP_SETFCAP, and the id 0 is not mapped without it",
        seen,
        fix_user="Start minictr as another user than root: any other id needs no capability.",
        fix_administrator=_with_setfcap(interview),
    )


@cause(
    "MC0325",
    "the subordinate range does not lie in the map of this user namespace",
    stops=("MapIds",),
    standing=True,
)
def range_outside(interview: Interview) -> Verdict:
    """minictr runs in a user namespace, in a container as a rule, and /etc/subuid or /etc/subgid
    grants a range of ids which this namespace has not got. Each range has to lie in one line of
    /proc/self/uid_map, gid_map for groups: also one that two lines have between them is refused.
    A container's files often say 100000:65536, as the host's do, and its own ids end at 65535.

    Reproduction (root; within enters a user namespace and is in tests/lab/tools):

        within 0:0:66000 "$USER" minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: grant a range that this namespace has, with usermod; or start the outer
    container with more ids.

    Not the cause: the helper and its privilege, which it has; the host's /etc/subuid.

    Sources: user_namespaces(7), "Defining user and group ID mappings"; kernel/user_namespace.c,
    map_write, map_id_range_down.
    """
    failure = interview.failure
    if failure.call not in CAPABILITY or not _said(interview, _DENIED):
        return None
    kind = "uid" if failure.call == "newuidmap" else "gid"
    path = f"/proc/self/{kind}_map"
    fact = interview.fact(path)
    if fact.errno:
        return Unknown(f"{path} cannot be read")
    own = extents(fact.text)
    lines = interview.plan.map_ids[0].__dict__[f"{kind}s"]
    beyond = [(first, count) for _, first, count in lines if not holds(own, first, count)]
    if not beyond:
        return Excluded(f"every range of the map lies in a line of {path}")
    first, count = beyond[0]
    has = "has not got" if not covers(own, first, count) else "has in two lines of its map"
    shown = "; ".join(" ".join(line.split()) for line in fact.text.splitlines())
    return Proof(
        f"this user namespace {has} the {kind}s {first} to {first + count - 1}, "
        f"which /etc/{GRANTS[failure.call][1]} grants",
        (f"{path}: {shown}", f"asked for: {', '.join(f'{a} to {a + n - 1}' for a, n in beyond)}"),
        fix_user=with_single_map(interview.request),
        fix_administrator=_inside(interview, own),
    )


@cause(
    "MC0326",
    "the id map is larger than the kernel takes",
    stops=("MapIds",),
)
def too_large(interview: Interview) -> Verdict:
    """/etc/subuid or /etc/subgid grants the user so many ranges that the map of all of them is more
    than the kernel takes: 340 lines, and less than one page of text. Without --id-map helpers the
    map has one line then.

    Reproduction (root, with private copies of the files of /etc):

        for first in $(seq 1000000 100 1030000); do echo "$USER:$first:50"; done >>/etc/subuid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: grant fewer, larger ranges; the report has the commands.

    Not the cause: the ranges themselves; the helper.

    Sources: user_namespaces(7), "Defining user and group ID mappings"; kernel/user_namespace.c,
    map_write.
    """
    failure = interview.failure
    if failure.call not in CAPABILITY or not _said(interview, _INVALID):
        return None
    lines = interview.plan.map_ids[0].__dict__["uids" if failure.call == "newuidmap" else "gids"]
    size = sum(len(f"{inside} {outside} {count}\n") for inside, outside, count in lines)
    page = posix.sysconf("SC_PAGE_SIZE")
    if fits(lines):
        return Excluded(f"the map has {len(lines)} lines and {size} bytes")
    kinds = [name for name, ids in (("subuid", "uids"), ("subgid", "gids"))
             if not fits(interview.plan.map_ids[0].__dict__[ids])]  # fmt: skip
    paths = " and ".join(f"/etc/{name}" for name in kinds)
    return Proof(
        f"{paths} grant{'s' * (len(kinds) == 1)} {interview.host.user} so many ranges that the map "
        "is too large for the kernel",
        (
            f"{failure.call} wrote {len(lines)} lines with {size} characters in all",
            f"the kernel takes 340 lines, and fewer characters than a page has: {page}",
        ),
        fix_user=with_single_map(interview.request),
        fix_administrator=_fewer(interview, kinds),
    )


@cause(
    "MC0335",
    "newuidmap or newgidmap ended well and wrote no map",
    stops=("MountStaging",),
    errnos=(errno.EOVERFLOW,),
)
def nothing_written(interview: Interview) -> Verdict:
    """The helper ended with status 0, and the container's process has no map: the kernel refuses
    the first file that it makes with EOVERFLOW. The program is not the one it is called: a stand-in
    of a build environment, or a script that swallows what it is told.

    Reproduction (root, in a private mount namespace):

        cp /bin/true "$DIRECTORY/newuidmap"
        mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
        chmod 4755 /usr/bin/newuidmap
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: install the package again: apt-get install --reinstall uidmap.

    Not the cause: the file system on which the file was to be made.

    Sources: newuidmap(1); open(2), EOVERFLOW; fs/namei.c, vfs_mkdir, and there may_create;
    user_namespaces(7).
    """
    helpers = interview.plan.map_ids[0].__dict__["helpers"]
    if not helpers:
        return Excluded("the maps were written directly")
    empty = []
    for path, kind in zip(helpers, ("uid", "gid"), strict=True):
        fact = interview.fact(f"/proc/{interview.failure.witness}/{kind}_map")
        if fact.errno:
            return Unknown(f"{fact.path} cannot be read")
        empty += [(path, fact.path)] if not fact.text.strip() else []
    if not empty:
        return Excluded("both maps are written")
    from minictr.diagnosis.probes.helper_files import reinstall

    return Proof(
        f"{empty[0][0]} ended with status 0 and wrote no map",
        tuple(f"{file} is empty" for _, file in empty),
        fix_user=with_single_map(interview.request),
        fix_administrator=reinstall(interview.host),
    )


def _fewer(interview: Interview, kinds: list[str]) -> str:
    """The commands that put one range in the place of all that the caller has."""
    granted = grant(interview, kinds)
    if granted.endswith("."):  # a sentence: then there is nothing to put there
        return "Grant fewer, larger ranges."
    names = {name: None for file in both_files(interview) for name in file.names}
    lines = " ".join(f"-e {quoted(f'/^{_literal(name)}:/d')}" for name in names)
    return f"sed -i {lines} {' '.join(f'/etc/{name}' for name in kinds)}\n{granted}"


def _literal(name: str) -> str:
    """A name as sed(1) takes it for itself alone."""
    return "".join(f"\\{sign}" if sign in "\\.*[/" else sign for sign in name)


def _said(interview: Interview, words: tuple[str, ...]) -> bool:
    return all(word in interview.failure.said for word in words)


def _own_sets(interview: Interview) -> tuple[str, ...] | Unknown | Excluded:
    """What shows that the launcher itself lacks the capability."""
    for line in interview.fact("/proc/self/status").text.splitlines():
        if line.startswith("CapEff:"):
            value = line.split()[1]
            if int(value, 16) >> _SETFCAP & 1:
                return Excluded("the launcher has CAP_SETFCAP")
            return (f"/proc/self/status: CapEff {value}, without CAP_SETFCAP",)
    return Unknown("/proc/self/status cannot be read")


def _helper_sets(interview: Interview, path: str) -> tuple[str, ...] | Unknown | Excluded:
    """What shows that the helper did not get it at execve(2)."""
    if interview.once(bounded, "CAP_SETFCAP"):
        return ("prctl(PR_CAPBSET_READ, CAP_SETFCAP) is 0",)
    helper = interview.once(look_at_helper, path)
    if isinstance(helper, str):
        return Unknown(f"{path}: {helper}")
    by_file = helper.stored.there and posix.getuid()
    if by_file and not helper.stored.permitted >> _SETFCAP & 1:
        return (f"{path}: {helper.described}, without CAP_SETFCAP",)
    return Excluded("newuidmap gets CAP_SETFCAP")


def _with_setfcap(interview: Interview) -> str:
    """Who gives it: whoever took it from this session, or what all processes above inherited."""
    engine, unit = container_engine(interview.host), systemd_unit(interview.host)
    chain = interview.once(ancestry)
    if not any(one.bounding >> _SETFCAP & 1 for one in chain[1:]):
        if engine in ("docker", "podman"):
            return f"Start the {engine} container with --cap-add SETFCAP."
        if unit:
            put = "Put CapabilityBoundingSet=CAP_SETFCAP below [Service] there"
            return f"systemctl edit {unit}\n{put}, then restart {unit}."
    return "Start the session with CAP_SETFCAP in its bounding set: nothing puts it back later."


def _inside(interview: Interview, own: tuple[tuple[int, int], ...]) -> str:
    """The command that grants a range of this namespace in place of those it has not got."""
    host, call = interview.host, interview.failure.call
    option, name = GRANTS[call]
    file = both_files(interview)[name == "subgid"]
    id_ = host.uid if name == "subuid" else host.gid
    lost = [entry for entry in file.own if not holds(own, *entry)]
    kept = [entry for entry in file.all if entry not in lost]
    first, count = largest(own, (*kept, (id_, 1)), COUNT)
    if not count or not lost or interview.fact("/etc/passwd").text.find(f"{host.user}:") < 0:
        return "Start the outer container with a map of more ids."
    remove = " ".join(f"{option.replace('add', 'del')} {a}-{a + n - 1}" for a, n in lost)
    return f"usermod {remove} {option} {first}-{first + count - 1} {quoted(host.user)}"
