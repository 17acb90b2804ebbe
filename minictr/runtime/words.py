"""Reads and expands shell words: quotations, and expansions of variables with their defaults.

Only what every shell reads the same way is accepted (POSIX.1-2024, Shell Command Language, 2.2 and
2.6.2; the tests compare with dash, busybox ash and bash). Everything else raises NeedsShell:
substitutions, patterns, globs, tildes, and whatever two shells read differently.

A Word is a tuple of pieces: a str stands for itself, (name, operator, word) is an expansion, whose
operator is "", ":-", "-", ":+" or "+".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Piece = "str | tuple[str, str, Word]"
    Word = tuple["str | tuple[str, str, Word]", ...]

LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
NAME = LETTERS | frozenset("0123456789")
ENDS = frozenset(" \t\n;")
# Characters with a meaning of their own outside quotes, or with different ones in different shells.
SPECIAL = frozenset("&|<>()`~{}*?[") | frozenset(map(chr, range(32))) - frozenset("\t\n")
# A dollar sign before one of these stands for itself, quoted or not.
AFTER_DOLLAR = frozenset("/.,:%=+")
# Shells give these a value, an action or a lock of their own.
SHELL_NAMES = frozenset((
    "_", "IFS", "OPTIND", "OPTARG", "LINENO", "RANDOM", "SRANDOM", "SECONDS", "PPID", "DIRSTACK",
    "GROUPS", "FUNCNAME", "HISTCMD", "PS2", "PS4", "SHELLOPTS", "BASHOPTS", "EPOCHSECONDS",
    "EPOCHREALTIME", "COLUMNS", "LINES", "OLDPWD",
))  # fmt: skip


class NeedsShell(Exception):
    """The text has something that only a shell evaluates."""


class Unbalanced(NeedsShell):
    """A quotation does not end where the text ends: no shell evaluates that either."""


def expand(word: Word, values: dict[str, str]) -> str:
    """The value of a word: parameters expanded, nothing split (it is the right of an `=`)."""
    result = ""
    for piece in word:
        if isinstance(piece, str):
            result += piece
            continue
        name, operator, other = piece
        value = values.get(name)
        present = value is not None if len(operator) == 1 else bool(value)
        if operator[-1:] == "+":
            result += expand(other, values) if present else ""
        elif present or not operator:
            result += value or ""
        else:
            result += expand(other, values)
    return result


def quoted(value: str) -> Word:
    """The word that `"value"` is when only its double quotes are escaped.

    Raises Unbalanced where the quotation so made does not end at the end, NeedsShell otherwise.
    """
    text = value.replace('"', '\\"') + '"'
    try:
        word, end = double_quoted(text, 0)
    except RecursionError:
        raise NeedsShell from None
    if end != len(text):
        raise Unbalanced
    return word


def unquoted(text: str, at: int, closing: str = "") -> tuple[Word, int]:
    """An unquoted word, up to a blank or separator, or up to `closing`, which it consumes."""
    pieces: list[str | tuple[str, str, Word]] = []
    while at < len(text):
        char = text[at]
        if closing and char == closing:
            return joined(pieces), at + 1
        if char in ENDS:
            break
        more: Word
        if char == "'":
            more, at = single_quoted(text, at + 1)
        elif char == '"':
            more, at = double_quoted(text, at + 1)
        elif char == "\\":
            more, at = _escaped(text, at, "")
        elif char == "$":
            more, at = _dollar(text, at + 1, ENDS)
        elif char in SPECIAL:
            raise NeedsShell
        else:
            more, at = (char,), at + 1
        pieces += more
    if closing:
        raise NeedsShell
    return joined(pieces), at


def single_quoted(text: str, at: int) -> tuple[Word, int]:
    """What stands between single quotes, from behind the first."""
    end = text.find("'", at)
    if end < 0:
        raise Unbalanced
    return (text[at:end],), end + 1


def double_quoted(text: str, at: int, braced: bool = False) -> tuple[Word, int]:
    """What stands between double quotes, or (`braced`) in ${NAME:-...} between double quotes.

    In braces a second pair of double quotes is removed; shells differ on single quotes and tildes
    outside it, and bash sees process substitutions even inside it.
    """
    pieces: list[str | tuple[str, str, Word]] = []
    inner = False
    after_dollar = frozenset() if braced else frozenset("\"' ")
    while at < len(text):
        char = text[at]
        more: Word
        if char == ('"' if not braced else "" if inner else "}"):
            return joined(pieces), at + 1
        if char == '"':
            inner, more, at = not inner, (), at + 1
        elif char == "\\":
            if inner and text[at + 1 : at + 2] not in '$`"\\\n':
                raise NeedsShell  # bash removes this backslash
            more, at = _escaped(text, at, '$`"\\}' if braced and not inner else '$`"\\')
        elif char == "$":
            more, at = _dollar(text, at + 1, after_dollar, quoted=True)
        elif char in "`\0\r" or (braced and char in ("<>" if inner else "'~{<>()")):
            raise NeedsShell
        else:
            more, at = (char,), at + 1
        pieces += more
    raise Unbalanced


def _escaped(text: str, at: int, escapable: str) -> tuple[Word, int]:
    """A backslash and the next character; outside quotes ("" given) it protects any character."""
    follower = text[at + 1 : at + 2]
    if follower == "\n":
        return (), at + 2
    if not escapable or follower in escapable:
        if not follower:
            raise Unbalanced
        return (follower,), at + 2
    if follower == "}":
        raise NeedsShell  # a quotation inside unquoted braces: shells differ on the backslash
    return ("\\",), at + 1


def _dollar(
    text: str, at: int, literal_before: frozenset[str], quoted: bool = False
) -> tuple[Word, int]:
    """What a dollar sign just before `at` begins."""
    if text.startswith("{", at):
        return _braced(text, at + 1, quoted)
    name = name_at(text, at)
    # dash joins what a continuation parts before it looks for the end of the name.
    if name in SHELL_NAMES or text.startswith("\\\n", at + len(name)):
        raise NeedsShell
    if name:
        return ((name, "", ()),), at + len(name)
    follower = text[at : at + 1]
    if follower in AFTER_DOLLAR or follower in literal_before or not (follower or quoted):
        return ("$",), at
    raise NeedsShell


def _braced(text: str, at: int, quoted: bool) -> tuple[Word, int]:
    """${NAME} or ${NAME OPERATOR WORD}, from behind the opening brace."""
    name = name_at(text, at)
    at += len(name)
    if not name or name in SHELL_NAMES:
        raise NeedsShell
    if text.startswith("}", at):
        return ((name, "", ()),), at + 1
    operator = text[at : at + 2] if text.startswith(":", at) else text[at : at + 1]
    if operator not in (":-", "-", ":+", "+"):
        raise Unbalanced if operator in ("", '"') and quoted else NeedsShell
    at += len(operator)
    word, at = double_quoted(text, at, braced=True) if quoted else unquoted(text, at, "}")
    return ((name, operator, word),), at


def name_at(text: str, at: int) -> str:
    """The variable name that begins at `at`, "" if none does."""
    end = at
    while end < len(text) and text[end] in NAME:
        end += 1
    return text[at:end] if at < end and text[at] in LETTERS else ""


def joined(pieces: list[str | tuple[str, str, Word]]) -> Word:
    """The pieces with neighbouring literals made one."""
    word: list[str | tuple[str, str, Word]] = []
    for piece in pieces:
        if isinstance(piece, str) and word and isinstance(word[-1], str):
            word[-1] += piece
        elif piece:
            word.append(piece)
    return tuple(word)
