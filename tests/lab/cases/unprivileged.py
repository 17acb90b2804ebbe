"""Other programs that have no capability for what they do: `minictr why`."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.bench import Case
from lab.cases.common import AS_USER

WITHOUT_STRACE = "" if shutil.which("strace") else "strace is not installed"
WHY = "minictr why --"


def fstab() -> str:
    """What the machine's /etc/fstab says; "" where there is none."""
    place = Path("/etc/fstab")
    return place.read_text() if place.exists() else ""


MINE = "echo 'none /mnt tmpfs noauto,user 0 0'"
FSTAB = "a line of /etc/fstab may let users mount" if "user" in fstab() else ""
IN_PYTHON = (
    "python3 -c 'import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); "
    'sys.exit(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) and '
    '"mount: " + os.strerror(ctypes.get_errno()))\''
)

CASES = [
    Case(
        "MC0221",
        proof=("unshare has no CAP_SYS_ADMIN", "CapEff 0000000000000000 lacks CAP_SYS_ADMIN"),
        fix=("unshare --map-root-user --net true", "Run the command as root."),
        repaired='eval "$USER_FIX"',
        # It has every capability, and is refused all the same.
        near=f"filtered --refuse unshare:net -- {WHY} unshare --map-root-user unshare --net true",
        instead="MC0204",
        status=1,
        impossible=WITHOUT_STRACE,
    ),
    Case(
        "MC0221",
        name="mount",
        script=f"{WHY} {IN_PYTHON}",
        proof=("python3 has no CAP_SYS_ADMIN, which mount(2) takes",),
        fix=("unshare --map-root-user --mount python3 -c",),
        repaired='eval "$USER_FIX"',
        # Root of a user namespace may mount, but not a file system of a disk.
        near=f"{WHY} unshare --map-root-user --mount mount -t ext4 /dev/null /mnt",
        instead="MC0000",
        status=1,
        impossible=WITHOUT_STRACE,
    ),
    Case(
        "MC0221",
        name="unmapped",
        script=f"{WHY} unshare --user --mount {IN_PYTHON}",
        proof=("python3 has no CAP_SYS_ADMIN, which mount(2) takes",),
        fix=("unshare --map-root-user --mount --user --mount python3 -c",),
        repaired='eval "$USER_FIX"',
        near=f"{WHY} mount -t tmpfs none /mnt",  # setuid root, and refuses it by itself
        instead="MC0223",
        status=1,
        impossible=WITHOUT_STRACE,
    ),
    Case(
        "MC0221",
        name="chroot",
        script=f"{WHY} sh -c 'chroot / true'",
        proof=("chroot has no CAP_SYS_CHROOT, which chroot(2) takes",),
        fix=("unshare --map-root-user --mount sh -c 'chroot / true'",),
        repaired='eval "$USER_FIX"',
        near=f"{WHY} unshare --map-root-user chroot /nosuch true",
        instead="MC0000",
        status=125,
        impossible=WITHOUT_STRACE,
    ),
    Case(
        "MC0221",
        name="setns",
        prepare="unshare --map-root-user --net sleep 9 & trap 'kill $!' EXIT; sleep 0.3",
        script=f"{WHY} nsenter -t $! --net true",
        proof=("nsenter has no CAP_SYS_ADMIN, which setns(2) takes",),
        fix=("nsenter --user --preserve-credentials -t ", " --net true"),
        # Another process, with another number.
        repaired='eval "$(echo "$USER_FIX" | sed "s/-t [0-9]*/-t $!/")"',
        near=f"{WHY} nsenter -t $$ --user true",  # its own, which nobody may enter again
        instead="MC0000",
        status=1,
        impossible=WITHOUT_STRACE,
    ),
    Case(
        "MC0222",
        proof=("mount has its capabilities in a user namespace of its own", "NS_GET_USERNS"),
        fix=("unshare --mount --map-root-user mount -t tmpfs none",),
        repaired='eval "$USER_FIX"',
        # The mount namespace is its own, and the kernel refuses the file system.
        near=f"{WHY} unshare --map-root-user --mount mount -t ext4 /dev/null /mnt",
        instead="MC0000",
        status=32,
        impossible=WITHOUT_STRACE,
    ),
    Case(
        "MC0222",
        name="uts",
        script=f"{WHY} unshare --map-root-user sh -c 'hostname other'",
        proof=("hostname has its capabilities in a user namespace", "its UTS namespace"),
        fix=("unshare --uts --map-root-user sh -c 'hostname other'",),
        repaired='eval "$USER_FIX"',
        near=f"filtered --refuse sethostname -- {WHY} unshare --uts -r hostname other",
        instead="MC0407",
        status=1,
        impossible=WITHOUT_STRACE or ("" if shutil.which("hostname") else "there is no hostname"),
    ),
    Case(
        "MC0223",
        proof=("what /etc/fstab lets him", "mount is setuid root"),
        fix=("unshare --map-root-user --mount mount -t tmpfs none /mnt",),
        repaired='eval "$USER_FIX"',
        # In a user namespace the same program is root's, and the kernel refuses it a disk.
        near=f"{WHY} unshare --map-root-user --mount mount -t ext4 /dev/null /mnt",
        instead="MC0000",
        status=32,
        impossible=WITHOUT_STRACE or FSTAB,
    ),
    Case(
        "MC0223",
        name="fstab",
        # What users mount mount(8) writes down in /run/mount, which others read.
        prepare="private-etc; mount -t tmpfs none /run\n"
        "echo 'none /media tmpfs rw 0 0' >/etc/fstab",
        as_root=True,
        script=f"{AS_USER} {WHY} mount -t tmpfs none /mnt",
        proof=("no line of /etc/fstab has the option user, users, owner or group",),
        fix=("Give the file system a line in /etc/fstab with the option user.",),
        repaired=f"{MINE} >>/etc/fstab; {AS_USER} {WHY} mount /mnt",
        # Users may mount something, if not this: that mount(8) lets him nothing is not so.
        near=f"{MINE} >>/etc/fstab; {AS_USER} {WHY} mount -t tmpfs none /media",
        instead="MC0000",
        status=32,
        impossible=WITHOUT_STRACE,
    ),
]
