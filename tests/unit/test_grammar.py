"""Flags and variables, read as pflag and apptainer read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from minictr.cli.grammar import read_flags, read_variables
from minictr.cli.options import ACCEPTED, REFUSED, flags_of
from minictr.cli.records import records
from minictr.refusal import Refusal

if TYPE_CHECKING:
    from minictr.cli.grammar import Values

FLAGS = flags_of("exec", own_name=False)
REST = ["image", "--bind", "-c"]


def read(*arguments: str) -> tuple[Values, list[str]]:
    return read_flags(list(arguments), FLAGS, {})


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ([], {}),
        (["--bind", "a"], {"bind": ["a"]}),
        (["--bind=a"], {"bind": ["a"]}),
        (["--bind="], {"bind": [""]}),
        (["--bind", "--contain"], {"bind": ["--contain"]}),
        (["-Ba"], {"bind": ["a"]}),
        (["-B=a"], {"bind": ["a"]}),
        (["-B="], {"bind": ["="]}),
        (["-B", "a"], {"bind": ["a"]}),
        (["-B", "a,b", "-Bc"], {"bind": ["a,b", "c"]}),
        (["-ec"], {"cleanenv": True, "contain": True}),
        (["-ecB", "a"], {"cleanenv": True, "contain": True, "bind": ["a"]}),
        (["-ecBa"], {"cleanenv": True, "contain": True, "bind": ["a"]}),
        (["-c=false"], {"contain": False}),
        (["-ec=0"], {"cleanenv": True, "contain": False}),
        (["--contain=F"], {"contain": False}),
        (["--contain=T"], {"contain": True}),
        (["--contain", "--contain=false"], {"contain": False}),
        (["--pwd", "/a", "--pwd", "/b"], {"pwd": "/b"}),
        (["--cwd", "/a"], {"pwd": "/a"}),
        (["--scratch", "a,b", "-S", "c"], {"scratch": ["a", "b", "c"]}),
        (["--no-mount", 'tmp,"a,b"'], {"no-mount": ["tmp", "a,b"]}),
        (["--env", "A=1,B=2"], {"env": {"A": "1", "B": "2"}}),
        (["--env", "A=1,2"], {"env": {"A": "1,2"}}),
        (["--env", 'A=x,"B=1,2"'], {"env": {"A": "x", "B": "1,2"}}),
        (["--env", "A=1, B= 2 ,\tC=3"], {"env": {"A": "1", "B": " 2 ", "C": "3"}}),
        (["--env", "=x"], {"env": {"": "x"}}),
        (["--env-file", 'a,"b,c"', "--env-file", "d"], {"env-file": ["a", "b,c", "d"]}),
        (["--env-file", ""], {"env-file": []}),
        (["--env", '"A=1"'], {"env": {"A": "1"}}),
        (["--env", "A=a=b"], {"env": {"A": "a=b"}}),
        (["--env", "A=1", "--env", "A=2"], {"env": {"A": "2"}}),
        (["--env", "A="], {"env": {"A": ""}}),
        (["--env", ""], {"env": {}}),
        (["--preserve-fds", "3"], {"preserve-fds": 3}),
        (["--overlay=", "--boot=false"], {"overlay": [], "boot": False}),
    ],
)
def test_flags_are_read_up_to_the_image(arguments: list[str], values: Values) -> None:
    assert read(*arguments, *REST) == (values, REST)


def test_two_dashes_end_the_flags() -> None:
    assert read("-c", "--", "-e", "--") == ({"contain": True}, ["-e", "--"])


def test_a_single_dash_and_an_empty_argument_are_no_flags() -> None:
    assert read("-", "-c") == ({}, ["-", "-c"])
    assert read("", "-c") == ({}, ["", "-c"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nosuch"], "unknown flag: --nosuch"),
        (["--nosuch=1"], "unknown flag: --nosuch"),
        (["--contai"], "unknown flag: --contai"),
        (["--B", "a"], "unknown flag: --B"),
        (["--shell", "a"], "unknown flag: --shell"),
        (["-q"], "unknown shorthand flag: 'q' in -q"),
        (["-v"], "unknown shorthand flag: 'v' in -v"),
        (["-cqe"], "unknown shorthand flag: 'q' in -qe"),
        (["-c="], "unknown shorthand flag: '=' in -="),
        (["---a"], "bad flag syntax: ---a"),
        (["--=a"], "bad flag syntax: --=a"),
        (["--pwd"], "flag needs an argument: --pwd"),
        (["--cwd"], "flag needs an argument: --cwd"),
        (["-B"], "flag needs an argument: 'B' in -B"),
        (["-cB"], "flag needs an argument: 'B' in -B"),
        (
            ["--contain=yes"],
            'invalid argument "yes" for "-c, --contain" flag: '
            'strconv.ParseBool: parsing "yes": invalid syntax',
        ),
        (["--env", "A"], 'invalid argument "A" for "--env" flag: A must be formatted as key=value'),
        (
            ["--env", "A=1,B=2,C"],
            'invalid argument "A=1,B=2,C" for "--env" flag: C must be formatted as key=value',
        ),
        (
            ["--env", 'A=1,B="2"'],
            'invalid argument "A=1,B=\\"2\\"" for "--env" flag: '
            'column 7: bare " in non-quoted field',
        ),
        (
            ["--preserve-fds", "-1"],
            'invalid argument "-1" for "--preserve-fds" flag: '
            'strconv.ParseUint: parsing "-1": invalid syntax',
        ),
        (
            ["--preserve-fds", "9999999999"],
            'invalid argument "9999999999" for "--preserve-fds" flag: '
            'strconv.ParseUint: parsing "9999999999": value out of range',
        ),
    ],
)
def test_a_usage_error_has_the_words_of_pflag(arguments: list[str], message: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(*arguments)
    assert (caught.value.code, caught.value.cause) == ("usage", message)


def argument_of(kind: str) -> list[str]:
    return [] if kind == "bool" else ["1"]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: str(row[0]))
def test_an_option_that_would_be_without_effect_is_refused_by_name(row: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        read("--" + row[0], *argument_of(row[2]), "image")
    assert caught.value.code == "request"
    assert caught.value.cause == f"--{row[0]} is refused: {row[5]}"


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: str(row[0]))
def test_an_accepted_option_is_read_with_its_argument(row: tuple[str, ...]) -> None:
    _, rest = read("--" + row[0], *argument_of(row[2]), "image")
    assert rest == ["image"]


@pytest.mark.parametrize(
    ("environ", "flags", "values"),
    [
        ({"HOME": "/h", "APPTAINER_NAME": "x", "APPTAINERENV_BIND": "y"}, {}, {}),
        ({"APPTAINER_BIND": "a"}, {}, {"bind": ["a"]}),
        ({"SINGULARITY_BINDPATH": "b", "SINGULARITY_BIND": "a"}, {}, {"bind": ["a", "b"]}),
        ({"APPTAINER_BIND": "a"}, {"bind": ["x"]}, {"bind": ["x", "a"]}),
        ({"SINGULARITY_BINDPATH": "b", "APPTAINER_BIND": "a"}, {}, {"bind": ["a", "b"]}),
        ({"MINICTR_MOUNT": "a"}, {}, {"mount": ["a"]}),
        ({"SINGULARITY_CONTAIN": "1"}, {}, {"contain": True}),
        ({"SINGULARITY_CONTAIN": "1"}, {"contain": False}, {"contain": False}),
        ({"APPTAINER_CONTAIN": "f"}, {}, {"contain": False}),
        ({"APPTAINER_CONTAIN": " "}, {}, {}),
        ({"APPTAINER_PWD": "/p", "APPTAINER_CWD": "/c"}, {}, {"pwd": "/p"}),
        ({"APPTAINER_TARGET_PWD": " /p "}, {}, {"pwd": "/p"}),
        ({"APPTAINER_NO_MOUNT": "tmp , home"}, {}, {"no-mount": ["tmp", "home"]}),
        ({"APPTAINER_NO_MOUNT": "tmp"}, {"no-mount": ["sys"]}, {"no-mount": ["sys"]}),
        ({"APPTAINER_ENV_FILE": "e"}, {"env-file": ["f"]}, {"env-file": ["f"]}),
        ({"APPTAINER_ENV_FILE": "e, f"}, {}, {"env-file": ["e", "f"]}),
        ({"MINICTR_ID_MAP": "single"}, {}, {"id-map": "single"}),
        ({"APPTAINER_DEBUG": "true"}, {}, {"debug": True}),
        ({"APPTAINER_DOCKER_PASSWORD": "x"}, {}, {"docker-password": "x"}),
    ],
)
def test_variables_stand_for_flags(environ: dict[str, str], flags: Values, values: Values) -> None:
    given = dict(flags)
    assert read_variables(environ, given) == []
    assert given == values


def test_the_earlier_prefix_wins_and_the_difference_is_said() -> None:
    values: Values = {}
    environ = {"SINGULARITY_BIND": "s", "APPTAINER_BIND": "a", "SINGULARITY_PWD": "/same"}
    environ |= {"APPTAINER_PWD": "/same"}
    warnings = read_variables(environ, values)
    assert values == {"bind": ["a"], "pwd": "/same"}
    assert warnings == [
        "SINGULARITY_BIND and APPTAINER_BIND have different values, using the latter"
    ]


def test_a_variable_that_is_no_boolean_is_named_with_its_value() -> None:
    with pytest.raises(Refusal) as caught:
        read_variables({"APPTAINER_CONTAIN": "yes"}, {})
    assert caught.value.code == "request"
    assert caught.value.proof == "APPTAINER_CONTAIN=yes"
    assert 'strconv.ParseBool: parsing "yes": invalid syntax' in caught.value.cause


def test_a_variable_of_a_refused_option_is_named() -> None:
    with pytest.raises(Refusal) as caught:
        read_variables({"SINGULARITY_OVERLAY": "o.img"}, {})
    assert caught.value.proof == "SINGULARITY_OVERLAY=o.img"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", []),
        ("a,b", [["a", "b"]]),
        ("a,", [["a", ""]]),
        ("a\n\nb\n", [["a"], ["b"]]),
        ('"a,b",c', [["a,b", "c"]]),
        ('"a""b"', [['a"b']]),
        ('"a\nb",c\nd', [["a\nb", "c"], ["d"]]),
        ('"",""', [["", ""]]),
    ],
)
def test_records_are_those_of_go(text: str, fields: list[list[str]]) -> None:
    assert records(text) == fields


@pytest.mark.parametrize("text", ['a"b', '"a"b', '"a', '"', 'a,"b""'])
def test_a_quote_out_of_place_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="column"):
        records(text)
