"""Parse TOML."""

from __future__ import annotations

try:
    import tomli
except ModuleNotFoundError:  # the same parser is in the standard library since 3.11
    import tomllib as tomli  # type: ignore[no-redef]

TomlError = tomli.TOMLDecodeError  # its text names line and column


def parse_toml(text: str) -> dict[str, object]:
    """The document as a dictionary. TomlError says what is wrong, at which line and column."""
    return tomli.loads(text)
