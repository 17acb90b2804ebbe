"""From an argv and an environment to the Request, as main() goes."""

from __future__ import annotations

import shlex

from minictr.cli.grammar import read_flags
from minictr.cli.main import request_of
from minictr.cli.names import named
from minictr.cli.options import GLOBAL, flags_of, index
from minictr.request import Request

NOWHERE = {"XDG_CONFIG_HOME": "/nonexistent"}  # no configuration of the caller's


def parsed(
    argv: list[str], variables: dict[str, str] | None = None, called_as: str = ""
) -> Request:
    """The Request of an argv, by the same functions that main() calls."""
    name = named(called_as or argv[0])
    environ = {**NOWHERE, **(variables or {})}
    values, rest = read_flags(argv[1:], index(GLOBAL), {})
    command, *rest = rest
    values, rest = read_flags(rest, flags_of(command, not name.drop_in), values)
    return request_of(name, command, rest, values, environ)


def request(line: str, **variables: str) -> Request:
    return parsed(shlex.split(line), variables)


def own(**fields: object) -> Request:
    """What `minictr exec i c` asks for, but for some fields."""
    plain = Request(
        action="exec",
        image="i",
        command=("c",),
        program="minictr",
        namespaces=("pid", "ipc", "uts"),
        host_environment=tuple(NOWHERE.items()),
    )
    return plain.replace(**fields)


def drop_in(**fields: object) -> Request:
    """What `apptainer exec i c` asks for, but for some fields."""
    plain = own(
        program="apptainer",
        namespaces=(),
        close_descriptors=False,
        seccomp="compat",
        id_map="single",
        init_name="appinit",
    )
    return plain.replace(**fields)
