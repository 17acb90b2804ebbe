"""Reads flags as Go's pflag reads them, and the variables that stand for flags.

--flag value, --flag=value, -Fvalue, -F=value, -F value, clusters of booleans (-ec), --flag=false;
flags end at the first argument that is none, or behind `--`. There are no abbreviations. Errors
have pflag's words (github.com/spf13/pflag, flag.go and errors.go), since clients show them.
"""

from __future__ import annotations

from minictr.cli.options import (
    ALIASES,
    KIND,
    NAME,
    PREFIXES,
    REFUSED,
    SHORT,
    TEXT,
    VARIABLES,
    variable_rows,
)
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from minictr.cli.options import Row

    # By kind: bool | str | int | list[str] (list, array) | dict[str, str] (map).
    Values = dict[str, bool | str | int | list[str] | dict[str, str]]

# strconv.ParseBool
TRUE = ("1", "t", "T", "TRUE", "true", "True")
UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}  # bytes
FALSE = ("0", "f", "F", "FALSE", "false", "False")


def read_flags(
    arguments: list[str], flags: dict[str, Row], values: Values
) -> tuple[Values, list[str]]:
    """Keep the leading flags of `arguments` in `values`; give them and the remaining arguments."""
    position = 0
    while position < len(arguments):
        flag = arguments[position]
        if flag[:1] != "-" or flag == "-":
            break
        position += 1
        if flag == "--":
            break
        read = read_long if flag[1] == "-" else read_cluster
        position = read(flag, arguments, position, flags, values)
    return values, arguments[position:]


def read_long(
    flag: str, arguments: list[str], position: int, flags: dict[str, Row], values: Values
) -> int:
    """Keep one --flag; give the position behind it and its argument."""
    name, equals, text = flag.partition("=")
    if len(name) < 3 or name[2] == "-":
        raise Refusal("usage", f"bad flag syntax: {flag}")
    row = flags.get(ALIASES.get(name[2:], name[2:]))
    if row is None or len(name) == 3:
        raise Refusal("usage", f"unknown flag: {name}")
    if equals:
        keep(values, row, text)
    elif row[KIND] == "bool":
        keep(values, row, "true")
    elif position == len(arguments):
        raise Refusal("usage", f"flag needs an argument: {flag}")
    else:
        keep(values, row, arguments[position])
        position += 1
    return position


def read_cluster(
    flag: str, arguments: list[str], position: int, flags: dict[str, Row], values: Values
) -> int:
    """Keep the shorthands of one -abc; give the position behind it and its argument."""
    letters = flag[1:]
    while letters:
        row = flags.get(letters[0])
        if row is None:
            raise Refusal("usage", f"unknown shorthand flag: {letter(letters)} in -{letters}")
        if len(letters) > 2 and letters[1] == "=":
            keep(values, row, letters[2:])
            break
        if row[KIND] == "bool":
            keep(values, row, "true")
            letters = letters[1:]
            continue
        if len(letters) > 1:
            keep(values, row, letters[1:])
            break
        if position == len(arguments):
            raise Refusal("usage", f"flag needs an argument: {letter(letters)} in -{letters}")
        keep(values, row, arguments[position])
        return position + 1
    return position


def keep(values: Values, row: Row, text: str) -> None:
    """Add what one flag says to `values`, by the kind of its row."""
    key = row[NAME]
    try:
        add(values, key, row[KIND], text)
    except ValueError as error:
        flags = f"-{row[SHORT]}, --{key}" if row[SHORT] else f"--{key}"
        message = f"invalid argument {quoted(text)} for {quoted(flags)} flag: {error}"
        raise Refusal("usage", message) from None
    if row in REFUSED and values[key]:
        raise Refusal("request", f"--{key} is refused: {row[TEXT]}")


def add(values: Values, key: str, kind: str, text: str) -> None:
    """Set or extend values[key]; ValueError says in Go's words what is wrong with `text`."""
    if kind == "bool":
        values[key] = parse_bool(text)
    elif kind == "string":
        values[key] = text
    elif kind == "number":
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
        if len(text) > 9:
            raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
        values[key] = int(text)
    elif kind == "map":
        known = values.setdefault(key, {})
        if isinstance(known, dict):
            known.update(pairs(text))
    else:
        known = values.setdefault(key, [])
        if isinstance(known, list):
            known.extend([text] if kind == "array" else split(text))


def parse_bool(text: str) -> bool:
    """What strconv.ParseBool makes of `text`."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """NAME=VALUE[,NAME=VALUE]; the comma belongs to the value where there is one `=` alone."""
    equals = text.count("=")
    fields = [text.strip('"')] if equals == 1 else split(text)
    for field in fields:
        name, found, value = field.partition("=")
        if not found:
            raise ValueError(f"{field} must be formatted as key=value")
        yield name.lstrip(" \t"), value  # apptainer exports it by a shell, which sees no blank


def split(text: str) -> list[str]:
    """The fields of one comma list; quotes protect a comma."""
    if '"' not in text and "\n" not in text:
        return text.split(",") if text else []
    from minictr.cli.records import records

    lines = records(text)
    if len(lines) > 1:
        raise ValueError("the list goes on behind a line end")
    return lines[0] if lines else []


def read_variables(
    environ: Mapping[str, str], values: Values, origins: dict[str, str] | None = None
) -> list[str]:
    """Add the options that variables set; give the warnings that this brings.

    origins   gets the variable of each option that it finds, with its value

    As in apptainer (pkg/cmdline/env.go): an empty variable sets nothing, a flag on the command line
    wins, but for --bind and --mount, to which variables append.
    """
    warnings = []
    seen: dict[str, str] = {}
    for key, variable, row in find_variables(environ):
        earlier = seen.setdefault(key, variable)
        if earlier == variable:
            keep_variable(values, variable, environ[variable], row)
            if origins is not None:
                origins.setdefault(row[NAME], f"{variable}={environ[variable]}")
        elif environ[earlier] != environ[variable]:
            warnings.append(f"{variable} and {earlier} have different values, using the latter")
    return warnings


def find_variables(environ: Mapping[str, str]) -> list[tuple[str, str, Row]]:
    """(name without prefix, name, row) of the variables that stand for flags, first ones first."""
    candidates = [
        (variable, prefix, key)
        for variable in environ
        for prefix, _, key in (variable.partition("_"),)
        if prefix in PREFIXES
    ]
    if not candidates:
        return []
    rows = variable_rows()
    found = sorted(
        (PREFIXES.index(prefix), rows[key][VARIABLES].split().index(key), key, variable)
        for variable, prefix, key in candidates
        if key in rows and environ[variable].strip()
    )
    return [(key, variable, rows[key]) for _, _, key, variable in found]


def keep_variable(values: Values, variable: str, text: str, row: Row) -> None:
    """Add one variable's value, unless a flag or an earlier variable set the option.

    A bad value is no usage error: no help is printed, on which a client's parser would stumble.
    """
    key, kind = row[NAME], row[KIND]
    if kind != "array" and key in values:
        return
    if kind == "list":
        text = ",".join(field.strip() for field in text.split(","))
    try:
        keep(values, row, text if kind == "array" else text.strip())
    except Refusal as refusal:
        raise Refusal("request", refusal.cause, f"{variable}={text}") from None


def letter(letters: str) -> str:
    """The first shorthand as Go's %q prints a character."""
    return f"'{letters[0]}'"


def quoted(text: str) -> str:
    """`text` as Go's %q prints a string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def truth(values: Values, key: str) -> bool:
    """Whether a boolean option is set."""
    return values.get(key) is True


def text_of(values: Values, key: str) -> str:
    """The value of an option of kind string, "" where it is not given."""
    value = values.get(key, "")
    return value if isinstance(value, str) else ""


def list_of(values: Values, key: str) -> list[str]:
    """The values of an option of kind list or array."""
    value = values.get(key)
    return value if isinstance(value, list) else []


def number_of(values: Values, key: str, default: int) -> int:
    """The value of an option of kind number."""
    value = values.get(key, default)
    return value if isinstance(value, int) else default


def size_of(values: Values, key: str, default: int) -> int:
    """The value of an option that takes a number of bytes: 500, 20G; 0 for no limit."""
    text = text_of(values, key)
    number = text[:-1] if text[-1:] in UNITS else text
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        if not text:
            return default
        cause = f"--{key} takes a number, with K, M, G or T where that many bytes are meant: {text}"
        raise Refusal("request", cause)
    return int(number) * UNITS.get(text[-1:], 1)
