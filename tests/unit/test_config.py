"""The configuration files: what they may say, how they combine, where their result is kept."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from minictr.cli import main as command_line
from minictr.cli.options import ACTION, GLOBAL, NAME, VARIABLES
from minictr.config import KINDS, merge, parse, read
from minictr.refusal import Refusal

if TYPE_CHECKING:
    from minictr.cli.grammar import Values


def merged(tmp_path: Path, values: Values, *texts: str) -> Values:
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        paths.append(str(path))
    merge(paths, values, str(tmp_path / "cache"))
    return values


def test_the_page_on_installation_shows_what_can_be_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/install.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert set(parse("c.toml", example)) == {"bind", "cleanenv", "writable-tmpfs-size", "env"}
    assert "but for `pwd`, `config` and `nocolor`:" in page
    listed = {row[NAME] for row in (*GLOBAL, *ACTION)} - {"help", "version"}
    assert listed - set(KINDS) == {"pwd", "config", "nocolor"}
    rows = [row for row in (*GLOBAL, *ACTION) if row[NAME] in listed - {"env", "config"}]
    for row in rows:  # a variable has the long name of its option
        assert row[NAME].upper().replace("-", "_") in row[VARIABLES].split()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("cleanenv = true", {"cleanenv": True}),
        ('bind = "/a,/b"', {"bind": ["/a,/b"]}),
        ('bind = ["/a", "/b:ro"]', {"bind": ["/a", "/b:ro"]}),
        ('id-map = "single"', {"id-map": "single"}),
        ("writable-tmpfs-size = 512", {"writable-tmpfs-size": 512}),
        ('security = "seccomp:compat"', {"security": ["seccomp:compat"]}),
        ('[env]\nA = "1"', {"env": {"A": "1"}}),
        ("verbose = true", {"verbose": True}),
    ],
)
def test_a_key_is_the_long_name_of_an_option(text: str, values: Values) -> None:
    assert parse("c.toml", text) == values


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("\nnosuch = 1", "c.toml, line 2: nosuch is no option of a configuration file"),
        ("\n\nhelp = true", "c.toml, line 3: help is no option of a configuration file"),
        ('overlay = "o"', "c.toml, line 1: overlay: overlays are not supported"),
        ('# cleanenv\ncleanenv = "yes"', "c.toml, line 2: cleanenv takes true or false"),
        ('network = "none"\nnet = 1', "c.toml, line 2: net takes true or false"),
        ('env-file = "f"\n[env]\nA = 1', "c.toml, line 2: env takes a table of strings"),
        ("pid = 1", "c.toml, line 1: pid takes true or false"),
        ("bind = [1]", "c.toml, line 1: bind takes a string or an array of strings"),
        ("hostname = true", "c.toml, line 1: hostname takes a string"),
        ("preserve-fds = -1", "c.toml, line 1: preserve-fds takes a number from 0 to 999999999"),
        ("preserve-fds = true", "c.toml, line 1: preserve-fds takes a number from 0 to 999999999"),
        ('bind = ["/a:/b\\u0000"]', "c.toml, line 1: bind has a NUL byte"),
        ('hostname = "a\\u0000b"', "c.toml, line 1: hostname has a NUL byte"),
        ('[env]\nA = "\\u0000"', "c.toml, line 1: env has a NUL byte"),
        ('[env]\n"\\u0000A" = "b"', "c.toml, line 1: env has a NUL byte"),
        ("a = true\n[env]\nA = 1", "c.toml, line 1: a is no option"),
        ("[env]\nA = 1", "c.toml, line 1: env takes a table of strings"),
        ('env = {"C=D" = "z"}', "c.toml, line 1: env has a name with = in it"),
        ("cache-limit = " + "9" * 9000, "c.toml: Exceeds the limit"),
        ("bind = " + "[" * 2000, "c.toml: "),
        ("a = ", "c.toml: Invalid value (at end of document)"),
        ("\na b", "c.toml: Expected '=' after a key in a key/value pair (at line 2, column 3)"),
    ],
)
def test_an_error_names_file_line_and_key(text: str, cause: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse("c.toml", text)
    assert caught.value.cause.startswith(cause)


def test_every_key_can_be_given_some_value() -> None:
    samples = {
        "bool": "true", "string": '"s"', "number": "1",
        "list": '["l"]', "array": '["a"]', "map": '{K = "v"}',
    }  # fmt: skip
    text = "\n".join(f"{key} = {samples[kind]}" for key, kind in KINDS.items())
    assert set(parse("c.toml", text)) == set(KINDS)


def test_the_later_file_wins_and_the_command_line_over_both(tmp_path: Path) -> None:
    values: Values = {"hostname": "flag"}
    system = 'hostname = "system"\nid-map = "auto"\ncleanenv = true\n'
    merged(tmp_path, values, system, 'hostname = "user"\nid-map = "single"\n')
    assert values == {"hostname": "flag", "id-map": "single", "cleanenv": True}


def test_binds_are_appended_and_variables_count_one_by_one(tmp_path: Path) -> None:
    values: Values = {"bind": ["/flag"], "env": {"A": "flag"}, "no-mount": ["tmp"]}
    text = 'bind = ["/file"]\nno-mount = ["home"]\nenv = {A = "file", B = "file"}\n'
    merged(tmp_path, values, text)
    assert values == {
        "bind": ["/flag", "/file"],
        "env": {"A": "flag", "B": "file"},
        "no-mount": ["tmp"],
    }


def kept_result(tmp_path: Path) -> Path:
    (kept,) = (tmp_path / "cache/config").iterdir()
    return kept


def test_the_result_is_kept_for_the_caller_alone_until_the_file_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('hostname = "a"\n')
    cache = str(tmp_path / "cache")
    assert read(str(path), cache) == {"hostname": "a"}
    kept = kept_result(tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(b"damaged")
    assert read(str(path), cache) == {"hostname": "a"}
    path.write_text('hostname = "changed"\n')
    assert read(str(path), cache) == {"hostname": "changed"}


def test_the_kept_result_is_used_unless_others_can_write_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('hostname = "a"\n')
    cache = str(tmp_path / "cache")
    read(str(path), cache)
    kept = kept_result(tmp_path)
    path_of_other = tmp_path / "other.toml"
    path_of_other.write_text('hostname = "b"\n')
    read(str(path_of_other), cache)
    (other,) = (each for each in kept.parent.iterdir() if each != kept)
    kept.write_bytes(other.read_bytes())
    assert read(str(path), cache) == {"hostname": "b"}
    kept.chmod(0o666)
    assert read(str(path), cache) == {"hostname": "a"}


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("cleanenv = true\n")
    assert read(str(path), f"{path}/not/a/directory") == {"cleanenv": True}


def test_a_file_that_is_there_and_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=f"{tmp_path} cannot be read: it is a directory"):
        read(str(tmp_path), str(tmp_path / "cache"))


def test_a_configuration_without_end_is_refused(tmp_path: Path) -> None:
    endless = tmp_path / "config.toml"
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Refusal, match=f"{endless} cannot be read: it has more than"):
        read(str(endless), str(tmp_path))


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    path = str(tmp_path / "config.toml")
    os.mkfifo(path)
    signal.alarm(5)  # ends the test run where the open waits
    with pytest.raises(Refusal, match="cannot be read: it is a FIFO"):
        read(path, str(tmp_path / "cache"))
    signal.alarm(0)


def test_the_null_device_is_an_empty_configuration_and_no_other_device_is_one(
    tmp_path: Path,
) -> None:
    assert read("/dev/null", str(tmp_path)) == {}
    with pytest.raises(Refusal, match="cannot be read: it is a character device"):
        read("/dev/zero", str(tmp_path))


def test_the_users_file_is_found_by_xdg_and_home(tmp_path: Path) -> None:
    assert command_line.user_config({"XDG_CONFIG_HOME": "/x"}) == "/x/minictr/config.toml"
    assert command_line.user_config({"HOME": "/h"}) == "/h/.config/minictr/config.toml"
    assert command_line.user_config({"XDG_CONFIG_HOME": "x", "HOME": "/h"}).startswith("/h/")
    assert command_line.user_config({}).endswith("/.config/minictr/config.toml")


def test_a_configuration_named_on_the_command_line_has_to_be_there(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert command_line.main("minictr", ["-c", "/nonexistent/c", "exec", "i", "c"], {}) == 125
    said = "minictr: error: /nonexistent/c cannot be read: No such file or directory\n"
    assert capfd.readouterr().err == said


def test_a_byte_order_mark_is_named_and_its_fix_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "a file.toml"
    path.write_text("\ufeffcleanenv = true\n")
    with pytest.raises(Refusal, match="begins with a byte order mark") as caught:
        read(str(path), str(tmp_path / "cache"))
    subprocess.run(["sh", "-ec", caught.value.fix], check=True)
    assert read(str(path), str(tmp_path / "cache")) == {"cleanenv": True}
