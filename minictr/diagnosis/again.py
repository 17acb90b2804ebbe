"""Writes the caller's command line again, changed: a fix that can be pasted."""

from __future__ import annotations

import posix
import sys

from minictr.image.refusals import quoted
from minictr.request import Request

NOT_OURS = "\a"  # no command line holds a bell

# The short options of shell that take no value: they can stand before its s in one word.
BOOLEAN = frozenset("ecCpinfwhuv")

# Variables that ask for a network namespace as these options do, with the prefixes they may have.
_NETWORK = {
    f"{prefix}_{name}".encode()
    for prefix in ("MINICTR", "APPTAINER", "SINGULARITY")
    for name in ("NET", "UNSHARE_NET", "NETWORK")
}


def again(
    request: Request,
    *options: str,
    without: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    command: tuple[str, ...] = (),
    image: str = "",
) -> str:
    """The same launch with `options`, without those named, and another command or image if given.

    NOT_OURS where it is no launch of ours that is explained: such a fix is left out. Another
    command is started by exec: shell leaves it out, and run gives it to the image's runscript.
    without  long options that take a value: "--id-map"
    flags    options that take none: "--net"
    """
    if request.action == "why":
        return NOT_OURS
    before, given, after = _parts(request, list(sys.argv))
    if command:
        before, given, after = _by_exec(request, before, given, command)
    after = [image or request.image, *after[1:]]
    # run-singularity takes no options: it stands for `singularity run`.
    program = request.program.removeprefix("run-")
    words = [program, *before, *options, *_left(given, without, flags), *after]
    return " ".join(quoted(word) for word in words)


def _parts(request: Request, arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """(up to the subcommand, its options, the image and what follows) as they were typed."""
    tail = [request.image, *request.command]
    for start, word in enumerate(arguments):
        if word != request.action or request.image not in arguments[start + 1 :]:
            continue
        image = len(arguments) - len(tail)
        if image > start and arguments[image:] == tail:
            first = arguments.index(request.program) + 1 if request.program in arguments else 1
            return arguments[min(first, start) : start + 1], arguments[start + 1 : image], tail
    return [request.action], [], tail


def _by_exec(
    request: Request, before: list[str], given: list[str], command: tuple[str, ...]
) -> tuple[list[str], list[str], list[str]]:
    """The parts of a launch of `command`; what names a shell is left out, for exec knows none.

    That is --shell PATH, and -s PATH, which can stand behind others: -es PATH becomes -e.
    """
    left = []
    words = iter(_left(given, ("--shell",), ()) if request.action == "shell" else given)
    for word in words:
        letters, found, path = word.partition("s")
        joined = found and letters[:1] == "-" and BOOLEAN.issuperset(letters[1:])
        if request.action != "shell" or not joined:
            left.append(word)
            continue
        left += [letters] * (len(letters) > 1)
        if not path:
            next(words, None)
    return [*before[:-1], "exec"], left, [request.image, *command]


def _left(given: list[str], without: tuple[str, ...], flags: tuple[str, ...]) -> list[str]:
    left = []
    words = iter(given)
    for word in words:
        if word in without:
            next(words, None)
        elif word.partition("=")[0] not in (*without, *flags):
            left.append(word)
    return left


def with_single_map(request: Request) -> str:
    """The same launch without the helpers, where one id is enough."""
    return again(request, "--id-map", "single", without=("--id-map",))


def without_network(request: Request) -> str:
    """The same launch on the host's network; a sentence where not only words of it ask for one.

    A variable may, or the letter n among other short options: -en.
    """
    given = _parts(request, list(sys.argv))[1]
    joined = any(len(word) > 2 and word[0] == "-" != word[1] and "n" in word for word in given)
    if joined or _NETWORK & set(posix.environ):
        return "Leave --net and --network none out."
    return again(request, without=("--network",), flags=("--net", "-n"))


def listing(request: Request, directory: str) -> str:
    """The command that lists a directory of the container."""
    return again(request, command=("ls", directory))
