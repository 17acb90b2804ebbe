"""Reads comma separated records with quotes, as Go's encoding/csv reads them."""

from __future__ import annotations


def records(text: str) -> list[list[str]]:
    """The records of `text`, one per line; ValueError says what is wrong with the quotes.

    A field that begins with a quote ends at the next single quote and may hold commas and line
    ends; two quotes stand for one. Empty lines are no records.
    """
    found: list[list[str]] = []
    position = 0
    while position < len(text):
        if text[position] == "\n":
            position += 1
            continue
        fields, position = record(text, position)
        found.append(fields)
    return found


def record(text: str, position: int) -> tuple[list[str], int]:
    """The fields of the record that begins at `position`, and where the next one begins."""
    fields = []
    while True:
        read = quoted_field if text[position : position + 1] == '"' else plain_field
        field, position = read(text, position)
        fields.append(field)
        end = text[position : position + 1]
        position += 1
        if end != ",":
            return fields, position


def plain_field(text: str, position: int) -> tuple[str, int]:
    """The field at `position`, and the position of the comma or line end behind it."""
    end = position
    while end < len(text) and text[end] not in ",\n":
        if text[end] == '"':
            raise ValueError(f'column {end + 1}: bare " in non-quoted field')
        end += 1
    return text[position:end], end


def quoted_field(text: str, position: int) -> tuple[str, int]:
    """The same for a field that begins with a quote."""
    parts = []
    position += 1
    while True:
        end = text.find('"', position)
        if end < 0:
            raise ValueError(f'column {len(text) + 1}: extraneous or missing " in quoted-field')
        parts.append(text[position:end])
        position = end + 1
        if text[position : position + 1] != '"':
            break
        parts.append('"')
        position += 1
    if text[position : position + 1] not in ("", ",", "\n"):
        raise ValueError(f'column {position + 1}: extraneous or missing " in quoted-field')
    return "".join(parts), position
