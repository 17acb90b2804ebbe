"""The count of named causes is the one of what the launchers said, and each fault has its rule."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from lab.why_in_peers import FAULTS

PROJECT = Path(__file__).resolve().parents[2]
KEPT = PROJECT / "bench/results/causes.json"


@pytest.fixture(scope="module")
def causes() -> ModuleType:
    loader = SourceFileLoader("bench_causes", str(PROJECT / "bench/causes"))
    spec = importlib.util.spec_from_loader("bench_causes", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_fault_that_was_made_has_an_expression(causes: ModuleType) -> None:
    assert set(json.loads(KEPT.read_text())) == set(causes.EXPRESSIONS)


def test_every_fault_of_the_lab_for_other_launchers_has_an_expression(causes: ModuleType) -> None:
    made = {name for name, fault in FAULTS.items() if fault.codes}
    assert made == set(causes.EXPRESSIONS)


def test_an_errno_alone_names_no_cause(causes: ModuleType) -> None:
    for fault in causes.EXPRESSIONS:
        said = "unshare failed: Operation not permitted"
        assert not causes.named(fault, {"status": 1, "said": said})


def test_the_picture_in_the_readme_is_of_the_kept_counts(causes: ModuleType) -> None:
    done = subprocess.run(
        [sys.executable, PROJECT / "bench/causes", "--json", KEPT, "--again"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    readme = " ".join((PROJECT / "README.md").read_text().split())
    for peer, (one, met) in causes.counts(json.loads(KEPT.read_text())).items():
        assert f"{peer} {one} of {met}" in readme
