"""What stops the id maps: the files that grant ranges of ids."""

from __future__ import annotations

import errno

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.subid_grants import (
    asked_instead,
    both_files,
    file_for,
    grant,
    lacking,
    without_entry,
)
from minictr.diagnosis.probes.subids import SubIds, by_name
from minictr.diagnosis.probes.user_database import hides_name
from minictr.diagnosis.rights import mode_of
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.host import Fact


@cause(
    "MC0301",
    "/etc/subuid or /etc/subgid cannot be read, or is no regular file",
    stops=("MapIds",),
    standing=True,
)
def unreadable(interview: Interview) -> Verdict:
    """The files that say which subordinate ids a user has are there, and this user may not read
    them, so the launcher cannot learn what to ask newuidmap(1) for. newuidmap itself is setuid
    root and reads them.

    Reproduction (root, with private copies of the files of /etc):

        chmod 0600 /etc/subuid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: chmod 644 /etc/subuid /etc/subgid. They are public on every distribution.
    A directory in place of the file, as an engine makes where it is to bind a file that is missing,
    has to give way to one, and so has a FIFO.

    Not the cause: newuidmap; a missing range.

    Sources: subuid(5), subgid(5).
    """
    if interview.failure.call != "getsubids":
        return None
    files = both_files(interview)
    closed = [file.fact for file in files if file.fact.errno in (errno.EACCES, errno.EISDIR)]
    odd = [file for file in files if file.kind and not file.own and file.fact not in closed]
    if not closed and not odd:
        other = next((file.fact for file in files if file.fact.unreadable), None)
        if other:
            return Unknown(f"{other.path}: {errno_name(other.errno)}")
        return Excluded("both are regular files that can be read")
    paths = " and ".join(fact.path for fact in closed)
    words = [f"{paths} cannot be read by {interview.host.user}"] if closed else []
    words += [f"{file.fact.path} is {file.kind} and no regular file" for file in odd]
    seen = [f"open({fact.path}): {errno_name(fact.errno)}; {mode_of(fact.path)}" for fact in closed]
    seen += [f"stat({file.fact.path}): {file.kind}; {mode_of(file.fact.path)}" for file in odd]
    return Proof(
        ", and ".join(words),
        tuple(seen),
        fix_user=with_single_map(interview.request),
        fix_administrator=_readable(interview, [*closed, *(file.fact for file in odd)]),
    )


@cause(
    "MC0302",
    "a line of /etc/subuid or /etc/subgid is malformed",
    stops=("MapIds",),
    standing=True,
)
def malformed(interview: Interview) -> Verdict:
    r"""A line begins with the user's name and grants nothing, because it is not NAME:FIRST:COUNT
    with two decimal numbers. A carriage return at its end, from an editor of another system, is
    enough. newuidmap(1) passes over such a line without a word.

    Reproduction (root, with private copies of the files of /etc):

        printf '%s:100000:65536\r\n' "$USER" >/etc/subuid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: correct the line; the report has the command.

    Not the cause: a missing line; the group's name, as /etc/subgid is keyed by the user's.

    Sources: subuid(5), subgid(5); shadow, lib/subordinateio.c, subordinate_parse.
    """
    if interview.failure.call != "getsubids":
        return None
    wrong = [(file, line) for file in lacking(interview) for line in file.malformed]
    if not wrong:
        return Excluded("no line that begins with the caller's name is malformed")
    seen = tuple(f"{file.fact.path}, line {number}: {text!a}" for file, (number, text) in wrong)
    return Proof(
        f"line {wrong[0][1][0]} of {wrong[0][0].fact.path} is not NAME:FIRST:COUNT",
        seen,
        fix_user=with_single_map(interview.request),
        fix_administrator="\n".join(_correction(file, *line) for file, line in wrong),
    )


@cause(
    "MC0334",
    "the user's range holds no id that can be mapped",
    stops=("MapIds",),
    standing=True,
)
def void(interview: Interview) -> Verdict:
    """/etc/subuid or /etc/subgid has a line for the user, and there is nothing in it to map: its
    count is 0, it leads beyond the last id, 4294967294, or it is the user's own id, which is in
    every map anyway. newuidmap(1) would answer "subuid overflow detected" to a range beyond the
    last id; minictr does not ask for one.

    Reproduction (root, with private copies of the files of /etc):

        echo "$USER:4294900000:165536" >/etc/subuid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: usermod --add-subuids FIRST-LAST USER, with a range that nobody has. The
    line may stay: it is passed over.

    Not the cause: the line's form; a range that is small: ten ids are mapped as well.

    Sources: subuid(5); shadow, lib/idmapping.c, get_map_ranges; kernel/user_namespace.c, map_write.
    """
    if interview.failure.call != "getsubids":
        return None
    wrong = [(file, *line) for file in lacking(interview) for line in file.void]
    if not wrong:
        return Excluded("no range of the caller is empty or beyond the last id")
    file, number, _, why = wrong[0]
    kinds = [file.fact.path.rpartition("/")[2] for file, *_ in wrong]
    return Proof(
        f"line {number} of {file.fact.path} grants {interview.host.user} nothing: {why}",
        tuple(f"{file.fact.path}, line {n}: {text!a}; {why}" for file, n, text, why in wrong),
        fix_user=with_single_map(interview.request),
        fix_administrator=grant(interview, list(dict.fromkeys(kinds))),
    )


@cause("MC0303", "the user has no entry in /etc/subuid", stops=("MapIds",), standing=True)
def no_subuid(interview: Interview) -> Verdict:
    """--id-map helpers asks for a map of many ids, and the host grants this user none: /etc/subuid
    has no line with the user's name or number, nor with another name that /etc/passwd has for that
    number, which newuidmap(1) takes as well.

    Reproduction (root, with private copies of the files of /etc):

        sed -i "/^$USER:/d" /etc/subuid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: usermod --add-subuids FIRST-LAST USER, with a range that nobody has; the
    report has free numbers.

    Not the cause: newuidmap and its setuid bit. One range of exactly 65536 ids is not needed:
    several, and smaller ones, do as well.

    Sources: subuid(5); newuidmap(1).
    """
    return _no_entry(interview, "subuid")


@cause("MC0304", "the user has no entry in /etc/subgid", stops=("MapIds",), standing=True)
def no_subgid(interview: Interview) -> Verdict:
    """As MC0303, for groups: /etc/subgid has no line with the name or number of the *user*.

    Reproduction (root, with private copies of the files of /etc):

        sed -i "/^$USER:/d" /etc/subgid
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: usermod --add-subgids FIRST-LAST USER, with a range that nobody has.

    Not the cause: a missing line for the user's group. The file is keyed by users, although
    podman's message ("no subgid ranges found for group") says otherwise.

    Sources: subgid(5); newgidmap(1).
    """
    return _no_entry(interview, "subgid")


def _no_entry(interview: Interview, kind: str) -> Verdict:
    if interview.failure.call != "getsubids":
        return None
    uids, gids = both_files(interview)
    file = uids if kind == "subuid" else gids
    if file.fact.unreadable:
        return Unknown(f"{file.fact.path} cannot be read: {errno_name(file.fact.errno)}")
    if file.own:
        return Excluded(f"{file.fact.path} grants {file.own[0][1]} ids from {file.own[0][0]}")
    if file.kind:
        return Excluded(f"{file.fact.path} is {file.kind}")
    if file.malformed or file.void:
        return Excluded(f"{file.fact.path} has a line for the caller, which grants nothing")
    host = interview.host
    if by_name(file) and interview.once(hides_name, host):
        return Unknown(f"the name of uid {host.uid} is not known")
    known = ", ".join((host.user, *host.namesakes()))
    who = f"{known} or {host.uid}" if host.user != str(host.uid) else host.user
    absent = "does not exist" if file.fact.absent else f"has no line that begins with {who}"
    kinds = without_entry(interview) if kind == "subuid" else [kind]
    return Proof(
        f"{host.user} has no entry in {file.fact.path}",
        (f"{file.fact.path} {absent}", *asked_instead(interview)),
        fix_user=with_single_map(interview.request),
        fix_administrator=grant(interview, kinds),
    )


def _readable(interview: Interview, facts: list[Fact]) -> str:
    """The commands after which the files are there and can be read."""
    closed = [fact.path for fact in facts if fact.errno == errno.EACCES]
    lines = [f"chmod 644 {' '.join(closed)}"] if closed else []
    lines += [file_for(interview, fact.path) for fact in facts if fact.errno != errno.EACCES]
    return "\n".join(lines)


def _correction(file: SubIds, number: int, text: str) -> str:
    digits = [word for word in text.replace("\r", "").split(":")[1:] if word.strip().isdecimal()]
    if text.endswith("\r") and len(digits) == 2:
        return f"sed -i '{number}s/\\r$//' {file.fact.path}"
    return f"Write line {number} of {file.fact.path} as NAME:FIRST:COUNT."
