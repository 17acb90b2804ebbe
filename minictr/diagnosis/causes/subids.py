"""What stops the id maps: the files that grant ranges of ids."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.subid_source import other_source
from minictr.diagnosis.probes.subids import SubIds, free_range, read_subids
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.image.refusals import quoted

_OPTIONS = {"subuid": "--add-subuids", "subgid": "--add-subgids"}


@cause(
    "MC0301",
    "/etc/subuid or /etc/subgid cannot be read",
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
    has to give way to one.

    Not the cause: newuidmap; a missing range.

    Sources: subuid(5), subgid(5).
    """
    if interview.failure.call != "getsubids":
        return None
    files = [file.fact for file in _files(interview) if file.fact.unreadable]
    known = [fact for fact in files if fact.errno in (errno.EACCES, errno.EISDIR)]
    if not known:
        return (
            Unknown(f"{files[0].path}: {errno_name(files[0].errno)}")
            if files
            else Excluded("both files can be read")
        )
    paths = [fact.path for fact in known]
    closed = [fact.path for fact in known if fact.errno == errno.EACCES]
    lines = [f"chmod 644 {' '.join(closed)}"] if closed else []
    lines += [_file_for(interview, fact.path) for fact in known if fact.errno == errno.EISDIR]
    return Proof(
        f"{' and '.join(paths)} cannot be read by {interview.host.user}",
        tuple(f"open({fact.path}): {errno_name(fact.errno)}; {_mode(fact.path)}" for fact in known),
        fix_user=with_single_map(interview.request),
        fix_administrator="\n".join(lines),
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
    wrong = [(file, line) for file in _lacking(interview) for line in file.malformed]
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
    wrong = [(file, *line) for file in _lacking(interview) for line in file.void]
    if not wrong:
        return Excluded("no range of the caller is empty or beyond the last id")
    file, number, _, why = wrong[0]
    kinds = [file.fact.path.rpartition("/")[2] for file, *_ in wrong]
    return Proof(
        f"line {number} of {file.fact.path} grants {interview.host.user} nothing: {why}",
        tuple(f"{file.fact.path}, line {n}: {text!a}; {why}" for file, n, text, why in wrong),
        fix_user=with_single_map(interview.request),
        fix_administrator=_grant(interview, list(dict.fromkeys(kinds))),
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


def _files(interview: Interview) -> tuple[SubIds, SubIds]:
    return (
        interview.once(read_subids, interview.host, "subuid"),
        interview.once(read_subids, interview.host, "subgid"),
    )


def _lacking(interview: Interview) -> list[SubIds]:
    """The files without a range for the caller, where the launcher found none."""
    return [file for file in _files(interview) if not file.own and not file.fact.unreadable]


def _no_entry(interview: Interview, kind: str) -> Verdict:
    if interview.failure.call != "getsubids":
        return None
    uids, gids = _files(interview)
    file = uids if kind == "subuid" else gids
    if file.fact.unreadable:
        return Unknown(f"{file.fact.path} cannot be read: {errno_name(file.fact.errno)}")
    if file.own:
        return Excluded(f"{file.fact.path} grants {file.own[0][1]} ids from {file.own[0][0]}")
    if file.malformed or file.void:
        return Excluded(f"{file.fact.path} has a line for the caller, which grants nothing")
    host = interview.host
    known = ", ".join((host.user, *host.namesakes()))
    who = f"{known} or {host.uid}" if host.user != str(host.uid) else host.user
    absent = "does not exist" if file.fact.absent else f"has no line that begins with {who}"
    return Proof(
        f"{host.user} has no entry in {file.fact.path}",
        (f"{file.fact.path} {absent}", *_other_source(interview)),
        fix_user=with_single_map(interview.request),
        fix_administrator=_grant(interview, _both(interview) if kind == "subuid" else [kind]),
    )


def _both(interview: Interview) -> list[str]:
    """The files without a line for the caller: what one command may add to."""
    return [name for name, file in zip(_OPTIONS, _files(interview), strict=True)
            if not (file.own or file.malformed or file.void or file.fact.unreadable)]  # fmt: skip


def _other_source(interview: Interview) -> tuple[str, ...]:
    """A `subid:` line of nsswitch.conf(5): then newuidmap asks elsewhere, and minictr does not."""
    name, library = interview.once(other_source, interview.host)
    words = f"/etc/nsswitch.conf: subid: {name}, which {library} is for; minictr reads the files"
    return (words,) if name else ()


def _grant(interview: Interview, kinds: list[str]) -> str:
    """The command that adds a range to each of the files."""
    first, last = free_range(*_files(interview))
    host = interview.host
    if _other_source(interview):
        files = " and ".join(f"/etc/{name}" for name in kinds)
        return f"Write what getsubids {host.user} prints into {files}, as NAME:FIRST:COUNT."
    for path in ("/proc/self/uid_map", "/proc/self/gid_map"):
        if not _mapped(interview.fact(path).text, first, last):
            return (
                f"Start minictr in a user namespace with more ids: a range granted in this one has "
                f"to lie in its own map, and {path} lacks {first} to {last}."
            )
    if interview.fact("/etc/passwd").text.find(f"\n{host.user}:") < 0:  # usermod(8) is for those
        line = f"{host.user}:{first}:{last - first + 1}"
        return "\n".join(f"echo {quoted(line)} >>/etc/{name}" for name in kinds)
    # usermod(8) makes no file, and follows no link to one that is missing; install(1) replaces it.
    lacking = [name for name in kinds if not host.exists(f"/etc/{name}")]
    made = [f"install -m 644 /dev/null /etc/{name}" for name in lacking]
    options = " ".join(f"{_OPTIONS[name]} {first}-{last}" for name in kinds)
    return "\n".join([*made, f"usermod {options} {quoted(host.user)}"])


def _file_for(interview: Interview, path: str) -> str:
    """The command that puts a file with a range for the caller in a directory's place."""
    first, last = free_range(*_files(interview))
    line = quoted(f"{interview.host.user}:{first}:{last - first + 1}")
    return f"rmdir {path} && echo {line} >{path}"


def _mapped(text: str, first: int, last: int) -> bool:
    """Whether a uid_map, user_namespaces(7), has an id for each number of a range."""
    lines = [[int(field) for field in line.split()] for line in text.splitlines()]
    return any(start <= first and last < start + count for start, _, count in lines)


def _correction(file: SubIds, number: int, text: str) -> str:
    digits = [word for word in text.replace("\r", "").split(":")[1:] if word.strip().isdecimal()]
    if text.endswith("\r") and len(digits) == 2:
        return f"sed -i '{number}s/\\r$//' {file.fact.path}"
    return f"Write line {number} of {file.fact.path} as NAME:FIRST:COUNT."


def _mode(path: str) -> str:
    try:
        status = posix.stat(path)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "")
    return f"owner {status.st_uid}, mode {status.st_mode & 0o7777:04o}"
