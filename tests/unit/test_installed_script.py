"""The start script that the system's python3 installs: it finds the package as the shell's does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from stand_in import (
    BARE,
    PYTHON,
    VERSION,
    Told,
    call,
    make_checkout,
    make_installed,
    make_package,
)

from minictr.scripts import SYSTEM_PYTHON


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An installed program and its package."""
    make_package(tmp_path / f"own/lib/{VERSION}/site-packages")
    return make_installed(tmp_path / "own/bin/minictr")


def is_own(told: Told, script: Path) -> bool:
    """Whether the script started the package beside it, by the system's interpreter."""
    beside = script.parents[1] / f"lib/{VERSION}/site-packages"
    started = told.package == beside and os.path.samefile(told.python, SYSTEM_PYTHON)
    return started and all(os.path.isabs(path) for path in told.path)


def test_the_kernel_starts_the_interpreter(script: Path) -> None:
    assert script.read_text().startswith("#!/usr/bin/python3 -ISXutf8\n")
    told = call(script, "exec", "a b", "", "c\nd", "*")
    assert is_own(told, script)
    assert (told.called_as, told.no_site) == ("minictr", True)
    assert told.arguments == ["exec", "a b", "", "c\nd", "*"]


def test_no_shell_is_started_where_the_package_is_beside_the_script(script: Path) -> None:
    text = script.read_text().replace("/bin/bash", "/nonexistent")
    script.write_text(text)
    assert is_own(call(script), script)
    link = script.parent / "singularity"
    link.symlink_to("minictr")
    assert is_own(call(link), script)


def test_links_are_followed_and_give_the_name(script: Path, tmp_path: Path) -> None:
    (tmp_path / "first").symlink_to("own/bin/minictr")
    (tmp_path / "singularity").symlink_to(tmp_path / "first")
    told = call(tmp_path / "singularity")
    assert is_own(told, script)
    assert told.called_as == "singularity"


@pytest.mark.parametrize(
    ("cwd", "word"), [("own/bin", "./minictr"), ("own", "bin/minictr"), (".", "own/bin/minictr")]
)
def test_a_relative_path_will_do(script: Path, tmp_path: Path, cwd: str, word: str) -> None:
    assert is_own(call(word, cwd=tmp_path / cwd), script)


def test_it_is_found_on_path(script: Path) -> None:
    env = {"PATH": f"{script.parent}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", "minictr x"], env=env, capture_output=True, text=True)
    assert Told(done.stdout).arguments == ["x"]


def test_debian_has_its_packages_in_another_directory(tmp_path: Path) -> None:
    package = make_package(tmp_path / f"lib/{VERSION}/dist-packages")
    told = call(make_installed(tmp_path / "bin/minictr"))
    assert (told.package, told.no_site) == (package, True)


def test_an_editable_installation_names_the_checkout(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path)
    script = make_installed(tmp_path / "v/bin/minictr", str(checkout))
    site = tmp_path / f"v/lib/{VERSION}/site-packages"
    (tmp_path / "link").symlink_to(script)
    for start in (script, tmp_path / "link"):
        told = call(start)
        assert (told.package, told.no_site) == (checkout, True)
        assert os.path.realpath(told.path[-1]) == str(site)


def test_a_package_of_another_python_is_started_by_that_one(tmp_path: Path) -> None:
    make_package(tmp_path / "lib/python3.99/site-packages")
    script = make_installed(tmp_path / "bin/minictr")
    (tmp_path / "bin/python3.99").write_text('#!/bin/sh\necho chosen "$@" | tail -n 1\n')
    (tmp_path / "bin/python3.99").chmod(0o755)
    done = subprocess.run([script, "word"], env=BARE, capture_output=True, text=True)
    assert done.stdout.endswith("minictr word\n")


def test_what_only_the_site_module_finds_is_started_through_it(tmp_path: Path) -> None:
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    script = make_installed(tmp_path / "v/bin/minictr")
    site = tmp_path / f"v/lib/{VERSION}/site-packages"
    checkout = make_checkout(tmp_path)
    (site / "a-finder.pth").write_text(f"import sys; sys.path.append({str(checkout)!r})\n")
    told = call(script)
    assert (told.package, told.no_site) == (checkout, False)
