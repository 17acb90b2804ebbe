"""Unpack a squashfs with unsquashfs, hashing the bytes it reads, and judge the result.

The exit status alone does not say it: unsquashfs ends with 2 for every ordinary user whose image
holds a device node, and releases before 4.5 end with 0 where data could not be decompressed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import IO

from minictr.image.killed import for_memory, kills
from minictr.image.manifest import Manifest, take
from minictr.image.open import Image
from minictr.image.programs import SYSTEM_PATH, ending_with_us, find
from minictr.image.refusals import printable, refuse
from minictr.image.storage import CACHE, counts, more_room
from minictr.image.verdict import damaged, judge, listen
from minictr.refusal import Refusal

PIECE = 1 << 20  # bytes read at a time for the hash
BAR = 30  # columns


def unpack(
    descriptor: int, image: Image, directory: str, lock: int, progress: bool
) -> tuple[str, Manifest]:
    """Unpack image, open as `descriptor`, into DIRECTORY/root; `directory` is one of CACHE/tmp.

    Returns the sha256 of the image's byte range and what was unpacked. `lock` is inherited by
    unsquashfs: should we be killed, the directory counts as in use until it has ended too.
    Raises Refusal; the directory is then the caller's to remove.
    """
    cache = os.path.dirname(os.path.dirname(directory))
    room_for(image, cache)
    root = f"{directory}/root"
    command = command_for(descriptor, image, root, progress)
    before = kills()
    given_up = Event()
    with ThreadPoolExecutor(max_workers=2) as workers:
        digest = workers.submit(hash_range, descriptor, image, given_up)
        child = start(command, (descriptor, lock), progress)
        try:
            if child.stdout:
                workers.submit(draw, child.stdout, image)
            absent, words = listen(child.stderr or iter(()))
            status = child.wait()
            killed = status == -signal.SIGKILL and for_memory(before, printable(image.path))
            if killed:
                raise killed
            judge(status, words, image, cache, find_unsquashfs())
            name = digest.result()
        except BaseException:
            given_up.set()
            child.kill()
            child.wait()
            raise
    return name, inspect(root, image, absent, words)


def start(
    command: list[str], descriptors: tuple[int, ...], progress: bool
) -> subprocess.Popen[str]:
    """Start unsquashfs with words in the C locale, for they are read by a program."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if progress else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            umask=0,  # which unsquashfs takes from the modes, unless root calls it
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
            text=True,
            errors="surrogateescape",
        )
    except OSError as error:
        number = error.errno or 0
        cause = f"unsquashfs cannot be started: {errno.errorcode.get(number, number)}"
        proof = f"{command[0]}: {os.strerror(number)}"
        raise Refusal("MC0000", cause, proof) from error


def command_for(descriptor: int, image: Image, root: str, progress: bool) -> list[str]:
    """The command line; the image is named by its descriptor, for its path can be replaced."""
    command = [find_unsquashfs(), "-no-progress", "-no-xattrs", "-dest", root]
    if image.offset:
        command += ["-offset", str(image.offset)]  # squashfs-tools 4.4
    if progress:
        command.append("-info")
    command.append(f"/proc/self/fd/{descriptor}")
    return ending_with_us(command)


def find_unsquashfs() -> str:
    """The path of unsquashfs."""
    return find("unsquashfs", "MC0118", "unpacks the image")


def room_for(image: Image, cache: str) -> None:
    """Refuse before any work when the file system has fewer inodes than the image."""
    numbers = os.statvfs(cache)
    if not numbers.f_files or numbers.f_favail >= image.inodes:  # btrfs counts none
        return
    raise Refusal(
        "MC0122",
        f"{printable(image.path)} needs more inodes than the cache directory {cache} has left",
        f"superblock: {image.inodes} inodes; {counts(cache)}",
        more_room(cache, CACHE),
    )


def hash_range(descriptor: int, image: Image, given_up: Event | None = None) -> str:
    """The sha256 of the root file system's bytes; reading leaves the file offset alone.

    given_up   set where nobody waits for it any more
    """
    digest = hashlib.sha256()
    position, end = image.offset, image.offset + image.size
    while position < end and not (given_up and given_up.is_set()):
        try:
            piece = os.pread(descriptor, min(PIECE, end - position), position)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            raise refuse(
                "call", image.path, f"byte {position}", call="pread(2)", errno=name
            ) from None
        if not piece:
            proof = f"end of file at byte {position}, expected at {end} or later"
            raise damaged(image, proof)
        digest.update(piece)
        position += len(piece)
    return digest.hexdigest()


def draw(lines: IO[str], image: Image) -> None:
    """A progress bar on stderr from the names that `unsquashfs -info` prints.

    All releases have -info; -percentage came with 4.6.
    """
    title = printable(os.path.basename(image.path))
    shown = -1
    try:
        for count, _ in enumerate(lines):
            percent = min(100, 100 * count // max(1, image.inodes))
            if percent != shown:
                bar = "#" * (percent * BAR // 100)
                write(f"\rUnpacking {title} [{bar:<{BAR}}] {percent:3d}%")
                shown = percent
        write("\r\033[K")  # ECMA-48: erase to the end of the line
    finally:
        for _ in lines:  # a terminal that is gone must not leave unsquashfs before a full pipe
            continue


def write(text: str) -> None:
    """Write to stderr at once."""
    sys.stderr.write(text)
    sys.stderr.flush()


def inspect(root: str, image: Image, absent: int, words: list[str]) -> Manifest:
    """What was unpacked, when its inodes are as many as the superblock counts."""
    if os.geteuid() == 0:
        absent += remove_devices(root)
    manifest = take(root)
    # A device with two names is reported twice, so `absent` is an upper bound.
    if image.inodes - absent <= manifest.inodes <= image.inodes:
        return manifest
    proof = f"superblock: {image.inodes} inodes, unpacked: {manifest.inodes}, left out: {absent}"
    raise damaged(image, " / ".join([proof, *words[-2:]]))


def remove_devices(root: str) -> int:
    """Remove the device nodes that root's unsquashfs made, so that no tree ever holds one.

    A bind mount of the tree would honour them: nodev is a property of the mount it comes from.
    """
    removed: set[int] = set()
    for directory, _, names in os.walk(root):
        times = os.lstat(directory)
        for name in names:
            status = os.lstat(f"{directory}/{name}")
            if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
                os.unlink(f"{directory}/{name}")
                removed.add(status.st_ino)
                os.utime(directory, ns=(times.st_atime_ns, times.st_mtime_ns))
    return len(removed)
