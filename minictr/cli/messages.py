"""Writes lines of the launcher to stderr, labelled as the name we are called by labels them.

Standard output belongs to the payload alone: nothing here writes to it.
"""

from __future__ import annotations

import posix

from minictr.cli.names import DROP_IN_NAMES
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.names import Name
    from minictr.request import Request

# Level -> (label of our own, label of the drop-in names, lowest verbosity at which it is shown).
# --quiet (-1) hides INFO alone, --silent (-2) hides WARNING too, as apptainer does.
LABELS = {
    "fatal": ("minictr: error: ", "FATAL:   ", -9),
    "warning": ("minictr: warning: ", "WARNING: ", -1),
    "info": ("minictr: ", "INFO:    ", 0),
    "verbose": ("minictr: ", "VERBOSE: ", 1),
    "debug": ("minictr: debug: ", "DEBUG:   ", 2),
}


def line(program: str, verbosity: int, level: str, text: str) -> str:
    """One labelled line; "" where `verbosity` is too low for `level` (a key of LABELS).

    Names in it can be those that an image gave its files: no terminal is to obey them.
    """
    own, drop_in, lowest = LABELS[level]
    if verbosity < lowest:
        return ""
    if not text.isprintable():
        text = visible(text)
    return (drop_in if program in DROP_IN_NAMES else own) + text + "\n"


def visible(text: str) -> str:
    """The text with what a terminal does not print, or obeys, as a Python literal has it."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def tell(program: str, verbosity: int, level: str, text: str) -> None:
    """Write one labelled line, unless `verbosity` is too low for `level`."""
    write(line(program, verbosity, level, text))


def say(request: Request, text: str, level: str = "info") -> None:
    """Say what is done: level "info", or "verbose" (shown by -v), or "debug" (shown by -d)."""
    tell(request.program, request.verbosity, level, text)


def warn(request: Request, text: str) -> None:
    """Say that the launch goes on although something asked for does not."""
    tell(request.program, request.verbosity, "warning", text)


def fatal(program: str, text: str) -> None:
    """Say why the launcher ends here; shown at every verbosity."""
    tell(program, 0, "fatal", text)


def refuse(name: Name, refusal: Refusal, command: str = "", form: object = None) -> int:
    """Report a refused input and give the exit status that says so under this name.

    form   of the report, "text" or "json"; None where no option was read that says it
    """
    form = form or posix.environ.get(b"MINICTR_DIAGNOSIS", b"text").decode("utf-8", "replace")
    if refusal.code.startswith("MC") or form == "json":
        from minictr.cli.reports import refusal_of_a_command

        return refusal_of_a_command(name, refusal, str(form))
    if refusal.code != "usage":
        fatal(name.program, refusal.cause)
    elif name.drop_in:
        write(f'Error for command "{command or name.program}": {refusal.cause}\n\n')
    else:
        fatal(name.program, f"{command}: {refusal.cause}" if command else refusal.cause)
    for label, text in (("proof", refusal.proof), ("fix", refusal.fix)):
        if text:
            write(f"  {label}: {text}\n")
    return name.usage_status if refusal.code == "usage" else name.failure_status


def write(text: str, descriptor: int = 2) -> None:
    """Write all of `text`; file names of any bytes survive as surrogates.

    Raises Refusal and BrokenPipeError where the descriptor is not that of standard error.
    """
    left = text.encode("utf-8", "surrogateescape")
    while left:
        try:
            written = posix.write(descriptor, left)
            if not written:  # which no kernel answers: a filter does, and would for ever
                return
            left = left[written:]
        except OSError as error:
            if descriptor == 2:
                return  # nobody reads it, and there is no other place to say so
            if isinstance(error, BrokenPipeError):
                raise
            why = posix.strerror(error.errno or 0)
            raise Refusal("request", f"standard output cannot be written: {why}") from None
