"""Finds the program where the tests' ordinary user can run it, by a copy if need be."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from ordinary_user import User, runner

from minictr.scripts import installed_script

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = (".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
NOT_NEEDED = ("mypy*", "ruff*", "hypothesis*", "_pytest", "pytest*", "pip*", "__editable__*")


@dataclass(frozen=True)
class Checkout:
    """The project as the user can read it."""

    root: Path
    program: Path
    site: Path  # the directory of the packages that it needs


def readable_checkout(user: User, room: Path) -> Checkout:
    """Give this checkout, or a copy in `room` where the user cannot read this one.

    A clone in /root, or in a directory that mktemp made, is its owner's alone.
    """
    installed = Path(sys.executable).parent / "minictr"
    program = installed if installed.exists() else ROOT / "scripts/minictr"
    here = Checkout(ROOT, program, Path(sysconfig.get_path("purelib")))
    if can_start(user, here):
        return here
    copy = copy_checkout(room)
    if not can_start(user, copy):
        pytest.exit(
            f"{user.name} cannot run {sys.executable}: `./bootstrap test` uses an interpreter and "
            "a virtual environment that other users can read",
            returncode=3,
        )
    return copy


def can_start(user: User, checkout: Checkout) -> bool:
    """Try as the user: the program's own start, with a module that was compiled for it."""
    script = 'test -r "$1/pyproject.toml" && test -d "$1/tests/data/" && exec "$2" --version'
    done = runner(user, "/usr/bin:/bin")(
        ["/bin/sh", "-c", script, "sh", checkout.root, checkout.program], cwd="/"
    )
    return done.returncode == 0


def copy_checkout(room: Path) -> Checkout:
    """Copy the project, and the packages it needs into a virtual environment of the copy's own."""
    root = room / "checkout"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    environment = root / ".venv"
    python = Path("/usr/bin/python3")
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
    site = next(environment.glob("lib/python3*/site-packages"))
    shutil.copytree(
        sysconfig.get_path("purelib"),
        site,
        ignore=shutil.ignore_patterns(*NOT_NEEDED, "__pycache__"),
        dirs_exist_ok=True,
    )
    compiled = [root / "minictr", *(site / name for name in ("pyroute2", "tomli"))]
    subprocess.run([environment / "bin/python3", "-m", "compileall", "-q", *compiled], check=True)
    program = environment / "bin/minictr"  # as setup.py has it installed
    program.write_text(installed_script((root / "scripts/minictr").read_text(), str(root)))
    program.chmod(0o755)
    return Checkout(root, program, site)
