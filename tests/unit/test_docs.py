"""The generated pages say what the program says."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

import minictr.runtime
from minictr.cli.options import ALIASES, GLOBAL, flags_of, index
from minictr.runtime.step import Step

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "bench/README.md", *sorted(PROJECT.glob("docs/*.md"))]
TYPED = re.compile(r"^ *(?:\S*/)?minictr [^#\n`|]*|`minictr [^`]*`", re.M)
# The options of commands that launch nothing.
COMMANDS_HAVE = ("all", "json", "force", "compressor", "recipe")


def test_the_tour_is_what_the_steps_say() -> None:
    done = subprocess.run([sys.executable, PROJECT / "docs/generate.py", "--check"], check=False)
    assert done.returncode == 0, "docs/tour.md is stale: run `just docs`"


def test_the_tour_leaves_no_step_out() -> None:
    for module in pkgutil.iter_modules(minictr.runtime.__path__, "minictr.runtime."):
        importlib.import_module(module.name)
    loader = SourceFileLoader("generate", str(PROJECT / "docs/generate.py"))
    spec = importlib.util.spec_from_loader("generate", loader)
    assert spec
    generate = importlib.util.module_from_spec(spec)
    loader.exec_module(generate)
    shown = {step for steps in generate.STEPS.values() for step in steps}
    runtime = {step for step in every_step(Step) if step.__module__.startswith("minictr.runtime.")}
    assert shown == runtime


def every_step(kind: type[Step]) -> set[type[Step]]:
    below = set(kind.__subclasses__())
    return below.union(*(every_step(step) for step in below))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_gives_minictr_is_one(page: Path) -> None:
    known = {*flags_of("shell", own_name=True), *index(GLOBAL), *ALIASES, *COMMANDS_HAVE}
    for words in TYPED.findall(page.read_text()):
        ours = words.partition(" -- ")[0]
        for option in re.findall(r"(?<=\s)--([a-z][a-z-]*)", ours):
            assert option in known, words
