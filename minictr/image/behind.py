"""Unpack an image behind a launch that does not wait for it: for the launches to come."""

from __future__ import annotations

import contextlib
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.image.open import Image
    from minictr.image.tree import Tree

GO_ON = b"\n"
HEAD_START = 0.5  # seconds, for the launch: however low the priority, caches and buses are shared
LAST_DESCRIPTOR = 1 << 20  # fs.nr_open; each is closed by itself where close_range(2) is refused


def unpack_behind(path: str, cache: str, limit: int, home: str) -> int:
    """Start a process which unpacks the image at `path`, when nothing else has to be computed.

    limit   what the cache may hold, in bytes: see inventory.shrink(); 0 for no limit
    home    the caller's home directory, which is to be a mount point in it
    Gives the descriptor through which that process learns how the launcher ended: GO_ON and it
    goes on, end of file without it (the launcher was killed) and it ends too. -1 where no process
    can be made. What it cannot unpack the next launch says, from the note that is kept of it.
    """
    try:
        path = os.path.abspath(path)
        reader, writer = os.pipe()
        launcher, child = os.getpid(), os.fork()
    except OSError:
        return -1
    if child:
        os.close(reader)
        return writer
    if os.getpid() == launcher:  # a filter answered for the kernel: there is no other process
        os.close(reader)
        os.close(writer)
        return -1
    try:
        settle(reader)
        time.sleep(HEAD_START)
        watch(reader)
        unpack_alone(path, cache, limit, home)
    finally:
        os._exit(0)


def settle(reader: int) -> None:
    """Leave the caller's terminal, pipes and processor to whom they belong."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, reader)
    os.closerange(reader + 1, LAST_DESCRIPTOR)
    os.chdir("/")
    os.nice(19)
    with contextlib.suppress(OSError):  # a filter's refusal
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the disk idles by it as well


def watch(reader: int) -> None:
    """From here on, end this process and its unsquashfs with a launcher that is killed."""
    import signal  # dear to whoever waits for the launch, and so are those below
    import threading

    def wait() -> None:
        if not os.read(reader, 1):
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def unpack_alone(path: str, cache: str, limit: int, home: str) -> None:
    """Unpack the image unless another process does, or keep a note of why not. Raises Refusal."""
    from minictr.image.cache import prepare
    from minictr.image.failures import keep, left
    from minictr.image.inventory import shrink
    from minictr.image.open import open_image
    from minictr.refusal import Refusal

    image = open_image(path)
    prepare(cache)
    free = left(cache)
    try:
        tree = filled(image, cache, home)
    except Refusal as refusal:
        keep(refusal, image, cache, free)
        return
    if limit and tree:
        shrink(cache, limit, tree.name)


def filled(image: Image, cache: str, home: str) -> Tree | None:
    """The tree of the image; None where another process unpacks it. Raises Refusal."""
    import fcntl

    from minictr.image import index
    from minictr.image.cache import fill, modes_as_given, sweep, writing
    from minictr.image.locks import acquire, release

    key = index.key_of(image.identity)
    with writing(cache), modes_as_given():
        lock = acquire(cache, key, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock < 0:
            return None
        try:
            tree = index.load(image.identity, cache, wait=True)
            if tree is None:
                sweep(cache, key)
                tree = fill(image, cache, lock, False, home)
            return tree
        finally:
            release(cache, key, lock)
