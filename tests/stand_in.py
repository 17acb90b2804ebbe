"""A stand-in for the command line behind the real start script, which says how it was called."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from minictr.scripts import installed_script

ROOT = Path(__file__).resolve().parents[1]
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
    for name in (
        "__init__.py",
        "__main__.py",
        "start.py",
        "in_short.py",
        "modules.py",
        "keep.py",
        "compact.py",
    ):
        shutil.copy(ROOT / "minictr" / name, directory / "minictr" / name)
    (directory / "minictr/cli/__init__.py").touch()
    (directory / "minictr/cli/main.py").write_text(COMMAND_LINE)
    return directory


def make_script(path: Path) -> Path:
    """A copy of the start script, as an installation makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(SCRIPT, path))


def make_installed(path: Path, package: str = "") -> Path:
    """The script at `path`, as an installation makes it, or an editable one of `package`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(installed_script(SCRIPT.read_text(), package))
    path.chmod(0o755)
    return path


def make_checkout(place: Path) -> Path:
    """The stand-in as a checkout, in a directory whose name needs quoting."""
    directory = make_package(place / "a check'out")
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


def status(checkout: Path, *arguments: str, name: str = "scripts/minictr") -> int:
    """The exit status of a call that may fail."""
    done = subprocess.run([checkout / name, *arguments], env=BARE, capture_output=True)
    return done.returncode
