#!/usr/bin/python3
"""Runs inside of the machine, as its root: two hosts with one home directory over NFS.

Prints a line for each case. Exit status: 0 where all came out as they should, else 1.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

EXPORT = "/srv/home"
IMAGE = "/home/tester/image.sif"
PATIENCE = 240  # seconds; an emulated machine is slow


def launch(unpack: str = "now") -> str:
    """The command of a launch that says what it does."""
    return f"minictr -v exec --unpack {unpack} {IMAGE} echo ran"


SLOW_UNSQUASHFS = """#!/bin/sh
sleep 40
exec /usr/local/bin/unsquashfs "$@"
"""

SERVE = f"""
mkdir -p {EXPORT} /var/lib/nfs/v4recovery /var/lib/nfs/rpc_pipefs /run/rpc_pipefs
touch /etc/exports /var/lib/nfs/etab /var/lib/nfs/rmtab
cp -a /home/tester {EXPORT}/
cp /mnt/image.sif {EXPORT}/tester/image.sif
chown -R tester: {EXPORT}/tester
modprobe nfsd
modprobe nfsv4
mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
echo 10 > /proc/fs/nfsd/nfsv4leasetime
echo 10 > /proc/fs/nfsd/nfsv4gracetime
exportfs -o rw,sync,root_squash,no_subtree_check,fsid=0 '*:{EXPORT}'
rpc.mountd -N 3
rpc.nfsd -N 3 8
echo Y > /proc/fs/nfsd/v4_end_grace
"""


class Host:
    """A set of namespaces that is a host of its own to NFS."""

    def __init__(self, name: str, number: int, options: str = "vers=4.2") -> None:
        self.name = name
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "sleep", "infinity"]
        )
        time.sleep(0.5)
        pid = self.keeper.pid
        server, client = f"10.0.{number}.1", f"10.0.{number}.2"
        for line in (
            f"ip link add to-{name} type veth peer name eth0 netns {pid}",
            f"ip addr add {server}/24 dev to-{name}",
            f"ip link set to-{name} up",
        ):
            subprocess.run(line.split(), check=True)
        self.root(
            f"hostname {name}; ip link set lo up; ip addr add {client}/24 dev eth0;"
            f" ip link set eth0 up; mount -t nfs4 -o {options} {server}:/ /home"
        )

    def enter(self) -> list[str]:
        """What comes before a command that is to run on this host."""
        return ["nsenter", "--target", str(self.keeper.pid), "--net", "--uts", "--mount"]

    def root(self, script: str) -> None:
        """Run a script of the host's administrator."""
        subprocess.run([*self.enter(), "sh", "-ec", script], check=True)

    def start(self, script: str) -> subprocess.Popen[str]:
        """Start a script of the user's."""
        user = ["setpriv", "--reuid=tester", "--regid=tester", "--init-groups", "env", "-i",
                "HOME=/home/tester", "USER=tester", "LANG=C.UTF-8",
                "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]  # fmt: skip
        return subprocess.Popen(
            [*self.enter(), *user, "sh", "-c", f"cd; {script}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, script: str) -> tuple[int, str]:
        """The exit status of a script of the user's, and what it printed."""
        return ended(self.start(script))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for what start() gave; its status and output."""
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def names(part: str) -> list[str]:
    """What the server has in a part of the cache."""
    directory = Path(f"{EXPORT}/tester/.cache/minictr/{part}")
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def kept_clean() -> str:
    """What should not be in the cache: temporaries, locks, and what NFS calls removed but open."""
    home = Path(f"{EXPORT}/tester")
    silly = [str(path) for path in home.rglob(".nfs*")]
    return " ".join([*names("tmp"), *names("locks"), *silly])


def locks_reach_the_other(one: Host, other: Host) -> str:
    """What one host has locked is locked for the other: else the rest shows nothing."""
    holder = one.start("flock lock sh -c 'touch held; sleep 10'")
    while not Path(f"{EXPORT}/tester/held").exists() and holder.poll() is None:
        time.sleep(0.2)
    during = other.run("flock --nonblock lock echo had")
    holding = ended(holder)
    after = other.run("flock --nonblock lock echo had")
    good = (during[0], after[0]) == (1, 0)
    return "" if good else f"{holding}, {during} while it is held, then {after}"


def both_at_once(one: Host, other: Host) -> str:
    """Both hosts unpack an image at once: the first to publish it wins, and nothing is left.

    They do not wait for each other: the device numbers of their mounts differ, and so do the keys.
    """
    one.run("minictr cache clean --all")
    one.run(f"mkdir -p slow; cat > slow/unsquashfs <<'EOF'\n{SLOW_UNSQUASHFS}EOF\nchmod +x slow/*")
    first = one.start(f"PATH=$HOME/slow:$PATH {launch()}")
    while not names("tmp") and first.poll() is None:
        time.sleep(0.1)
    second = other.start(launch())
    said = [ended(second)]
    if first.poll() is not None or len(names("tmp")) != 1:
        return f"the first did not go on unpacking: {said} {names('tmp')}"
    said.append(ended(first))
    if any(status or "ran" not in text for status, text in said):
        return f"{said}"
    return kept_clean() or ("" if len(names("trees")) == 1 else f"trees: {names('trees')}")


def tree_of_the_other(one: Host, other: Host) -> str:
    """What one host has unpacked, the other runs."""
    one.run("minictr cache clean --all")
    first = one.run(launch())
    second = other.run(launch())
    if first[0] or second[0]:
        return f"{first} {second}"
    return kept_clean() or ("" if len(names("trees")) == 1 else f"trees: {names('trees')}")


def in_use_elsewhere(one: Host, other: Host) -> str:
    """A tree on which a container of one host runs is not removed by the other."""
    sleeper = one.start(f"minictr exec {IMAGE} sleep 20; echo status $?")
    time.sleep(6)
    status, said = other.run("minictr cache clean --all")
    during = names("trees")
    _, end = ended(sleeper)
    if not during or "status 0" not in end:
        return f"trees {during}, {status}, {said!r}, {end!r}"
    status, said = other.run("minictr cache clean --all")
    return kept_clean() or ("" if not names("trees") and not status else f"{status} {said!r}")


def killed_writer(one: Host, other: Host) -> str:
    """A launch that is killed while it unpacks stands in nobody's way, on any host."""
    for number in range(6):
        one.run("minictr cache clean --all")
        process = one.start(f"exec {launch()}")
        time.sleep(0.4 + 0.5 * number)
        os.killpg(process.pid, signal.SIGKILL)
        ended(process)
        status, said = other.run(launch())
        if status or "ran" not in said:
            return f"{status} {said!r}"
    one.run(launch())
    one.run("minictr cache clean --all")
    return kept_clean()


def behind(one: Host, other: Host) -> str:
    """An image that is served while it is unpacked behind, then run by the other host."""
    one.run("minictr cache clean --all")
    first = one.run(launch("background"))
    for _ in range(60):
        if names("trees") and not names("locks"):
            break
        time.sleep(1)
    second = other.run(launch())
    if first[0] or second[0]:
        return f"{first} {second}"
    return kept_clean() or ("" if names("trees") else f"nothing unpacked: {first}")


def built(one: Host, other: Host) -> str:
    """An image that is built on one host is run by the other."""
    script = "mkdir -p tree/bin; cp /usr/bin/busybox tree/bin/busybox; ln -sf busybox tree/bin/echo"
    first = one.run(f"{script}; minictr build built.sif tree")
    second = other.run("minictr exec built.sif echo ran")
    left = [path.name for path in Path(f"{EXPORT}/tester").glob(".minictr-build*")]
    return "" if second[0] == 0 and not left else f"{first} {second} {left}"


CASES = (
    locks_reach_the_other, both_at_once, tree_of_the_other, in_use_elsewhere, killed_writer,
    behind, built,
)  # fmt: skip


def main() -> int:
    subprocess.run(["sh", "-ec", SERVE], check=True)
    one, other = Host("one", 1), Host("other", 2)
    one.root("mount | grep ' /home '; hostname")
    wrong = 0
    for case in CASES:
        try:
            complaint = case(one, other)
        except subprocess.TimeoutExpired as error:
            complaint = str(error)
        wrong += bool(complaint)
        name = re.sub("_", " ", case.__name__)
        print(f"  {name:28} {complaint or 'ok'}", flush=True)
    for host in (one, other):
        host.keeper.kill()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
