"""Builds small images, as directories, out of the host's static busybox."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from ordinary_user import User
from skipping import require, require_program

MOUNT_POINTS = ("dev", "proc", "sys", "tmp", "var/tmp", "etc", "root", "home")
ETC_FILES = ("hosts", "localtime", "resolv.conf")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nsomebody:x:4242:4242:Some Body:/home/somebody:/bin/sh\n"
GROUP = "root:x:0:\nsomebody:x:4242:\n"


def busybox() -> str:
    """The path of a busybox that needs no library."""
    path = require_program("busybox", "BUSYBOX", "busybox-static")
    kind = subprocess.run(["readelf", "-l", path], capture_output=True, text=True)
    static = kind.returncode != 0 or "INTERP" not in kind.stdout
    require(static, "BUSYBOX", f"{path} is not static (Debian package busybox-static)")
    return path


def make_image(path: Path, user: User, *, mount_points: tuple[str, ...] = MOUNT_POINTS) -> Path:
    """An image directory of the user's with every applet of busybox, passwd and group."""
    program = busybox()
    (path / "bin").mkdir(parents=True)
    shutil.copy(program, path / "bin/busybox")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True).stdout.split()
    for name in applets:
        if name != "busybox":
            (path / "bin" / name).symlink_to("busybox")
    for name in mount_points:
        (path / name).mkdir(parents=True)
    if "etc" in mount_points:
        (path / "etc/passwd").write_text(PASSWD)
        (path / "etc/group").write_text(GROUP)
    return give(path, user)


def complete(path: Path, user: User, *directories: str) -> Path:
    """Add the mount points that a default launch needs, so that the root can be a plain bind."""
    for name in ETC_FILES:
        (path / "etc" / name).touch()
    for directory in directories:
        (path / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return give(path, user)


def add_script(path: Path, name: str, text: str, user: User) -> Path:
    """Write an executable script of /.singularity.d into an image."""
    script = path / ".singularity.d" / name
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text)
    script.chmod(0o755)
    give(path / ".singularity.d", user)
    return script


def make_python_image(path: Path, user: User) -> Path:
    """An image that borrows the host's python3: launch it with `-B /usr`."""
    require(Path("/usr/bin/python3").exists(), "PYTHON", "there is no /usr/bin/python3")
    require(Path("/bin").is_symlink(), "PYTHON", "/bin is no link to usr/bin on this host")
    path.mkdir()
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        if Path("/", name).is_symlink():
            (path / name).symlink_to(Path("/", name).readlink())
    for name in ("usr", *MOUNT_POINTS):
        (path / name).mkdir(parents=True)
    return give(path, user)


def give(path: Path, user: User) -> Path:
    """Make the user the owner of a file or of a whole tree."""
    if os.geteuid() == 0:
        os.lchown(path, user.uid, user.gid)
        for current, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.lchown(Path(current, name), user.uid, user.gid)
    return path


def contents(path: Path) -> dict[str, tuple[int, int, int]]:
    """What a tree holds: (mode, size, mtime_ns) of each path, to see that nothing changed."""
    found = {}
    for current, directories, files in os.walk(path):
        for name in (*directories, *files):
            entry = Path(current, name)
            status = entry.lstat()
            found[str(entry)] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found
