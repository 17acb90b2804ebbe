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
        for name in ("modules.py", "keep.py", "compact.py"):
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


def test_what_leans_on_a_module_imported_before_is_not_kept(package: Package) -> None:
    (package.path / "minictr/refusal.py").write_text("WORD = 'refused'\n")
    (package.path / "minictr/cli/actions.py").write_text("from minictr.refusal import WORD\n")
    early = PROGRAM.replace("from minictr.modules", "import minictr.refusal\nfrom minictr.modules")
    command = [sys.executable, "-I", "-S", "-c", early, package.path, package.cache]
    subprocess.run(command, check=True)
    assert package.run() == ["refused", "SourceFileLoader"]
    assert package.run() == ["refused", "KeptModules"]


def test_a_package_that_is_replaced_meanwhile_does_not_end_the_launch(package: Package) -> None:
    for replaced in ("keep.py", "compact.py", "cli/actions.py"):
        program = PROGRAM.replace("kept.save()", "import os; os.unlink(sys.argv[3]); kept.save()")
        path = package.path / "minictr" / replaced
        text = path.read_bytes()
        command = [sys.executable, "-I", "-S", "-c", program, package.path, package.cache, path]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout == "first SourceFileLoader\n", done.stderr
        assert not (package.cache / "code").exists()
        path.write_bytes(text)


def test_a_copy_by_hard_links_has_modules_of_its_own(package: Package, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = Package(tmp_path / "copy")
    for name in ("modules.py", "keep.py", "compact.py"):
        (copy.path / "minictr" / name).unlink()
        (copy.path / "minictr" / name).hardlink_to(package.path / "minictr" / name)
    copy.cache = package.cache
    copy.say("copied")
    package.run()
    assert package.run() == ["first", "KeptModules"]
    assert copy.run() == ["copied", "SourceFileLoader"]


def test_a_build_of_python_gets_no_extension_module_of_another(package: Package) -> None:
    package.run()
    program = PROGRAM.replace("kept =", "sys.version += ' (another build)'\nkept =")
    command = [sys.executable, "-I", "-S", "-c", program, package.path, package.cache]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "first SourceFileLoader\n"


def test_what_parses_a_configuration_is_not_run_by_every_launch(package: Package) -> None:
    (package.path / "minictr/toml.py").touch()
    (package.path / "minictr/cli/actions.py").write_text("import minictr.toml\nWORD = 'first'\n")
    package.run()
    assert not (package.cache / "code").exists()


def test_a_disk_that_is_full_leaves_nothing_behind(package: Package) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); kept.save()"
    program = PROGRAM.replace("kept.save()", limit)
    command = [sys.executable, "-I", "-S", "-c", program, package.path, package.cache]
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    assert list((package.cache / "code").iterdir()) == []


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


def test_what_compiles_is_not_kept(package: Package) -> None:
    package.run()
    kept = package.file().read_bytes()
    assert b"minictr/compact.py" not in kept
    assert b"minictr/keep.py" not in kept


def test_nothing_but_the_whole_file_is_left(package: Package) -> None:
    package.run()
    package.say("third")
    package.run()
    assert len(list((package.cache / "code").iterdir())) == 1
