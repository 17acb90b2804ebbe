"""Find a program of squashfs-tools, or say why it cannot run: its mode, machine or libraries."""

from __future__ import annotations

import os
import re
import shutil
import stat

from minictr.image.refusals import printable, quoted
from minictr.refusal import Refusal

MAGIC = b"\x7fELF"
E_MACHINE = slice(18, 20)  # elf(5)
NO_LIBRARY = re.compile(r"error while loading shared libraries: |Error loading shared library ")
INSTALL = "Install the package squashfs-tools again, for this machine and with what it depends on."
# Where a program is looked for besides $PATH: cron jobs and `su` leave the sbin directories out.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(name: str, code: str, job: str) -> str:
    """The path of a program of squashfs-tools; `code` is for its absence."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    found = shutil.which(name, path=path)
    if found:
        return found
    for directory in path.split(":"):
        if directory and os.path.isfile(f"{directory}/{name}"):
            raise not_executable(f"{directory}/{name}", job)
    raise Refusal(
        code,
        f"{name} is missing, which {job}",
        f"no executable {name} in {path.strip(':')}",
        "Install the package squashfs-tools (Debian, Ubuntu, Fedora, Arch, Alpine) "
        "or squashfs (openSUSE).",
    )


def ending_with_us(command: list[str]) -> list[str]:
    """The command, given the parent-death signal (prctl(2)): a caller who is killed ends it.

    Where util-linux is missing it would write on, into what nobody publishes.
    """
    setpriv = shutil.which("setpriv", path=SYSTEM_PATH)
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


def not_executable(path: str, job: str) -> Refusal:
    """The file is there, and this user may not execute it."""
    status = os.stat(path)
    return Refusal(
        "MC0134",
        f"{path}, which {job}, is not executable",
        f"stat({path}): uid {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}; "
        f"the caller is uid {os.geteuid()}",
        f"chmod u+x {quoted(path)}" if status.st_uid == os.geteuid() else "",
        "" if status.st_uid == os.geteuid() else f"chmod 755 {quoted(path)}",
    )


def unrunnable(path: str, words: list[str]) -> Refusal | None:
    """Why the program at `path` did not run, by its file and its words; None where it did."""
    for line in words:
        if NO_LIBRARY.search(line):
            cause = f"{path} lacks a shared library"
            return Refusal("MC0134", cause, f"the dynamic loader: {printable(line)}", "", INSTALL)
    with open(path, "rb") as file:
        head = file.read(256)
    with open("/proc/self/exe", "rb") as file:
        own = file.read(20)
    if head.startswith(MAGIC) and head[E_MACHINE] != own[E_MACHINE]:
        numbers = [int.from_bytes(each[E_MACHINE], "little") for each in (head, own)]
        proof = f"e_machine of {path} is {numbers[0]}; e_machine of /proc/self/exe is {numbers[1]}"
        return Refusal("MC0134", f"{path} was built for another machine", proof, "", INSTALL)
    if not head.startswith(b"#!"):
        return None
    interpreter = os.fsdecode(head[2:].split(b"\n")[0].strip().split(b" ")[0])
    if os.path.exists(interpreter):
        return None
    proof = f"{path} begins with #!{printable(interpreter)}, and that does not exist"
    return Refusal("MC0134", f"the interpreter of {path} is missing", proof, "", INSTALL)
