"""`minictr build`: write an image."""

from __future__ import annotations

import posix
import signal
import sys

from minictr.cli.messages import write
from minictr.cli.texts import read_text
from minictr.image.build import COMPRESSORS, build
from minictr.refusal import Refusal

USAGE = f"""\
Usage: minictr build [options] OUT.sif DIRECTORY

  write DIRECTORY, a root file system, as the SIF image OUT.sif

Options:
  -F, --force             replace OUT.sif
      --compressor NAME   {", ".join(COMPRESSORS)}; gzip if not given
      --recipe FILE       a definition file to keep in the image

SOURCE_DATE_EPOCH, seconds since 1970, stands for the time in the image: the same tree then gives
the same bytes.
"""

WITH_VALUE = {"--compressor": "gzip", "--recipe": ""}


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Carry out `minictr build ARGUMENTS`; gives the exit status. Raises Refusal."""
    if {"-h", "--help"} & set(arguments):
        write(USAGE, 1)
        return 0
    flags, paths = parse(arguments)
    if len(paths) != 2:
        raise usage(f"requires 2 arg(s), received {len(paths)}")
    check_epoch(environ)
    # Ending by an exception removes the unfinished file, and mksquashfs with it.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup(1)
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    recipe = read_text(flags["--recipe"], "--recipe") if flags["--recipe"] else ""
    output, directory = paths
    # By descriptor: sys.stderr is None where the caller closed it.
    build(output, directory, flags["--compressor"], recipe, "--force" in flags, posix.isatty(2))
    return 0


def parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """(flags and their values, the other arguments); flags may stand anywhere."""
    flags = dict(WITH_VALUE)
    paths = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in WITH_VALUE:
            flags[name] = value if equals else next(rest, "")
        elif argument in ("-F", "--force"):
            flags["--force"] = "yes"
        elif argument == "-":
            raise usage("- is refused: images and trees are files with a name; ./- is one")
        elif argument.startswith("-"):
            raise usage(f"unknown flag: {argument}")
        else:
            paths.append(argument)
    if flags["--compressor"] not in COMPRESSORS:
        raise usage(f"there is no compressor {flags['--compressor']!r}")
    return flags, paths


def check_epoch(environ: dict[str, str]) -> None:
    """Refuse a SOURCE_DATE_EPOCH that is no number before any work is done."""
    epoch = environ.get("SOURCE_DATE_EPOCH", "0")
    if epoch and not (epoch.isascii() and epoch.isdigit()):
        raise usage(f"SOURCE_DATE_EPOCH is {epoch!r}, not a number of seconds")


def usage(cause: str) -> Refusal:
    """The refusal of a command line."""
    return Refusal("usage", cause, "", "minictr build --help")
