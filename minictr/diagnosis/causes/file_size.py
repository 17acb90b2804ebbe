"""What stops files from being written: the limit on a file's size."""

from __future__ import annotations

import errno
import resource

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.surroundings import systemd_unit
from minictr.diagnosis.values import Excluded, Proof, Verdict
from minictr.host import read_fact

_NO_LIMIT = resource.RLIM_INFINITY
_MOST = 1 << 63  # stands for no limit where limits are compared


@cause(
    "MC0412",
    "the limit on the size of files is smaller than a file that the launch writes",
    stops=("MakeFiles",),
    errnos=(errno.EFBIG,),
)
def file_size_limited(interview: Interview) -> Verdict:
    """A limit on the size of files that a process may write, ulimit -f, holds for every file, also
    for those few hundred bytes which minictr writes into a tmpfs: the container's passwd and group.
    The kernel answers write(2) with EFBIG. The files of an image that is unpacked are larger, and
    unsquashfs is ended by SIGXFSZ.

    Reproduction (an ordinary user, who has launched something before: then the filter is there):

        minictr exec "$IMAGE" true
        (ulimit -S -f 0; minictr exec "$IMAGE" true)

    Fix, user: prlimit --fsize=unlimited: before the command, which raises the soft limit as far as
    the hard one; or start minictr from a process with a higher limit.

    Fix, administrator: raise the hard limit where it was set: fsize in /etc/security/limits.conf,
    LimitFSIZE= of a systemd unit.

    Not the cause: a full disk or quota.

    Sources: getrlimit(2), RLIMIT_FSIZE; write(2), EFBIG; fs/read_write.c,
    generic_write_check_limits.
    """
    sizes = {name: len(text.encode("utf-8", "surrogateescape"))
             for name, text in interview.failure.step.__dict__["files"]}  # fmt: skip
    name, needed = max(sizes.items(), key=lambda item: item[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not 0 <= soft < needed:
        return Excluded(f"getrlimit(RLIMIT_FSIZE) is {_words(soft)}, and {name} has {needed} bytes")
    chain = interview.once(ancestry)
    free = next((one for one in chain[1:] if _limit(one) > needed), None)
    lines = []
    if hard == _NO_LIMIT or hard >= needed:
        limit = "unlimited" if hard == _NO_LIMIT else str(hard)
        lines.append(f"prlimit --fsize={limit}: {again(interview.request)}")
    if free:
        lines.append(f"Start minictr from {free}, whose limit is {_words(_limit(free))}.")
    return Proof(
        f"no file may have more than {soft} bytes (ulimit -f), and the container's {name} is of "
        f"size {needed}",
        (f"getrlimit(RLIMIT_FSIZE): soft {_words(soft)}, hard {_words(hard)}", *_set_in(interview)),
        fix_user="\n".join(lines),
        fix_administrator="" if lines else _raise(interview),
    )


def _words(limit: int) -> str:
    return "unlimited" if limit in (_NO_LIMIT, _MOST) else f"{limit} bytes"


def _limit(process: Ancestor) -> int:
    """Its soft limit; 0 where it cannot be read."""
    for line in read_fact(f"/proc/{process.pid}/limits").text.splitlines():
        if line.startswith("Max file size"):
            word = line.split()[3]
            return _MOST if word == "unlimited" else int(word)
    return 0


def _set_in(interview: Interview) -> tuple[str, ...]:
    path = "/etc/security/limits.conf"
    lines = interview.fact(path).text.splitlines()
    return tuple(f"{path}: {line}" for line in lines if "fsize" in line and line[:1] != "#")


def _raise(interview: Interview) -> str:
    unit = systemd_unit(interview.host)
    if unit:
        return (
            f"systemctl edit {unit}\nPut LimitFSIZE=infinity below [Service], then restart {unit}."
        )
    return "Raise the hard limit fsize where it is set, /etc/security/limits.conf in most cases."
