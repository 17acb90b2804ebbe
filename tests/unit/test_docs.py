"""The generated pages say what the program says."""

from __future__ import annotations

import importlib.util
import pkgutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import minictr.runtime
from minictr.runtime.step import Step

PROJECT = Path(__file__).resolve().parents[2]


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
