"""The names the program is called by, what follows from them, and what is said under them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import minictr
from minictr.cli.main import COMMANDS, UNSUPPORTED, main
from minictr.cli.names import APPTAINER, DROP_IN_NAMES, MINICTR, Name, differences, named
from minictr.cli.options import ACCEPTED, ACTION, GLOBAL, OWN, REFUSED, SHELL

Captured = pytest.CaptureFixture[str]


def test_every_field_but_the_name_itself_differs_between_the_two_rows() -> None:
    rows = differences()
    assert [field for field, _, _ in rows] == list(Name.fields[2:])
    assert all(own != drop_in for _, own, drop_in in rows)


@pytest.mark.parametrize("called_as", DROP_IN_NAMES)
def test_a_drop_in_name_keeps_its_own_spelling(called_as: str) -> None:
    assert named(called_as) == APPTAINER.replace(program=called_as)


@pytest.mark.parametrize("called_as", ["minictr", "python3", "", "Singularity"])
def test_any_other_name_is_our_own(called_as: str) -> None:
    assert named(called_as) == MINICTR


@pytest.mark.parametrize("called_as", DROP_IN_NAMES[:2])
def test_the_version_flag_prints_what_clients_parse(called_as: str, capfd: Captured) -> None:
    assert main(called_as, ["--version"], {}) == 0
    assert capfd.readouterr() == ("apptainer version 1.4.5\n", "")
    assert main(called_as, ["version"], {}) == 0
    assert capfd.readouterr() == ("1.4.5\n", "")


def test_under_our_own_name_the_version_is_our_own(capfd: Captured) -> None:
    assert main("minictr", ["--version"], {}) == 0
    assert main("minictr", ["version"], {}) == 0
    number = minictr.__version__
    assert capfd.readouterr() == (f"minictr {number}\n{number}\n", "")


def test_a_usage_error_is_an_error_line_and_the_usage_under_the_drop_in_names(
    capfd: Captured,
) -> None:
    assert main("singularity", ["exec", "image.sif"], {}) == 1
    out, err = capfd.readouterr()
    assert err == ('Error for command "exec": requires at least 2 arg(s), only received 1\n\n')
    assert out.startswith("Usage: singularity exec")


def test_a_usage_error_is_one_line_under_our_own_name(capfd: Captured) -> None:
    assert main("minictr", ["exec", "image.sif"], {}) == 125
    said = "minictr: error: exec: requires at least 2 arg(s), only received 1\n"
    assert capfd.readouterr() == ("", said)


def test_a_refused_option_is_fatal_under_the_drop_in_names(capfd: Captured) -> None:
    assert main("apptainer", ["exec", "--overlay", "o", "i", "c"], {}) == 255
    said = "FATAL:   --overlay is refused: overlays are not supported\n"
    assert capfd.readouterr() == ("", said)


@pytest.mark.parametrize("command", UNSUPPORTED)
def test_a_command_that_apptainer_has_and_we_do_not_is_named(command: str, capfd: Captured) -> None:
    assert main("apptainer", [command, "x"], {}) == 255
    assert capfd.readouterr().err == f"FATAL:   the command {command} is not supported\n"
    assert main("minictr", [command, "x"], {}) == 125
    assert capfd.readouterr().err == f"minictr: error: the command {command} is not supported\n"


def test_an_unknown_command_is_named(capfd: Captured) -> None:
    assert main("minictr", ["rnu"], {}) == 125
    assert capfd.readouterr().err == 'minictr: error: unknown command "rnu" for "minictr"\n'
    assert main("apptainer", ["rnu"], {}) == 1
    said = 'Error for command "apptainer": unknown command "rnu" for "apptainer"\n\n'
    assert capfd.readouterr().err == said


def test_no_command_at_all_is_a_usage_error(capfd: Captured) -> None:
    assert main("minictr", [], {}) == 125
    assert main("apptainer", ["-d"], {}) == 1
    assert "a command is missing" in capfd.readouterr().err


@pytest.mark.parametrize("flags", [["exec", "--help"], ["exec", "-h"], ["help", "exec"]])
def test_help_names_every_option_on_standard_output(flags: list[str], capfd: Captured) -> None:
    assert main("minictr", flags, {}) == 0
    out, err = capfd.readouterr()
    assert err == ""
    for row in (*ACTION, *OWN, *ACCEPTED, *REFUSED):
        assert f"--{row[0]}" in out
        assert row[-1] in out


def test_only_shell_has_the_option_shell(capfd: Captured) -> None:
    main("minictr", ["shell", "--help"], {})
    assert "-s, --shell PATH" in capfd.readouterr().out
    main("minictr", ["exec", "--help"], {})
    assert "--shell" not in capfd.readouterr().out


@pytest.mark.parametrize("flags", [["--help"], ["-h"], ["help"], ["help", "nosuch"]])
def test_help_of_the_program_names_every_command(flags: list[str], capfd: Captured) -> None:
    assert main("apptainer", flags, {}) == 0
    out = capfd.readouterr().out
    for command in ("run", "exec", "shell", "test", "plan", *COMMANDS, "version"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize(
    ("topic", "words"),
    [("nosuch", 'unknown command "nosuch"'), ("inspect", "the command inspect is not supported")],
)
def test_help_of_what_there_is_not_is_refused(topic: str, words: str, capfd: Captured) -> None:
    assert main("minictr", ["help", topic], {}) == 125
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert main("minictr", ["help", "version"], {}) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_of_its_own(command: str, capfd: Captured) -> None:
    for arguments in (["help", command], [command, "--help"]):
        assert main("minictr", arguments, {}) == 0
    sys.stdout.flush()
    out, err = capfd.readouterr()
    assert err == ""
    assert out.lower().count(f"usage: minictr {command}") == 2


def test_every_command_has_a_module_with_a_file() -> None:
    root = Path(minictr.__file__).parent.parent
    for module in COMMANDS.values():
        assert (root / (module.replace(".", "/") + ".py")).is_file()


def test_no_flag_and_no_variable_stands_for_two_options() -> None:
    action = (*ACTION, *SHELL, *OWN, *ACCEPTED, *REFUSED)
    for rows in (action, GLOBAL):
        flags = [flag for row in rows for flag in row[:2] if flag]
        assert len(flags) == len(set(flags))
    variables = [each for row in (*GLOBAL, *action) for each in row[3].split()]
    assert len(variables) == len(set(variables))


def test_the_drop_in_command_writes_three_scripts_that_answer_to_their_names(
    tmp_path: Path, capfd: Captured
) -> None:
    directory = tmp_path / "bin"
    assert main("minictr", ["drop-in", str(directory)], {"PATH": str(directory)}) == 0
    assert capfd.readouterr() == ("".join(f"{directory}/{n}\n" for n in DROP_IN_NAMES), "")
    asked = [str(directory / "singularity"), "--version"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert answer.stdout == "apptainer version 1.4.5\n"
    # A second call finds its own files and overwrites them.
    assert main("minictr", ["drop-in", str(directory)], {"PATH": str(directory)}) == 0


def test_the_drop_in_command_leaves_foreign_files_alone(tmp_path: Path, capfd: Captured) -> None:
    foreign = tmp_path / "apptainer"
    foreign.write_text("#!/bin/sh\n")
    assert main("minictr", ["drop-in", str(tmp_path)], {}) == 125
    said = f"minictr: error: {foreign} exists and was not written by minictr\n"
    assert capfd.readouterr().err.startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == ["apptainer"]
    assert main("minictr", ["drop-in", "--force", str(tmp_path)], {}) == 0
    assert "minictr" in foreign.read_text()
