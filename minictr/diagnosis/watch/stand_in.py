"""Stands in for newuidmap and newgidmap, which a traced program cannot use: they are setuid.

The kernel gives a traced program no privilege at execve(2). A script of their name, first on the
command's PATH, hands its arguments to this process, which nobody traces; this process runs the real
one and hands back what it said.
"""

from __future__ import annotations

import marshal
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from minictr.diagnosis.scratch import make
from minictr.runtime.privileges import has_no_new_privileges
from minictr.runtime.syscalls import prctl
from minictr.value import Value

NAMES = ("newuidmap", "newgidmap")
STAND_INS = "minictr-why-"  # begins the name of the directory that the scripts are in
_SO_PEERCRED = 17
_LONGEST = 1 << 16

_SCRIPT = """#!{python} -IS
import _socket, marshal, posix, sys
status = posix.open("/proc/self/status", posix.O_RDONLY)
bound = b"NoNewPrivs:\\t1" in posix.read(status, 65536)
asked = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
try:
    asked.connect({address!r})
    asked.send(marshal.dumps([{real!r}, sys.argv[1:], bound]))
    answer = marshal.loads(asked.recv(65536))
except (OSError, EOFError):
    answer = None
if answer is None:
    posix.execv({real!r}, [{real!r}, *sys.argv[1:]])
posix.write(1, answer[1])
posix.write(2, answer[2])
posix._exit(answer[0])
"""


class Helped(Value):
    """One run of a helper on behalf of the traced program.

    pid     of the stand-in, whose own calls are none of the program's
    bound   whether the program had set no_new_privs
    """

    pid: int
    path: str
    arguments: tuple[str, ...]
    status: int
    said: str
    bound: bool

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class StandIns:
    """The scripts in a directory, and the socket on which they ask. Raises OSError.

    names      of the helpers that are stood in for

    witnessed  called with each run before the stand-in hears of it: until then the program waits
    """

    def __init__(self, directory: Path, path: str, names: tuple[str, ...] = NAMES) -> None:
        self.helped: list[Helped] = []
        self.witnessed: Callable[[Helped], None] | None = None
        self.places: dict[str, str] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener = self._socket.fileno()
        # An abstract address: a sandbox around us may forbid sockets in directories.
        address = f"\0{directory}"
        self._socket.bind(address)
        self._socket.listen(8)
        make(directory / "bin")
        for name in names:
            self._write(directory / "bin" / name, shutil.which(name, path=path), address)
        self.path = f"{directory / 'bin'}:{path}"

    def close(self) -> None:
        self._socket.close()

    def real_names(self, said: str) -> str:
        """What was said, with the helpers' own paths."""
        for script, real in self.places.items():
            said = said.replace(script, real)
        return said

    def _write(self, script: Path, real: str | None, address: str) -> None:
        """A helper that is not there gets no stand-in: the program has to miss it."""
        if not real:
            return
        text = _SCRIPT.format(python=sys.executable, real=real, address=address)
        try:
            script.write_text(text, encoding="utf-8")
        except OSError as error:  # write(2) does not name the file
            raise OSError(error.errno, error.strerror, str(script)) from None
        # Programs look whether the bit is there; the kernel passes over that of a script.
        script.chmod(0o755 | os.stat(real).st_mode & stat.S_ISUID)
        self.places[str(script)] = real

    def answer(self) -> bool:
        """Run what a stand-in asks for."""
        peer, _ = self._socket.accept()
        with peer:
            self._answer(peer)
        return True

    def _answer(self, peer: socket.socket) -> None:
        credentials = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("3i", credentials)
        if uid != os.geteuid():  # everybody can ask at such an address
            return
        try:
            real, arguments, bound = marshal.loads(peer.recv(_LONGEST))
            descriptor = any(one.startswith("fd:") for one in arguments)
            if real not in self.places.values() or descriptor or not _beside_us(pid):
                peer.send(marshal.dumps(None))
                return
            done = _run_real([real, *arguments], bound)
            helped = Helped(pid, real, tuple(arguments), done.returncode, _text(done.stderr), bound)
            self.helped.append(helped)
            if self.witnessed:
                self.witnessed(helped)
            peer.send(marshal.dumps([done.returncode & 255, done.stdout, done.stderr]))
        except (OSError, EOFError):  # the stand-in has gone
            return


def _beside_us(pid: int) -> bool:
    """Whether the stand-in runs where we do: elsewhere the helper would have another effect."""
    try:
        return all(
            os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")
            for kind in ("user", "mnt", "pid")
        )
    except OSError:
        return False


def _run_real(command: list[str], bound: bool) -> subprocess.CompletedProcess[bytes]:
    """The helper as the program would have run it, with no_new_privs where that was set."""
    bind = bound and not has_no_new_privileges()
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=(lambda: prctl("PR_SET_NO_NEW_PRIVS", 1)) if bind else None,
    )


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip()
