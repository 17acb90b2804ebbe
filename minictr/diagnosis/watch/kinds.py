"""Tells which calls a sandbox or a container is made of, and what each is about."""

from __future__ import annotations

import errno

from minictr.diagnosis.watch.arguments import opened, plain
from minictr.diagnosis.watch.record import FORKS, Call

MOUNTS = (
    "mount", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr",
)  # fmt: skip
PROGRAMS = ("execve", "execveat")
_ALWAYS = (
    *MOUNTS, *PROGRAMS, *FORKS, "unshare", "setns", "pivot_root", "chroot", "sethostname",
    "setgroups", "setuid", "setgid", "setresuid", "setresgid", "capset",
)  # fmt: skip
LOOKS = (
    "open", "openat", "openat2", "stat", "lstat", "newfstatat", "statx", "statfs", "access",
    "faccessat", "faccessat2", "readlink", "readlinkat", "chdir", "mkdir", "mkdirat",
)  # fmt: skip
# What is made all the time, or answered with EPERM in passing: Go asks epoll_ctl(2) of plain files,
# a shell's setpgid(2) races the child's own, and who is refused io_uring does without.
UNSEEN = (
    "read", "readv", "pread64", "recvfrom", "recvmsg", "close", "lseek", "fstat", "getdents64",
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "rseq", "set_robust_list",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "wait4",
    "waitid", "poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_ctl",
    "nanosleep", "clock_nanosleep", "clock_gettime", "sched_yield", "getpid", "gettid",
    "getrandom", "setpgid", "io_uring_setup",
)  # fmt: skip
# With these the kernel answers a question, or asks to try again; readlink(2) and the like are
# questions whose answer "no" is EINVAL.
_ANSWERS = (
    errno.EAGAIN, errno.EINTR, errno.ECHILD, errno.ENOTTY, errno.ESPIPE, errno.ENOSYS, errno.ENXIO,
    errno.ENODATA, errno.EOPNOTSUPP, errno.EINPROGRESS, errno.ENOPROTOOPT, errno.ERANGE,
)  # fmt: skip
_QUESTIONS = ("readlink", "readlinkat", "arch_prctl", "prctl", "ioctl", "fcntl")
_OF_NAMES = "/nscd/"  # its socket is tried wherever a user's name is looked up
_OPTIONS = ("PR_SET_SECCOMP", "PR_SET_NO_NEW_PRIVS", "PR_CAPBSET_DROP", "PR_SET_SECUREBITS")
_MAPS = ("/uid_map", "/gid_map", "/setgroups")
_PATH_ERRORS = (
    errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.EROFS, errno.EPERM,
)  # fmt: skip
# What makes, enters or fills a container: who goes on to do one of these has got over a refusal.
_WORK = (*PROGRAMS, "unshare", "setns", "mount", "move_mount", "pivot_root", "chroot")


def builds(call: Call) -> bool:
    """Whether a call is one that namespaces, maps, mounts, filters and programs are made with."""
    if call.name in _ALWAYS:
        return True
    if call.name in ("write", "writev", "open", "openat"):
        return is_map(call)
    if call.name == "ioctl":
        return "SIOCSIFFLAGS" in call.line
    if call.name == "seccomp":  # with no filter it is a question: what does this kernel know
        return "SET_MODE_FILTER" in call.line and call.arguments[-1] != "NULL"
    return call.name == "prctl" and call.arguments[0] in _OPTIONS


def looks(call: Call) -> bool:
    """Whether a call looks for a file, and failed because of the file or the way to it."""
    return call.name in LOOKS and call.errno in _PATH_ERRORS and not is_map(call)


def fails(call: Call) -> bool:
    """Whether a call that builds nothing failed: it may be what a message is about."""
    if not call.failed or builds(call) or call.errno in _ANSWERS or _OF_NAMES in call.line:
        return False
    if call.name in LOOKS and not looks(call):
        return False
    return call.errno != errno.EINVAL or call.name not in _QUESTIONS


def works(call: Call) -> bool:
    """Whether a call that succeeded is a further piece of the work."""
    return not call.failed and (call.name in _WORK or bool(new_namespaces(call)) or is_map(call))


def is_map(call: Call) -> bool:
    """Whether a call opens or writes the id maps of a process, or its setgroups file."""
    if not call.arguments:
        return False
    path = path_of(call) if call.name in ("open", "openat") else opened(call.arguments[0])
    return path.startswith("/proc/") and path.endswith(_MAPS) and "RDONLY" not in call.line


def new_namespaces(call: Call) -> tuple[str, ...]:
    """The kinds of namespaces that clone(2), clone3(2) or unshare(2) was to make."""
    if call.name not in (*FORKS, "unshare"):
        return ()
    flags = {"user": "USER", "mnt": "NS", "pid": "PID", "uts": "UTS", "ipc": "IPC", "net": "NET",
             "cgroup": "CGROUP"}  # fmt: skip
    words = call.line.replace("|", " ").replace("=", " ").replace(",", " ").replace("(", " ")
    asked = set(words.replace(")", " ").replace("}", " ").split())
    return tuple(kind for kind, name in flags.items() if f"CLONE_NEW{name}" in asked)


def path_of(call: Call) -> str:
    """The path that a call was given, "" where it was given none."""
    at = 1 if call.arguments and call.arguments[0].startswith("AT_FDCWD") else 0
    if call.name in ("mount", "move_mount"):
        at = 1
    return plain(call.arguments[at]) if at < len(call.arguments) else ""


def paths_of(call: Call) -> tuple[str, ...]:
    """Every path or name that a call was given: what its error message may mention."""
    found = (plain(argument) for argument in call.arguments[: 1 if "exec" in call.name else 3])
    return tuple(path for path in found if path.strip("/"))
