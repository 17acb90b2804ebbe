"""Keep unpacked images: one tree for each content, published whole or not at all.

Below the cache directory, all of it 0700 and the caller's:

    trees/SHA256/root      the unpacked image, named by the sha256 of the root file system's bytes
    trees/SHA256/lock      locked shared by every launch, exclusively by `cache clean`
    trees/SHA256/manifest  what root held when it was published, for `cache verify`
    trees/SHA256/record    what `cache list` shows, and the size that finds a copy of the image
    index/KEY              (identity of an image file) to SHA256 and metadata, or to a failures.Note
    locks/KEY              locked by the one process that unpacks, and by its unsquashfs
    tmp/KEY.PID-N.HOST     what is being written or removed; stale once locks/KEY is free
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator

from minictr.image import index
from minictr.image.describe import describe
from minictr.image.locks import free, image_lock, temporary_name
from minictr.image.open import Image, open_image
from minictr.image.points import make_points
from minictr.image.records import read_record, write_entry, write_tree_files
from minictr.image.refusals import printable
from minictr.image.removal import remove
from minictr.image.source import open_source
from minictr.image.storage import stopped_call, synchronise
from minictr.image.tree import Tree
from minictr.refusal import Refusal

PARTS = ("index", "locks", "tmp", "trees")

# A temporary of another host is left alone for a day, free lock or not: an NFS mount with
# local_lock=flock keeps its own machine's locks only (nfs(5)).
FOREIGN_AGE = 86400

# Two writes within one tick of the clock leave the same ctime: a tick is 10 ms at HZ=100, and a
# second on file systems that keep whole seconds.
TICK, LONG_TICK = 0.02, 1.0

ATTEMPTS = 5  # to publish, beside others who publish and clean the same content


def ensure(
    path: str, cache: str, say: Callable[[str], None], progress: bool, home: str = ""
) -> Tree:
    """The tree of the image at `path`, held by a shared lock, unpacked first when need be.

    A directory is described where it stands. `say` gets a line when this has to wait for another
    process; `progress` asks for a bar on stderr; `home` is to be a mount point. Raises Refusal.
    """
    image = open_image(path)
    if image.kind == "directory":
        return describe(os.path.realpath(path), "directory", "")
    prepare(cache)
    if tree := index.load(image.identity, cache):
        return tree
    key = index.key_of(image.identity)
    with writing(cache), modes_as_given(), image_lock(cache, key, image.path, say) as lock:
        # Whoever held the lock before has probably done the work.
        tree = index.load(image.identity, cache, wait=True)
        if tree:
            return tree
        sweep(cache, key)
        return fill(image, cache, lock, progress, home)


def prepare(cache: str) -> None:
    """Make the cache directory and its parts; refuse them when others could write there."""
    with writing(cache), modes_as_given():
        os.makedirs(cache, 0o700, exist_ok=True)
        check_private(cache, 0o022)
        for part in PARTS:
            with contextlib.suppress(FileExistsError):
                os.mkdir(f"{cache}/{part}", 0o700)
            check_private(f"{cache}/{part}", 0o077)


@contextlib.contextmanager
def modes_as_given() -> Iterator[None]:
    """Keep the caller's umask out of the modes of what is made."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def check_private(directory: str, forbidden: int) -> None:
    """Refuse a directory that another user owns, or whose mode has any of the forbidden bits."""
    status = os.stat(directory)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "a part of the cache is no directory", directory)
    if index.private(status, forbidden):
        return
    mine = status.st_uid == os.geteuid()
    mode = "go-w" if forbidden == 0o022 else "go="
    raise Refusal(
        "MC0126",
        f"the cache directory {directory} "
        + ("is open to other users" if mine else "belongs to another user"),
        f"stat({directory}): uid {status.st_uid}, mode {status.st_mode & 0o7777:04o}; "
        f"the caller is uid {os.geteuid()}",
        f"chmod {mode} {directory}"
        if mine
        else "Name one of your own: export MINICTR_CACHEDIR=DIRECTORY.",
    )


@contextlib.contextmanager
def writing(cache: str) -> Iterator[None]:
    """Turn an OSError of a write into the refusal that names what is missing."""
    try:
        yield
    except OSError as error:
        raise stopped_call(error, cache) from error


def fill(image: Image, cache: str, lock: int, progress: bool, home: str) -> Tree:
    """Unpack the image, or adopt the tree of a file with the same content; index the result."""
    source = open_source(image.path)
    try:
        if source.identity != image.identity:
            raise changed(image)
        settle(image.identity)
        tree = adopt(source.descriptor, image, cache)
        if tree is None:
            tree = publish(source.descriptor, image, cache, lock, progress, home)
        return tree
    finally:
        os.close(source.descriptor)


def settle(identity: tuple[int, ...]) -> None:
    """Wait until a later write to the image must change its ctime (at most one tick)."""
    changed_at = identity[4]
    tick = TICK if changed_at % 1_000_000_000 else LONG_TICK
    age = time.time() - changed_at / 1e9
    if age < tick:
        time.sleep(min(tick, tick - age))


def check_unchanged(descriptor: int, image: Image) -> None:
    """Refuse an image that was written while it was read (or removed: ESTALE over NFS)."""
    try:
        identity = index.identity_of(os.fstat(descriptor))
    except OSError:
        identity = ()
    if identity != image.identity:
        raise changed(image)


@contextlib.contextmanager
def unwritten(descriptor: int, image: Image) -> Iterator[None]:
    """Call no image damaged that was written while it was read: its next reading tells."""
    try:
        yield
    except Refusal as refusal:
        if refusal.code == "MC0120":
            check_unchanged(descriptor, image)
        raise


def changed(image: Image) -> Refusal:
    """The image file is not the one that was opened first, or not as it was."""
    return Refusal(
        "MC0103",
        f"{printable(image.path)} changed while it was read",
        "fstat(2): device, inode, size, mtime or ctime differ from those seen first",
        "Run the command again once nothing writes the file.",
    )


def adopt(descriptor: int, image: Image, cache: str) -> Tree | None:
    """The tree of the same content, when one is there: hashing is cheaper than unpacking.

    Only tried when a tree was made from as many bytes, as after `touch`, `chmod` or `cp`.
    """
    records = (read_record(entry.path) for entry in os.scandir(f"{cache}/trees"))
    if not any(record and record.bytes == image.size for record in records):
        return None
    from minictr.image.unpack import hash_range  # dear to who asks for a note: failures.py

    name = hash_range(descriptor, image)
    check_unchanged(descriptor, image)
    lock = index.hold(f"{cache}/trees/{name}", wait=True)
    if lock < 0:
        return None
    key = index.key_of(image.identity)
    entry = temporary_name(cache, key)
    try:
        tree = describe(f"{cache}/trees/{name}/root", image.kind, name).replace(lock=lock)
        with writing(cache):
            write_entry(entry, tree, image)
            os.rename(entry, f"{cache}/index/{key}")
    except BaseException:
        os.close(lock)
        remove(entry)
        raise
    return tree


def publish(
    descriptor: int, image: Image, cache: str, lock: int, progress: bool, home: str
) -> Tree:
    """Unpack into a temporary directory, make it durable, rename it into place, index it.

    Everything that needs space is written before the rename, so a full disk leaves nothing.
    """
    from minictr.image.unpack import unpack

    key = index.key_of(image.identity)
    temporary, entry = temporary_name(cache, key), temporary_name(cache, key)
    try:
        with writing(cache), unwritten(descriptor, image):
            os.mkdir(temporary, 0o700)
            name, manifest = unpack(descriptor, image, temporary, lock, progress)
            manifest = make_points(f"{temporary}/root", home, manifest)
            check_unchanged(descriptor, image)
            described = describe(f"{temporary}/root", image.kind, name)
            tree = described.replace(root=f"{cache}/trees/{name}/root")
            write_tree_files(temporary, image, manifest)
            write_entry(entry, tree, image)
            synchronise(temporary, cache)
            held = put(temporary, f"{cache}/trees/{name}", key, cache)
            os.rename(entry, f"{cache}/index/{key}")
        return tree.replace(lock=held)
    except BaseException:
        remove(temporary)
        remove(entry)
        raise


def put(temporary: str, final: str, key: str, cache: str) -> int:
    """Rename the finished tree to its name; the descriptor of the shared lock on what is there.

    The lock is taken before the tree can be seen: no `cache clean` comes between. Where another
    of the same content was faster, that is used, and this one removed.
    """
    held = index.hold(temporary)
    for _ in range(ATTEMPTS):
        try:
            os.rename(temporary, final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return held
        other = index.hold(final, wait=True)
        if other >= 0:
            os.close(held)
            remove(temporary)
            return other
        # Nobody can use a tree without its lock file: it is what an `rm -r` left.
        with contextlib.suppress(FileNotFoundError):
            rest = temporary_name(cache, key)
            os.rename(final, rest)
            remove(rest)
    raise OSError(errno.EBUSY, "others publish and remove it at the same time", final)


def sweep(cache: str, own: str) -> None:
    """Remove what killed processes left in tmp/; the caller holds the lock of the key `own`."""
    host = os.uname().nodename
    for entry in os.scandir(f"{cache}/tmp"):
        key, _, home = (*entry.name.split(".", 2), "", "")[:3]
        if not key or (home != host and not old(entry)):
            continue
        ours = contextlib.nullcontext(True) if key == own else free(cache, key)
        # What cannot be removed stands in nobody's way: `cache clean` reports it.
        with ours as free_now, contextlib.suppress(OSError):
            if free_now:
                remove(entry.path)


def old(entry: os.DirEntry[str]) -> bool:
    """Whether a temporary was made more than FOREIGN_AGE ago; one that is gone is not."""
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_ctime > FOREIGN_AGE
    except FileNotFoundError:
        return False
