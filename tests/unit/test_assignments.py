"""The evaluator of simple scripts: what it takes, what it leaves to a shell."""

from __future__ import annotations

import pytest

from minictr.runtime.assignments import parse, run
from minictr.runtime.words import NeedsShell, Unbalanced, expand, quoted


def exports(text: str, **values: str) -> dict[str, str]:
    """What is exported after the script, the variables given being exported before."""
    program, line = parse(text)
    assert line == 0, f"line {line} needs a shell"
    exported = set(values)
    run(program, values, exported)
    return {name: values[name] for name in exported if name in values}


# As docker:// images have it; the shells agree that this is what QUOTED is.
DOCKER = r"""#!/bin/sh
export PATH="/opt/app/bin:/usr/bin:/bin"
export APP_MODE="${APP_MODE:-"docker default"}"
export QUOTED="${QUOTED:-"a\\\"b'c\\$d"}"
"""


def test_the_script_of_a_docker_image_is_evaluated() -> None:
    assert exports(DOCKER) == {
        "PATH": "/opt/app/bin:/usr/bin:/bin",
        "APP_MODE": "docker default",
        "QUOTED": r"""a\"b'c""" + "\\",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("export A=1 B=2;export C=3 # said\n# more", {"A": "1", "B": "2", "C": "3"}),
        ("A=1; B=2\nexport B", {"B": "2"}),
        ("export A\nA=late", {"A": "late"}),
        ("export A=1; unset A; A=2", {}),
        ("export A=$X:$X", {"A": "x y:x y"}),
        ("export \"A=$X b\" 'B=$X'", {"A": "x y b", "B": "$X"}),
        ("A=1 B=$A; export B", {"B": "1"}),
        ('export A="a\\\nb" B=c\\\nd', {"A": "ab", "B": "cd"}),
        ("export A='it'\\''s' B=\"\\a\\$\\\"\"", {"A": "it's", "B": '\\a$"'}),
        ('export A=$ B=a#b C="$ $"', {"A": "$", "B": "a#b", "C": "$ $"}),
        ("  export\tA=1\t;\n\n \\\n export B=é", {"A": "1", "B": "é"}),
        ("", {}),
    ],
)
def test_assignments_exports_and_quotations_are_evaluated(
    text: str, expected: dict[str, str]
) -> None:
    assert exports(text, X="x y") == {"X": "x y"} | expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("${SET}", "s"), ("${NONE}", ""), ("${EMPTY}", ""),
        ("${SET:-d}", "s"), ("${EMPTY:-d}", "d"), ("${NONE:-d}", "d"),
        ("${SET-d}", "s"), ("${EMPTY-d}", ""), ("${NONE-d}", "d"),
        ("${SET:+a}", "a"), ("${EMPTY:+a}", ""), ("${NONE:+a}", ""),
        ("${SET+a}", "a"), ("${EMPTY+a}", "a"), ("${NONE+a}", ""),
        ("${NONE:-${EMPTY:-${SET}}}", "s"), ('"${NONE:-"a } b"}"', "a } b"),
        ("${NONE:-'a } b'}", "a } b"), ("p$SET/q", "ps/q"), ('"${NONE-a\\}b}"', "a}b"),
    ],
)  # fmt: skip
def test_an_expansion_tells_unset_from_empty(word: str, expected: str) -> None:
    assert exports(f"export R={word}", SET="s", EMPTY="")["R"] == expected


@pytest.mark.parametrize(
    "text",
    [
        "if [ -n x ]; then\nexport A=1\nfi", "A=1 true", "A=$(id)", "A=`id`", "A=$((1))",
        "A=*", "export A=~/x", "export -p", "export", "unset", "unset -f x", "A=${B%x}",
        "A=${B:=x}", "A=${#B}", "A=$1", "A=$@", "A=$$", "A=$'x'", 'A=$"x"', "A=(1 2)", "A+=1",
        "1A=2", "export 1=2", "A=1 & B=2", "A=1 > f", "A={x,y}", ". /etc/profile", "readonly A=1",
        "export A=1 B=$A",
        "A=$RANDOM", "IFS=x", "UID=1", "PWD=/", "A=${B:-~}", "A=\"${B:-'x'}\"", "A=1;;B=2", ";A=1",
        "A='", 'A="', "A=${B", "A=x\\", "A=1\r\n", "A=\0", "exportA=1 x", "export A#b",
    ],
)  # fmt: skip
def test_what_shells_alone_can_tell_is_left_to_them(text: str) -> None:
    assert parse(f"export BEFORE=1\n{text}")[1] in (1, 2)


def test_the_line_that_needs_a_shell_is_named_and_what_stands_before_it_is_kept() -> None:
    program, line = parse("#!/bin/sh\nexport A=1\n\nexport B=`id`\nexport C=3\n")
    assert line == 4
    assert program == (("export", "A", ("1",)),)


def test_braces_nested_deeper_than_our_stack_need_a_shell() -> None:
    assert parse("A=" + "${B:-" * 5000 + "}" * 5000)[1] == 1


def test_an_injected_value_is_read_as_between_double_quotes() -> None:
    values = {"HOME": "/home/who"}
    assert expand(quoted('say "$HOME" \\$HOME'), values) == 'say "/home/who" $HOME'
    assert expand(quoted("a\\\\b\\c"), values) == "a\\b\\c"


@pytest.mark.parametrize("value", ["ends in \\", 'a\\"b', "${A", '${A:-"'])
def test_an_injected_value_that_ends_inside_a_quotation_is_told_from_one_for_a_shell(
    value: str,
) -> None:
    with pytest.raises(Unbalanced):
        quoted(value)


@pytest.mark.parametrize("value", ["$(id)", "`id`", "${A%x}", "$1"])
def test_an_injected_value_may_need_a_shell(value: str) -> None:
    with pytest.raises(NeedsShell) as caught:
        quoted(value)
    assert not isinstance(caught.value, Unbalanced)
