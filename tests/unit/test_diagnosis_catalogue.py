"""The catalogue is whole: every code that is raised has an entry, every entry its story and lab."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab.bench import reproduction
from lab.cases import CASES
from vm.faults import FAULTS

import minictr.runtime
from minictr.diagnosis.catalogue import UNKNOWN, all_causes, module_of, page, stopping
from minictr.diagnosis.causes import STOPPING
from minictr.runtime.step import Step

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"MC\d{4}")
SECTIONS = ("Fix, user: ", "Fix, administrator: ", "Not the cause: ", "Sources: ")
codes = pytest.mark.parametrize("code", sorted(all_causes()))


def raised() -> set[str]:
    """Every string in the package that is a code, outside of the diagnosis itself."""
    found = set()
    for path in (ROOT / "minictr").rglob("*.py"):
        if "diagnosis" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if CODE.fullmatch(node.value) else set()
    return found


@functools.cache
def verbs() -> set[str]:
    """The names of all steps."""
    for module in pkgutil.iter_modules(minictr.runtime.__path__, "minictr.runtime."):
        importlib.import_module(module.name)
    others = {"chroot", "mount", "setns"}  # calls of other programs
    return others | {step.__name__ for step in every_step(Step)}


def every_step(kind: type[Step]) -> set[type[Step]]:
    below = set(kind.__subclasses__())
    return below.union(*(every_step(step) for step in below))


def test_every_code_that_is_raised_has_an_entry() -> None:
    assert raised() <= set(all_causes())


def test_every_entry_is_proved_by_a_probe_or_raised_somewhere() -> None:
    without = {code for code, entry in all_causes().items() if not entry.probe}
    assert without - {UNKNOWN} <= raised()


@codes
def test_a_code_has_its_form_and_a_title_of_one_sentence(code: str) -> None:
    entry = all_causes()[code]
    assert CODE.fullmatch(code)
    assert entry.title
    assert not entry.title.endswith(".")


@codes
def test_a_story_has_every_section_in_order(code: str) -> None:
    story = all_causes()[code].story
    places = [story.find("\n\n" + section) for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)


@codes
def test_a_cause_stops_steps_that_there_are(code: str) -> None:
    assert set(all_causes()[code].stops) <= verbs()


@codes
def test_a_story_fits_a_terminal(code: str) -> None:
    assert max(len(line) for line in all_causes()[code].story.splitlines()) <= 100


def test_every_code_has_a_case_in_the_lab_with_a_fix_and_a_near_miss() -> None:
    cases = [*CASES, *FAULTS]  # of this machine, and of virtual ones
    assert {case.code for case in cases if not case.name} == set(all_causes())
    for case in cases:
        assert case.near
        assert case.repaired


def test_the_reproductions_are_those_of_the_stories() -> None:
    told = {case.code for case in CASES if not case.script}
    assert all(reproduction(code)[0] for code in told)


def test_causes_are_asked_for_in_the_order_in_which_the_kernel_meets_them() -> None:
    asked = [entry.code for entry in stopping("CreateNamespaces")]
    first = ["MC0704", "MC0204", "MC0201", "MC0202", "MC0205", "MC0206", "MC0207", "MC0203"]
    then = ["MC0208", "MC0209", "MC0210", "MC0211", "MC0701", "MC0702", "MC0703"]
    assert [code for code in asked if code in (*first, *then)] == first + then


def test_the_table_names_the_modules_that_have_causes_for_each_step() -> None:
    found: dict[str, set[str]] = {}
    for entry in all_causes().values():
        for verb in entry.stops:
            found.setdefault(verb, set()).add(module_of(entry))
    assert {verb: set(names.split()) for verb, names in STOPPING.items()} == found


def test_a_report_loads_the_causes_of_its_step_and_no_others() -> None:
    ask = "from minictr.diagnosis import catalogue; catalogue.stopping('LoadFilter')"
    shown = f"import sys; {ask}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", shown], cwd=ROOT, check=True, capture_output=True
    )
    names = loaded.stdout.decode().split()
    assert "minictr.diagnosis.causes.confinement" in names
    assert "minictr.diagnosis.causes.mounts" not in names


def test_the_page_has_every_code_once() -> None:
    heads = re.findall(r"^## (MC\d{4}): ", page(), re.M)
    assert heads == sorted(all_causes())
