"""Scripts evaluated by a shell: each shell of this machine stands for the image's /bin/sh."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from environments import gathered
from shells import sh as sh

from minictr.runtime.environment import Environment, ScriptExit, evaluate
from minictr.runtime.exports import parse_exports
from minictr.runtime.shell import ended
from minictr.runtime.syscalls import CallError

HARD = "if :; then :; fi\n"  # no script that begins so is simple


def gathered_from(
    directory: Path, sh: str, scripts: dict[str, str] | None = None, **given: object
) -> Environment:
    """An environment whose scripts lie in `directory`, to be evaluated by `sh`."""
    found = []
    for name, text in (scripts or {}).items():
        path = directory / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        found.append((str(path), text))
    environment = gathered(scripts=found, **given)  # type: ignore[arg-type]
    return environment.replace(method="shell", shells=(sh,))


def test_a_script_is_sourced_and_what_it_exports_counts(tmp_path: Path, sh: str) -> None:
    text = HARD + 'A=1\nexport B="$A `echo two` $(printf "x\\n\\n")"\nf() { export C=3; }; f\n'
    result = evaluate(gathered_from(tmp_path, sh, {"90-environment.sh": text}))
    assert ("A" in result, result["B"], result["C"]) == (False, "1 two x", "3")


def test_the_callers_variables_are_hidden_from_scripts(tmp_path: Path, sh: str) -> None:
    names = ("CALLER", "TERM", "SHELL", "PS1", "SHLVL", "HOSTNAME", "OLDPWD", "USER_PATH")
    text = HARD + "".join(f'export S_{name}="${{{name}-unset}}"\n' for name in names)
    text += 'export S_IDS="$UID $GID" S_PWD=$PWD S_HOME=$HOME S_NAME=$APPTAINER_NAME S_ARGS="$*"\n'
    result = evaluate(
        gathered_from(
            tmp_path, sh, {"95-x.sh": text}, caller=dict.fromkeys(names, "1"), command=("a", "b c")
        )
    )
    assert {name: result[f"S_{name}"] for name in names} == dict.fromkeys(names, "unset")
    assert {name: result[name] for name in names if name not in ("PS1", "USER_PATH")} == (
        dict.fromkeys(set(names) - {"PS1", "USER_PATH"}, "1")
    )
    assert result["S_IDS"] == f"{os.getuid()} {os.getgid()}"
    assert (result["S_PWD"], result["S_HOME"]) == (os.getcwd(), "/home/who")
    assert (result["S_NAME"], result["S_ARGS"]) == ("hello.sif", "a b c")


def test_what_a_script_sets_and_does_not_export_hides_the_callers(tmp_path: Path, sh: str) -> None:
    text = HARD + "A=image\nexport B= NEW=\nunset HOME\n"
    caller = {"A": "1", "B": "2", "C": "3"}
    result = evaluate(gathered_from(tmp_path, sh, {"90-environment.sh": text}, caller=caller))
    assert ("A" in result, "B" in result, result["NEW"]) == (False, False, "")
    assert (result["HOME"], result["C"]) == ("/home/who", "3")


def test_a_script_cannot_rename_the_image_and_does_not_move_the_payload(
    tmp_path: Path, sh: str
) -> None:
    text = HARD + "export APPTAINER_NAME=x SINGULARITY_NAME=y\ncd /\n"
    caller = {"OLDPWD": "/before"}
    result = evaluate(gathered_from(tmp_path, sh, {"90-environment.sh": text}, caller=caller))
    assert (result["APPTAINER_NAME"], result["SINGULARITY_NAME"]) == ("hello.sif", "y")
    assert (result["PWD"], result["OLDPWD"]) == (os.getcwd(), "/before")


def test_the_stages_between_scripts_are_the_same_as_without_a_shell(
    tmp_path: Path, sh: str
) -> None:
    scripts = {
        "05-early.sh": 'export EARLY="${PATH-unset}"\n',
        "10-docker.sh": "export PATH=/app:/bin\n",
        "90-environment.sh": 'export BEFORE="${ASKED-}" LD_LIBRARY_PATH=/l\n',
        "99-late.sh": 'export AFTER="$ASKED" BASE="$LD_LIBRARY_PATH $PS1"\n',
        "99-z.sh": "export LAST=$PATH\n",
    }
    asked = {"ASKED": "$HOME", "PREPEND_PATH": "/p", "APPEND_PATH": "/q"}
    environment = gathered_from(tmp_path, sh, scripts, asked=asked)
    result = evaluate(environment)
    assert result == evaluate(environment.replace(method="assignments"))
    assert (result["EARLY"], result["BEFORE"], result["AFTER"]) == ("unset", "", "/home/who")
    assert result["BASE"] == "/l:/.singularity.d/libs Apptainer> "
    assert result["LAST"] == result["PATH"]
    assert result["PATH"].startswith("/p:/app:/bin:/usr/local/sbin:")


def test_injected_values_are_evaluated_as_between_double_quotes(tmp_path: Path, sh: str) -> None:
    text = HARD + "export IMAGE='from image'\n"
    asked = {"A": '$(echo "q  q") `echo bq` ${IMAGE%image}$((1+1)) \\$HOME "x"', "B": "it's $IMAGE"}
    environment = gathered_from(tmp_path, sh, {"90-environment.sh": text}, asked=asked)
    result = evaluate(environment)
    assert (result["A"], result["B"]) == ('"q q" bq from 2 $HOME "x"', "it's from image")
    literal = gathered_from(tmp_path, sh, {"9.sh": text}, asked=asked, evaluate=False)
    assert evaluate(literal)["A"] == asked["A"]


@pytest.mark.parametrize(
    ("text", "status"), [("exit 7", 7), ("exit 0", 0), ("set -e\nfalse", 1), ("exec true", 0)]
)
def test_a_script_that_ends_the_shell_is_named_with_its_status(
    text: str, status: int, tmp_path: Path, sh: str
) -> None:
    scripts = {"05-good.sh": "A=1\n", "90-environment.sh": text + "\n", "99-late.sh": "B=1\n"}
    with pytest.raises(CallError) as caught:
        evaluate(gathered_from(tmp_path, sh, scripts))
    script = str(tmp_path / "90-environment.sh")
    assert (caught.value.call, caught.value.arguments) == ("source", (script, status))


def test_a_signal_during_a_script_is_the_result_of_the_launch(tmp_path: Path, sh: str) -> None:
    scripts = {"05-good.sh": "A=1\n", "90-environment.sh": "kill -9 $$\n"}
    with pytest.raises(ScriptExit) as caught:
        evaluate(gathered_from(tmp_path, sh, scripts))
    script = str(tmp_path / "90-environment.sh")
    assert (caught.value.status, caught.value.script) == (137, script)


def test_no_script_is_named_for_what_ends_the_shell_after_them(tmp_path: Path, sh: str) -> None:
    scripts = {"90-environment.sh": "A=`id`\nreadonly PATH\n", "99-late.sh": "B=1\n"}
    with pytest.raises(CallError) as caught:
        evaluate(gathered_from(tmp_path, sh, scripts, asked={"PATH": "/x"}))
    assert (caught.value.call, caught.value.arguments[0]) == ("set", "")


def test_the_last_script_is_not_named_for_an_answer_that_is_cut_short(
    tmp_path: Path, sh: str
) -> None:
    environment = gathered_from(tmp_path, sh, {"99-zz.sh": "A=`id`\n"})
    said = f"#{len(environment.stages) - 1}\n#dump\nexport B='#0"
    refused = ended(environment, 1, said)
    assert isinstance(refused, CallError)
    assert (refused.call, refused.arguments) == ("set", ("", 1))


@pytest.mark.parametrize(
    "text",
    [
        "exec 9>/dev/null", "exec 9>&-", "alias echo=true export=true", "alias command=true",
        "command() { :; }", "echo() { :; }",
    ],
)  # fmt: skip
def test_a_script_may_use_the_descriptor_and_the_words_of_the_answer(
    text: str, tmp_path: Path, sh: str
) -> None:
    scripts = {"05-good.sh": f"A=`id`\n{text}\n", "99-late.sh": "\\export B=1\n"}
    assert evaluate(gathered_from(tmp_path, sh, scripts))["B"] == "1"


def test_options_a_script_leaves_set_do_not_disturb_the_rest(tmp_path: Path, sh: str) -> None:
    text = "set -euf\nIFS=/:\nexport A=1\nreturn 0\nexport B=1\n"
    result = evaluate(gathered_from(tmp_path, sh, {"90-environment.sh": text}, asked={"C": "2"}))
    assert (result["A"], result.get("B"), result["C"]) == ("1", None, "2")
    assert result["PATH"].count(":") == 5


def test_a_daemon_started_by_a_script_does_not_hold_the_launch_up(tmp_path: Path, sh: str) -> None:
    text = "PATH=/usr/bin:/bin\nsleep 3 >/dev/null 2>&1 &\nexport A=1\n"
    before = time.monotonic()
    result = evaluate(gathered_from(tmp_path, sh, {"90-environment.sh": text}))
    assert result["A"] == "1"
    assert time.monotonic() - before < 2


def test_what_scripts_print_reaches_the_user(
    tmp_path: Path, sh: str, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(gathered_from(tmp_path, sh, {"9.sh": "echo said\necho warned >&2\n"}))
    assert capfd.readouterr() == ("said\n", "warned\n")


def test_values_longer_than_one_argument_are_passed(tmp_path: Path, sh: str) -> None:
    asked = {"LONG": "x'" * 40_000, "LONGER": "${HOME}" + "y" * 80_000}
    result = evaluate(gathered_from(tmp_path, sh, asked=asked))
    assert result["LONG"] == asked["LONG"]
    assert result["LONGER"] == "/home/who" + "y" * 80_000


def test_an_env_file_for_a_shell_sees_the_caller_and_exports_all(tmp_path: Path, sh: str) -> None:
    text = "if :; then A=1; fi\nB=$CALLER\nC=`echo c`\nD='$HOME'\nPATH=/file\nHOME=/x\nE=file\n"
    environment = gathered_from(
        tmp_path, sh,
        caller={"CALLER": "it's", "APPTAINERENV_A": "prefix"},
        asked={"E": "option"},
        env_files=(("vars", text),),
    )  # fmt: skip
    assert environment.env_files
    result = evaluate(environment)
    assert [result[name] for name in "ABCDE"] == ["1", "it's", "c", "/home/who", "option"]
    assert (result["PATH"], result["HOME"]) == ("/file", "/home/who")


def test_an_env_file_for_a_shell_may_have_line_ends_of_another_system(
    tmp_path: Path, sh: str
) -> None:
    text = "\r\nif :; then\r\nA=1\r\nfi\r\nB=a\\\r\nb\r\n"
    result = evaluate(gathered_from(tmp_path, sh, env_files=(("vars", text),)))
    assert (result["A"], result["B"]) == ("1", "ab")


@pytest.mark.parametrize("value", ["a $( b", "a ` b", "${", "$(echo 'x)", '$(echo "$(id)'])
def test_a_value_no_shell_can_read_is_passed_on_and_ends_nothing(
    tmp_path: Path, sh: str, value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    caller = {"APPTAINERENV_A": value, "APPTAINERENV_B": "$(echo 'b  b')", "APPTAINERENV_C": "c"}
    result = evaluate(gathered_from(tmp_path, sh, caller=caller))
    assert [result[name] for name in "ABC"] == [value, "b  b", "c"]
    assert "the value of A is not evaluated\n" in capfd.readouterr().err


@pytest.mark.parametrize("value", ["${NOTSET?words}", "$((1/0))", "${NOTSET:?}"])
def test_a_value_that_ends_the_shell_is_empty_and_ends_nothing(
    tmp_path: Path, sh: str, value: str
) -> None:
    caller = {
        "APPTAINERENV_A": value, "APPTAINERENV_B": "a${HOME}b\n", "APPTAINERENV_C": "$((6*7))",
        "APPTAINERENV_D": '${HOME:+"d"} `echo e`',
    }  # fmt: skip
    result = evaluate(gathered_from(tmp_path, sh, caller=caller))
    assert [result[name] for name in "ABCD"] == ["", "a/home/whob\n", "42", '"d" e']


@pytest.mark.parametrize(
    ("text", "line"), [("A=`id`\nfi\n", "2"), ("A=1\nif :; then\n", "3"), ("(\n\n;\n", "3")]
)
def test_a_shell_says_which_line_of_an_env_file_it_cannot_read(
    tmp_path: Path, sh: str, text: str, line: str
) -> None:
    with pytest.raises(CallError) as caught:
        evaluate(gathered_from(tmp_path, sh, env_files=(("vars", text),)))
    assert (caught.value.call, caught.value.arguments[:2]) == ("sh", ("-n", "vars"))
    assert caught.value.said.removeprefix("line ").startswith(f"{line}: ")


def test_an_env_file_that_ends_the_shell_ends_the_launch(tmp_path: Path, sh: str) -> None:
    with pytest.raises(CallError) as caught:
        evaluate(gathered_from(tmp_path, sh, env_files=(("vars", "A=`id`\nexit 0\n"),)))
    assert (caught.value.call, caught.value.arguments) == ("sh", ("-c", "vars", 0))
    assert caught.value.said == ""


def test_a_signal_during_an_env_file_is_the_result_of_the_launch(tmp_path: Path, sh: str) -> None:
    with pytest.raises(ScriptExit) as caught:
        evaluate(gathered_from(tmp_path, sh, env_files=(("vars", "A=`id`\nkill -9 $$\n"),)))
    assert (caught.value.status, caught.value.script) == (137, "vars")


def test_a_shell_that_is_missing_is_an_execve_that_failed(tmp_path: Path) -> None:
    with pytest.raises(CallError) as caught:
        evaluate(gathered_from(tmp_path, "/nowhere/sh", {"9.sh": HARD}))
    assert (caught.value.call, caught.value.arguments[0]) == ("execve", "/nowhere/sh")


def test_descriptors_are_not_leaked(tmp_path: Path, sh: str) -> None:
    environment = gathered_from(tmp_path, sh, {"9.sh": HARD}, asked={"L": "x" * 140_000})
    before = os.listdir("/proc/self/fd")
    evaluate(environment)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("export A='it'\"'\"'s'\nexport B\nexport C=''\n", {"A": "it's", "C": ""}),
        ("export A='a\nexport B='\"'\"'x'\"'\"''\n", {"A": "a\nexport B='x'"}),
        ('declare -x A="a\\"\\$\\\\b\nc"\ndeclare -x B\n', {"A": 'a"$\\b\nc'}),
        ("declare -x A=$'a\\n\\303\\251\\E\\'\\\\'\n", {"A": "a\né\x1b'\\"}),
        ("typeset -x A=$'\\xe9\\t'\nexport B=plain\n", {"A": "\udce9\t", "B": "plain"}),
        ('declare -ax L=([0]="1" [1]="2 3")\ndeclare -x B="1"\n', {"B": "1"}),
        ("export A='\u00c3\u00a9'\n", {"A": "é"}),
        ("export A='never ends", {"A": "never ends"}),
        ("", {}),
    ],
)
def test_the_forms_of_every_shell_are_read(printed: str, expected: dict[str, str]) -> None:
    assert parse_exports(printed) == expected
