"""What stops the id maps: a caller whose name the user database does not tell."""

from __future__ import annotations

import errno
import posix
import pwd

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import look_at_helper
from minictr.diagnosis.probes.subid_grants import grant, lacking, without_entry
from minictr.diagnosis.probes.subids import by_name
from minictr.diagnosis.probes.user_database import asks_the_file, closed, listed, sources
from minictr.diagnosis.rights import mode_of
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name

_NOBODY = "Cannot determine your user name"
_PASSWD = "/etc/passwd"


@cause("MC0336", "/etc/passwd cannot be read by the user", stops=("MapIds",), standing=True)
def unreadable(interview: Interview) -> Verdict:
    """The user's name stands in a file that he may not read, so minictr cannot tell which lines of
    /etc/subuid and /etc/subgid are his: they begin with names. newuidmap(1) that is setuid root
    reads the file and would serve him; one that has a file capability in place of the bit cannot
    either.

    Reproduction (root, with private copies of the files of /etc):

        chmod 0600 /etc/passwd
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: chmod 644 /etc/passwd. It is public on every distribution.

    Not the cause: /etc/subuid, which may well have a line with the user's name; a line with the
    number, which needs no name.

    Sources: passwd(5); getpwuid(3); subuid(5); shadow, lib/myname.c, get_my_pwent.
    """
    asked = interview.failure.call == "getsubids"
    if not asked and _NOBODY not in interview.failure.said:
        return None
    uid = posix.getuid()
    file = interview.once(closed, interview.host)
    if _name(uid) or not file:
        return Excluded(f"getpwuid({uid}) gives {_name(uid)}" if _name(uid) else f"{_PASSWD} is no "
                        "source of users that cannot be read")  # fmt: skip
    helper = "" if asked else _served_by_root(interview)
    if helper:
        return Excluded(f"newuidmap reads {_PASSWD} as root, {helper}")
    named = [one.fact.path for one in lacking(interview) if by_name(one)]
    if asked and not named:
        return Excluded("no line of /etc/subuid or /etc/subgid begins with a name")
    if file.errno != errno.EACCES:
        return Unknown(f"{_PASSWD}: {errno_name(file.errno)}")
    return Proof(
        f"the name of uid {uid} is not known: the user may not read {_PASSWD}",
        (f"open({_PASSWD}): EACCES; {mode_of(_PASSWD)}", f"getpwuid({uid}) finds nothing",
         *(f"{path} has lines that begin with names, and none with {uid}" for path in named)),
        fix_user=with_single_map(interview.request),
        fix_administrator=_let_read(),
    )  # fmt: skip


@cause("MC0330", "the user has no entry in the user database", stops=("MapIds",), standing=True)
def no_passwd_entry(interview: Interview) -> Verdict:
    r"""newuidmap(1) looks its caller up by number, in /etc/passwd or what nsswitch.conf(5) adds to
    it, and does nothing for a number without a name, even where /etc/subuid has a line for that
    number. Containers started with --user NUMBER have no entry.

    Reproduction (root, with private copies of the files of /etc):

        echo 70001:700000:65536 | tee -a /etc/subuid >>/etc/subgid
        HOME=/ setpriv --reuid=70001 --regid=70001 --clear-groups \
            minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: add the entry, and a range where there is none for the number; the report
    has the lines. Where /etc/passwd has the entry and nsswitch.conf does not name the files, have
    them asked: passwd: files.

    Not the cause: /etc/subuid, which may have a line for the number; $USER and $HOME, which nobody
    asks for.

    Sources: newuidmap(1); getpwuid(3); nsswitch.conf(5); shadow, lib/myname.c, get_my_pwent.
    """
    asked = interview.failure.call == "getsubids"
    if not asked and _NOBODY not in interview.failure.said:
        return None
    uid = posix.getuid()
    if _name(uid):
        return Excluded(f"getpwuid({uid}) gives {_name(uid)}")
    if interview.once(closed, interview.host) and (asked or not _served_by_root(interview)):
        return Unknown(f"{_PASSWD} cannot be read")
    return Proof(
        f"uid {uid} has no entry in the user database, and newuidmap serves no such user",
        (f"getpwuid({uid}) finds nothing", *_sources(interview, uid)),
        fix_user=with_single_map(interview.request),
        fix_administrator=_entry(interview, uid),
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _served_by_root(interview: Interview) -> str:
    """What shows that the helper which failed runs as root, and reads any file; "" for nothing."""
    helper = interview.once(look_at_helper, str(interview.failure.arguments[0]))
    if isinstance(helper, str) or not helper.setuid or helper.owner:
        return ""
    return helper.described


def _let_read() -> str:
    """The command, where the mode is what denies it."""
    if posix.stat(_PASSWD).st_mode & 0o004:
        return f"Let every user read {_PASSWD}: its mode does, and something else denies it."
    return f"chmod 644 {_PASSWD}"


def _sources(interview: Interview, uid: int) -> tuple[str, ...]:
    """The line of nsswitch.conf(5), where it names other sources than usual."""
    asked = sources(interview.host)
    if not set(asked) - {"files", "compat", "systemd"}:
        return ()
    line = f"/etc/nsswitch.conf: passwd: {' '.join(asked)}; these were asked"
    known = listed(interview.host, uid) and not asks_the_file(interview.host)
    return (line, *((f"{_PASSWD} has a line for uid {uid}, and is not asked",) if known else ()))


def _entry(interview: Interview, uid: int) -> str:
    """The commands that give the user an entry, and a range where the launch found none for him."""
    lines = []
    if not asks_the_file(interview.host):
        lines += ["sed -i 's/^passwd:/passwd: files/' /etc/nsswitch.conf"]
    if not listed(interview.host, uid):
        lines += [f"echo user{uid}:x:{uid}:{posix.getgid()}::/:/bin/sh >>{_PASSWD}"]
        kinds = without_entry(interview) if interview.failure.call == "getsubids" else []
        lines += [grant(interview, kinds)] if kinds else []
    return "\n".join(lines)
