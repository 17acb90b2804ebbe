"""What stops a command, or ends it: a part of its file that the served image cannot give."""

from __future__ import annotations

import errno
import posix
import signal

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.payload import RunPayload
from minictr.diagnosis.probes.command import directory
from minictr.diagnosis.probes.inside import of_the_image
from minictr.diagnosis.probes.libraries import Lacking, first_lacking
from minictr.diagnosis.probes.program import Program, chain, seen_from
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.damage import damage
from minictr.image.refusals import printable
from minictr.runtime.serve import AttachImage

_NOT_FOUND = 127 << 8  # the wait status of a loader that gives up
_PIECE = 1 << 17  # bytes of one read(2): the kernel hands FUSE no more at once


@cause(
    "MC0648",
    "a program's file is damaged in the image that is served",
    stops=("Execute", RunPayload.__name__),
)
def file_damaged(interview: Interview) -> Verdict:
    """An image that is served by FUSE is not read before a launch, and a block of it that does not
    decompress is found by who reads that block: read(2) and execve(2) give EIO. A page of a program
    that cannot be read when it is touched is SIGBUS, in the midst of the command. A library whose
    head or dynamic section is damaged ends every program that needs it before it begins: by SIGBUS,
    or with status 127.

    The file is read again, to the first byte that gives EIO, and unsquashfs reads it out of the
    image: a disk that fails under the image, or a server that does, is not damage.

    Reproduction (an ordinary user; IMAGE is a directory):

        mksquashfs "$IMAGE" "$DIRECTORY/image.sqfs" -quiet -no-progress
        head -c 128 /dev/zero |
            dd of="$DIRECTORY/image.sqfs" bs=1 seek=160 conv=notrunc status=none
        minictr exec --unpack never "$DIRECTORY/image.sqfs" true

    Fix, user: download or copy the image again.

    Fix, administrator: none is needed.

    Not the cause: memory; a fault of the program, which ends by the same signal and whose file can
    be read; another file of the image that is damaged as well. Of a library that is damaged in
    its code alone nothing is said: nothing shows whether that code was run.

    Sources: execve(2), EIO; mmap(2), SIGBUS; mm/filemap.c, filemap_fault; ld.so(8).
    """
    ended = _ended(interview)
    if ended is None:
        return None
    if not any(isinstance(step, AttachImage) for step in interview.plan.build):
        return Excluded("the image is not served")
    root = interview.container()
    if not root or not interview.failure.arguments:
        return Unknown("what was executed cannot be looked at")
    for path in _files(interview, root):
        if not of_the_image(interview, path) or (at := _unreadable_at(root + path)) < 0:
            continue
        damaged = damage(interview.request.image, path)
        name = printable(path)
        if damaged is None:
            return Unknown(f"{name} cannot be read from byte {at}; in the image it is not damaged")
        return Proof(
            f"{name} is damaged in {printable(interview.request.image)}: {ended}",
            (f"read(2) of {name} in the container gives EIO from byte {at}", damaged.proof),
            fix_user=damaged.fix,
        )
    return Excluded("the program's file can be read to its end")


def _ended(interview: Interview) -> str | None:
    """How the damage showed, in words; None where something else did."""
    if interview.failure.errno == errno.EIO and interview.failure.call == "execve":
        return "execve(2) gives EIO"
    if not interview.failure.status:
        return None
    if interview.failure.status == _NOT_FOUND:
        return "the loader ended the command with status 127"
    code = posix.waitstatus_to_exitcode(interview.failure.status)
    return "SIGBUS ended the command" if code == -signal.SIGBUS else None


def _files(interview: Interview, root: str) -> tuple[str, ...]:
    """What execve(2) and the loader cannot do without, none a symbolic link.

    The program, its interpreter, its loader, and a library that no place has in a readable form.
    """
    where = interview.once(directory, interview)
    path = seen_from(where, str(interview.failure.arguments[0]))
    first = walk(root, path)
    if not first.is_file() or _unreadable_at(root + first.reached) >= 0:
        return (first.reached,) * first.is_file()
    programs = chain(root, path, where)
    found = [one.real for one in programs]
    if programs and programs[-1].kind == "elf" and programs[-1].wants:
        loader = walk(root, seen_from(where, programs[-1].wants))
        found += [loader.reached] * loader.is_file()
        found += _libraries(interview, root, programs[-1], where)
    return tuple(found)


def _libraries(interview: Interview, root: str, program: Program, where: str) -> list[str]:
    """The files of the first library that no loader can take; [] where that is left open.

    What is loaded before all others may stand for it: LD_PRELOAD, /etc/ld.so.preload.
    """
    if not interview.failure.status or len(interview.failure.arguments) < 4:
        return []
    listed, preloaded = (str(one) for one in interview.failure.arguments[2:4])
    if preloaded or walk(root, "/etc/ld.so.preload").found:
        return []
    lacking = interview.once(first_lacking, root, program.real, program.wants, listed, where)
    return [path for path, _ in lacking.wrong] if isinstance(lacking, Lacking) else []


def _unreadable_at(path: str) -> int:
    """The first byte that read(2) answers with EIO; -1 where there is none, or no look at it."""
    at = 0
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:  # closed to the caller: another matter
        return -1
    try:
        while read := len(posix.pread(descriptor, _PIECE, at)):
            at += read
    except OSError as error:
        return at if error.errno == errno.EIO else -1
    finally:
        posix.close(descriptor)
    return -1
