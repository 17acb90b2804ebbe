"""Every way to install minictr gives a program that starts, fast, and launches."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_user import RunAsUser
from readable import NOT_COPIED, Checkout
from skipping import require

import minictr

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path("/usr/bin/python3")
VERSION = f"minictr {minictr.__version__}\n"


def run(*command: str | Path, **variables: str) -> None:
    """Run a command of the installation, showing what it said where it fails."""
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def pip(python: Path, *arguments: str | Path, **variables: str) -> None:
    """Install into the environment of an interpreter, from this machine alone."""
    offline = ("install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "--python", python, *offline, *arguments, **variables)


@pytest.fixture(scope="module")
def source(room: Path) -> Path:
    """A copy of what belongs to the package: setuptools writes beside it."""
    copy = room / "source"
    copy.mkdir()
    for name in ("minictr", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, room: Path) -> Path:
    """The wheel that `pip install .` makes of it."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", room)
    run(sys.executable, "-m", "pip", "wheel", *options, source)
    return next(room.glob("minictr-*.whl"))


def make_environment(path: Path, checkout: Checkout) -> Path:
    """A new virtual environment that has the dependencies."""
    run(PYTHON, "-m", "venv", "--without-pip", path)
    site = next(path.glob("lib/python3*/site-packages"))
    (site / "dependencies.pth").write_text(f"{checkout.site}\n")
    return path


@pytest.fixture
def environment(directory: Path, checkout: Checkout) -> Path:
    """A virtual environment to install into."""
    return make_environment(directory / "environment", checkout)


@pytest.fixture(scope="module")
def installed(room: Path, checkout: Checkout, wheel: Path) -> Path:
    """A virtual environment into which the wheel was installed."""
    environment = make_environment(room / "installed", checkout)
    pip(environment / "bin/python3", wheel)
    return environment


@pytest.fixture
def launch(
    run_as_user: RunAsUser, checkout: Checkout, cache: Path, nothing_left: None
) -> Callable[..., str]:
    """Launch a command in a small image by way of a program; gives what the command printed."""

    def run_echo(*program: str | Path) -> str:
        image = checkout.root / "tests/data/images/bb-gzip.sif"
        done = run_as_user(
            [*program, "exec", image, "echo", "launched"], env={"MINICTR_CACHEDIR": str(cache)}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_echo


def is_fast(program: Path) -> bool:
    """Whether the kernel starts the interpreter, and neither shell nor site module is needed."""
    text = program.read_text()
    copy = program.resolve().parent / "told"
    copy.write_text(text.replace("/bin/bash", "/nonexistent"))
    command = [PYTHON, "-ISXutf8", "-X", "importtime", copy, "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    started = text.startswith("#!/usr/bin/python3 -ISXutf8\n") and done.stdout == VERSION
    return started and not re.search(r"\| +site$", done.stderr, re.MULTILINE)


def test_pip_install(installed: Path, launch: Callable[..., str]) -> None:
    assert launch(installed / "bin/minictr") == "launched\n"
    assert is_fast(installed / "bin/minictr")


def test_a_link_to_an_installed_program(
    installed: Path, directory: Path, launch: Callable[..., str]
) -> None:
    (directory / "link").symlink_to(installed / "bin/minictr")
    (directory / "minictr").symlink_to("link")
    assert launch(directory / "minictr") == "launched\n"


def test_an_installation_holds_compiled_modules_and_profiles(installed: Path) -> None:
    package = next(installed.glob("lib/python3*/site-packages/minictr"))
    assert list(package.glob("runtime/__pycache__/launch.*.pyc"))
    profiles = {path.name for path in package.glob("profiles/**/*")}
    assert profiles == {path.name for path in (ROOT / "minictr/profiles").glob("**/*")}


@pytest.mark.parametrize("options", [["-m"], ["-I", "-m"]])
def test_python_m(installed: Path, launch: Callable[..., str], options: list[str]) -> None:
    assert launch(installed / "bin/python3", *options, "minictr") == "launched\n"


def test_editable_install(environment: Path, source: Path, launch: Callable[..., str]) -> None:
    pip(environment / "bin/python3", "--editable", source)
    program = environment / "bin/minictr"
    assert launch(program) == "launched\n"
    assert is_fast(program)
    assert launch(environment / "bin/python3", "-m", "minictr") == "launched\n"


def test_strict_editable_install(
    environment: Path, source: Path, launch: Callable[..., str]
) -> None:
    options = ["--config-settings", "editable_mode=strict", "--editable", source]
    pip(environment / "bin/python3", *options)
    assert launch(environment / "bin/minictr") == "launched\n"


def test_pip_install_for_one_user(directory: Path, wheel: Path, run_as_user: RunAsUser) -> None:
    options = ("--user", "--break-system-packages", wheel)
    pip(PYTHON, *options, PYTHONUSERBASE=str(directory / "local"))
    program = directory / "local/bin/minictr"
    assert run_as_user([program, "--version"]).stdout == VERSION
    assert is_fast(program)


def test_pipx_install(directory: Path, source: Path, launch: Callable[..., str]) -> None:
    tool = directory / "tool"
    run(PYTHON, "-m", "venv", tool)
    fetched = subprocess.run(
        [tool / "bin/pip", "install", "--quiet", "pipx"], capture_output=True, text=True
    )
    require(fetched.returncode == 0, "NETWORK", "no package index gives pipx")
    places = {"PIPX_HOME": str(directory / "pipx"), "PIPX_BIN_DIR": str(directory / "bin")}
    run(tool / "bin/pipx", "install", "--python", PYTHON, source, **places)
    program = directory / "bin/minictr"
    assert program.is_symlink()
    assert launch(program) == "launched\n"
    assert is_fast(program)
