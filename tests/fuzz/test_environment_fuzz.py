"""Our evaluator of simple scripts and our reading of `export -p` against the shells themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from environments import gathered
from hypothesis import event, example, given
from hypothesis import strategies as st
from shells import as_sh, present
from skipping import require

from minictr.runtime import assignments, exports
from minictr.runtime.environment import Environment, evaluate
from minictr.runtime.variables import DEFAULT_PATH
from minictr.runtime.words import NeedsShell, expand, quoted

NAMES = st.sampled_from(["A", "B", "C", "_x", "HOME", "PATH", "LD_LIBRARY_PATH", "PS1"])
LITERAL = st.text(st.sampled_from("abz09_-./:,%@=+!^é\udcff#"), max_size=5)
QUOTED = st.text(st.sampled_from("ab $'`*?[]{}()<>|&;~#\n\té\udcff!="), max_size=5)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
TOKENS = st.sampled_from(
    [*"AB=$'\"\\{}:-+ \n;#x/", "export ", "unset ", "$A", "${B", "${A:-", "${B-", "${A:+", "\\\n"]
)


@st.composite
def words(draw: st.DrawFn, depth: int = 0) -> str:
    """A shell word that should be simple."""
    return "".join(draw(st.lists(pieces(depth), max_size=4)))


@st.composite
def pieces(draw: st.DrawFn, depth: int) -> str:
    kind = draw(st.integers(0, 7 if depth < 2 else 4))
    if kind == 0:
        return draw(LITERAL)
    if kind == 1:
        return "'" + draw(QUOTED).replace("'", "") + "'"
    if kind == 2:
        return "\\" + draw(st.sampled_from("a$\"'\\ ;&é\n"))
    if kind == 3:
        return f"${draw(NAMES)}"
    if kind == 4:
        return f"${{{draw(NAMES)}}}"
    if kind == 5:
        return '"' + draw(quotations(depth + 1)) + '"'
    operator = draw(st.sampled_from([":-", "-", ":+", "+"]))
    return f"${{{draw(NAMES)}{operator}{draw(words(depth + 1))}}}"


@st.composite
def quotations(draw: st.DrawFn, depth: int) -> str:
    """What may stand between double quotes."""
    parts = []
    for kind in draw(st.lists(st.integers(0, 5 if depth < 3 else 3), max_size=4)):
        if kind <= 1:
            parts.append(draw(QUOTED).replace("`", "").replace("$", ""))
        elif kind == 2:
            parts.append("\\" + draw(st.sampled_from('a$"`\\n\n}')))
        elif kind == 3:
            parts.append(f"${{{draw(NAMES)}}}")
        else:
            operator = draw(st.sampled_from([":-", "-", ":+", "+"]))
            inner = draw(quotations(depth + 1))
            inner = f'"{inner}"' if kind == 5 else inner
            parts.append(f"${{{draw(NAMES)}{operator}{inner}}}")
    return "".join(parts)


@st.composite
def commands(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 4))
    name = draw(NAMES)
    if kind == 0:
        return f"{name}={draw(words())} {draw(NAMES)}={draw(words())}"
    if kind == 1:
        return f"export {name} {draw(NAMES)}={draw(words())}"
    if kind == 2:
        return f"unset {name}"
    if kind == 3:
        return f'export "{name}={draw(quotations(1))}"'
    return f"export {name}={draw(words())} # said"


SCRIPTS = st.lists(commands(), max_size=6).map("\n".join) | st.lists(TOKENS, max_size=25).map(
    "".join
)


def by_shell(environment: Environment, name: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as path:
        return evaluate(environment.replace(method="shell", shells=(as_sh(name, Path(path)),)))


@given(SCRIPTS, VALUES)
@example('export Q="${Q:-"a\\\\\\"b\'c\\\\$d"}"\n', "")
@example("A=x; export A; unset A; export B=${A-unset}\nA=y\n", "")
@example('export "A=b c"\nA="${A+x}\\\n y"', "")
def test_a_simple_script_means_what_every_shell_makes_of_it(text: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "90-environment.sh"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        environment = gathered(
            scripts=[(str(path), text)], caller={"A": "a caller's", "B": ""}, asked={"C": value}
        )
        event(environment.method)
        if environment.method == "shell":
            return
        ours = evaluate(environment)
        for name in present():
            assert by_shell(environment, name) == ours, name


@given(st.lists(TOKENS, max_size=30).map("".join) | quotations(1))
def test_an_injected_value_means_what_every_shell_makes_of_it(value: str) -> None:
    try:
        word = quoted(value)
    except NeedsShell:
        event("needs a shell")
        return
    ours = expand(word, {"HOME": "/home/who", "A": "one two", "PATH": DEFAULT_PATH})
    plain = Environment("shell", (), (("HOME", "/home/who"),), ())
    first = ("A", "one two", "--env", ("one two",))
    # Pieces that are not text make export() write the value as it was given.
    second = ("RESULT", value, "--env", None)
    environment = plain.replace(stages=(("inject", "", ()),), injected=(first, second))
    for name in present():
        assert by_shell(environment, name).get("RESULT", "") == ours, name


@pytest.mark.parametrize("name", ["dash", "busybox", "bash"])
@given(st.dictionaries(NAMES, st.binary(max_size=40).map(lambda value: value.replace(b"\0", b""))))
def test_any_bytes_come_back_from_a_shell_as_they_were(name: str, values: dict[str, bytes]) -> None:
    require(name in present(), "SHELL", f"{name} is not installed")
    wanted = {key: value.decode("utf-8", "surrogateescape") for key, value in values.items()}
    injected = tuple((key, value, "--env", (value,)) for key, value in wanted.items())
    environment = Environment("shell", (), (), (("inject", "", ()),), injected)
    got = by_shell(environment, name)
    assert {key: got[key] for key in wanted if key != "PS1"} == {
        key: value for key, value in wanted.items() if key != "PS1"
    }


@given(st.text(max_size=200))
def test_no_text_breaks_the_parsers(text: str) -> None:
    program, line = assignments.parse(text)
    assignments.run(program, {}, set())
    assert 0 <= line <= text.count("\n") + 1
    exports.parse_exports(text.encode("utf-8").decode("latin-1"))
