"""What stops the id maps: a launcher that runs under another user's or group's effective id."""

from __future__ import annotations

import posix

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import CAPABILITY
from minictr.diagnosis.values import Excluded, Proof, Verdict


@cause("MC0332", "the caller's real and effective ids differ", stops=("MapIds",), standing=True)
def real_ids(interview: Interview) -> Verdict:
    r"""minictr was started by a program that is setuid or setgid and kept its own id as the
    effective one. The container belongs to the effective user then; newuidmap(1) looks at the real
    one, finds that the process is another's, and refuses: "Target process is owned by a different
    user".

    Reproduction (root, who becomes the user with another's effective id):

        python3 -c 'import os, pwd, sys
        own, other = pwd.getpwnam(sys.argv[1]), pwd.getpwnam("daemon")
        os.setgroups([])
        os.setresgid(own.pw_gid, other.pw_gid, other.pw_gid)
        os.setresuid(own.pw_uid, own.pw_uid, own.pw_uid)
        os.execvp(sys.argv[2], sys.argv[2:])' "$USER" \
            minictr exec --id-map helpers "$IMAGE" true

    Fix, user: start minictr without that program; or --id-map single, where one id is enough.

    Fix, administrator: have the setuid or setgid program set all of its ids (setresuid(2)) before
    it starts minictr.

    Not the cause: /etc/subuid; the helper's setuid bit, which is needed.

    Sources: credentials(7); newuidmap(1); shadow, src/newuidmap.c, main.
    """
    failure = interview.failure
    if failure.call not in (*CAPABILITY, "getsubids"):
        return None
    pairs = (("uid", posix.getuid(), posix.geteuid()), ("gid", posix.getgid(), posix.getegid()))
    seen = tuple(
        f"get{kind}(2) is {real}, gete{kind}(2) is {effective}"
        for kind, real, effective in pairs
        if real != effective
    )
    if not seen:
        return Excluded("real and effective ids are the same")
    kind, real, effective = next(pair for pair in pairs if pair[1] != pair[2])
    return Proof(
        f"the real {kind} of minictr is {real}, the effective one {effective}: newuidmap serves no "
        "such caller",
        seen,
        fix_user=f"{with_single_map(interview.request)}\n"
        f"Start minictr without the program that gave it the {kind} {effective}.",
    )
