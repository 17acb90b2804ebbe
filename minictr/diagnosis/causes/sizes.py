"""What stops a launch at whatever writes or takes memory: limits on a process's sizes."""

from __future__ import annotations

import errno

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.ancestry import Ancestor, ancestry
from minictr.diagnosis.probes.rlimits import UNLIMITED, Rlimit, remedies, rlimit
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.host import read_fact

_ROOM = 256 << 20  # bytes of address space that a launch, an unpacking or a report stays below
_LARGE = 1 << 40  # bytes; no file of a launch comes near it
_STACK = 2 << 20  # bytes of a thread's, where RLIMIT_STACK sets no limit: pthread_create(3)


def files_limited(chain: tuple[Ancestor, ...], size: int = _LARGE) -> Verdict:
    """Whether a file of `size` bytes is larger than what may be written."""
    limit = rlimit("RLIMIT_FSIZE")
    if not limit:
        return Unknown("prlimit(2) does not tell RLIMIT_FSIZE")
    if limit.soft >= size:
        return Excluded(f"{limit}")
    user, administrator = remedies(limit, UNLIMITED, chain)
    what = f": the file would have {size} bytes" if size < _LARGE else ""
    return Proof(
        f"RLIMIT_FSIZE is {limit.soft} bytes, and a launch writes larger files",
        (f"prlimit(2): {limit}{what}",),
        fix_user=user,
        fix_administrator=administrator,
    )


@cause(
    "MC0705",
    "minictr has as much memory as RLIMIT_AS or RLIMIT_DATA allows",
    stops=("CreateNamespaces", "MapIds", "MakeFiles", "EvaluateEnvironment"),
)
def memory_limited(interview: Interview) -> Verdict:
    """The limit on a process's address space (`ulimit -v`) or data (`ulimit -d`) is below what a
    launch takes: 16 MiB of address space, and 128 MiB where an image is unpacked the first time;
    more where RLIMIT_STACK (`ulimit -s`) is high, for a thread's stack takes as much.

    Reproduction (an ordinary user):

        sh -c 'ulimit -S -v 50000; minictr exec "$SIF" true'

    Fix, user: ulimit -S -v unlimited, up to the hard limit.

    Fix, administrator: prlimit --pid PID --as=unlimited:unlimited for the user's shell;
    limits.conf(5) sets it at each login.

    Not the cause: the machine's memory, of which more is available than the limit.

    Sources: getrlimit(2), RLIMIT_AS and RLIMIT_DATA; mmap(2), ENOMEM; mm/mmap.c, may_expand_vm;
    pthread_create(3), which tells the size of a stack.
    """
    failure = interview.failure
    if failure.errno != errno.ENOMEM and failure.arguments[:1] != ("MemoryError",):
        return None
    return memory_used_up(interview.once(ancestry))


def memory_used_up(chain: tuple[Ancestor, ...], threads: int = 0) -> Verdict:
    """Whether a limit of this process keeps memory from it that the machine has.

    threads   how many a program that it started could not do with fewer of
    """
    machine = _kilobytes("/proc/meminfo", "MemAvailable")
    strict = read_fact("/proc/sys/vm/overcommit_memory").text.strip() == "2"
    stack = rlimit("RLIMIT_STACK")
    size = stack.soft if stack and stack.soft != UNLIMITED else _STACK
    excluded = []
    for kind, field in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
        limit, own = rlimit(kind), _kilobytes("/proc/self/status", field)
        if not limit or own < 0 or machine < 0:
            return Unknown(f"prlimit(2) or /proc does not tell {kind} and {field}")
        enough = limit.soft - own >= min(_ROOM, machine) and limit.soft >= threads * size
        if limit.soft == UNLIMITED or enough or strict:
            excluded.append(str(limit))
            continue
        facts = [f"prlimit(2): {limit}", f"/proc/self/status: {field} {own // 1024} kB"]
        if limit.soft < threads * size:  # of address space: the machine's memory is not asked for
            facts.append(f"prlimit(2): {stack}: a stack of each of {threads} threads")
        else:
            room = f"MemAvailable {machine // 1024} kB, so the machine has more"
            facts.append(f"/proc/meminfo: {room}")
        return _memory_proof(limit, facts, chain)
    return Excluded(", ".join(excluded))


def _memory_proof(limit: Rlimit, facts: list[str], chain: tuple[Ancestor, ...]) -> Proof:
    user, administrator = remedies(limit, UNLIMITED, chain)
    return Proof(
        f"{limit.kind} leaves minictr and what it starts too little memory",
        tuple(facts),
        fix_user=user,
        fix_administrator=administrator,
    )


def _kilobytes(path: str, field: str) -> int:
    """A field of kB, in bytes; -1 where it is not there."""
    for line in read_fact(path).text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return -1
