"""Parse TOML."""

from __future__ import annotations

import tomli

TomlError = tomli.TOMLDecodeError  # its text names line and column


def parse_toml(text: str) -> dict[str, object]:
    """The document as a dictionary. TomlError says what is wrong, at which line and column."""
    return tomli.loads(text)
