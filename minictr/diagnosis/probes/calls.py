"""System calls that only probes make: most of them cannot succeed, and that is their use."""

from __future__ import annotations

import posix

from minictr.host import native
from minictr.runtime.namespaces import FLAGS
from minictr.runtime.syscalls import raw
from minictr.value import Value

# asm/unistd_64.h and asm-generic/unistd.h; calls younger than 2019 have one number everywhere.
_NUMBERS = {
    "x86_64": {"clone": 56, "unshare": 272, "statx": 332, "ioctl": 16, "socket": 41},
    "aarch64": {"clone": 220, "unshare": 97, "statx": 291, "ioctl": 29, "socket": 198},
}
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_ENOSYS = 38

_CLONE_FS = 0x00000200
_CLONE_SIGHAND = 0x00000800
_SIGCHLD = 17
_SOCK_DGRAM = 2
_NO_SOCK_FLAG = 0x10
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_AT_FDCWD = -100
_STATX_MNT_ID = 0x1000
_STATX_ATTR_MOUNT_ROOT = 0x2000  # include/uapi/linux/stat.h; known since Linux 5.8


def clone_in_vain(kinds: tuple[str, ...]) -> int:
    """clone(2) for new namespaces with flags that contradict each other; minus the errno.

    The kernel answers EINVAL before it looks at anything else (kernel/fork.c, copy_process).
    Another answer is that of a seccomp filter, which sees the flags and not the contradiction.
    """
    return raw(_number("clone"), vain_flags(kinds), 0, 0, 0, 0)


def vain_flags(kinds: tuple[str, ...]) -> int:
    """The flags that clone_in_vain() gives.

    A new user or mount namespace contradicts CLONE_FS; CLONE_SIGHAND without CLONE_VM contradicts
    itself. Neither makes a thread of the child: filters let threads pass.
    """
    contradiction = _CLONE_FS if {"user", "mnt"} & set(kinds) else _CLONE_SIGHAND
    return sum(FLAGS[kind] for kind in kinds) | contradiction | _SIGCHLD


def unshare_in_vain(kinds: tuple[str, ...]) -> int:
    """unshare(2) for new namespaces with a bit that has no meaning; minus the errno.

    The kernel answers EINVAL before it looks at anything else (kernel/fork.c, ksys_unshare).
    """
    return raw(_number("unshare"), unshare_vain_flags(kinds))


def unshare_vain_flags(kinds: tuple[str, ...]) -> int:
    """The flags that unshare_in_vain() gives."""
    return sum(FLAGS[kind] for kind in kinds) | 1


def ioctl_in_vain(request: int) -> int:
    """ioctl(2) on no descriptor; minus the errno.

    The kernel answers EBADF before it asks any security module (fs/ioctl.c). Another answer is
    that of a seccomp filter, which sees the request.
    """
    return raw(_number("ioctl"), -1, request, 0)


def socket_in_vain(family: int) -> int:
    """socket(2) with a flag that does not exist; minus the errno.

    The kernel answers EINVAL before it looks at the family or asks any security module
    (net/socket.c, __sys_socket). Another answer is that of a seccomp filter.
    """
    return raw(_number("socket"), family, _SOCK_DGRAM | _NO_SOCK_FLAG, 0)


def is_mount_root(path: str) -> bool | None:
    """Whether `path` is where a mount begins, asked without /proc: statx(2). None: cannot tell."""
    answer = bytearray(256)  # struct statx: attributes at byte 8, those known at byte 56
    if raw(_number("statx"), _AT_FDCWD, path.encode() + b"\0", 0, 0, answer) < 0:
        return None
    known = int.from_bytes(answer[56:64], "little")
    if not known & _STATX_ATTR_MOUNT_ROOT:
        return None
    return bool(int.from_bytes(answer[8:16], "little") & _STATX_ATTR_MOUNT_ROOT)


def mount_id(path: str) -> int:
    """The id, as in mountinfo, of the mount that `path` is on; 0 where statx(2) gives none."""
    answer = bytearray(256)  # struct statx: what is given at byte 0, stx_mnt_id at byte 144
    if raw(_number("statx"), _AT_FDCWD, path.encode() + b"\0", 0, _STATX_MNT_ID, answer) < 0:
        return 0
    given = int.from_bytes(answer[:4], "little") & _STATX_MNT_ID
    return int.from_bytes(answer[144:152], "little") if given else 0


class MountAnswer(Value):
    """How far the new mount API came, and the kernel's words.

    call   the call that failed, "" where none did
    errno  its errno
    words  what read(2) on the file system's descriptor gave: one line
    """

    call: str
    errno: int
    words: str = ""


def try_mount(kind: str, options: str = "") -> MountAnswer:
    """Make a mount of a file system type and drop it again: fsopen(2), fsconfig(2), fsmount(2).

    options  as mount(2) takes them
    The mount is attached nowhere. When a call fails the descriptor holds the kernel's words.
    """
    filesystem = raw(_FSOPEN, kind.encode() + b"\0", 0)
    if filesystem < 0:
        return MountAnswer("fsopen", -filesystem)
    for option in options.split(",") if options else ():
        refused = _set_option(filesystem, *option.partition("=")[::2])
        if refused:
            return MountAnswer("fsconfig", refused, _words(filesystem))
    created = raw(_FSCONFIG, filesystem, _FSCONFIG_CMD_CREATE, 0, 0, 0)
    if created < 0:
        return MountAnswer("fsconfig", -created, _words(filesystem))
    mount = raw(_FSMOUNT, filesystem, 0, 0)
    if mount < 0:
        return MountAnswer("fsmount", -mount, _words(filesystem))
    return MountAnswer("", 0)


def _set_option(filesystem: int, name: str, value: str) -> int:
    """0 or the errno. A name alone is a flag to the kernel."""
    key, text = (word.encode("utf-8", "surrogateescape") + b"\0" for word in (name, value))
    command = _FSCONFIG_SET_STRING if value else _FSCONFIG_SET_FLAG
    return max(-raw(_FSCONFIG, filesystem, command, key, text if value else 0, 0), 0)


def _words(descriptor: int) -> str:
    """The kernel's first message: "e VFS: Mount too revealing" without its level."""
    try:
        message = posix.read(descriptor, 4096).decode("utf-8", "replace").strip()
    except OSError:  # ENODATA: it has said nothing
        return ""
    return message[2:] if message[1:2] == " " else message


def _number(call: str) -> int:
    """The call's number; -1, which gives ENOSYS, on machines that are not in the table."""
    return _NUMBERS.get(native(posix.uname().machine), {}).get(call, -1)
