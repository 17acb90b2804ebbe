"""The file of compiled modules is used while it is true, and by nobody whom it could deceive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from skipping import require

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from minictr.modules import KeptModules
kept = KeptModules.of({"MINICTR_CACHEDIR": sys.argv[2]})
import minictr.cli.actions as part
kept.save()
print(part.WORD, type(part.__spec__.loader if part.__spec__ else kept).__name__)
"""


class Package:
    """A small package called minictr with the real modules.py in it, and a cache."""

    def __init__(self, where: Path) -> None:
        self.path = where / "lib"
        self.cache = where / "cache"
        self.cache.mkdir(mode=0o700)
        (self.path / "minictr/cli").mkdir(parents=True)
        (self.path / "minictr/__init__.py").touch()
        (self.path / "minictr/cli/__init__.py").touch()
        for name in ("modules.py", "compact.py"):
            real = Path(__file__).resolve().parents[2] / "minictr" / name
            (self.path / "minictr" / name).write_bytes(real.read_bytes())
        self.say("first")

    def say(self, word: str) -> None:
        (self.path / "minictr/cli/actions.py").write_text(f"WORD = {word!r}\n")

    def run(self) -> list[str]:
        command = [sys.executable, "-I", "-S", "-c", PROGRAM, self.path, self.cache]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()

    def file(self) -> Path:
        (file,) = (self.cache / "code").iterdir()
        return file


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_the_second_run_imports_from_the_file(package: Package) -> None:
    assert package.run() == ["first", "SourceFileLoader"]
    assert package.run() == ["first", "KeptModules"]


def test_a_changed_source_is_compiled_again(package: Package) -> None:
    package.run()
    package.say("second!")
    assert package.run() == ["second!", "SourceFileLoader"]
    assert package.run() == ["second!", "KeptModules"]


def test_what_a_refused_command_line_imported_is_not_kept(package: Package) -> None:
    program = PROGRAM.replace("import minictr.cli.actions as part", "import minictr.cli as part")
    program = program.partition("print(")[0]
    command = [sys.executable, "-I", "-S", "-c", program, package.path, package.cache]
    subprocess.run(command, check=True)
    assert not (package.cache / "code").exists()


def test_a_file_that_others_can_write_is_not_read(package: Package) -> None:
    package.run()
    package.file().chmod(0o602)
    assert package.run() == ["first", "SourceFileLoader"]


def test_a_file_of_somebody_else_is_not_read(package: Package) -> None:
    require(os.geteuid() == 0, "ROOT", "only root can give a file away")
    package.run()
    os.chown(package.file(), 12345, 12345)
    assert package.run() == ["first", "SourceFileLoader"]


@pytest.mark.parametrize("length", [0, 3, 4, 40, 400, -1])
def test_a_damaged_file_is_not_believed(package: Package, length: int) -> None:
    package.run()
    package.file().write_bytes(package.file().read_bytes()[:length])
    assert package.run()[0] == "first"


def test_nothing_is_written_into_a_cache_that_others_can_write(package: Package) -> None:
    package.cache.chmod(0o777)
    package.run()
    assert not (package.cache / "code").exists()


def test_nothing_but_the_whole_file_is_left(package: Package) -> None:
    package.run()
    package.say("third")
    package.run()
    assert len(list((package.cache / "code").iterdir())) == 1
