"""Reads the arguments of a call as strace(1) writes them."""

from __future__ import annotations

import re

_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)", re.S)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f"}
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_PATH = re.compile(r"(?:\d+|AT_FDCWD)<(.*?)>(?:\(deleted\))?", re.S)


def split(text: str) -> list[str]:
    """The arguments: what commas divide that are in no string and in no brackets.

    >>> split('"a, b", {flags=CLONE_NEWUSER, stack=0}, 3</x, y>')
    ['"a, b"', '{flags=CLONE_NEWUSER, stack=0}', '3</x, y>']
    """
    parts, start, depth, position = [], 0, [""], 0
    while position < len(text):
        letter = text[position]
        if letter == '"':
            found = _STRING.match(text, position)
            position = found.end() if found else len(text)
            continue
        if letter == "<" and text[position : position + 2] == "<<":  # 1<<SIGCHLD
            position += 2
            continue
        if letter in _CLOSING:
            depth.append(_CLOSING[letter])
        elif letter == depth[-1]:
            depth.pop()
        elif letter == "," and len(depth) == 1:
            parts.append(text[start:position].strip())
            start = position + 1
        position += 1
    last = text[start:].strip()
    return [*parts, last] if last or parts else []


def plain(argument: str) -> str:
    r"""A string without its quotes and escapes; "" for what is no string.

    >>> plain('"a\\tb\\303\\244"...')
    'a\tbä'
    """
    found = _STRING.match(argument)
    if not found:
        return ""
    text = _ESCAPE.sub(_unescaped, found[1])
    return text.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def strings(argument: str) -> tuple[str, ...]:
    """Every string of an array: an argv."""
    return tuple(plain(found[0]) for found in _STRING.finditer(argument))


def opened(argument: str) -> str:
    """What a descriptor leads to, as strace -y says: 3</proc/7/uid_map>; "" where it does not."""
    found = _PATH.match(argument)
    return found[1] if found else ""


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] == "x" and len(code) == 3:
        return chr(int(code[1:], 16))
    if code.isdigit():
        return chr(int(code, 8) & 255)
    return _NAMED.get(code, code)
