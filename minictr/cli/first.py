"""The first launch of an image: unpack it, or serve it at once and unpack it behind.

A small image is unpacked before a server could be started. Of a big one the payload sees the first
byte before a twentieth is unpacked; but each file that is read through FUSE is decompressed anew,
in every container, so the launches to come shall find it unpacked.
"""

from __future__ import annotations

import contextlib
import os
import posix

from minictr.cli import messages
from minictr.image.behind import GO_ON, unpack_behind
from minictr.image.describe import describe
from minictr.image.open import Image, open_image
from minictr.image.refusals import printable
from minictr.image.source import open_source
from minictr.image.squashfs import all_of_root
from minictr.image.squashfuse import DEVICE, SERVER, closed, commands, find_server
from minictr.image.tree import Served, Tree
from minictr.modules import home_directory
from minictr.refusal import Refusal
from minictr.runtime.serve import ended, serve, stop
from minictr.runtime.signals import catch_interrupts, expect_children
from minictr.runtime.syscalls import CallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from minictr.diagnosis.values import Diagnosis
    from minictr.request import Request

# What takes about as long to unpack as a server to start: bytes of the squashfs, and inodes.
BIG, MANY = 16 << 20, 3000
# "It does not exist", of what was seen before, and "it cannot be read": a damaged image, served.
ABSENT = ("MC0101", "MC0000")


def first_tree(request: Request, cache: str, behind: bool) -> Tree:
    """The tree of an image which the cache does not have. Raises Refusal.

    behind   whether what is served may be unpacked by a process that outlives this one
    """
    image = open_image(request.image)
    expect_children()  # of a server, or of what unpacks, it counts how they end
    # Without a PID namespace what the command leaves running would lose its root with the server.
    later = request.unpack == "background" and "pid" in request.namespaces and is_big(image)
    if image.kind != "directory" and (request.unpack == "never" or later):
        stopped = kept_from_unpacking(image, cache, behind) if later else None
        try:
            tree, server = served(image, request.unpack == "never")
        except Refusal as refusal:
            if request.unpack == "never":
                raise explained(request, refusal) from None
            if refusal.code in ("MC0103", "MC0143"):  # which unpacking would not change
                raise
            messages.say(request, f"unpack: at once, because {refusal.cause}", "verbose")
        else:
            messages.say(request, f"unpack: {request.unpack}, {server} serves it", "verbose")
            if stopped:
                warn_of(request, stopped)
            elif behind and later:
                limit, home = request.cache_limit, home_directory(dict(request.host_environment))
                return tree.replace(behind=unpack_behind(request.image, cache, limit, home))
            return tree
    return unpacked(request, cache)


def kept_from_unpacking(image: Image, cache: str, behind: bool) -> Refusal | None:
    """What would stop a process that unpacks it, as far as is known. Raises Refusal."""
    from minictr.image.failures import hindrance  # dear to a launch of what is never unpacked

    return hindrance(image, cache, behind)


def warn_of(request: Request, stopped: Refusal) -> None:
    """Say why each launch of the image is served, and what says more."""
    code = f" [{stopped.code}]" if stopped.code != "MC0000" else ""
    text = f"{printable(request.image)} is served, for it cannot be unpacked: {stopped.cause}{code}"
    messages.warn(request, f"{text}; --unpack now tells more")


def unpacked(request: Request, cache: str) -> Tree:
    """The tree, unpacked before the launch goes on. Raises Refusal."""
    from minictr.image import unpack  # noqa: F401  before an interrupt is caught: signals.py
    from minictr.image.cache import ensure  # dear to a launch that is served

    catch_interrupts()
    tree = ensure(
        request.image,
        cache,
        say=lambda text: messages.say(request, text),
        progress=request.verbosity >= 0 and posix.isatty(2),
        home=home_directory(dict(request.host_environment)),
    )
    if tree.name and request.cache_limit:
        make_room(request, cache, tree)
    catch_interrupts(False)
    return tree


def make_room(request: Request, cache: str, tree: Tree) -> None:
    """Keep the cache within its limit. What cannot be removed stands in nobody's way."""
    from minictr.image.inventory import shrink

    try:
        removed = shrink(cache, request.cache_limit, tree.name)
    except (Refusal, OSError) as error:
        why = error.cause if isinstance(error, Refusal) else str(error)
        messages.warn(request, f"the cache stays above --cache-limit: {why}")
        return
    for old in removed:
        text = f"cache: removed {', '.join(old.images)}, for --cache-limit"
        messages.say(request, text, "verbose")


def let_go(tree: Tree) -> str:
    """End the server after the launch, and let go on what unpacks behind it.

    Gives words where the server had ended before, when the command read errors; and where it does
    not end.
    """
    if tree.behind >= 0:
        with contextlib.suppress(BrokenPipeError):  # it found that another one unpacks
            os.write(tree.behind, GO_ON)
    if not tree.served:
        return ""
    who = f"{tree.served.program}, which served the image,"
    if how := ended(tree.served.server):
        return f"{who} ended by {how}, before the command did"
    if not stop(tree.served.server):
        return f"{who} was killed and has not ended yet: pid {tree.served.server}"
    return ""


@contextlib.contextmanager
def served_again(request: Request, tree: Tree) -> Iterator[None]:
    """Serve the image once more: meanwhile its mount stands at the descriptor of the first one.

    move_mount(2) attaches a detached mount once, and the container is built a second time to look
    for what the command lacked. Where nothing can serve it, that does not come about.
    """
    assert tree.served
    place, first = tree.served.mount, posix.dup(tree.served.mount)
    server = -1
    try:
        with contextlib.suppress(Refusal):
            again = served(open_image(request.image), request.unpack == "never")[0].served
            assert again
            server = again.server
            posix.dup2(again.mount, place, False)
            posix.close(again.mount)
        yield
    finally:
        posix.dup2(first, place, False)
        posix.close(first)
        if server >= 0:
            stop(server)


def is_big(image: Image) -> bool:
    """Whether unpacking the image would be felt."""
    return image.size > BIG or image.inodes > MANY


def served(image: Image, anyhow: bool) -> tuple[Tree, str]:
    """The tree as a server shows it, and the name of that. Raises Refusal: what keeps us from it.

    anyhow   also where not every file can be shown as the caller's, which it is once unpacked
    """
    source = open_source(image.path)
    try:
        if source.identity != image.identity:
            from minictr.image.cache import changed

            raise changed(image)
        bare = image.kind == "squashfs"
        plain = all_of_root(source, image.offset, image.size, bare)
        ids = "root" if plain else "may" if anyhow else "any"
        mounted = started(source.descriptor, image, ids)
    finally:
        os.close(source.descriptor)
    try:
        tree = describe(f"/proc/self/fd/{mounted.mount}", image.kind, "")
    except BaseException as error:
        stop(mounted.server)
        if isinstance(error, Refusal) and error.code in ABSENT:
            raise unreadable(image, error.cause) from None
        raise
    return tree.replace(served=mounted), mounted.program


def started(descriptor: int, image: Image, ids: str) -> Served:
    """The running server of the image, and its mount; `ids` as in commands(). Raises Refusal."""
    program = find_server()
    for owner, command in commands(program, image.offset, ids):
        try:
            return serve(descriptor, command, owner)
        except CallError as refused:
            if refused.call == "open" and refused.arguments[0] == DEVICE:
                raise closed(refused.errno) from None
            why = refused
    said = f"{why.call}: {posix.strerror(why.errno)}" if why.call else "it ended"
    if why.call in ("", "lstat"):  # it runs, or did
        raise unreadable(image, said) from why
    raise unserved(image, said) from why


def unreadable(image: Image, said: str) -> Refusal:
    """The server does not show what has to be there: the image is damaged, or nobody knows why."""
    from minictr.image.damage import damage

    return damage(image.path) or unserved(image, said)


def unserved(image: Image, said: str) -> Refusal:
    """What was refused, or answered, on the way to a server of the image."""
    cause = f"{SERVER} cannot serve {printable(image.path)}"
    return Refusal("MC0000", cause, said, "Leave --unpack never out.")


def explained(request: Request, refusal: Refusal) -> Refusal:
    """Why nothing can serve the image, where that is the cause of a call that was refused."""
    refused = refusal.__cause__
    if not isinstance(refused, CallError):
        return refusal
    from minictr.diagnosis import unserved
    from minictr.host import read_host

    return unserved.explained(refusal, refused, read_host(), request)


def unless_damaged(request: Request, found: Diagnosis) -> Diagnosis:
    """The diagnosis of what a served image is said not to have; the damage where that is found."""
    from minictr.diagnosis import diagnose_refusal
    from minictr.image.damage import damage

    damaged = damage(request.image)
    return diagnose_refusal(damaged) if damaged else found
