"""Says what a process must have before minictr can begin: a /proc that shows it, a /dev/null."""

from __future__ import annotations

import errno
import os
import posix
import stat
import subprocess
import sys

from minictr.image.refusals import quoted
from minictr.refusal import Refusal

ENVIRON = "/proc/self/environ"
_NULL = (1, 3)  # its device number: Documentation/admin-guide/devices.txt
_PROC = "mount -t proc proc /proc"
_MAKE_NULL = "mknod -m 666 /dev/null c 1 3"


def environment_block(error: OSError, launches: bool) -> bytes:
    """The caller's environment after an error of reading it; what only a launch needs is refused.

    A program file that the caller may not read (mode 0711) makes a process non-dumpable, and its
    files in /proc root's: be_readable() takes them back.
    """
    if error.filename == ENVIRON and error.errno == errno.EACCES:
        from minictr.runtime.privileges import be_readable

        be_readable()
        with open(ENVIRON, "rb") as file:
            return file.read()
    if launches:
        raise without_null(error) if error.filename == "/dev/null" else without_proc(error)
    return b"\0".join(name + b"=" + value for name, value in posix.environ.items())


def without_proc(error: OSError) -> Refusal:
    """Why /proc does not show this process.

    procfs has an entry `self` whoever looks (fs/proc/self.c, proc_setup_self); where the process
    has no number in the PID namespace that the mount belongs to, it cannot be followed.
    """
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    proof = f"open({error.filename}) = {name}"
    if not os.path.isdir("/proc"):
        return Refusal(
            "MC0129", "there is no directory /proc", proof, "", f"mkdir /proc && {_PROC}"
        )
    if not os.path.lexists("/proc/self"):
        proof += "\nlstat(/proc/self) = ENOENT: every procfs has a link of that name"
        return Refusal("MC0129", "no procfs is mounted on /proc", proof, *_with_proc())
    if error.errno == errno.ENOENT and not os.path.exists("/proc/self"):
        cause = "/proc belongs to a PID namespace in which this process has no number"
        proof += "\nreadlink(/proc/self) = ENOENT, and the link is there"
        return Refusal("MC0129", cause, proof, *_with_proc())
    return Refusal("MC0000", f"{error.filename} cannot be read", proof)


def _with_proc() -> tuple[str, str]:
    """What the caller, and what an administrator can do: whichever mount the kernel allows here.

    procfs takes privilege over the PID namespace of who mounts it (fs/proc/root.c, proc_get_tree),
    and root of a user namespace that has no PID namespace of its own has none.
    """
    if posix.geteuid() != 0:
        return "", _PROC
    trial = ["unshare", "--mount", *_PROC.split()]
    try:
        allowed = subprocess.run(trial, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = True
    if allowed:
        return "", _PROC
    words = sys.argv[3:] if sys.argv[0] == "-c" else ["minictr", *sys.argv[1:]]
    return " ".join(["unshare --pid --fork --mount-proc", *(quoted(word) for word in words)]), ""


def without_null(error: OSError) -> Refusal:
    """Why /dev/null cannot be opened for reading and writing."""
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    opened = f"open(/dev/null, O_RDWR) = {name}"
    try:
        status = os.lstat("/dev/null")
    except OSError as missing:
        if missing.errno != errno.ENOENT:
            return Refusal("MC0000", "/dev/null cannot be opened", opened)
        return Refusal("MC0802", "/dev/null is missing", opened, "", _MAKE_NULL)
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}, uid {status.st_uid}"
    device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if not stat.S_ISCHR(status.st_mode) or device != _NULL:
        kind = f"device {device[0]}:{device[1]}" if status.st_rdev else _kind(status.st_mode)
        proof = f"{opened}\nlstat(/dev/null): a {kind}, {mode}; the null device is 1:3"
        fix = _with_null(stat.S_ISDIR(status.st_mode))
        return Refusal("MC0802", f"/dev/null is a {kind}", proof, "", fix)
    return _closed_null(opened, mode)


def _with_null(directory: bool) -> str:
    """What puts the device in the place of something else: a mount over it, a directory, a file."""
    from minictr.diagnosis.probes.mountinfo import mount_of, mounts

    mount = mount_of("/dev/null", mounts())
    if mount and mount.point == "/dev/null":
        return "umount /dev/null"
    away = "mv /dev/null /dev/null.old" if directory else "rm /dev/null"
    return f"{away} && {_MAKE_NULL}"


def _closed_null(opened: str, mode: str) -> Refusal:
    """The device itself, which this user may not open."""
    from minictr.diagnosis.probes.mountinfo import mount_of, mounts

    if os.statvfs("/dev/null").f_flag & os.ST_NODEV:
        cause = "/dev/null lies on a mount that is nodev, where no device can be opened"
        mount = mount_of("/dev/null", mounts())
        point = mount.point if mount else "/dev"
        proof = f"{opened}\nstatvfs(/dev/null) has ST_NODEV"
        return Refusal("MC0802", cause, proof, "", f"mount -o remount,bind,dev {point}")
    if not os.access("/dev/null", os.R_OK | os.W_OK):
        cause = f"/dev/null is closed to uid {posix.geteuid()}"
        return Refusal("MC0802", cause, f"{opened}\n{mode}", "", "chmod 666 /dev/null")
    return Refusal("MC0000", "/dev/null cannot be opened", opened)


def _kind(mode: int) -> str:
    names = {stat.S_IFREG: "regular file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link"}
    return names.get(stat.S_IFMT(mode), "special file")
