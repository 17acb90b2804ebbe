"""The payload's environment: what of the caller, the image and the user it is made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from environments import gathered

from minictr.request import Bind
from minictr.runtime.environment import Environment, evaluate
from minictr.runtime.variables import DEFAULT_PATH, absolute, complete_path

ENV = "/.singularity.d/env"


def payload(**given: object) -> dict[str, str]:
    return evaluate(gathered(**given))  # type: ignore[arg-type]


def test_nothing_needs_no_evaluation() -> None:
    environment = gathered(caller={"PATH": "/bin", "TERM": "vt100"})
    assert environment.method == "none"
    assert evaluate(environment) == {
        "TERM": "vt100",
        "USER_PATH": "/bin:/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin:/usr/local/sbin",
        "HOME": "/home/who",
        "PATH": DEFAULT_PATH,
        "PWD": os.getcwd(),
        "LD_LIBRARY_PATH": "/.singularity.d/libs",
        "PS1": "Apptainer> ",
        "PROMPT_COMMAND": 'PS1="Apptainer> "; unset PROMPT_COMMAND',
        "APPTAINER_NAME": "hello.sif", "SINGULARITY_NAME": "hello.sif",
        "APPTAINER_CONTAINER": "/images/hello.sif", "SINGULARITY_CONTAINER": "/images/hello.sif",
        "APPTAINER_BIND": "", "SINGULARITY_BIND": "",
        "APPTAINER_COMMAND": "exec", "APPTAINER_APPNAME": "",
        "APPTAINER_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
        "SINGULARITY_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
    }  # fmt: skip


def test_the_caller_keeps_his_variables_but_for_those_of_the_launchers() -> None:
    caller = {
        "FOO": "1", "EMPTY": "", "NEWLINE": "a\nb", "BASH_FUNC_x%%": "() { :; }", "BYTES": "\udcff",
        "APPTAINER_BIND": "/x", "SINGULARITY_X": "1", "MINICTR_CACHEDIR": "/c",
        "HOME": "/elsewhere", "LD_LIBRARY_PATH": "/host", "PATH": "/host",
    }  # fmt: skip
    result = payload(caller=caller)
    assert {name: result.get(name) for name in caller} == {
        "FOO": "1", "EMPTY": "", "NEWLINE": "a\nb", "BASH_FUNC_x%%": "() { :; }", "BYTES": "\udcff",
        "APPTAINER_BIND": "", "SINGULARITY_X": None, "MINICTR_CACHEDIR": None, "HOME": "/home/who",
        "LD_LIBRARY_PATH": "/.singularity.d/libs", "PATH": DEFAULT_PATH,
    }  # fmt: skip


def test_a_clean_environment_keeps_terminal_and_proxies() -> None:
    caller = {
        "TERM": "vt",
        "http_proxy": "p",
        "NO_PROXY": "q",
        "LANG": "de",
        "X": "1",
        "PATH": "/b",
    }
    result = payload(caller=caller, cleanenv=True, asked={"Y": "2"})
    kept = {name: result.get(name) for name in [*caller, "Y", "USER_PATH"]}
    assert kept == {
        "TERM": "vt", "http_proxy": "p", "NO_PROXY": "q", "LANG": "C", "X": None, "Y": "2",
        "PATH": DEFAULT_PATH, "USER_PATH": None,
    }  # fmt: skip


def test_the_user_beats_the_image_and_the_image_beats_the_caller() -> None:
    scripts = [(f"{ENV}/90-environment.sh", "export A=image B=image C=image\n")]
    result = payload(scripts=scripts, caller={"A": "caller", "B": "caller"}, asked={"B": "user"})
    assert (result["A"], result["B"], result["C"]) == ("image", "user", "image")


def test_prefixes_have_an_order_and_the_option_beats_them() -> None:
    caller = {
        f"{prefix}_{name}": prefix
        for prefix, names in [
            ("MINICTRENV", "AB"),
            ("APPTAINERENV", "ABC"),
            ("SINGULARITYENV", "ABCD"),
        ]
        for name in names
    }
    environment = gathered(caller=caller, asked={"A": "option"})
    result = evaluate(environment)
    assert [result[name] for name in "ABCD"] == [
        "option", "MINICTRENV", "APPTAINERENV", "SINGULARITYENV",
    ]  # fmt: skip
    assert "SINGULARITYENV_C and APPTAINERENV_C have different values, using the latter" in (
        environment.warnings
    )


def test_what_the_user_may_not_set_is_warned_of() -> None:
    environment = gathered(caller={"SINGULARITYENV_HOME": "/x"}, asked={"UID": "0", "": "v"})
    assert evaluate(environment)["HOME"] == "/home/who"
    assert environment.warnings == (
        "Ignore environment variable =v: variable name missing",
        "Overriding HOME environment variable with SINGULARITYENV_HOME is not permitted",
    )


def test_path_can_be_prepended_appended_and_replaced() -> None:
    asked = {"PREPEND_PATH": "/pre:$HOME", "APPEND_PATH": "/app"}
    assert payload(asked=asked)["PATH"] == f"/pre:/home/who:{DEFAULT_PATH}:/app"
    result = payload(asked=asked | {"PATH": "/only"})
    assert result["PATH"] == "/only"
    assert not [name for name in result if name.startswith("SING_USER")]


def test_an_injected_library_path_keeps_the_launchers_libraries() -> None:
    assert payload(asked={"LD_LIBRARY_PATH": "/l"})["LD_LIBRARY_PATH"] == "/l:/.singularity.d/libs"
    assert payload(asked={"LD_LIBRARY_PATH": ""})["LD_LIBRARY_PATH"] == ""


def test_injected_values_are_evaluated_unless_no_eval_is_given() -> None:
    value = 'say "$HOME" \\$X'
    assert payload(asked={"A": value})["A"] == 'say "/home/who" $X'
    result = payload(asked={"A": value}, evaluate=False)
    assert (result["A"], result["APPTAINER_NO_EVAL"]) == (value, "1")


def test_an_injected_value_without_an_end_is_taken_as_it_is_written() -> None:
    environment = gathered(asked={"A": "ends in \\"})
    assert evaluate(environment)["A"] == "ends in \\"
    assert environment.warnings == (
        "the value of A ends inside a quotation or an expansion, so it is not evaluated",
    )


def test_a_name_no_shell_can_hold_is_passed_as_it_is() -> None:
    assert payload(asked={"a-b": "$HOME"})["a-b"] == "$HOME"


def test_what_an_image_sets_and_does_not_export_hides_the_callers() -> None:
    text = "A=image\nexport B= NEW=\nunset HOME\nexport TERM=$TERM.\n"
    caller = {"A": "1", "B": "2", "TERM": "vt"}
    result = payload(scripts=[(f"{ENV}/90-environment.sh", text)], caller=caller)
    assert ("A" in result, "B" in result, result["NEW"]) == (False, False, "")
    assert (result["HOME"], result["TERM"]) == ("/home/who", ".")


def test_what_is_injected_empty_stays_empty() -> None:
    assert payload(caller={"A": "1"}, asked={"A": ""})["A"] == ""


def test_scripts_that_sort_behind_99_base_see_what_was_injected() -> None:
    scripts = [
        (f"{ENV}/05-early.sh", 'export EARLY="[$PATH]"\n'),
        (f"{ENV}/90-environment.sh", 'export BEFORE="[$ASKED]" FOUND=$PATH\n'),
        (f"{ENV}/99-late.sh", 'export AFTER="[$ASKED]"\n'),
        (f"{ENV}/99-runtimevars.sh", "export IGNORED=1\n"),
        (f"{ENV}/99-z.sh", "export LAST=$PATH\n"),
    ]
    result = payload(scripts=scripts, asked={"ASKED": "1", "PREPEND_PATH": "/p"})
    assert (result["EARLY"], result["BEFORE"], result["AFTER"]) == ("[]", "[]", "[1]")
    assert (result["FOUND"], result["LAST"]) == (DEFAULT_PATH, f"/p:{DEFAULT_PATH}")
    assert "IGNORED" not in result


def test_an_image_with_its_own_99_base_gets_no_other() -> None:
    scripts = [(f"{ENV}/99-base.sh", "export PS1='mine> ' LD_LIBRARY_PATH=/own$ASKED\n")]
    result = payload(scripts=scripts, asked={"ASKED": "1"})
    assert (result["PS1"], result["LD_LIBRARY_PATH"]) == ("mine> ", "/own")


@pytest.mark.parametrize("path", [f"{ENV}/10-docker2singularity.sh", "/environment"])
def test_the_path_of_a_docker_image_is_completed(path: str) -> None:
    result = payload(scripts=[(path, "export PATH=/app:/bin\n")])
    assert result["PATH"] == "/app:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"


def test_a_script_for_a_shell_makes_the_method_shell_and_bash_is_chosen_where_it_is_meant() -> None:
    plain = gathered(scripts=[(f"{ENV}/90-environment.sh", "if :; then export A=1; fi\n")])
    bash = gathered(scripts=[(f"{ENV}/90-environment.sh", "[[ -n x ]] && export A=1\n")])
    assert (plain.method, plain.shells) == ("shell", ("/bin/sh",))
    assert (bash.method, bash.shells) == ("shell", ("/bin/bash", "/bin/sh"))


def test_an_image_without_a_shell_gets_what_can_be_evaluated_and_the_rest_is_named() -> None:
    text = "export A=1\nexport B=`id`\nexport C=3\n"
    environment = gathered(
        scripts=[(f"{ENV}/90-environment.sh", text)],
        asked={"D": "$(id)", "E": "$A"},
        env_files=(("vars", "F=1\nG=$(id)\n"),),
        shell=False,
    )
    result = evaluate(environment)
    assert [result.get(name) for name in "ABCDEFG"] == ["1", None, None, "$(id)", "1", "1", None]
    assert environment.warnings == (
        "vars, line 2, needs a shell and the image has no /bin/sh: read up to there",
        f"{ENV}/90-environment.sh, line 2, needs a shell and the image has no /bin/sh:"
        " read up to there",
        "the value of D needs a shell and the image has no /bin/sh: not evaluated",
    )


def test_an_env_file_sees_the_caller_and_comes_between_prefix_and_option() -> None:
    text = "# said\nA=file B=\"$CALLER\" C=file\nexport D='$HOME'\nPATH=/file\nHOME=/x\n"
    environment = gathered(
        caller={"CALLER": "c", "APPTAINERENV_A": "prefix"},
        asked={"C": "option"},
        env_files=(("vars", text),),
    )
    result = evaluate(environment)
    assert [result[name] for name in "ABCD"] == ["file", "c", "option", "/home/who"]
    assert (result["PATH"], result["HOME"]) == ("/file", "/home/who")
    assert environment.warnings == ("Ignored environment file variable C: override from --env",)


def test_line_ends_of_other_systems_are_no_part_of_a_value() -> None:
    """As apptainer 1.4.5 reads both; a carriage return within a line belongs to the value."""
    environment = gathered(
        scripts=[(f"{ENV}/90-environment.sh", "export A=1\r\nexport B='two'\r\n")],
        env_files=(("vars", '# said\r\nC=c\r\nD="q\r\nr"\r\nE=5'),),
    )
    assert environment.method == "assignments"
    result = evaluate(environment)
    assert [result[name] for name in "ABCDE"] == ["1", "two", "c", "q\nr", "5"]


def test_binds_command_and_image_are_told() -> None:
    binds = (Bind("/a", "/inside"), Bind("/b", "/b"))
    result = payload(binds=binds, action="run", image="../sub/./x y.sif")
    assert result["SINGULARITY_BIND"] == "/inside,/b"
    assert (result["APPTAINER_COMMAND"], result["APPTAINER_NAME"]) == ("run", "x y.sif")
    assert result["SINGULARITY_CONTAINER"] == "/sub/x y.sif"


def test_a_prompt_command_of_the_callers_still_runs() -> None:
    expected = 'date; PROMPT_COMMAND="${PROMPT_COMMAND%%; PROMPT_COMMAND=*}"; PS1="Apptainer> "'
    assert payload(caller={"PROMPT_COMMAND": "date"})["PROMPT_COMMAND"] == expected


def test_shell_sets_the_variable_shell(tmp_path: Path) -> None:
    assert payload(action="shell")["SHELL"] in ("/bin/bash", "/bin/sh")
    result = payload(action="shell", shell_asked="/bin/ash")
    assert (result["APPTAINER_SHELL"], "SHELL" in result) == ("/bin/ash", False)


def test_paths_are_made_absolute_by_their_letters() -> None:
    assert absolute("x.sif", "/w") == "/w/x.sif"
    assert absolute("/a//b/../c/", "/w") == "/a/c"
    assert absolute("../../..", "/w") == "/"


def test_a_complete_path_stays_as_it_is() -> None:
    assert complete_path(DEFAULT_PATH) == DEFAULT_PATH
    assert complete_path("") == DEFAULT_PATH


def test_an_environment_prints_and_compares() -> None:
    first, second = gathered(asked={"A": "$HOME"}), gathered(asked={"A": "$HOME"})
    assert first == second
    assert isinstance(first, Environment)
    assert "'$HOME', '--env'" in repr(first)
