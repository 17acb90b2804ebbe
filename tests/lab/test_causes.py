"""Each cause for real: the fault is made and named, its fix works, and a near miss is not named."""

from __future__ import annotations

import pytest
from lab.bench import Case, Lab, Outcome
from lab.cases import CASES
from lab.table import SEEN
from skipping import require

case = pytest.mark.parametrize("case", CASES, ids=str)


def values(lab: Lab) -> dict[str, str]:
    """What the texts of a case may name."""
    return {
        "user": lab.user.name,
        "uid": str(lab.user.uid),
        "image": lab.environment["IMAGE"],
        "directory": lab.environment["DIRECTORY"],
        "chroot": lab.environment["CHROOT"],
    }


def make(lab: Lab, case: Case, script: str, **more: str) -> Outcome:
    """Run one of the case's scripts, with its preparation."""
    require(not case.impossible, case.code, case.impossible)
    return lab.run(f"{case.prepare}\n{script}", case.by_root, **more)


@case
def test_the_fault_is_named_and_proved_and_its_fix_works(lab: Lab, case: Case) -> None:
    outcome = make(lab, case, case.fault)
    assert outcome.code == case.code, outcome.stderr
    assert outcome.status == outcome.report["status"] == case.status
    for text in case.proof:
        assert text.format(**values(lab)) in outcome.words
    fixes = "\n".join(outcome.fixes("user") + outcome.fixes("administrator"))
    for text in case.fix:
        assert text.format(**values(lab)) in fixes
    lab.reset()
    repaired = make(
        lab,
        case,
        case.repaired,
        USER_FIX=outcome.commands("user"),
        ADMINISTRATOR_FIX=outcome.commands("administrator"),
    )
    assert repaired.status == 0, (fixes, repaired.stderr)
    row = SEEN.row(case.code)
    row.fixed += 1
    row.milliseconds.append(outcome.milliseconds)


@case
def test_a_near_miss_is_not_taken_for_the_fault(lab: Lab, case: Case) -> None:
    outcome = make(lab, case, case.near)
    assert outcome.code == case.instead, outcome.stderr
    assert (outcome.status == 0) == (case.instead == ""), outcome.stderr
    SEEN.row(case.code).near += 1
