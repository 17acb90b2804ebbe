"""Reads what a shell's `export -p` prints: each writes a value in quotes of its own."""

from __future__ import annotations

import sys

ESCAPES = dict(zip("abefnrtvE", "\a\b\x1b\f\n\r\t\v\x1b", strict=True))


def is_name(text: str) -> bool:
    """Whether a shell can hold a variable of this name."""
    return text.isidentifier() and text.isascii()


def parse_exports(text: str) -> dict[str, str]:
    """What `export -p` printed, as name: value; names without a value and arrays are left out.

    `export NAME='value'` (dash, busybox), `export NAME="value"` (bash as sh), `declare -x NAME=...`
    (bash), `typeset -x NAME=...` (ksh); a value with unprintable bytes may be $'...' (bash, ksh).
    """
    encoding = sys.getfilesystemencoding()
    found = {}
    at = 0
    while at < len(text):
        line = text.find("\n", at)
        line = len(text) if line < 0 else line
        equals = text.find("=", at, line)
        if equals < 0:
            at = line + 1
            continue
        name = text[at:equals].rpartition(" ")[2]
        value, end = unquoted(text, equals + 1)
        if is_name(name) and not text.startswith("(", equals + 1):
            found[name] = value.encode("latin-1").decode(encoding, "surrogateescape")
        at = end + 1
    return found


def unquoted(text: str, at: int) -> tuple[str, int]:
    """A shell word up to its newline, without its quotes, and the position of that newline."""
    value = ""
    while at < len(text) and text[at] != "\n":
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            end = len(text) if end < 0 else end
            more, at = text[at + 1 : end], end + 1
        elif char == '"':
            more, at = in_double_quotes(text, at + 1)
        elif text.startswith("$'", at):
            more, at = in_ansi_quotes(text, at + 2)
        elif char == "\\":
            more, at = text[at + 1 : at + 2], at + 2
        else:
            more, at = char, at + 1
        value += more
    return value, at


def in_double_quotes(text: str, at: int) -> tuple[str, int]:
    """The value from behind a double quote, and the position behind the closing one."""
    value = ""
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\"):
            at += 1
        value += text[at]
        at += 1
    return value, at + 1


def in_ansi_quotes(text: str, at: int) -> tuple[str, int]:
    r"""$'...': \ooo is a byte in octal, \xhh one in hexadecimal; bash(1), QUOTING."""
    value = ""
    while at < len(text) and text[at] != "'":
        if text[at] != "\\":
            value += text[at]
            at += 1
            continue
        more, at = ansi_escape(text, at + 1)
        value += more
    return value, at + 1


def ansi_escape(text: str, at: int) -> tuple[str, int]:
    """What the escape behind a backslash stands for, and the position behind it."""
    base, first, longest = (16, at + 1, 2) if text.startswith("x", at) else (8, at, 3)
    digits = "0123456789abcdefABCDEF" if base == 16 else "01234567"
    end = first
    while end < first + longest and text[end : end + 1] and text[end] in digits:
        end += 1
    if end > first:
        return chr(int(text[first:end], base) & 0xFF), end
    char = text[at : at + 1]
    return ESCAPES.get(char, char), at + 1
