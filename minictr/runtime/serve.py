"""Serve an image without unpacking it: squashfuse, in a process beside the container.

    launcher
     ├ server   mounts FUSE in namespaces of its own, hands the mount over, becomes squashfuse_ll
     └ init     attaches the mount in the container's mount namespace (AttachImage)

The mount is never attached on the host, nor where the server is: it is a descriptor (fsmount(2)),
through which the launcher looks into the image while it plans. So no fusermount3 is needed, nothing
has to be unmounted, and what is left of the mount goes with the last process that holds it.
"""

from __future__ import annotations

import _socket
import marshal
import posix
import time

from minictr.image.squashfuse import DEVICE
from minictr.image.tree import Served
from minictr.runtime import privileges, signals
from minictr.runtime.files import chdir, execve, keeping, mkdir, open_file, write_file
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    CallError,
    clone,
    raw,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_IMAGE = "/image"
_MESSAGE = 65536
_SIGKILL = 9
_FIRST_PAUSE, _LAST_PAUSE = 0.0005, 1.0  # seconds, between looks at a server that was killed
# One number on every architecture: asm-generic/unistd.h. All of Linux 5.2.
_SYS_move_mount, _SYS_fsopen, _SYS_fsconfig, _SYS_fsmount = 429, 430, 431, 432
_AT_FDCWD, _MOVE_MOUNT_F_EMPTY_PATH, _CLOEXEC = -100, 4, 1
_SET_FLAG, _SET_STRING, _CMD_CREATE = 0, 1, 6  # fsconfig(2)


class AttachImage(Step):
    """Attach the mount that serves the image here: overlayfs and binds take it from nowhere else.

    Its descriptor leads to it before and afterwards, so that is how the tree is named.
    """

    calls = "mkdir(2), move_mount(2)"
    mount: int

    def run(self, process: Process) -> None:
        mkdir(_IMAGE, 0o755)
        _call(
            "move_mount", _SYS_move_mount,
            self.mount, b"", _AT_FDCWD, _IMAGE.encode(), _MOVE_MOUNT_F_EMPTY_PATH,
        )  # fmt: skip


def serve(image: int, command: tuple[str, ...], owner: int) -> Served:
    """Start `command` as the server of the image open as descriptor `image`.

    command   the program and its options; the image and the mount point are added to it
    owner     the caller's uid and gid where the server is: what it says is this one's is his
    Raises CallError: what was refused on the way, ENOTCONN where the server could not read the
    image. The server ends with the launcher, however that ends.
    """
    ours, theirs = keeping("socketpair", _socket.socketpair)(
        _socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0
    )
    signals.expect_children()
    privileges.be_readable()  # its files in /proc are the child's, who maps the ids
    launcher, ids = posix.getpid(), (posix.geteuid(), posix.getegid())
    server = clone(CLONE_NEWUSER | CLONE_NEWNS)
    if server == 0:
        _serve(theirs, launcher, (owner, *ids), image, command)
    theirs.close()
    mount = -1
    try:
        mount = _mounted(ours)
        # Waits until the server answers, of a root that may deny the search for anything in it.
        keeping("lstat", posix.stat)(f"/proc/self/fd/{mount}")
    except CallError:
        if mount >= 0:
            posix.close(mount)
        stop(server)
        raise
    return Served(mount, server, command[0].rpartition("/")[2])


def ended(server: int) -> str:
    """How a server has ended: "status 1", "signal 9"; "" where it has not."""
    pid, status = posix.waitpid(server, posix.WNOHANG)
    if not pid:
        return ""
    code = posix.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else f"signal {-code}"


def stop(server: int) -> bool:
    """End a server, and wait until it has ended; False where it has not in a few seconds.

    One that waits in the kernel, for a disk that does not answer, ends when that does.
    """
    posix.kill(server, _SIGKILL)
    pause = _FIRST_PAUSE
    while not posix.waitpid(server, posix.WNOHANG)[0]:
        if pause > _LAST_PAUSE:
            return False
        time.sleep(pause)
        pause *= 1.5
    return True


def _mounted(ours: _socket.socket) -> int:
    """The descriptor of the mount, once the server has become squashfuse_ll. Raises CallError."""
    mount = -1
    while True:
        space = _socket.CMSG_SPACE(4)
        message, control, _, _ = ours.recvmsg(_MESSAGE, space, _socket.MSG_CMSG_CLOEXEC)
        for _, _, content in control:
            mount = int.from_bytes(content[:4], "little")
        if message in (b"", b"mounted"):
            if not message:
                break
            continue
        call, arguments, number = marshal.loads(message)
        raise CallError(call, arguments, number)
    if mount < 0:
        raise CallError("", (), 0)
    return mount


# --- the server -------------------------------------------------------------------------------


def _serve(
    end: _socket.socket,
    launcher: int,
    ids: tuple[int, int, int],
    image: int,
    command: tuple[str, ...],
) -> NoReturn:
    try:
        privileges.die_with_parent()
        if posix.getppid() != launcher:  # it ended before the line above
            posix._exit(1)
        posix.setsid()  # the terminal's signals are for the payload
        _map_ids(*ids)
        device = open_file(DEVICE, posix.O_RDWR | posix.O_CLOEXEC)
        mount = _mount(device, ids[0])
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, mount.to_bytes(4, "little"))
        end.sendmsg([b"mounted"], [rights])
        _settle(end, image, device)
        arguments = [*command, f"/proc/self/fd/{image}", f"/dev/fd/{device}"]
        execve(command[0], arguments, {})
    except CallError as refused:
        end.send(marshal.dumps((refused.call, refused.arguments, refused.errno)))
    finally:
        posix._exit(1)


def _map_ids(owner: int, uid: int, gid: int) -> None:
    """Map one id to the caller: what the server shows as its is then the caller's, as if unpacked.

    That is root where the image's own ids are shown.
    """
    write_file("/proc/self/setgroups", b"deny")
    write_file("/proc/self/uid_map", f"{owner} {uid} 1".encode())
    write_file("/proc/self/gid_map", f"{owner} {gid} 1".encode())


def _mount(device: int, owner: int) -> int:
    """A detached FUSE mount, fuse(4). The caller alone may look into it, as with any user's."""
    own = str(owner).encode()
    context = _call("fsopen", _SYS_fsopen, b"fuse", _CLOEXEC)
    options = {
        b"source": b"squashfuse", b"subtype": b"squashfuse", b"fd": str(device).encode(),
        b"rootmode": b"40000", b"user_id": own, b"group_id": own,
    }  # fmt: skip
    for key, value in options.items():
        _call("fsconfig", _SYS_fsconfig, context, _SET_STRING, key, value, 0)
    for key in (b"ro", b"default_permissions"):
        _call("fsconfig", _SYS_fsconfig, context, _SET_FLAG, key, 0, 0)
    _call("fsconfig", _SYS_fsconfig, context, _CMD_CREATE, 0, 0, 0)
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    return _call("fsmount", _SYS_fsmount, context, _CLOEXEC, attributes)


def _settle(end: _socket.socket, image: int, device: int) -> None:
    """Keep nothing of the caller's but the image, and no privilege: its bytes are not trusted."""
    chdir("/")
    null = open_file("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    for standard in (0, 1, 2):
        posix.dup2(null, standard)
    process = Process((end.fileno(),))
    for step in (
        privileges.CloseDescriptors((image, device)),
        privileges.DropBoundingSet(),
        privileges.DropCapabilities(),
        privileges.SetNoNewPrivileges(),
    ):
        step.run(process)
    for kept in (image, device):
        posix.set_inheritable(kept, True)
    signals.restore(set())


def _call(name: str, number: int, *arguments: int | bytes) -> int:
    result = raw(number, *arguments)
    if result < 0:
        raise CallError(name, arguments, -result)
    return result
