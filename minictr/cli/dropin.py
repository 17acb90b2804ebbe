"""minictr drop-in DIR: writes start scripts by which clients of apptainer find minictr."""

from __future__ import annotations

import contextlib
import errno
import os

from minictr.cli.grammar import read_flags
from minictr.cli.messages import write
from minictr.cli.names import DROP_IN_NAMES
from minictr.cli.options import index
from minictr.image.obstacles import no_directory
from minictr.refusal import Refusal
from minictr.scripts import here, script_for

FLAGS = index(
    (
        ("force", "F", "bool", "", "", "overwrite files that minictr did not write"),
        ("help", "h", "bool", "", "", "print this help"),
    )
)
USAGE = f"""\
Usage: minictr drop-in [--force] DIRECTORY

  Write start scripts named {", ".join(DROP_IN_NAMES)} into DIRECTORY, so that clients
  of apptainer find minictr there. --force overwrites files that minictr did not write.
"""

# Which files are ours to overwrite.
MARK = "minictr.start"


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Write one script per name into a directory.

    Scripts with absolute paths, because resolving a symbolic link in sh costs as much as a launch's
    own imports.
    """
    values, rest = read_flags(arguments, FLAGS, {})
    if "help" in values:
        write(USAGE, 1)
        return 0
    if len(rest) != 1:
        raise Refusal("usage", f"takes one directory, received {len(rest)} arguments")
    directory = os.path.abspath(rest[0])
    paths = [os.path.join(directory, name) for name in DROP_IN_NAMES]
    try:
        os.makedirs(directory, exist_ok=True)
        if values.get("force") is not True:
            refuse_foreign(paths)
        for name, path in zip(DROP_IN_NAMES, paths, strict=True):
            publish(path, script_for(name, *here()))
    except OSError as error:
        cause = f"{error.filename} cannot be written: {error.strerror}"
        in_the_way = no_directory("directory of the start scripts", directory, "Name another one.")
        limited = error.errno == errno.EFBIG  # of which a report finds the limit
        raise in_the_way or Refusal("MC0000" if limited else "request", cause) from error
    write("".join(f"{path}\n" for path in paths), 1)
    if directory not in environ.get("PATH", "").split(":"):
        write(f"minictr: {directory} is not in PATH\n")
    return 0


def refuse_foreign(paths: list[str]) -> None:
    """Refuse before the first write, so that all scripts are written or none."""
    for path in paths:
        if os.path.lexists(path) and not is_ours(path):
            cause = f"{path} exists and was not written by minictr"
            raise Refusal("request", cause, "", "Add --force to overwrite it.")


def is_ours(path: str) -> bool:
    """Whether a drop-in command wrote this file."""
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as script:
        return MARK in script.read(1 << 16)


def publish(path: str, text: str) -> None:
    """Write beside the final name and rename: a script that is being started stays whole."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as script:
            script.write(text)
        os.chmod(temporary, 0o755)
        os.rename(temporary, path)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise OSError(error.errno, error.strerror, path) from error
