"""Write a SIF from a directory: mksquashfs makes the root file system, we put it into a SIF."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import posix
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from typing import TypeAlias

from minictr.host import native
from minictr.image import sif
from minictr.image.metadata import Object, describe_objects
from minictr.image.open import architecture_of
from minictr.image.programs import ending_with_us, find, unrunnable
from minictr.image.refusals import printable, quoted
from minictr.image.source import other_kind
from minictr.image.storage import LITTLE, OTHER_OUTPUT, counts, existing, other_shortage, stopped
from minictr.image.tree import may
from minictr.image.verdict import ended
from minictr.refusal import Refusal

COMPRESSORS = ("gzip", "xz", "zstd", "lz4", "lzo")  # what unsquashfs reads
PIECE = 1 << 20  # bytes read at a time for the hash
OUTPUT = "output"
NOT_WRITTEN = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENAMETOOLONG),
)
# What a build writes until it is whole, and seconds in which its maker locks it.
UNFINISHED, YOUNG = ".minictr-build.", 5
UNREAD = re.compile(r"(?:Failed to read file|Could not open) (.*)$")
Room: TypeAlias = tuple[int, str]  # bytes that are free, and counts() of all that is
GROUP = 1  # apptainer puts all objects of an image into one group


def build(output: str, root: str, compressor: str, recipe: str, force: bool, show: bool) -> None:
    """Write the tree at `root` as `output`, a SIF of mode 0755, owned by root inside.

    recipe: text of a definition file, "" for root's own /.singularity.d/Singularity. The result
    depends on the tree and $SOURCE_DATE_EPOCH alone, when that is set. `show` asks for mksquashfs'
    progress bar. It is written beside `output` and renamed; a failure leaves nothing. Raises
    Refusal.
    """
    if not os.path.islink(output) and (other := other_kind(output)):
        raise Refusal("usage", f"{printable(output)} is not replaced: {other}")
    if os.path.lexists(output) and not force:
        raise Refusal("usage", f"{printable(output)} exists", "", "Give --force to replace it.")
    if not os.path.isdir(root):
        raise Refusal("usage", f"{printable(root)} is not a directory")
    objects = describe_objects(root, recipe)
    output = absolute(output)
    directory = os.path.dirname(output)
    offset = partition_offset(objects)
    with explained(output):
        sweep(directory)
        # What stops a write is looked for before the unfinished file is removed.
        with unfinished(directory) as (temporary, lock), explained(output):
            command = command_for(root, temporary, output, compressor, offset)
            make_squashfs(command, directory, lock, show)
            write_sif(temporary, objects, offset)
            os.rename(temporary, output)


@contextlib.contextmanager
def explained(output: str) -> Iterator[None]:
    """Turn an OSError into the refusal that says what keeps the output from being written."""
    try:
        yield
    except OSError as error:
        raise stopped(error.errno or 0, os.path.dirname(output), OUTPUT, output) from error


def absolute(output: str) -> str:
    """The path of the output from the root; Refusal where it begins in a directory that is gone."""
    try:
        return os.path.abspath(output)
    except OSError as error:
        raise Refusal(
            "MC0139",
            "the output cannot be written: the working directory cannot be named, so that "
            f"{printable(output)} begins nowhere",
            f"getcwd(2): {errno.errorcode[error.errno or 0]}",
            "cd to a directory that is there, or give the whole path of the output.",
        ) from error


@contextlib.contextmanager
def unfinished(directory: str) -> Iterator[tuple[str, int]]:
    """(path, descriptor) of a new file beside the output, removed where it is not renamed.

    mksquashfs inherits the descriptor, whose flock(2) says that somebody still writes.
    """
    path = f"{directory}/{UNFINISHED}{os.getpid()}.{os.uname().nodename}"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # a file system that has no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield path, lock
    finally:
        os.close(lock)
        with contextlib.suppress(OSError):  # renamed; or what failed is already being told
            os.unlink(path)


def sweep(directory: str) -> None:
    """Remove what builds that were killed have left beside the output."""
    try:
        left = [name for name in os.listdir(directory) if name.startswith(UNFINISHED)]
    except OSError:  # one can write where one may not list
        left = []
    for path in (f"{directory}/{name}" for name in left):
        with contextlib.suppress(OSError):  # in use, gone meanwhile, or another user's
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(file).st_mtime > YOUNG:  # else about to be locked
                    os.unlink(path)
            finally:
                os.close(file)


def partition_offset(objects: list[Object]) -> int:
    """Where the partition begins: after the other objects, aligned."""
    end = sif.DATA_AT + sum(len(content) for _, _, content in objects)
    return -(-end // sif.PARTITION_ALIGNMENT) * sif.PARTITION_ALIGNMENT


def command_for(root: str, path: str, output: str, compressor: str, offset: int) -> list[str]:
    """The command that writes a squashfs of `root` at byte `offset` of the file `path`.

    -exit-on-error: without it a file that cannot be read becomes an empty one, with status 0.
    mksquashfs leaves `path` out by itself; an older `output` below root is left out likewise.
    """
    command = [find_mksquashfs(), root, path, "-noappend", "-all-root", "-exit-on-error", "-quiet"]
    command += ["-comp", compressor, "-offset", str(offset)]
    inside = os.path.relpath(os.path.realpath(output), os.path.realpath(root))
    return command if inside.startswith("../") else [*command, "-e", inside]


def find_mksquashfs() -> str:
    """The path of mksquashfs."""
    return find("mksquashfs", "MC0127", "writes the root file system")


def make_squashfs(command: list[str], directory: str, lock: int, show: bool) -> None:
    """Run mksquashfs; its bar goes to stderr, as everything that is not a result."""
    at, room = command.index("-quiet"), room_in(existing(directory))
    done = subprocess.run(
        ending_with_us(command if show else [*command[:at], "-no-progress", *command[at:]]),
        stdin=subprocess.DEVNULL,
        stdout=2 if show else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(lock,),
        text=True,
        errors="surrogateescape",
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if done.returncode == 0:
        return
    raise refused(done.returncode, done.stderr.strip().splitlines(), command, room)


def refused(status: int, words: list[str], command: list[str], room: Room) -> Refusal:
    """What kept mksquashfs from writing, by its words and by what they are about."""
    program, root, path = command[:3]
    for number in NOT_WRITTEN:
        if any(line.endswith(os.strerror(number)) for line in words):
            refusal = stopped(number, os.path.dirname(path), OUTPUT, path)
            return filled(refusal, command, room) if number == errno.ENOSPC else refusal
    for line in words:
        found = UNREAD.match(line)
        if found and not may(found[1], os.R_OK):
            return unreadable(found[1])
    said = " / ".join(words[-3:]) or "(no message)"
    return unrunnable(program, words) or Refusal(
        "MC0000",
        f"mksquashfs did not write the root file system of {printable(root)}",
        f"it {ended(status)}: {said}",
    )


def room_in(directory: str) -> Room:
    """What there is before anything is written: mksquashfs removes what it could not end."""
    numbers = os.statvfs(directory)
    return numbers.f_bavail * numbers.f_frsize, counts(directory)


def filled(refusal: Refusal, command: list[str], room: Room) -> Refusal:
    """The refusal for ENOSPC, with the room that there was before.

    Who else wrote meanwhile has taken what there is less now, without what mksquashfs removed.
    """
    root, path = command[1:3]
    where, (free, counted) = os.path.dirname(path), room
    if refusal.code == "MC0122":
        return refusal
    files = (f"{at}/{name}" for at, _, names in os.walk(root) for name in names)
    most = LITTLE + sum(os.lstat(file).st_size for file in files)
    left, now = room_in(where)
    if min(free, left) > most:
        return other_shortage(where, OUTPUT, f"before, {counted}")
    cause = f"no space is left for the {OUTPUT} {where}"
    when = f"before, {counted}" if free <= most else f"without what it wrote, {now}"
    return Refusal("MC0121", cause, f"mksquashfs met ENOSPC; {when}", OTHER_OUTPUT)


def unreadable(path: str) -> Refusal:
    """A file or directory of the tree that this user may not read."""
    status = os.lstat(path)
    mine = status.st_uid == os.geteuid()
    right = "u+rx" if stat.S_ISDIR(status.st_mode) else "u+r"
    return Refusal(
        "MC0135",
        f"{printable(path)} cannot be read, and so not be put into the image",
        f"lstat({printable(path)}): uid {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}; "
        f"the caller is uid {os.geteuid()}",
        f"chmod {right} {quoted(path)}" if mine else "",
        "" if mine else f"setfacl -m u:{os.geteuid()}:{right[2:]} {quoted(path)}",
    )


def write_sif(path: str, objects: list[Object], offset: int) -> None:
    """Complete the file whose partition begins at `offset`: objects, descriptors, header."""
    with open(path, "r+b") as file:
        length = file.seek(0, os.SEEK_END)
        now = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        machine = architecture_of(native(posix.uname().machine))
        arch = machine if machine in sif.ARCHITECTURES.values() else ""
        extra = sif.PARTITION.pack(sif.FS_SQUASHFS, sif.PART_PRIMARY, sif.arch_code(arch))
        sizes = [(kind, name, len(content), b"") for kind, name, content in objects]
        sizes.append((sif.PARTITION_TYPE, "", length - offset, extra))
        position = file.seek(sif.DATA_AT)
        file.writelines(content for _, _, content in objects)
        file.seek(sif.DESCRIPTORS_AT)
        for number, (kind, name, size, meaning) in enumerate(sizes, 1):
            start = offset if kind == sif.PARTITION_TYPE else position
            padded = start - position + size
            descriptor = sif.Descriptor(
                kind, True, number, GROUP, 0, start, size, padded, now, now, 0, 0, name, meaning
            )
            file.write(sif.pack_descriptor(descriptor))
            position = start + size
        file.write(bytes((sif.DESCRIPTORS - len(sizes)) * sif.DESCRIPTOR.size))
        file.seek(0)
        file.write(header(arch, content_id(file.fileno(), length), now, len(sizes), length))
        file.flush()
        os.fchmod(file.fileno(), 0o755 & ~umask())
        os.fsync(file.fileno())


def header(arch: str, identifier: bytes, now: int, used: int, length: int) -> bytes:
    """The global header of a file of `length` bytes with `used` objects."""
    table = sif.DESCRIPTORS * sif.DESCRIPTOR.size
    return sif.pack_header(
        sif.Header(
            sif.LAUNCH,
            "01",
            arch,
            identifier,
            now,
            now,
            sif.DESCRIPTORS - used,
            sif.DESCRIPTORS,
            sif.DESCRIPTORS_AT,
            table,
            sif.DATA_AT,
            length - sif.DATA_AT,
        )
    )


def content_id(descriptor: int, length: int) -> bytes:
    """A UUID (version 8, RFC 9562) made of what the file holds behind the header."""
    digest = hashlib.sha256()
    for position in range(sif.DESCRIPTORS_AT, length, PIECE):
        digest.update(os.pread(descriptor, PIECE, position))
    raw = bytearray(digest.digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def umask() -> int:
    """The file mode creation mask, which can only be read by setting it (umask(2))."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
