"""What stops the id maps: who calls newuidmap and newgidmap, as they look at it."""

from __future__ import annotations

import errno
import posix
import pwd
import shutil

from minictr.diagnosis.again import again, with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import CAPABILITY, GRANTS
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import group_name, read_fact
from minictr.image.refusals import quoted
from minictr.runtime.idmap import SILENT

_DIFFERENT = "is owned by a different user"


@cause(
    "MC0331",
    "the caller's group is not the one of his entry in the user database",
    stops=("MapIds",),
    standing=True,
)
def other_group(interview: Interview) -> Verdict:
    r"""newuidmap(1) and newgidmap(1) serve a caller only whose real group is the one of his entry
    in /etc/passwd. newgrp(1), sg(1) and job systems start a shell with another of the user's groups
    in its place; the helpers answer "Target process is owned by a different user" then, although
    the user is the same.

    Reproduction (root, who becomes the user):

        setpriv --reuid="$USER" --regid="$(getent group daemon | cut -d: -f3)" --init-groups \
            minictr exec --id-map helpers "$IMAGE" true

    Fix, user: sg GROUP, with the group of the entry; or --id-map single, where one id is enough.

    Fix, administrator: none is needed. GRANT_AUX_GROUP_SUBIDS yes in /etc/login.defs lets the
    helpers serve such callers, and they map that group only where /etc/subgid grants it.

    Not the cause: the owner of any process: he is the same.

    Sources: newuidmap(1); login.defs(5), GRANT_AUX_GROUP_SUBIDS; shadow, src/newuidmap.c, main.
    """
    if not (_DIFFERENT in interview.failure.said or interview.failure.call == "getsubids"):
        return None
    gid = posix.getgid()
    try:
        entry = pwd.getpwuid(posix.getuid())
    except KeyError:
        return Unknown("the user database has no entry to compare with")
    if gid == entry.pw_gid:
        return Excluded(f"the caller's group is {gid}, as in the user database")
    if read_fact("/etc/login.defs").text.find("\nGRANT_AUX_GROUP_SUBIDS yes") >= 0:
        return Excluded("/etc/login.defs has GRANT_AUX_GROUP_SUBIDS yes")
    named = group_name(entry.pw_gid)
    lines = []
    if named and shutil.which("sg"):  # shadow 4.20 has none any more
        lines = [f"sg {quoted(named)} -c {quoted(again(interview.request))}"]
    return Proof(
        f"the group of {entry.pw_name} is {group_name(gid) or gid} here, and newuidmap serves "
        f"him only with {named or entry.pw_gid}",
        (f"getgid(2) is {gid}", f"{entry.pw_name} has in the user database the gid {entry.pw_gid}"),
        fix_user="\n".join([*lines, with_single_map(interview.request)]),
    )


@cause(
    "MC0333",
    "/etc/subuid or /etc/subgid is a symbolic link",
    stops=("MapIds",),
)
def link(interview: Interview) -> Verdict:
    """newuidmap(1) opens /etc/subuid, and newgidmap(1) /etc/subgid, with O_NOFOLLOW: where the file
    is a symbolic link, that fails with ELOOP, and the helper ends with status 1, before shadow 4.20
    without a word. What manages a machine's configuration likes to put such links into /etc.

    Reproduction (root, with private copies of the files of /etc):

        mv /etc/subuid /etc/subuid.kept
        ln -s subuid.kept /etc/subuid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: put the file itself in the place of the link; the report has the command.

    Not the cause: what the file says: minictr itself follows the link, and has found a range.

    Sources: open(2), O_NOFOLLOW; shadow, lib/commonio.c, commonio_open.
    """
    failure = interview.failure
    path = f"/etc/{GRANTS[failure.call][1]}" if failure.call in CAPABILITY else ""
    told = f"cannot open {path}: {posix.strerror(errno.ELOOP)}"
    silent = failure.said == f"{SILENT} 1"
    if not path or (not silent and not failure.said.endswith(told)):
        return None
    try:
        target = posix.readlink(path)
    except OSError:
        return Excluded(f"{path} is no symbolic link")
    program = read_fact(str(failure.arguments[0]))
    if silent and _DIFFERENT not in program.text:
        return Unknown(f"{failure.arguments[0]} is not the program of shadow: it lacks its words")
    return Proof(
        f"{path} is a symbolic link, which {failure.call} does not follow",
        (
            f"readlink({path}) is {target}",
            f"{failure.call} ended with status 1 and said nothing" if silent else failure.said,
        ),
        fix_user=with_single_map(interview.request),
        fix_administrator=f"cp --remove-destination $(readlink -f {path}) {path}",
    )
