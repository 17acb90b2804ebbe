"""Parse TOML."""

from __future__ import annotations

try:
    import tomli
except ModuleNotFoundError:  # the same parser is in the standard library since 3.11
    import tomllib as tomli  # type: ignore[no-redef]


class TomlError(Exception):
    """What is wrong with a document; the text names line and column, where the parser does."""


def parse_toml(text: str) -> dict[str, object]:
    """The document as a dictionary. Raises TomlError."""
    try:
        return tomli.loads(text)
    except RecursionError:
        raise TomlError("brackets or keys are nested too deep") from None
    except ValueError as error:  # the parser's own, or that of int(), which takes 4300 digits
        raise TomlError(str(error)) from None
