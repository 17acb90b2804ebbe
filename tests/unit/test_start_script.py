"""scripts/minictr: where it looks for the package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from stand_in import (
    BARE,
    PYTHON,
    SCRIPT,
    VERSION,
    Told,
    call,
    make_checkout,
    make_installed,
    make_package,
    make_script,
    status,
)

from minictr import scripts


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The stand-in as a checkout."""
    return make_checkout(tmp_path)


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


def test_a_package_that_is_nowhere_is_named_in_one_line(tmp_path: Path) -> None:
    for script in (make_script(tmp_path / "bin/minictr"), make_installed(tmp_path / "b/minictr")):
        done = subprocess.run([script], env=BARE, capture_output=True, text=True)
        assert done.returncode == 125
        wanted = "minictr: error: No module named 'minictr', which this script starts"
        assert done.stderr == f"{wanted}: install it again\n"


def test_the_script_needs_no_null_device() -> None:
    """One that is missing is a cause, MC0802, for which minictr has to be started."""
    lines = [line for line in SCRIPT.read_text().splitlines() if not line.startswith("#")]
    assert not any("/dev/" in line for line in lines)


def test_an_interpreter_that_was_removed_is_named_in_one_line(tmp_path: Path) -> None:
    make_package(tmp_path / "lib/python3.99/site-packages")
    for script in (make_script(tmp_path / "bin/minictr"), make_installed(tmp_path / "bin/other")):
        done = subprocess.run([script], env=BARE, capture_output=True, text=True)
        assert done.returncode == 125
        wanted = "minictr: error: there is no python3.99, for which it was installed"
        assert done.stderr == f"{wanted}: install it again\n"


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


@pytest.mark.parametrize("blank", ["", "with a blank"])
def test_a_script_for_another_name_finds_everything_by_itself(
    checkout: Path, tmp_path: Path, blank: str
) -> None:
    python = tmp_path / blank / "python"
    python.parent.mkdir(exist_ok=True)
    python.symlink_to(PYTHON)
    script = tmp_path / "apptainer"
    script.write_text(scripts.script_for("apptainer", str(python), str(checkout), "/nonexistent"))
    script.chmod(0o755)
    told = call(script, "exec", "a 'b'")
    assert (told.package, told.called_as) == (checkout, "apptainer")
    assert told.arguments == ["exec", "a 'b'"]
    first = script.read_text().splitlines()[0]
    assert first == ("#!/bin/bash -p" if blank else f"#!{python} -ISXutf8")


def test_the_kinds_of_script_start_python_alike() -> None:
    text = scripts.script_for("apptainer", "/the python", "/package", "/site")
    written = SCRIPT.read_text()
    assert written.splitlines()[0] == text.splitlines()[0]
    assert f" start='{scripts.CODE}'\n" in written
    assert f" -X utf8 -IS -c '{scripts.CODE}' '/package' '/site' 'apptainer' \"$@\"" in text


def test_a_mistake_of_ours_is_told_with_a_whole_traceback() -> None:
    code = scripts.CODE.replace("\nmain()", "\nrun = lambda *words: {}['mistake']\nmain()")
    command = [PYTHON, "-ISXutf8", "-c", code, SCRIPT.parents[1], "/nonexistent", "minictr", "run"]
    done = subprocess.run(command, env=BARE, capture_output=True, text=True)
    assert done.returncode == 125
    assert done.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert done.stderr.endswith("KeyError: 'mistake'\n")
