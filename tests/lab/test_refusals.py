"""Inputs that are refused: each reproduction that `explain` prints is refused with its code."""

from __future__ import annotations

import pytest
from lab.bench import Lab, reproduction

from minictr.diagnosis.catalogue import all_causes

# What no command brings a machine to; the tests of the parsers and of the cache make them.
WITHOUT = {"MC0119", "MC0123", "MC0128"}
CODES = [code for code, entry in all_causes().items() if not entry.stops and code != "MC0000"]
# The near miss of an image: the same file without the fault is launched by other tests.
WITH_FIX = {
    "MC0102": 'chmod u+r "$DIRECTORY/image.sif"; minictr exec "$DIRECTORY/image.sif" true',
    "MC0126": 'chmod go-w "$DIRECTORY/cache"\n'
    'MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$SIF" true',
}


@pytest.mark.parametrize("code", sorted(set(CODES) - WITHOUT))
def test_an_input_is_refused_with_its_code(lab: Lab, code: str) -> None:
    script, by_root = reproduction(code)
    outcome = lab.run(script, by_root)
    if outcome.report:
        assert (outcome.code, outcome.status) == (code, 125), outcome.stderr
        assert outcome.report["proof"]
    else:  # a command that launches nothing reports as text
        assert f"[{code}]" in outcome.stderr
        assert outcome.status == 125


@pytest.mark.parametrize("code", sorted(WITH_FIX))
def test_the_remedy_that_is_printed_works(lab: Lab, code: str) -> None:
    outcome = lab.run(f"{reproduction(code)[0]}\n")
    assert outcome.code == code
    assert lab.run(WITH_FIX[code]).status == 0


def test_every_code_has_a_reproduction_or_a_reason_for_none() -> None:
    assert {code for code in CODES if not reproduction(code)[0]} == WITHOUT
