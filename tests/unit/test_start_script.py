"""scripts/minictr: where it looks for the package, and that nothing of it shows to the program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from minictr import start

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/minictr"
PYTHON = Path("/usr/bin/python3")
VERSION = PYTHON.resolve().name  # python3.11
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin"}

# Stands for the command line: says how it was called, and can end in every way that a command may.
COMMAND_LINE = """
import json, sys
def main(called_as, arguments, environ):
    match arguments[:1]:
        case ["status"]: return int(arguments[1])
        case ["exit"]: raise SystemExit("said at exit" if arguments[1] == "text" else 7)
        case ["bug"]: raise ValueError("a bug")
        case ["wait"]:
            print("waiting", flush=True)
            sys.stdin.read()
        case ["shout"]:
            while True: print("x" * 4096)
        case ["import"]: return 0 if __import__(arguments[1]) else 1
    told = [called_as, arguments, environ, __file__, sys.executable, sys.flags.no_site, sys.path]
    print(json.dumps(told))
    return 0
"""


def make_package(directory: Path) -> Path:
    """A package `minictr` of this start script and the stand-in, in a new directory."""
    (directory / "minictr/cli").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "start.py", "modules.py"):
        shutil.copy(ROOT / "minictr" / name, directory / "minictr" / name)
    (directory / "minictr/cli/__init__.py").touch()
    (directory / "minictr/cli/main.py").write_text(COMMAND_LINE)
    return directory


def make_script(path: Path) -> Path:
    """A copy of the start script, as an installation makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(SCRIPT, path))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The stand-in as a checkout, in a directory whose name needs quoting."""
    directory = make_package(tmp_path / "a check'out")
    make_script(directory / "scripts/minictr")
    return directory


class Told:
    """What the stand-in said of its call."""

    def __init__(self, output: str) -> None:
        (self.called_as, self.arguments, self.environ, file, *rest) = json.loads(output)
        self.package = Path(file).parents[2].resolve()
        self.python, self.no_site, self.path = rest


def call(*command: str | Path, env: dict[str, str] | None = None, cwd: str | Path = "/") -> Told:
    """Run a start script to its end."""
    done = subprocess.run(command, env=env or BARE, cwd=cwd, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return Told(done.stdout)


def test_a_checkout_is_started_from_its_scripts(checkout: Path) -> None:
    told = call(checkout / "scripts/minictr", "exec", "a b", "", "c\nd", "*")
    assert told.package == checkout
    assert told.called_as == "minictr"
    assert told.arguments == ["exec", "a b", "", "c\nd", "*"]
    assert told.no_site


def test_a_checkout_with_an_environment_uses_its_interpreter(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python3").symlink_to(PYTHON)
    site = checkout / f".venv/lib/{VERSION}/site-packages"
    site.mkdir(parents=True)
    (site / "only_there.py").touch()
    told = call(checkout / "scripts/minictr")
    assert Path(told.python).parent.resolve() == checkout / ".venv/bin"
    assert status(checkout, "import", "only_there") == 0


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
@pytest.mark.parametrize("own_python", [True, False])
def test_an_installation_is_found_beside_its_bin(
    tmp_path: Path, packages: str, own_python: bool
) -> None:
    script = make_script(tmp_path / "bin/minictr")
    if own_python:
        (tmp_path / "bin" / VERSION).symlink_to(PYTHON)
    package = make_package(tmp_path / "lib" / VERSION / packages)
    told = call(script)
    assert told.package == package
    assert told.no_site
    wanted = tmp_path / "bin" / VERSION if own_python else PYTHON.parent / VERSION
    assert os.path.normpath(told.python) == str(wanted)


def test_the_interpreter_is_of_the_version_that_the_package_lies_under(tmp_path: Path) -> None:
    script = make_script(tmp_path / "bin/minictr")
    make_package(tmp_path / "lib/python3.99/site-packages")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "python3.99").write_text("#!/bin/sh\necho chosen\n")
    (elsewhere / "python3.99").chmod(0o755)
    env = {"PATH": f"{elsewhere}:/usr/bin:/bin"}
    done = subprocess.run([script], env=env, capture_output=True, text=True)
    assert done.stdout == "chosen\n"


def test_an_editable_installation_is_read_from_its_path_file(
    checkout: Path, tmp_path: Path
) -> None:
    script = make_script(tmp_path / "v/bin/minictr")
    site = tmp_path / f"v/lib/{VERSION}/site-packages"
    site.mkdir(parents=True)
    (site / "__editable__.minictr-0.1.0.pth").write_text(f"{checkout}\n")
    told = call(script)
    assert told.package == checkout
    assert told.no_site
    assert [os.path.realpath(path) for path in told.path[-2:]] == [str(checkout), str(site)]


def test_what_only_the_site_module_finds_is_started_through_it(
    checkout: Path, tmp_path: Path
) -> None:
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    script = make_script(tmp_path / "v/bin/minictr")
    site = tmp_path / f"v/lib/{VERSION}/site-packages"
    (site / "a-finder.pth").write_text(f"import sys; sys.path.append({str(checkout)!r})\n")
    told = call(script)
    assert told.package == checkout
    assert not told.no_site


def test_a_dependency_elsewhere_is_found_by_way_of_the_site_module(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / ".venv").mkdir()
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    site = checkout / f".venv/lib/{VERSION}/site-packages"
    (site / "more.pth").write_text(f"{tmp_path}/more\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/far_away.py").touch()
    assert status(checkout, "import", "far_away") == 0
    assert status(checkout, "import", "nowhere_at_all") == 125


def status(checkout: Path, *arguments: str, name: str = "scripts/minictr") -> int:
    """The exit status of a call that may fail."""
    done = subprocess.run([checkout / name, *arguments], env=BARE, capture_output=True)
    return done.returncode


def test_symbolic_links_are_followed_and_give_the_name(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/absolute").symlink_to(checkout / "scripts/minictr")
    (tmp_path / "bin/relative").symlink_to("../a check'out/scripts/minictr")
    (tmp_path / "bin/singularity").symlink_to("relative")
    (tmp_path / "linked").symlink_to("bin")
    for path, name in [
        ("bin/absolute", "absolute"),
        ("bin/relative", "relative"),
        ("linked/singularity", "singularity"),
    ]:
        told = call(tmp_path / path)
        assert (told.package, told.called_as) == (checkout, name)


@pytest.mark.parametrize(
    ("cwd", "word"),
    [("scripts", "./minictr"), (".", "scripts/minictr"), ("..", "{}/scripts/minictr")],
)
def test_a_relative_path_will_do_and_modules_are_found_by_absolute_ones(
    checkout: Path, cwd: str, word: str
) -> None:
    told = call(word.format(checkout.name), cwd=checkout / cwd)
    assert told.package == checkout
    assert all(os.path.isabs(path) for path in told.path)


def test_it_is_found_on_path(checkout: Path) -> None:
    env = {"PATH": f"{checkout}/scripts:/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-c", "minictr x"], env=env, cwd="/", capture_output=True, text=True
    )
    assert Told(done.stdout).arguments == ["x"]


def test_a_script_for_another_name_finds_everything_by_itself(
    checkout: Path, tmp_path: Path
) -> None:
    script = tmp_path / "apptainer"
    script.write_text(start.script_for("apptainer", str(PYTHON), str(checkout), "/nonexistent"))
    script.chmod(0o755)
    told = call(script, "exec", "a 'b'")
    assert (told.package, told.called_as) == (checkout, "apptainer")
    assert told.arguments == ["exec", "a 'b'"]


def test_the_two_kinds_of_script_start_python_alike() -> None:
    text = start.script_for("apptainer", "/python", "/package", "/site")
    written = SCRIPT.read_text()
    assert written.splitlines()[0] == text.splitlines()[0]
    assert f" -c '{start.CODE}' " in written
    assert f" -X utf8 -IS -c '{start.CODE}' '/package' '/site' 'apptainer' \"$@\"" in text


@pytest.mark.parametrize("runner", [["scripts/minictr"], ["python", "-m", "minictr"]])
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LC_CTYPE": "POSIX"},
        {"LC_CTYPE": "C", "LANG": "de_DE.UTF-8"},
        {"LC_ALL": "C"},
        {"SHLVL": "4", "_": "/bin/old"},
        {"BASH_FUNC_module%%": "() { echo loaded; }", "not.a-name": "1", "read": "x"},
        {"BASH_FUNC_exec%%": "() { echo taken over; }", "BASH_ENV": "/etc/passwd", "ENV": "/x"},
        {"LINES": "a\nb=c", "EMPTY": "", "LATIN": os.fsdecode(b"\xe9\xff"), "HIGH": "\N{SNOWMAN}"},
    ],
    ids=lambda environ: "-".join(environ) or "none",
)
def test_the_program_sees_the_callers_environment(
    checkout: Path, environ: dict[str, str], runner: list[str]
) -> None:
    runner = [str(PYTHON if runner[0] == "python" else checkout / runner[0]), *runner[1:]]
    told = call(*runner, env={**BARE, "PWD": str(checkout), **environ}, cwd=checkout)
    expected = {**BARE, "PWD": str(checkout), **environ}
    expected.pop("_", None)  # the shell's own word for what it starts
    assert told.environ == expected


def test_the_callers_python_variables_are_for_the_payload_alone(checkout: Path) -> None:
    environ = {"PYTHONHOME": "/nonexistent", "PYTHONPATH": "/x", "PYTHONVERBOSE": "1"}
    told = call(checkout / "scripts/minictr", env={**BARE, **environ})
    assert environ.items() <= told.environ.items()
    assert "/x" not in told.path


def test_a_caller_without_any_variable_leaves_none_but_the_directory(checkout: Path) -> None:
    script = checkout / "scripts/minictr"
    done = subprocess.run([script], env={}, cwd="/usr", capture_output=True, text=True)
    assert Told(done.stdout).environ == {"PWD": "/usr"}


def test_a_module_of_the_working_directory_has_no_say(checkout: Path, tmp_path: Path) -> None:
    for name in ("minictr", "posix", "sys", "json", "site", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')")
    assert call(checkout / "scripts/minictr", cwd=tmp_path).package == checkout


def test_an_argument_that_is_no_text_arrives_as_it_is(checkout: Path) -> None:
    told = call(checkout / "scripts/minictr", os.fsdecode(b"\xff\xe9"))
    assert os.fsencode(told.arguments[0]) == b"\xff\xe9"


@pytest.mark.parametrize("wanted", [0, 1, 125, 255])
def test_the_status_comes_back(checkout: Path, wanted: int) -> None:
    assert status(checkout, "status", str(wanted)) == wanted


def test_a_command_may_end_by_sys_exit(checkout: Path) -> None:
    assert status(checkout, "exit", "number") == 7
    done = subprocess.run(
        [checkout / "scripts/minictr", "exit", "text"], env=BARE, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "said at exit\n")


def test_a_bug_is_a_traceback_and_the_launchers_status(checkout: Path) -> None:
    (checkout / "scripts/apptainer").symlink_to("minictr")
    assert status(checkout, "bug") == 125
    assert status(checkout, "bug", name="scripts/apptainer") == 255


def test_a_closed_pipe_ends_the_program_quietly(checkout: Path) -> None:
    script = checkout / "scripts/minictr"
    with subprocess.Popen(
        [script, "shout"], env=BARE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_an_interrupt_ends_the_program_quietly(checkout: Path) -> None:
    with subprocess.Popen(
        [checkout / "scripts/minictr", "wait"],
        env=BARE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_closed_standard_stream_is_no_obstacle(checkout: Path, closed: tuple[int, ...]) -> None:
    redirections = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" status 3 {redirections}', checkout / "scripts/minictr"],
        env=BARE,
    )
    assert done.returncode == 3
