"""Id maps: which ids of the host the container's ids stand for, and who may write that down."""

from __future__ import annotations

import posix

from minictr.host import LAST_ID, subordinate
from minictr.runtime.files import readlink, write_file
from minictr.runtime.privileges import gains_nothing
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import SO_RCVTIMEO, SOCK_STREAM, CallError, setsockopt, socketpair
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.host import Host

    Line = tuple[int, int, int]  # first id inside, first id outside, count: user_namespaces(7)

HELPERS = ("newuidmap", "newgidmap")
KINDS = ("subuid", "subgid")
# What stands for a helper's words: then the signal's number, or the status.
KILLED, SILENT = "ended by signal", "no word, and status"
_LINES = 340  # of a map at most: user_namespaces(7)
_FITTING = 120  # lines of any length: 33 bytes each at most, and a page has 4096
_LONGEST = 4096  # bytes that are kept of what a helper says: its complaint comes first
# struct timeval: 3 seconds without a word, where a helper takes milliseconds; no end.
_PATIENCE, _FOR_EVER = b"\3" + bytes(15), bytes(16)


class MapIds(Step):
    """Write the id maps of the new user namespace.

    Until they are written every id inside reads 65534 and the kernel refuses to create files
    there (EOVERFLOW). A single line that maps the caller's own id needs no privilege; more lines
    need CAP_SETUID and CAP_SETGID over the *parent* namespace, which is what newuidmap(1) and
    newgidmap(1) have and /etc/subuid and /etc/subgid limit. setgroups(2) has to be denied before
    an unprivileged gid_map is written, or leaving a group could open files that deny it
    (CVE-2014-8989). The launcher does this from outside: a helper that is setuid works only where
    it is not itself inside the new namespace.
    """

    calls = "write(2) to /proc/PID/{setgroups,uid_map,gid_map}, or newuidmap(1) and newgidmap(1)"
    uids: tuple[Line, ...]
    gids: tuple[Line, ...]
    helpers: tuple[str, ...] = ()  # the paths of newuidmap and newgidmap; () writes directly

    def operands(self) -> str:
        lines = (f"{inside}={outside}+{count}" for inside, outside, count in self.uids)
        groups = (f"{inside}={outside}+{count}" for inside, outside, count in self.gids)
        by = "by " + " ".join(self.helpers) if self.helpers else "written directly"
        return f"uid {' '.join(lines)} gid {' '.join(groups)} {by}"

    def prepare(self) -> None:
        """Refuse what would go wrong without a word.

        A helper would map a caller without a range to himself alone. In the /proc of another PID
        namespace the child's number is somebody else's.
        """
        for kind, lines in zip(KINDS, (self.uids, self.gids), strict=True):
            if self.helpers and len(lines) == 1:
                raise CallError("getsubids", (f"/etc/{kind}",), 0, "no range for the caller")
        shown = readlink("/proc/self")
        if shown != str(posix.getpid()):
            raise CallError("readlink", ("/proc/self",), 0, shown)

    def run(self, process: Process) -> None:
        if self.helpers:
            _run_both(process.pid, zip(self.helpers, (self.uids, self.gids), strict=True))
            return
        files = f"/proc/{process.pid}"
        write_file(f"{files}/setgroups", b"deny")
        write_file(f"{files}/uid_map", _text(self.uids))
        write_file(f"{files}/gid_map", _text(self.gids))


class Ids(Value):
    """What to write, and how: the answer of `choose`."""

    uids: tuple[Line, ...]
    gids: tuple[Line, ...]
    helpers: tuple[str, ...] = ()
    reason: str = ""  # why there is one line only; "" where it was asked for


def choose(host: Host, mode: str, fakeroot: bool) -> Ids:
    """The map for `mode` ("auto", "helpers", "single"): yourself, or root with `fakeroot`.

    "auto" takes the subordinate ranges where the host grants them. "helpers" insists: whatever
    stands in the way is then met by newuidmap itself, and explained.
    """
    inside = (0, 0) if fakeroot else (host.uid, host.gid)
    single = Ids(((inside[0], host.uid, 1),), ((inside[1], host.gid, 1),))
    if mode == "single":
        return single
    paths = tuple(find_helper(name) for name in HELPERS)
    reason = "" if mode == "helpers" else hindrance(paths)
    ranges = [subordinate(host, kind) for kind in KINDS]
    if mode == "auto" and not reason:
        without = [kind for kind, found in zip(KINDS, ranges, strict=True) if not found]
        reason = ungranted(host, without[0]) if without else unmapped(host, ranges)
    uids, gids = spread(inside[0], host.uid, ranges[0]), spread(inside[1], host.gid, ranges[1])
    if mode == "auto" and not (reason or (fits(uids) and fits(gids))):
        reason = "the ranges are more than a map holds"
    if reason:
        return single.replace(reason=reason)
    named = (path or f"/usr/bin/{name}" for path, name in zip(paths, HELPERS, strict=True))
    return Ids(uids, gids, tuple(named))


def ungranted(host: Host, kind: str) -> str:
    """Why a file has no range for the caller, whose name may stand in another that is closed."""
    fact = host.fact(f"/etc/{kind}")
    if fact.unreadable:
        return f"{fact.path} cannot be read"
    names = [line.partition(":")[0] for line in fact.text.split("\n")]
    nameless = host.user == str(host.uid) and host.fact("/etc/passwd").unreadable
    if nameless and any(name and not name.isdecimal() for name in names):
        return f"the name of uid {host.uid} is not known: /etc/passwd cannot be read"
    return f"{fact.path} has no range for {host.user}"


def unmapped(host: Host, ranges: list[list[tuple[int, int]]]) -> str:
    """Which map of the caller's own user namespace lacks a range; "" where none does.

    In a container the files may be the host's. The kernel wants each range whole in one line.
    """
    for kind, wanted in zip(("uid", "gid"), ranges, strict=True):
        lines = [line.split() for line in host.fact(f"/proc/self/{kind}_map").text.splitlines()]
        known = [(int(inside), int(inside) + int(count)) for inside, _, count in lines]
        for first, count in wanted:
            if known and not any(low <= first and first + count <= end for low, end in known):
                return f"/proc/self/{kind}_map lacks the ids {first} to {first + count - 1}"
    return ""


def fits(lines: tuple[Line, ...]) -> bool:
    """Whether the kernel takes the map: 340 lines, and less than a page of text in one write(2)."""
    if len(lines) <= _FITTING:
        return True
    return len(lines) <= _LINES and len(_text(lines)) < posix.sysconf("SC_PAGE_SIZE")


def spread(inside: int, own: int, ranges: list[tuple[int, int]]) -> tuple[Line, ...]:
    """`own` at `inside`, and the subordinate `ranges` (first, count) on the ids around it.

    >>> spread(0, 1000, [(100000, 65536)])
    ((0, 1000, 1), (1, 100000, 65536))
    >>> spread(2, 1000, [(100000, 10)])
    ((0, 100000, 2), (2, 1000, 1), (3, 100002, 8))
    """
    lines: list[Line] = []
    first = 0
    for outside, count in ranges:
        below = min(count, max(0, inside - first))
        if below:
            lines.append((first, outside, below))
        start = first + below
        if start == inside:
            start += 1
        above = min(count - below, LAST_ID - start)
        if above > 0:
            lines.append((start, outside + below, above))
            first = start + above
        else:
            first = start
    return tuple(sorted([*lines, (inside, own, 1)]))


def find_helper(name: str) -> str:
    """Where newuidmap or newgidmap is, "" where it is not: the system's directories first.

    A user's PATH may lead to a wrapper which lost the setuid bit, and need not hold the sbin
    directories at all.
    """
    path = posix.environ.get(b"PATH", b"").decode("utf-8", "surrogateescape")
    for directory in ("/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin", *path.split(":")):
        candidate = f"{directory}/{name}"
        if directory.startswith("/") and posix.access(candidate, posix.X_OK):
            return candidate
    return ""


def hindrance(helpers: tuple[str, ...]) -> str:
    """Why the helpers cannot work for this caller, as far as looking tells; "" where they can."""
    for name, path in zip(HELPERS, helpers, strict=True):
        if not path:
            return f"there is no {name} that this user may execute"
        if not _privileged(path):
            return f"{path} is neither setuid nor has it file capabilities"
    return gains_nothing()


def _privileged(path: str) -> bool:
    if posix.statvfs(path).f_flag & 2:  # ST_NOSUID
        return False
    if posix.stat(path).st_mode & 0o4000:
        return True
    try:
        return bool(posix.getxattr(path, "security.capability"))
    except OSError:  # ENODATA: it has none. ENOTSUP: this file system holds none
        return False


def _text(lines: tuple[Line, ...]) -> bytes:
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in lines).encode()


def _run_both(pid: int, jobs: zip[tuple[str, tuple[Line, ...]]]) -> None:
    """Run newuidmap and newgidmap at once: each costs 1.5 ms, and neither needs the other."""
    started = []
    for path, lines in jobs:
        numbers = [str(number) for line in lines for number in line]
        started.append(_spawn([path, str(pid), *numbers]))
    failures = [failure for job in started if (failure := _finish(*job))]
    if failures:
        raise failures[0]


def _spawn(command: list[str]) -> tuple[list[str], int, int]:
    """Start a helper; (command, pid, where it is heard)."""
    # A socket and no pipe, since one can be listened to for a time without another module.
    ours, theirs = socketpair(SOCK_STREAM)
    actions = [(posix.POSIX_SPAWN_DUP2, theirs, output) for output in (1, 2)]
    try:
        # Empty environment: a helper that runs as root has no use for the caller's.
        pid = posix.posix_spawn(command[0], command, {}, file_actions=actions)
    except OSError as error:
        posix.close(ours)
        raise CallError("execve", tuple(command), error.errno or 0) from None
    finally:
        posix.close(theirs)
    return command, pid, ours


def _finish(command: list[str], pid: int, reader: int) -> CallError | None:
    said = _hear(command[0], pid, reader)
    _, status = posix.waitpid(pid, 0)
    if status == 0:
        return None
    name = command[0].rpartition("/")[2]
    words = said.decode("utf-8", "replace").strip()
    code = posix.waitstatus_to_exitcode(status)
    if code < 0:
        words = f"{words} {KILLED} {-code}".strip()
    return CallError(name, tuple(command), 0, words or f"{SILENT} {code}")


def _hear(path: str, pid: int, reader: int) -> bytes:
    """What a helper says until it ends. A server that it asks may not answer: then say so."""
    said = b""
    setsockopt(reader, SO_RCVTIMEO, _PATIENCE)
    while True:
        try:
            while chunk := posix.read(reader, _LONGEST):
                said = (said + chunk)[:_LONGEST]
            posix.close(reader)
            return said
        except BlockingIOError:
            setsockopt(reader, SO_RCVTIMEO, _FOR_EVER)
            try:
                posix.write(2, f"minictr: waiting for {path} (pid {pid}) to end\n".encode())
            except OSError:  # nobody hears it on a full standard error
                continue
