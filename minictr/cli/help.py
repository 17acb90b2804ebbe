"""Writes the text of --help, out of the tables of the options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from minictr.cli.names import DROP_IN_NAMES, Name
from minictr.cli.options import ACCEPTED, ACTION, GLOBAL, OWN, REFUSED, SHELL, usage

# Command -> (what follows its name, what it does).
SUMMARIES = {
    "run": ("[options] IMAGE [ARGUMENTS...]", "start the image's runscript"),
    "exec": ("[options] IMAGE COMMAND [ARGUMENTS...]", "start a command in the image"),
    "shell": ("[options] IMAGE", "start a shell in the image"),
    "test": ("[options] IMAGE [ARGUMENTS...]", "start the image's test script"),
    "plan": ("[options] IMAGE COMMAND [ARGUMENTS...]", "print each step that exec would take"),
    "cache": ("list|clean|verify", "the unpacked images"),
    "build": ("OUT.sif DIRECTORY", "write an image"),
    "drop-in": ("[--force] DIRECTORY", f"write scripts named {', '.join(DROP_IN_NAMES)}"),
    "doctor": ("[--json] [IMAGE]", "look for what would stop a launch on this machine"),
    "explain": ("[CODE...]", "explain causes, or list them"),
    "why": ("[--] COMMAND [ARGUMENTS...]", "explain why any other program failed"),
    "help": ("[COMMAND]", "print this help"),
    "version": ("", "print the version number"),
}


def help_text(name: Name, command: str, actions: Iterable[str], commands: Iterable[str]) -> str:
    """The help of an action, or of the program; the other commands have help of their own."""
    if command in actions:
        return "\n".join(help_of_action(name, command)) + "\n"
    return "\n".join(help_of_program(name, (*actions, *commands, "help", "version"))) + "\n"


def help_of_program(name: Name, commands: Iterable[str]) -> Iterator[str]:
    """The lines of `minictr help`."""
    yield f"Usage: {name.program} [global options] COMMAND [options] ..."
    yield ""
    yield "Commands:"
    for command in commands:
        arguments, summary = SUMMARIES.get(command, ("", ""))
        yield from entry(f"{command} {arguments}", summary, 24)
    yield ""
    yield "Global options:"
    for row in GLOBAL:
        yield from entry(usage(row), row[-1])


def help_of_action(name: Name, command: str) -> Iterator[str]:
    """The lines of `minictr exec --help` and the like."""
    arguments, summary = SUMMARIES[command]
    yield f"Usage: {name.program} {command} {arguments}"
    yield ""
    yield f"  {summary}"
    yield ""
    yield "Options:"
    own = () if name.drop_in else OWN
    for row in (*ACTION, *(SHELL if command == "shell" else ()), *own):
        yield from entry(usage(row), row[-1])
    yield ""
    yield "Accepted, without effect:"
    for row in ACCEPTED:
        yield from entry(usage(row), row[-1])
    yield ""
    yield "Refused:"
    for row in REFUSED:
        yield from entry(usage(row), row[-1])


def entry(flags: str, text: str, width: int = 34) -> Iterator[str]:
    """One line, or two where the flags leave no room."""
    flags = f"  {flags.rstrip()}"
    if len(flags) > width:
        yield flags
        flags = ""
    yield f"{flags:{width}}  {text}".rstrip()
