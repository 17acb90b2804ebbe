"""Evaluates the simple shell scripts that only assign, export and unset variables.

Most images need no more than that, and some have no shell at all. parse() accepts a script only as
far as every shell gives it the same meaning (POSIX.1-2024, Shell Command Language, 2.2, 2.6.2 and
2.9.1; compared with dash, busybox ash and bash by the tests). What it does not accept needs a
shell: substitutions, conditions, globs, tildes, and whatever two shells read differently.

A Word is a tuple of pieces: a str stands for itself, (name, operator, word) is an expansion, whose
operator is "", ":-", "-", ":+" or "+". A Program is a tuple of statements (verb, name, word).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Word = tuple["str | tuple[str, str, Word]", ...]
    Program = tuple[tuple[str, str, Word | None], ...]

LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
NAME = LETTERS | frozenset("0123456789")
ENDS = frozenset(" \t\n;")
# Characters with a meaning of their own outside quotes, or with different ones in different shells.
SPECIAL = frozenset("&|<>()`~{}*?[") | frozenset(map(chr, range(32))) - frozenset("\t\n")
# A dollar sign before one of these stands for itself, quoted or not.
AFTER_DOLLAR = frozenset("/.,:%=+")
# Shells give these a value, an action or a lock of their own.
SHELL_NAMES = frozenset(
    "_ IFS OPTIND OPTARG LINENO RANDOM SRANDOM SECONDS PPID DIRSTACK GROUPS FUNCNAME HISTCMD PS2 PS4"
    " SHELLOPTS BASHOPTS EPOCHSECONDS EPOCHREALTIME COLUMNS LINES OLDPWD".split()
)
LOCKED_NAMES = frozenset(("UID", "EUID", "GID", "PWD"))


class NeedsShell(Exception):
    """The text has something that only a shell evaluates."""


class Unbalanced(NeedsShell):
    """A quotation does not end where the text ends: no shell evaluates that either."""


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
        word, end = _double_quoted(text, 0)
    except RecursionError:
        raise NeedsShell from None
    if end != len(text):
        raise Unbalanced
    return word


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
    name = _name(text, at)
    after = at + len(name)
    if text.startswith("=", after):
        return _arguments(text, at, _assignment)
    if name == "export" and text[after : after + 1] in (" ", "\t"):
        program, end = _arguments(text, after, _exported)
        assigned = {target for _, target, word in program if word is not None}
        # Some shells expand every argument first, some one after the other.
        if len(program) > 1 and any(_mentions(word or (), assigned) for _, _, word in program):
            raise NeedsShell
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
    name = _name(text, at)
    if not text.startswith("=", at + len(name)) or not _assignable(name):
        raise NeedsShell
    word, end = _word(text, at + len(name) + 1)
    return "set", name, word, end


def _exported(text: str, at: int) -> tuple[str, str, Word | None, int]:
    if text[at] in "\"'":
        return _exported_quotation(text, at)
    name = _name(text, at)
    end = at + len(name)
    if not _assignable(name):
        raise NeedsShell
    if text.startswith("=", end):
        word, end = _word(text, end + 1)
        return "export", name, word, end
    if end < len(text) and text[end] not in ENDS:
        raise NeedsShell
    return "export", name, None, end


def _exported_quotation(text: str, at: int) -> tuple[str, str, Word | None, int]:
    """`export "NAME=$VALUE"`: the whole argument is one quotation."""
    word, end = _double_quoted(text, at + 1) if text[at] == '"' else _single_quoted(text, at + 1)
    first = word[0] if word else ""
    if not isinstance(first, str) or (end < len(text) and text[end] not in ENDS):
        raise NeedsShell
    name, equals, rest = first.partition("=")
    if not equals or not _assignable(name):
        raise NeedsShell
    return "export", name, _joined([rest, *word[1:]]), end


def _unset(text: str, at: int) -> tuple[str, str, Word | None, int]:
    name = _name(text, at)
    end = at + len(name)
    if not _assignable(name) or (end < len(text) and text[end] not in ENDS):
        raise NeedsShell
    return "unset", name, None, end


def _word(text: str, at: int, closing: str = "") -> tuple[Word, int]:
    """An unquoted word, up to a blank or separator, or up to `closing`, which it consumes."""
    pieces: list[str | tuple[str, str, Word]] = []
    while at < len(text):
        char = text[at]
        if closing and char == closing:
            return _joined(pieces), at + 1
        if char in ENDS:
            break
        more: Word
        if char == "'":
            more, at = _single_quoted(text, at + 1)
        elif char == '"':
            more, at = _double_quoted(text, at + 1)
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
    return _joined(pieces), at


def _single_quoted(text: str, at: int) -> tuple[Word, int]:
    end = text.find("'", at)
    if end < 0:
        raise Unbalanced
    return (text[at:end],), end + 1


def _double_quoted(text: str, at: int, braced: bool = False) -> tuple[Word, int]:
    """What stands between double quotes, or (`braced`) in ${NAME:-...} between double quotes.

    In braces a second pair of double quotes is removed, and single quotes and tildes outside it
    are read differently by different shells.
    """
    pieces: list[str | tuple[str, str, Word]] = []
    inner = False
    after_dollar = frozenset() if braced else frozenset("\"' ")
    while at < len(text):
        char = text[at]
        more: Word
        if char == ('"' if not braced else "" if inner else "}"):
            return _joined(pieces), at + 1
        if char == '"':
            inner, more, at = not inner, (), at + 1
        elif char == "\\":
            more, at = _escaped(text, at, '$`"\\' if inner or not braced else '$`"\\}')
        elif char == "$":
            more, at = _dollar(text, at + 1, after_dollar, quoted=True)
        elif char in "`\0\r" or (braced and not inner and char in "'~{"):
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
    name = _name(text, at)
    if name in SHELL_NAMES:
        raise NeedsShell
    if name:
        return ((name, "", ()),), at + len(name)
    follower = text[at : at + 1]
    if follower in AFTER_DOLLAR or follower in literal_before or not (follower or quoted):
        return ("$",), at
    raise NeedsShell


def _braced(text: str, at: int, quoted: bool) -> tuple[Word, int]:
    """${NAME} or ${NAME OPERATOR WORD}, from behind the opening brace."""
    name = _name(text, at)
    at += len(name)
    if not name or name in SHELL_NAMES:
        raise NeedsShell
    if text.startswith("}", at):
        return ((name, "", ()),), at + 1
    operator = text[at : at + 2] if text.startswith(":", at) else text[at : at + 1]
    if operator not in (":-", "-", ":+", "+"):
        raise NeedsShell
    at += len(operator)
    word, at = _double_quoted(text, at, braced=True) if quoted else _word(text, at, "}")
    return ((name, operator, word),), at


def _name(text: str, at: int) -> str:
    """The variable name that begins at `at`, "" if none does."""
    end = at
    while end < len(text) and text[end] in NAME:
        end += 1
    return text[at:end] if at < end and text[at] in LETTERS else ""


def _assignable(name: str) -> bool:
    usable = bool(name) and _name(name, 0) == name
    return usable and name not in SHELL_NAMES and name not in LOCKED_NAMES


def _mentions(word: Word, names: set[str]) -> bool:
    return any(
        piece[0] in names or _mentions(piece[2], names)
        for piece in word
        if not isinstance(piece, str)
    )


def _joined(pieces: list[str | tuple[str, str, Word]]) -> Word:
    """The pieces with neighbouring literals made one."""
    word: list[str | tuple[str, str, Word]] = []
    for piece in pieces:
        if isinstance(piece, str) and word and isinstance(word[-1], str):
            word[-1] += piece
        elif piece:
            word.append(piece)
    return tuple(word)
