"""What stops a launch at whatever opens something: no descriptor is left."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.rlimits import remedies, rlimit
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict

# The steps that open files, sockets or pipes.
OPENING = (
    "CreateNamespaces", "MapIds", "RaiseLoopback", "MakeFiles", "MakeSkeleton", "MountMinimalDev",
    "BindTree", "EvaluateEnvironment", "Execute",
)  # fmt: skip
_NEEDED = 16  # descriptors that a launch and its probes have open at once, of their own
_USUAL = 1024  # the soft limit that Linux starts the first process with: INR_OPEN_CUR


@cause(
    "MC0704",
    "minictr has as many descriptors open as RLIMIT_NOFILE allows",
    stops=OPENING,
    errnos=(errno.EMFILE, errno.EINVAL),
)
def no_descriptor(interview: Interview) -> Verdict:
    """The limit on open files (`ulimit -n`) is so low, or the caller has left so many descriptors
    open, that there is no number left for those of a launch: about nine at once, and a few more
    the first time an image is unpacked.

    Reproduction (an ordinary user):

        sh -c 'ulimit -S -n 6; minictr exec "$IMAGE" true'

    Fix, user: ulimit -S -n 1024, up to the hard limit.

    Fix, administrator: prlimit --pid PID --nofile=1024:1024 for the user's shell; limits.conf(5)
    and the unit's LimitNOFILE= set it at each start.

    Not the cause: fs.file-max, which gives ENFILE; files that other processes have open.

    Sources: getrlimit(2), RLIMIT_NOFILE; open(2), EMFILE; fcntl(2), F_DUPFD, EINVAL; fs/file.c,
    alloc_fd and f_dupfd.
    """
    if interview.failure.errno == errno.EINVAL and interview.failure.call != "fcntl":
        return None
    return descriptors_used_up(interview.once(ancestry), interview.failure.witness)


def descriptors_used_up(chain: tuple[Ancestor, ...], witness: int = 0) -> Verdict:
    """Whether a process has no descriptor left but for a few that it has closed since.

    witness   the process that failed; 0 for this one
    """
    limit = rlimit("RLIMIT_NOFILE", witness)
    if not limit:
        return Unknown("prlimit(2) does not tell RLIMIT_NOFILE")
    taken = _of_another(witness, limit.soft) if witness else _of_this_one(limit.soft)
    if taken is None:
        return Unknown(f"/proc/{witness}/fd cannot be listed")
    if limit.soft - len(taken) >= _NEEDED:
        return Excluded(f"RLIMIT_NOFILE is {limit.soft}, and {len(taken)} descriptors are open")
    inherited = [name for name in taken.values() if name]
    most = max(inherited, key=inherited.count, default="")
    shown = f": {inherited.count(most)} of them are {most}" if len(inherited) > _NEEDED else ""
    user, administrator = remedies(limit, max(_USUAL, len(taken) + _NEEDED), chain)
    if not user and limit.hard >= len(taken) + 2 * _NEEDED:
        user, _ = remedies(limit, limit.hard, chain)
    return Proof(
        f"RLIMIT_NOFILE is {limit.soft}, and {len(taken)} descriptors are open before those that "
        "the launch needs",
        (f"prlimit(2): {limit}", f"{len(taken)} descriptors below {limit.soft} are open{shown}"),
        fix_user=user,
        fix_administrator=administrator,
    )


def _of_this_one(below: int) -> dict[int, str]:
    """Descriptors of this process, with what they are; asked without opening any."""
    found = {}
    for number in range(min(below, 1 << 20)):
        try:
            posix.fstat(number)
        except OSError:  # EBADF
            continue
        try:
            found[number] = posix.readlink(f"/proc/self/fd/{number}")
        except OSError:  # no /proc
            found[number] = ""
    return found


def _of_another(pid: int, below: int) -> dict[int, str] | None:
    try:
        names = posix.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    return {int(name): "" for name in names if int(name) < below}
