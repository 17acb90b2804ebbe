"""Evaluates the simple shell scripts that only assign, export and unset variables.

Most images need no more than that, and some have no shell at all. parse() accepts a script only as
far as every shell gives it the same meaning (POSIX.1-2024, Shell Command Language, 2.9.1).

A Program is a tuple of statements (verb, name, word): "set", "export" (word None: as it is) and
"unset".
"""

from __future__ import annotations

from minictr.runtime.words import (
    ENDS,
    SHELL_NAMES,
    NeedsShell,
    double_quoted,
    expand,
    joined,
    name_at,
    single_quoted,
    unquoted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from minictr.runtime.words import Word

    Program = tuple[tuple[str, str, Word | None], ...]

LOCKED_NAMES = frozenset(("UID", "EUID", "GID", "PWD"))  # the scripts can read, not set them


def parse(text: str) -> tuple[Program, int]:
    """The statements of a script, and the line (from 1) of the first that needs a shell, 0 if none.

    With a line, the program is what stands before it.
    """
    program: list[tuple[str, str, Word | None]] = []
    at = 0
    if "\0" in text or "\r" in text:
        return (), 1
    try:
        while (at := _skip_blank(text, at)) < len(text):
            statements, end = _command(text, at)
            program += statements
            at = end
    except (NeedsShell, RecursionError):  # braces nested deeper than our stack
        return tuple(program), text.count("\n", 0, at) + 1
    return tuple(program), 0


def run(program: Program, values: dict[str, str], exported: set[str]) -> None:
    """Carry out a program on the variables (`values`) and on the names marked for export."""
    for verb, name, word in program:
        if verb == "unset":
            values.pop(name, None)
            exported.discard(name)
            continue
        if word is not None:
            values[name] = expand(word, values)
        if verb == "export":
            exported.add(name)


def _skip_blank(text: str, at: int) -> int:
    """The position of the next command: past blanks, newlines, continuations and comments."""
    while at < len(text):
        if text[at] in " \t\n":
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            break
    return at


def _command(text: str, at: int) -> tuple[Program, int]:
    """The statements of one simple command, and the position behind it and its separator."""
    name = name_at(text, at)
    after = at + len(name)
    if text.startswith("=", after):
        return _arguments(text, at, _assignment)
    if name == "export" and text[after : after + 1] in (" ", "\t"):
        program, end = _arguments(text, after, _exported)
        if any(
            _mentions(word or (), _assigned(program[:k])) for k, (_, _, word) in enumerate(program)
        ):
            raise NeedsShell  # some shells expand every argument first, some one after the other
        return program, end
    if name == "unset" and text[after : after + 1] in (" ", "\t"):
        return _arguments(text, after, _unset)
    raise NeedsShell


def _arguments(
    text: str, at: int, read: Callable[[str, int], tuple[str, str, Word | None, int]]
) -> tuple[Program, int]:
    """The words up to the end of the command, each read by `read`."""
    statements = []
    while True:
        while text[at : at + 1] in (" ", "\t") or text.startswith("\\\n", at):
            at += 1 if text[at] != "\\" else 2
        if at == len(text) or text[at] in "\n#":
            break
        if text[at] == ";":
            at += 1
            break
        verb, name, word, at = read(text, at)
        statements.append((verb, name, word))
    if not statements:
        raise NeedsShell  # a bare `export` prints, a bare `unset` is an error
    return tuple(statements), at


def _assignment(text: str, at: int) -> tuple[str, str, Word | None, int]:
    name = name_at(text, at)
    if not text.startswith("=", at + len(name)) or not _assignable(name):
        raise NeedsShell
    word, end = unquoted(text, at + len(name) + 1)
    return "set", name, word, end


def _exported(text: str, at: int) -> tuple[str, str, Word | None, int]:
    if text[at] in "\"'":
        return _exported_quotation(text, at)
    name = name_at(text, at)
    end = at + len(name)
    if not _assignable(name):
        raise NeedsShell
    if text.startswith("=", end):
        word, end = unquoted(text, end + 1)
        return "export", name, word, end
    if end < len(text) and text[end] not in ENDS:
        raise NeedsShell
    return "export", name, None, end


def _exported_quotation(text: str, at: int) -> tuple[str, str, Word | None, int]:
    """`export "NAME=$VALUE"`: the whole argument is one quotation."""
    word, end = double_quoted(text, at + 1) if text[at] == '"' else single_quoted(text, at + 1)
    first = word[0] if word else ""
    if not isinstance(first, str) or (end < len(text) and text[end] not in ENDS):
        raise NeedsShell
    name, equals, rest = first.partition("=")
    if not equals or not _assignable(name):
        raise NeedsShell
    return "export", name, joined([rest, *word[1:]]), end


def _unset(text: str, at: int) -> tuple[str, str, Word | None, int]:
    name = name_at(text, at)
    end = at + len(name)
    if not _assignable(name) or (end < len(text) and text[end] not in ENDS):
        raise NeedsShell
    return "unset", name, None, end


def _assignable(name: str) -> bool:
    usable = bool(name) and name_at(name, 0) == name
    return usable and name not in SHELL_NAMES and name not in LOCKED_NAMES


def _assigned(program: Program) -> set[str]:
    return {name for _, name, word in program if word is not None}


def _mentions(word: Word, names: set[str]) -> bool:
    return any(
        piece[0] in names or _mentions(piece[2], names)
        for piece in word
        if not isinstance(piece, str)
    )
