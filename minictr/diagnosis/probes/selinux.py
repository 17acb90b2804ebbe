"""Asks SELinux what its policy allows: the kernel's own answer, which every process may have."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.mountinfo import mounts
from minictr.diagnosis.values import Excluded, Unknown
from minictr.host import read_fact

_PLACE = "/sys/fs/selinux"
_CURRENT = "/proc/self/attr/current"


def enforced_context(interview: Interview) -> str | Excluded | Unknown:
    """The context of the launcher, where SELinux enforces its policy."""
    enforce = interview.fact(f"{_PLACE}/enforce")
    if enforce.absent:
        return Excluded(f"{_PLACE}/enforce is not there: SELinux does not run")
    if enforce.errno:
        return Unknown(f"{_PLACE}/enforce: {errno.errorcode.get(enforce.errno, enforce.errno)}")
    if enforce.text.strip() != "1":
        return Excluded(f"{_PLACE}/enforce reads {enforce.text.strip()}: SELinux only watches")
    context = interview.fact(_CURRENT)
    if context.errno or not context.text:
        return Unknown(f"{_CURRENT}: {errno.errorcode.get(context.errno, context.errno)}")
    return context.text.rstrip("\0\n")


def allows(source: str, target: str, kind: str, permission: str) -> bool | str:
    """Whether the policy allows a permission of a class; words where it cannot be asked.

    The first word of the answer is a bit for each permission: security/selinux/selinuxfs.c,
    sel_write_access.
    """
    index = read_fact(f"{_PLACE}/class/{kind}/index")
    bit = read_fact(f"{_PLACE}/class/{kind}/perms/{permission}")
    if index.errno or bit.errno:
        return f"the policy has no {permission} of the class {kind}"
    try:
        descriptor = posix.open(f"{_PLACE}/access", posix.O_RDWR | posix.O_CLOEXEC)
    except OSError as error:
        return f"{_PLACE}/access: {errno.errorcode.get(error.errno or 0, error.errno)}"
    try:
        posix.write(descriptor, f"{source} {target} {index.text.strip()}".encode())
        answer = posix.read(descriptor, 4096).split()
    except OSError as error:
        return f"{_PLACE}/access gives {errno.errorcode.get(error.errno or 0, error.errno)}"
    finally:
        posix.close(descriptor)
    return bool(int(answer[0], 16) >> int(bit.text) - 1 & 1)


def context_of(path: str) -> str:
    """The context of a file; "" where it has none that can be read."""
    try:
        return posix.getxattr(path, "security.selinux").rstrip(b"\0").decode("utf-8", "replace")
    except OSError:  # ENODATA, ENOTSUP, EACCES: nothing is known then
        return ""


def context_of_tmpfs() -> str:
    """The context that the policy gives to tmpfs; "" where no mounted one shows it.

    A file system's own context stands in no file. The root directory of one that nobody has
    labelled anew has the same, of a type named after tmpfs in every policy that is about.
    """
    roots = (context_of(mount.point) for mount in mounts() if mount.kind == "tmpfs")
    return next((one for one in roots if one.split(":")[2:3] == ["tmpfs_t"]), "")
