"""Reads the command line up to the subcommand and starts what it names."""

from __future__ import annotations

import posix

from minictr.cli.grammar import read_flags, read_variables
from minictr.cli.messages import refuse, write
from minictr.cli.names import named
from minictr.cli.options import GLOBAL, flags_of, index
from minictr.modules import cache_directory, home_directory
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.grammar import Values
    from minictr.cli.names import Name
    from minictr.request import Request

# Subcommand -> how many arguments it takes at least; plan shows what exec would do.
ACTIONS = {"run": 1, "exec": 2, "shell": 1, "test": 1, "plan": 2}

# Subcommand -> the module whose main(arguments, environ) is called.
COMMANDS = {
    "cache": "minictr.cli.cache",
    "build": "minictr.cli.build",
    "doctor": "minictr.cli.doctor",
    "drop-in": "minictr.cli.dropin",
    "explain": "minictr.cli.explain",
    "why": "minictr.cli.why",
}

ANSWERED = ("help", "version")  # here

# What singularity and apptainer have and we do not: named, so that nobody looks for a typing error.
# fmt: off
UNSUPPORTED = (
    "apps", "capability", "checkpoint", "completion", "config", "delete", "inspect", "instance",
    "key", "keyserver", "oci", "overlay", "plugin", "pull", "push", "registry", "remote",
    "run-help", "search", "sif", "sign", "verify",
)
# fmt: on

SYSTEM_CONFIG = "/etc/minictr/config.toml"


def main(called_as: str, arguments: list[str], environ: dict[str, str]) -> int:
    """Do what the command line says.

    called_as   last component of argv[0]
    arguments   what follows it
    environ     the caller's environment, undecodable bytes as surrogates
    Gives the exit status: the payload's, or that of names.py; minus a signal to end by.
    """
    name = named(called_as)
    if called_as == "run-singularity":
        arguments = ["--quiet", "run", *arguments]
    command = ""
    values: Values = {}
    try:
        values, rest = read_flags(arguments, index(GLOBAL), values)
        if "help" in values or "version" in values:
            return answer(name, "help" if "help" in values else "version")
        if not rest:
            raise Refusal("usage", "a command is missing", "", f"{name.program} help")
        command, *rest = rest
        if command in ACTIONS:
            return act(name, command, rest, values, environ)
        return dispatch(name, command, rest, environ)
    except Refusal as refusal:
        known = command if command in ACTIONS or command in COMMANDS else ""
        status = refuse(
            name, refusal, known, values.get("diagnosis") or form_of(refusal, arguments)
        )
        if refusal.code == "usage" and name.drop_in:
            print_help(name, command)
        return status


def form_of(refusal: Refusal, arguments: list[str]) -> str:
    """The form of a report where the flag that says it stands behind one that cannot be read."""
    from minictr.start import asks_for_object

    return "json" if refusal.code == "usage" and asks_for_object(arguments) else ""


def act(
    name: Name, command: str, arguments: list[str], values: Values, environ: dict[str, str]
) -> int:
    """run, exec, shell, test: make the Request and launch it; plan: print what would be done."""
    action = "exec" if command == "plan" else command
    values, rest = read_flags(arguments, flags_of(action, not name.drop_in), values)
    if "help" in values:
        return print_help(name, command)
    least = ACTIONS[command]
    if len(rest) < least:
        cause = f"requires at least {least} arg(s), only received {len(rest)}"
        raise Refusal("usage", cause)
    request = request_of(name, action, rest, values, environ)
    if command == "plan":
        from minictr.cli import plan

        return plan.main(request)
    from minictr.cli import actions

    return actions.main(request)


def request_of(
    name: Name, action: str, arguments: list[str], values: Values, environ: dict[str, str]
) -> Request:
    """Merge flags, variables and configuration, in this order of precedence, into a Request."""
    from minictr.cli.compose import compose

    flags = set(values)
    origins: dict[str, str] = {}
    warnings = read_variables(environ, values, origins)
    left_out = configure(name, values, environ, origins)
    try:
        request = compose(name, action, arguments, values, environ, warnings)
    except Refusal as refusal:
        raise with_origin(refusal, flags, origins) from None
    if left_out:
        said = tuple(("verbose", not_looked_at(path)) for path in left_out)
        request = request.replace(notices=(*request.notices, *said))
    return request


def with_origin(refusal: Refusal, flags: set[str], origins: dict[str, str]) -> Refusal:
    """The refusal with what set the option that it is about, where no flag did.

    origins   option -> the variable with its value, or the configuration file
    """
    of_binds = ("bind", "mount") if refusal.code == "MC0445" else ()
    for key in origins.keys() - flags:
        if key in of_binds or f"--{key} " in refusal.cause:
            refusal.proof = f"{refusal.proof}\n--{key} is set by {origins[key]}".lstrip("\n")
    return refusal


def configure(
    name: Name, values: Values, environ: dict[str, str], origins: dict[str, str]
) -> list[str]:
    """Add what the configuration files say; without one this is two failed stat(2).

    Gives the usual places that cannot be looked at: after su(1) without -l $HOME is another user's,
    and what that user may have there is not meant. What --config names has to be read.
    """
    chosen = values.pop("config", None)
    if chosen is not None and name.drop_in:
        cause = f"the configuration file {chosen} is refused: no apptainer.conf is read"
        raise Refusal("request", cause, "", f"Put the options into {user_config(environ)}.")
    files = [SYSTEM_CONFIG, str(chosen or user_config(environ))]
    closed: list[str] = []
    found = [path for path in files if path == chosen or exists(path, closed)]
    if found:
        from minictr.config import merge

        merge(found, values, cache_directory(environ), origins)
    return closed


def user_config(environ: dict[str, str]) -> str:
    """The path of the caller's own configuration (XDG base directory specification)."""
    directory = environ.get("XDG_CONFIG_HOME", "")
    if not directory.startswith("/"):
        directory = home_directory(environ) + "/.config"
    return directory + "/minictr/config.toml"


def exists(path: str, closed: list[str]) -> bool:
    """Whether there is a file; one behind a directory that denies search goes to `closed`."""
    try:
        posix.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        closed.append(path)
        return False
    except OSError:  # read() says why
        return True
    return True


def not_looked_at(path: str) -> str:
    """What is said of a configuration file that may be there, or not."""
    from minictr.image.obstacles import obstacle

    found = obstacle(path)
    why = f"{found.at} denies search" if found.kind == "closed" else "Permission denied"
    return f"configuration: {path} is left out: {why}"


def dispatch(name: Name, command: str, arguments: list[str], environ: dict[str, str]) -> int:
    """Start a command that launches nothing."""
    if command == "help" and arguments:
        if arguments[0] in COMMANDS:
            return dispatch(name, arguments[0], ["--help"], environ)
        if not (arguments[0] in (*ACTIONS, *ANSWERED) or name.drop_in):  # apptainer gives 0
            raise unknown(name, arguments[0])
    if command in ANSWERED:
        return answer(name, command, arguments)
    if command not in COMMANDS:
        raise unknown(name, command)
    from importlib import import_module

    from minictr.runtime.signals import catch_interrupts, expect_children

    module = import_module(COMMANDS[command])
    catch_interrupts()
    expect_children()
    status: int = module.main(arguments, environ)
    return status


def unknown(name: Name, command: str) -> Refusal:
    """The refusal of a command that there is not."""
    if command in UNSUPPORTED:
        return Refusal("request", f"the command {command} is not supported")
    return Refusal("usage", f'unknown command "{command}" for "{name.program}"')


def answer(name: Name, command: str, arguments: list[str] | tuple[str, ...] = ()) -> int:
    """help, --help, version, --version."""
    if command == "help":
        return print_help(name, arguments[0] if arguments else "")
    from minictr.cli.version import version

    # The flag prints a sentence, the command the number alone (apptainer, cli/apptainer.go).
    write(version(name, sentence=not isinstance(arguments, list)) + "\n", 1)
    return 0


def print_help(name: Name, command: str) -> int:
    """Write the help of a command, or of the program, to standard output."""
    from minictr.cli.help import help_text

    write(help_text(name, command, ACTIONS, COMMANDS), 1)
    return 0
