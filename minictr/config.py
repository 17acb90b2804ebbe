"""Reads the configuration files, whose keys are the long names of the options.

/etc/minictr/config.toml, then the user's own, $XDG_CONFIG_HOME/minictr/config.toml. The parsed
result is kept as a marshal file, since the import of a TOML parser costs as much as a launch.
"""

from __future__ import annotations

import marshal
import posix

import minictr
from minictr.cli.options import ACTION, GLOBAL, KIND, NAME, REFUSED, TEXT
from minictr.image.index import identity_of, key_of, private
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.grammar import Values

# What one launch alone can mean.
NO_KEYS = ("help", "version", "config", "pwd", "nocolor")
KINDS = {row[NAME]: row[KIND] for row in (*GLOBAL, *ACTION) if row[NAME] not in NO_KEYS}
REFUSALS = {row[NAME]: row[TEXT] for row in REFUSED}
APPENDED = ("bind", "mount")
_S_IFMT, _S_IFREG = 0o170000, 0o100000
_EINVAL = 22
NULL = posix.makedev(1, 3)  # `--config /dev/null` stands for no configuration
MARK = "\ufeff"  # which editors of other systems write
EXPECTED = {
    "bool": "true or false",
    "string": "a string",
    "number": "a number from 0 to 999999999",
    "list": "a string or an array of strings",
    "array": "a string or an array of strings",
    "map": "a table of strings",
}


def merge(
    paths: list[str], values: Values, cache: str, origins: dict[str, str] | None = None
) -> None:
    """Add what the files say to `values`; a later file wins over an earlier, `values` over both.

    --bind and --mount are appended, and of --env each variable counts for itself. `origins` gets
    the file of each option that comes from one.
    """
    for path in reversed(paths):
        for key, value in read(path, cache).items():
            known = values.get(key)
            if origins is not None and (known is None or key in APPENDED):
                origins[key] = f"{origins[key]}, {path}" if key in origins else path
            if isinstance(known, list) and isinstance(value, list) and key in APPENDED:
                known.extend(value)
            elif isinstance(known, dict) and isinstance(value, dict):
                values[key] = {**value, **known}
            elif known is None:
                values[key] = value


def read(path: str, cache: str) -> Values:
    """The options one file sets, in the form of grammar.py."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its writer.
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        try:
            return read_open(descriptor, path, cache)
        finally:
            posix.close(descriptor)
    except OSError as error:
        from minictr.cli.texts import unreadable

        raise unreadable(path, path, error) from None


def read_open(descriptor: int, path: str, cache: str) -> Values:
    """The same for an open file. Raises OSError also for what is no file."""
    status = posix.fstat(descriptor)
    if status.st_mode & _S_IFMT != _S_IFREG and status.st_rdev != NULL:
        raise OSError(_EINVAL, posix.strerror(_EINVAL))
    # The version stands in the name because another version has other options.
    identity = key_of(identity_of(status))
    kept = f"{cache}/config/{minictr.__version__}-{identity}"
    values = load(kept)
    if values is None:
        from minictr.cli.texts import read_whole

        values = parse(path, read_whole(descriptor, path).decode("utf-8", "surrogateescape"))
        keep(kept, cache, values)
    return values


def load(kept: str) -> Values | None:
    """The parsed result of an earlier launch, None unless it is there and the caller's alone."""
    try:
        flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK
        descriptor = posix.open(kept, flags)
    except OSError:  # parsed anew, and then reported
        return None
    try:
        status = posix.fstat(descriptor)
        if not private(status, 0o077):
            return None
        values = marshal.loads(posix.read(descriptor, status.st_size))
    except (OSError, EOFError, ValueError, TypeError):  # marshal's words for a damaged file
        return None
    finally:
        posix.close(descriptor)
    return values if isinstance(values, dict) else None


def keep(kept: str, cache: str, values: Values) -> None:
    """Publish the parsed result by rename. Without it the next launch parses again."""
    temporary = f"{kept}.{posix.getpid()}"
    try:
        for directory in (cache, f"{cache}/config"):
            try:
                posix.mkdir(directory, 0o700)
            except FileExistsError:
                continue
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
        descriptor = posix.open(temporary, flags, 0o600)
        try:
            posix.write(descriptor, marshal.dumps(values))
            posix.rename(temporary, kept)
        except OSError:
            posix.unlink(temporary)
        finally:
            posix.close(descriptor)
    except OSError:  # a cache that cannot be written costs time and nothing else
        return


def parse(path: str, text: str) -> Values:
    """The options of a configuration text; a Refusal names file, line and key."""
    from minictr.toml import TomlError, parse_toml

    if text.startswith(MARK):
        from minictr.image.refusals import quoted

        cause = f"{path} begins with a byte order mark, which no TOML has"
        fix = f"sed -i '1s/^\\xef\\xbb\\xbf//' {quoted(path)}"
        raise Refusal("request", cause, "bytes 0 to 2: ef bb bf", fix)
    try:
        document = parse_toml(text)
    except TomlError as error:
        raise Refusal("request", f"{path}: {error}") from None
    values: Values = {}
    for key, value in document.items():
        place = f"{path}, line {line_of(key, text)}: {key}"
        kind = KINDS.get(key)
        if kind is None:
            why = REFUSALS.get(key, "is no option of a configuration file")
            raise Refusal("request", f"{place}: {why}" if key in REFUSALS else f"{place} {why}")
        if not fits(kind, value):
            raise Refusal("request", f"{place} takes {EXPECTED[kind]}")
        if key == "env" and isinstance(value, dict) and any("=" in name for name in value):
            raise Refusal("request", f"{place} has a name with = in it, which no variable can have")
        if holds_nul(value):
            raise Refusal("request", f"{place} has a NUL byte, which ends any text of the kernel's")
        values[key] = [value] if kind in ("list", "array") and isinstance(value, str) else value  # type: ignore[assignment]
    return values


def fits(kind: str, value: object) -> bool:
    """Whether a TOML value can stand for an option of this kind."""
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "number":
        return type(value) is int and 0 <= value <= 999_999_999
    if kind == "map":
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if kind in ("list", "array") and isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return isinstance(value, str)


def holds_nul(value: object) -> bool:
    """Whether a NUL byte stands in a text: TOML can name one, a command line cannot."""
    if isinstance(value, dict):
        return any(holds_nul(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(holds_nul(each) for each in value)
    return isinstance(value, str) and "\0" in value


def line_of(key: str, text: str) -> int:
    """The line where a key stands, 1 for the first; the parser does not keep it."""
    for number, line in enumerate(text.splitlines(), 1):
        rest = line.strip().strip("[").strip().lstrip("\"'")
        after = rest[len(key) :][:1]  # a letter where it is a longer key: network, for net
        if rest.startswith(key) and not (after.isalnum() or after in ("-", "_")):
            return number
    return 0
